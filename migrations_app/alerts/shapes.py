"""Alerts as text, and the text in the form that each chat tool takes. Pure.

Sentences may hold words of strangers. `harmless` takes from them whatever a chat tool acts on: mentions that call
people, links, formatting, control characters. What is ours (headings, links to our own pages) is put in afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from migrations_app.models import AlertChannel, AlertKind

MOST_OF_A_KIND = 5
LONGEST = 3500  # Google Chat takes 4,096 characters
LONGEST_SENTENCE = 300

HEADING = _("RecallOps: {count} alert(s)")
MORE = _("… and {count} more")
OVER = _(" (over by now)")
CUT_OFF = "…"

_LONE_AT = re.compile(r"(?<![\w.+-])@(?=\w)|@(?=(?:channel|here|everyone|all|team)\b)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w+;)")
_SCHEME = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*):(?=//)|\b(javascript|data|mailto|tel):(?=\S)")
_LETTERS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'", "*": "·", "~": "-", "|": "¦", "\\": "/"})


@dataclass(frozen=True, slots=True)
class Line:
    """One alert as it is told."""

    kind: str
    sentence: str
    over: bool = False
    url: str = ""


def harmless(words: str) -> str:
    """Return words of strangers without what a chat tool would act on."""
    kept = "".join(letter if letter.isprintable() else " " for letter in words)
    text = " ".join(kept.split()).translate(_LETTERS)
    text = _ENTITY.sub("＆", text)
    text = _SCHEME.sub(lambda found: f"{found[1] or found[2]}: ", text)
    text = re.sub(r"(?i)\bwww\.", "www ", text)
    text = _LONE_AT.sub("(at) ", text)
    return text if len(text) <= LONGEST_SENTENCE else text[: LONGEST_SENTENCE - 1] + CUT_OFF


def told(lines: Sequence[Line], *, total: int) -> str:
    """Return alerts as one text: by kind, a few of each, and how many more there are."""
    parts = [HEADING.format(count=total)]
    for kind in AlertKind.values:
        mine = [line for line in lines if line.kind == kind]
        if not mine:
            continue
        parts.append(f"\n{str(AlertKind(kind).label).capitalize()}: {len(mine)}")
        for line in mine[:MOST_OF_A_KIND]:
            link = f" {line.url}" if line.url else ""
            parts.append(f"- {harmless(line.sentence)}{OVER if line.over else ''}{link}")
        if len(mine) > MOST_OF_A_KIND:
            parts.append(MORE.format(count=len(mine) - MOST_OF_A_KIND))
    if total > len(lines):
        parts.append("\n" + MORE.format(count=total - len(lines)))
    text = "\n".join(parts)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + CUT_OFF


def slack(text: str) -> dict[str, Any]:
    """Slack: no formatting, no names looked up, no previews. `&`, `<` and `>` are the only letters it escapes."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "mrkdwn": False, "link_names": 0, "unfurl_links": False, "unfurl_media": False}


def mattermost(text: str) -> dict[str, Any]:
    """Mattermost: the same `text`; mentions are switched off beside it, too."""
    return {"text": text, "props": {"disable_group_highlight": True}}


def google_chat(text: str) -> dict[str, Any]:
    """Google Chat: `text` alone."""
    return {"text": text}


def teams(text: str) -> dict[str, Any]:
    """Teams: a workflow takes an Adaptive Card, with a block for each paragraph."""
    blocks = [{"type": "TextBlock", "text": part, "wrap": True} for part in text.split("\n") if part]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    AlertChannel.Format.SLACK: slack,
    AlertChannel.Format.MATTERMOST: mattermost,
    AlertChannel.Format.GOOGLE_CHAT: google_chat,
    AlertChannel.Format.TEAMS: teams,
}


def body_for(form: str, text: str) -> bytes:
    """Return what is posted to a channel of a format."""
    return json.dumps(SHAPES[form](text), ensure_ascii=False).encode()
