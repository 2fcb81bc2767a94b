"""Answers about batches as they look, for the schema."""

from __future__ import annotations

from calendars.api.examples import EU, NEW, OLD, US, answered

_BATCH = {
    "name": "acme-us-to-eu",
    "source": US,
    "target": EU,
    "step": "hand_over",
    "goal": "hand_over",
    "status": "running",
    "reason": "",
    "goes_back": False,
    "paused": False,
    "cut_line": "2026-11-23T14:00:00Z",
    "started_at": "2026-11-23T12:00:00Z",
    "closed_at": None,
    "calendars": [{"step": "hand_over", "status": "waiting", "count": 40}],
    "progress": {"moved": 0, "movable": 40, "percent": 0},
}
_ITEM = {
    "kind": "connection",
    "title": "hank@globex.example",
    "step": "hand_over",
    "status": "waiting",
    "reason": "31 meetings are still with the source",
    "source_id": OLD,
    "target_id": NEW,
}

BATCH = answered("Handing over", _BATCH)
BATCH_PAGE = answered("The last page", {"next": None, "results": [_BATCH]})
ITEM_PAGE = answered("The last page", {"next": None, "results": [_ITEM]})
