"""What somebody typed or pasted into the search field, understood. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

LEAST = 3  # characters of anything
LEAST_OF_ID = 4
LONGEST = 2000
MOST_IDS = 3  # in one address

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_.:=+-]{4,255}")
_HEX = re.compile(r"[0-9A-Fa-f-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BARE_LINK = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?/\S+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for. Each part is empty when the text cannot mean it."""

    text: str
    too_short: bool = False
    host_only: bool = False  # a link to a whole site: it names no meeting
    email: str = ""  # how an address begins, in lower case
    domain: str = ""  # how a customer's domain begins
    name: str = ""  # how a batch or a customer begins
    ids: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # how a meeting link begins: without query and fragment, by http and https


def understand(typed: str, *, provider_hosts: Collection[str] = ()) -> Asked:
    """Tell what a text may mean."""
    text = " ".join("".join(char if char.isprintable() else " " for char in typed).split())[:LONGEST]
    if len(text) < LEAST:
        return Asked(text, too_short=True)
    if _SCHEME.match(text) or _BARE_LINK.fullmatch(text):
        return _link(text, provider_hosts)
    if "@" in text and " " not in text:
        begin, _, domain = text.lower().partition("@")
        return Asked(text, email=text.lower() if begin else "", domain=domain if not begin else "")
    one_word = " " not in text
    return Asked(
        text,
        email=text.lower() if one_word else "",
        domain=text.lower() if one_word else "",
        name=text,
        ids=_ids(text) if one_word else (),
    )


def goes_on_from(link: str, begins: Collection[str]) -> bool:
    """Tell whether a stored link is the one that was asked for: the same path, whatever its query."""
    return any(link == begin or (link.startswith(begin) and link[len(begin)] in "?#/") for begin in begins)


def _link(text: str, provider_hosts: Collection[str]) -> Asked:
    try:
        parts = urlsplit(text if _SCHEME.match(text) else f"https://{text}")
        host = (parts.hostname or "").lower()
        port = parts.port
    except ValueError:
        return Asked(text, ids=())
    if host in provider_hosts or host.endswith(".recall.ai"):
        return Asked(text, ids=_named_in(parts))
    path = parts.path.rstrip("/")
    if not host or not path:
        return Asked(text, host_only=True)
    place = f"{host}:{port}" if port else host
    return Asked(text, links=(f"https://{place}{path}", f"http://{place}{path}"))


def _named_in(parts: SplitResult) -> tuple[str, ...]:
    """Return the ids in an address of a provider: all that look like one, else the last part with a digit."""
    if found := _UUID.findall(f"{parts.path}?{parts.query}"):
        return tuple(dict.fromkeys(one.lower() for one in found))[:MOST_IDS]
    last = next((one for one in reversed(parts.path.split("/")) if any(char.isdigit() for char in one)), "")
    return _ids(last)


def _ids(text: str) -> tuple[str, ...]:
    if not _ID.fullmatch(text):
        return ()
    return (text.lower() if _HEX.fullmatch(text) else text,)
