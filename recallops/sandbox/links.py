"""Which meeting platform a link belongs to, and which of several links counts."""

from __future__ import annotations

import re

# In a text with several links the first platform of this order wins, as the vendor documents it.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("zoom", re.compile(r"https://(?:[\w-]+\.)*zoom(?:gov)?\.(?:us|com)/(?:j|my|w|s|wc)/[^\s<>\"')\]]+")),
    ("google_meet", re.compile(r"https://meet\.google\.com/[a-z]{3,4}-[a-z]{3,4}-[a-z]{3,4}(?:\?[^\s<>\"')\]]*)?")),
    (
        "microsoft_teams",
        re.compile(r"https://teams\.(?:microsoft|live)\.com/(?:l/meetup-join|meet)/[^\s<>\"')\]]+"),
    ),
    ("webex", re.compile(r"https://[\w-]+\.webex\.com/[^\s<>\"')\]]+")),
    ("goto_meeting", re.compile(r"https://(?:meet\.goto\.com|global\.gotomeeting\.com/join)/[^\s<>\"')\]]+")),
)


def platform_of(url: str | None) -> str | None:
    """Return the meeting platform of a link, None when bots cannot join it."""
    if url:
        for platform, pattern in _PATTERNS:
            if pattern.fullmatch(url):
                return platform
    return None


def first_link(text: str) -> str | None:
    """Return the link in a text that counts: Zoom, then Meet, Teams, Webex, GoTo."""
    for _, pattern in _PATTERNS:
        found = pattern.search(text)
        if found:
            return found.group().rstrip(".,;")
    return None
