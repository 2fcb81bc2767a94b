"""From samples to figures: time against the bound, calls by endpoint, own CPU for each call, where budget lay idle."""

from __future__ import annotations

from collections import Counter
from typing import Any

LIST_EVENTS = "GET /api/v2/calendar-events/"
BEFORE_SOAK = frozenset({"preflight", "export", "recreate", "verify", "hand_over"})


def figures(measured: dict[str, Any], *, speed: float) -> dict[str, Any]:
    """Return the figures of one move. Seconds are of the wall, at this speed of the clock."""
    planned, samples, proof = measured["planned"], measured["samples"], measured["proof"]
    calls = sum(found["total_here"] for found in _by_region(measured).values())
    return {
        "seconds": measured["seconds"],
        "bound_seconds": planned["bound_seconds"],
        "bounds": _bounds(planned),
        "of_the_bound": round(planned["bound_seconds"] / measured["seconds"], 3),
        "predicted_seconds": planned["predicted_seconds"],
        "report": measured["report"]["prediction"],
        "calls": calls,
        "calls_by_endpoint": {region: found["by_endpoint"] for region, found in _by_region(measured).items()},
        "necessary": _necessary(planned),
        "refused": sum(row["429"] for row in proof["endpoints"].values()),
        "list_events_a_calendar": round(_list_events(measured) / planned["calendars"], 3),
        "cpu_seconds": measured["cpu_seconds"],
        "own_cpu_ms_a_call": round(1000 * measured["cpu_seconds"]["workers"] / calls, 2),
        "cores_used": round(sum(measured["cpu_seconds"].values()) / measured["seconds"], 2),
        "missed": proof["missed"],
        "doubled": proof["doubled"],
        "unaccounted": proof["without_verdict"] + proof["without_row"] + proof["without_end"],
        "held": proof["held"],
        "wanted": proof["wanted"],
        "items": proof["items"],
        "domain_hours": round((measured["domain_seconds"] or 0) / 3600, 2),
        "meetings": planned["meetings"],
        "members": planned["members"],
        "a_minute": planned["a_minute"],
        "samples": samples,
        "speed": speed,
    }


def _by_region(measured: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        region: {"by_endpoint": found["by_endpoint"], "total_here": sum(found["by_endpoint"].values())}
        for region, found in measured["calls"].items()
    }


def _list_events(measured: dict[str, Any]) -> int:
    return sum(found["by_endpoint"].get(LIST_EVENTS, 0) for found in _by_region(measured).values())


def _necessary(planned: dict[str, Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for row in planned["rows"]:
        counted[row["place"]] += row["calls"]
    return dict(counted)


def _bounds(planned: dict[str, Any]) -> dict[str, Any]:
    """Return the bound of what is called before the soak and of what is called after it: the soak parts the two."""
    found = {}
    for name, steps in (("before_soak", BEFORE_SOAK), ("after_soak", None)):
        counted: Counter[str] = Counter()
        for row in planned["rows"]:
            if (row["step"] in BEFORE_SOAK) == (steps is not None):
                counted[row["place"]] += row["calls"]
        seconds = {place: 60 * n / planned["a_minute"][place] for place, n in counted.items()}
        place = max(seconds, key=lambda one: seconds[one])
        found[name] = {"seconds": round(seconds[place], 2), "by": place}
    return found
