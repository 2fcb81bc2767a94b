"""Answers as they look, for the schema."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import OpenApiExample

from calendars.api.lines import COLUMNS

US: dict[str, Any] = {"workspace": "acme-us", "region": "us-west-2"}
EU: dict[str, Any] = {"workspace": "acme-eu", "region": "eu-central-1"}
OLD, NEW = "1b5c0c5e-6f9d-4a51-9c5c-0f8f6f1f8a11", "c3a9a1de-0f0e-4c55-8f43-7a3c92d1b9d2"
EVENT = "5f1f6f0a-93a6-4a3c-8d3e-5c1f6f8a2b31"

_MAPPING: dict[str, object] = {
    "kind": "calendar",
    "source": {**US, "id": OLD},
    "target": {**EU, "id": NEW},
    "superseded": False,
    "created_at": "2026-11-23T12:00:00Z",
}
_OWNED: dict[str, object] = {
    "id": 4711,
    "owner": EU,
    "epoch": 1,
    "since": "2026-11-23T12:07:31Z",
    "moving": False,
    "start": "2026-11-24T09:00:00Z",
    "end": "2026-11-24T09:30:00Z",
    "meeting_url": "https://meet.google.com/abc-defg-hij",
    "over": False,
    "events": [{**EU, "calendar": NEW, "event": EVENT}],
}
_CALENDAR: dict[str, object] = {
    "id": 12,
    "customer": {"name": "globex", "title": "Globex"},
    "platform": "google_calendar",
    "email": "hank@globex.example",
    "connections": [{**US, "id": OLD, "status": "connected"}, {**EU, "id": NEW, "status": "connected"}],
    "coming": [{**US, "meetings": 2}, {**EU, "meetings": 31}],
}


def asked(name: str, value: object) -> OpenApiExample:
    """Return an example of a body that is sent."""
    return OpenApiExample(name, value=value, request_only=True)


def answered(name: str, value: object, *, media_type: str = "application/json") -> OpenApiExample:
    """Return an example of a good answer."""
    return OpenApiExample(name, value=value, response_only=True, status_codes=["200"], media_type=media_type)


MAPPING_PAGE = answered("The last page", {"next": None, "results": [_MAPPING]})
_FOUND: dict[str, object] = {"kind": "calendar", "id": OLD, "current": {**EU, "id": NEW}}
FOLLOWED = answered("Moved once", _FOUND | {"moves": [_MAPPING]})
IDS = asked("Two ids", {"ids": [OLD, EVENT], "kind": "calendar"})
LOOKED_UP = answered("One of two", {"found": [_FOUND], "unknown": [EVENT]})
CHANGES = answered("One change", {"results": [_MAPPING], "after": "7301-912", "more": False})
_CELLS = ("calendar", *map(str, US.values()), OLD, *map(str, EU.values()), NEW, "false", "2026-11-23T12:00:00+00:00")
CSV = answered("One row", f"{','.join(COLUMNS)}\r\n{','.join(_CELLS)}\r\n", media_type="text/csv")
NDJSON = answered("One row", json.dumps(_MAPPING) + "\n", media_type="application/x-ndjson")
OWNERSHIP = answered("Handed over", {"assignments": [_OWNED]})
EVENTS = asked("Two events", {"events": [EVENT, OLD]})
OWNERSHIP_FOUND = answered(
    "One of two", {"found": [{"event": EVENT, "assignment": 4711}], "unknown": [OLD], "assignments": [_OWNED]}
)
CALENDAR = answered("In both regions", _CALENDAR)
CALENDAR_PAGE = answered("The last page", {"next": None, "results": [_CALENDAR]})
