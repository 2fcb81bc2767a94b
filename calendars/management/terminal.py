"""What all commands of a person at a terminal share."""

from __future__ import annotations

import getpass

from calendars.providers.redaction import quote


def actor() -> str:
    """Return who types, for the audit trail: commands know no login."""
    try:
        return f"terminal: {getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "terminal"


def plain(text: str) -> str:
    """Return words as a terminal may show them: no control characters of anybody, no secrets, one line."""
    return quote(text, limit=600)
