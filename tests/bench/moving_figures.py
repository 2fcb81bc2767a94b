"""From samples to figures: time against the bound, calls by endpoint, own CPU for each call, where budget lay idle."""

from __future__ import annotations

from collections import Counter
from typing import Any

LIST_EVENTS = "GET /api/v2/calendar-events/"
NEARLY_ALL = 0.98


def figures(measured: dict[str, Any], *, speed: float) -> dict[str, Any]:
    """Return the figures of one move. Seconds are of the wall, at this speed of the clock."""
    planned, samples, proof = measured["planned"], measured["samples"], measured["proof"]
    stretches = _stretches(measured)
    worked = sum(one["seconds"] for one in stretches.values())
    calls = sum(found["total_here"] for found in _by_region(measured).values())
    return {
        "seconds": measured["seconds"],
        "bound_seconds": planned["bound_seconds"],
        "ordered_seconds": planned["ordered_seconds"],
        "stretches": stretches,
        "calls_seconds": round(worked, 1),
        "of_the_bound": round(planned["bound_seconds"] / worked, 3),
        "of_the_ordered_bound": round(planned["ordered_seconds"] / worked, 3),
        "outcome_of_predicted": round(worked / planned["predicted_seconds"], 3),
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


def _stretches(measured: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return bound and time of each stretch: what cannot overlap is measured apart (docs/bound.md).

    A stretch of the hand-over and of the delete lasts from its first call to the one with which nearly all are made:
    the last ones are those of meetings that were waited for.
    """
    samples, bounds = measured["samples"], measured["planned"]["stretches"]
    exported = next((one["wall"] for one in samples if one["step"] not in ("preflight", "export")), 0.0)
    took = {
        "export": exported,
        "hand_over": _span(samples, ("POST /api/v2/calendars/", "{id}/bot/")),
        "delete": _span(samples, ("DELETE /api/v2/calendars/{id}/",)),
    }
    return {
        name: {
            "seconds": round(took[name], 1),
            "bound_seconds": round(bounds[name]["seconds"], 1),
            "by": bounds[name]["by"],
            "of_the_bound": round(bounds[name]["seconds"] / took[name], 3) if took[name] else None,
        }
        for name in took
    }


def _span(samples: list[dict[str, Any]], ends: tuple[str, ...]) -> float:
    """Return the seconds from the first call at some endpoints to the one that makes nearly all."""
    made = [(one["wall"], sum(n for place, n in one["taken"].items() if place.endswith(ends))) for one in samples]
    total = made[-1][1]
    first = next(wall for wall, calls in made if calls)
    last = next(wall for wall, calls in made if calls >= NEARLY_ALL * total)
    return float(last - first)
