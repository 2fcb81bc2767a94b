"""Paths and queries of Recall's endpoints, encoded; an id in them can do nothing but name its thing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from calendars.providers import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def calendar_path(calendar_id: str) -> str:
    """Return the path of a calendar."""
    return f"/api/v2/calendars/{_fit(calendar_id)}/"


def event_path(event_id: str) -> str:
    """Return the path of a calendar event."""
    return f"/api/v2/calendar-events/{_fit(event_id)}/"


def bot_path(bot_id: str) -> str:
    """Return the path of a bot."""
    return f"/api/v1/bot/{_fit(bot_id)}/"


def _fit(remote_id: str) -> str:
    """An id that can do nothing in a path but name its thing."""
    if not _ID.fullmatch(remote_id):
        raise errors.ProviderError("An id that no provider gives was to be called.", kind=errors.ErrorKind.OURS)
    return remote_id


def query_of(filters: Mapping[str, Any]) -> str:
    """Return the query of filters; None leaves one out, a list repeats it."""
    pairs: list[tuple[str, str]] = []
    for name, value in filters.items():
        if value is None:
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            pairs.append((name, text_of(one)))
    return urlencode(pairs)


def text_of(value: str | bool | datetime) -> str:
    """Return a filter's value as the API reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
