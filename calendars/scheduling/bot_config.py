"""The configuration that a copied bot gets: complete, without what is read-only or tied to the source. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Fields of a bot that Create Bot takes; what a bot shows beyond them is read-only (reference 6.2).
WRITABLE = (
    "bot_name",
    "recording_config",
    "output_media",
    "automatic_video_output",
    "automatic_audio_output",
    "chat",
    "automatic_leave",
    "variant",
    "zoom",
    "google_meet",
    "breakout_room",
    "metadata",
)
LOGIN_GROUP = "google_login_group_id"


def portable(body: Mapping[str, Any], *, rewrites: Mapping[str, str]) -> dict[str, Any]:
    """Return a bot's configuration for another workspace.

    `rewrites` maps texts that are bound to the source (its region's code in the addresses of realtime endpoints, ids
    of login groups) to what they are in the target. A login group that is not in it cannot exist there and is left out.
    """
    kept = {name: body[name] for name in WRITABLE if body.get(name) not in (None, {}, [])}
    return rewritten(kept, rewrites=rewrites)


def rewritten(config: Mapping[str, Any], *, rewrites: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration that is complete as it is, with the texts in it that are bound to the source rewritten."""
    return {name: _rewritten(value, rewrites) for name, value in config.items()}


def bound_parts(body: Mapping[str, Any], *, rewrites: Mapping[str, str], source_code: str) -> set[str]:
    """Return which parts of a configuration are bound to the source region and have no rewrite yet."""
    found: set[str] = set()
    for name in WRITABLE:
        _find(body.get(name), source_code, rewrites, found)
    group = (body.get("google_meet") or {}).get(LOGIN_GROUP)
    if group and group not in rewrites:
        found.add(f"login group {group}")
    return found


def _find(value: Any, source_code: str, rewrites: Mapping[str, str], found: set[str]) -> None:
    if isinstance(value, str):
        if source_code in value and not any(old in value for old in rewrites):
            found.add(value[:200])
    elif isinstance(value, Mapping):
        for inner in value.values():
            _find(inner, source_code, rewrites, found)
    elif isinstance(value, list):
        for inner in value:
            _find(inner, source_code, rewrites, found)


def _replace(text: str, rewrites: Mapping[str, str]) -> str:
    """Replace all old texts in one pass, the longest first: what was put in is not replaced again."""
    if not rewrites:
        return text
    pattern = "|".join(re.escape(old) for old in sorted(rewrites, key=len, reverse=True) if old)
    return re.sub(pattern, lambda found: rewrites[found[0]], text) if pattern else text


def _rewritten(value: Any, rewrites: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _replace(value, rewrites)
    if isinstance(value, Mapping):
        return {
            name: _rewritten(inner, rewrites)
            for name, inner in value.items()
            if not (name == LOGIN_GROUP and inner not in rewrites)
        }
    if isinstance(value, list):
        return [_rewritten(inner, rewrites) for inner in value]
    return value
