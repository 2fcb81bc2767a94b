"""A result as a rehearsal leaves it, for pages and words."""

from __future__ import annotations

from typing import Any

RESULT: dict[str, Any] = {
    "ended": "closed",
    "seconds": 95_400.0,
    "stops": [],
    "begun": "2026-11-23T12:00:00+00:00",
    "steps": [
        {"step": "preflight", "began": 0.0, "lasted": 30.0},
        {"step": "export", "began": 30.0, "lasted": 90.0},
        {"step": "clean_up", "began": 120.0, "lasted": 95_280.0},
    ],
    "hours": [{"source": 10, "target": 0, "calendars": 0, "meetings": 0}] * 2
    + [{"source": 30, "target": 25, "calendars": 2, "meetings": 8}],
    "calls": {"source": {"GET /api/v1/bot/": 30}, "target": {"GET /api/v1/bot/": 5, "POST /api/v2/calendars/": 20}},
    "refused": 0,
    "slowest": [{"role": "source", "endpoint": "GET /api/v1/bot/", "calls": 30, "pace": 47.04, "minutes": 0.6}],
    "held": {"wanted": 6, "held": 6, "missed": 0, "doubled": 0, "unaccounted": 0},
    "groups": {"largest": [2], "count": 1, "mixed": 0},
    "made_of": {
        "calendars": 20,
        "chosen": 20,
        "in_target": 0,
        "meetings": 6,
        "events": 8,
        "with_bot": 8,
        "share": 1.0,
        "limits_share": 1.0,
    },
    "errors": [],
    "items": {"done": 2},
    "reasons": [],
    "findings": [["keys", "info", 1]],
    "cut": {
        "chosen": True,
        "after": 7200.0,
        "before": 0,
        "last_ends": None,
        "near": 0,
        "near_minutes": 30.0,
        "late": 0,
    },
    "predicted": {"seconds": 120.0, "sentence": "about 2 minutes, bound by GET /api/v1/bot/ in us-west-2"},
    "regions": {"source": "us-west-2", "target": "eu-central-1"},
    "plan": {"soak": 86_400.0, "canary_wait": 1800.0, "drivers": 1, "reserve": {"source": 20, "target": 20}},
}


def result(**changes: Any) -> dict[str, Any]:
    """Return one in which a part is otherwise: parts that are tables are changed, not replaced."""
    parts = {name: {**RESULT[name], **new} if isinstance(new, dict) else new for name, new in changes.items()}
    return {**RESULT, **parts}
