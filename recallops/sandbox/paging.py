"""Cursors and query parameters of lists."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from recallops.sandbox.messages import coded, field_errors, iso, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.messages import Request


class Query:
    """The query of a request, read by kind. What cannot be read is refused by name."""

    def __init__(self, request: Request) -> None:
        self.pairs = parse_qsl(request.query, keep_blank_values=True) if request.query else []
        self._last = dict(self.pairs)

    def text(self, name: str) -> str | None:
        """Return a parameter's last value."""
        return self._last.get(name)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        return [value for key, value in self.pairs if key == name]

    def time(self, name: str) -> datetime | None:
        """Return a parameter as a time."""
        text = self._last.get(name)
        if not text:
            return None
        try:
            return parse_time(text)
        except ValueError:
            raise field_errors(**{name: "Enter a valid date/time."}) from None

    def flag(self, name: str) -> bool | None:
        """Return a parameter as yes or no."""
        text = self._last.get(name, "").lower()
        return {"true": True, "1": True, "false": False, "0": False}.get(text)

    def cursor(self) -> tuple[datetime, str] | None:
        """Return the position that the cursor names."""
        text = self._last.get("cursor")
        if not text:
            return None
        try:
            position = dict(parse_qsl(base64.b64decode(text, validate=True).decode("ascii")))
            return parse_time(position["p"]), position["i"]
        except (binascii.Error, UnicodeDecodeError, KeyError, ValueError):
            raise coded(404, "not_found", "Invalid cursor") from None

    def link(self, base: str, path: str, **changes: str) -> str:
        """Return an absolute URL of the same query with some parameters replaced."""
        pairs = [*changes.items(), *((name, value) for name, value in self.pairs if name not in changes)]
        return f"{base}{path}?{urlencode(pairs)}"


def cursor_at(when: datetime, item: str) -> str:
    """Return the cursor behind an item."""
    return base64.b64encode(urlencode({"p": iso(when) or "", "i": item}).encode()).decode()
