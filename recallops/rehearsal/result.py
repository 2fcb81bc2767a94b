"""What came of a rehearsal, as plain numbers; `migrations_app/rehearsal_words.py` makes sentences of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Exists, Max, OuterRef, Q

from calendars.models import Assignment, Handover
from migrations_app import inventory, planner
from migrations_app.models import Finding, Item, ItemStatus
from recallops.rehearsal.rows import reduced
from recallops.rehearsal.world import SOURCE, TARGET
from recallops.sandbox import truth

if TYPE_CHECKING:
    from recallops.rehearsal.document import Document, Side
    from recallops.rehearsal.play import Play

HORIZON = timedelta(days=28)
UNTIL_ALL_ARE_OVER = timedelta(hours=12)
MOST_GROUPS = 5
MOST_FINDINGS = 40


def of(play: Play) -> dict[str, Any]:
    """Count everything. Lets the world run on, so that nothing can be played afterwards."""
    rows = _rows(play)  # before the world runs on
    calls = _calls(play)
    truth.run_out(play.world, play.begun + HORIZON + UNTIL_ALL_ARE_OVER)
    found = truth.truth(play.world, until=play.begun + HORIZON)
    course = asdict(play.course)
    return {
        **{name: course[name] for name in ("ended", "seconds", "stops")},
        "begun": play.begun.isoformat(),
        "steps": _steps(play),
        "hours": play.course.hours,
        "calls": calls,
        "refused": play.world.log.by_status().get(429, 0),
        "slowest": _slowest(play.document, calls),
        "held": {
            "wanted": found.wanted,
            "held": found.held,
            "missed": len(found.missed),
            "doubled": len(found.doubled),
            "unaccounted": found.unaccounted,
        },
        "groups": groups(play.document),
        "made_of": made_of(play.document),
        "errors": sorted(play.hands.failed),
        **rows,
    }


def made_of(document: Document) -> dict[str, Any]:
    """Count what a rehearsal is made of."""
    copies = [copy for meeting in document.meetings for copy in meeting.copies]
    return {
        "calendars": len(document.calendars),
        "chosen": sum(one.chosen for one in document.calendars),
        "in_target": sum(one.in_target for one in document.calendars),
        "meetings": len(document.meetings),
        "events": len(copies),
        "with_bot": sum(bool(key) for _, key, _ in copies),
        "share": document.share,
        "limits_share": reduced(document.share),
        "latency": "0.2",
    }


def groups(document: Document) -> dict[str, Any]:
    """Return how large the groups of calendars are that have common meetings with a bot, the largest first.

    Also how many meetings calendars that move share with calendars that do not.
    """
    parent = list(range(len(document.calendars)))

    def root(of: int) -> int:
        while parent[of] != of:
            parent[of] = parent[parent[of]]
            of = parent[of]
        return of

    mixed = 0
    for meeting in document.meetings:
        members = [number for number, key, _ in meeting.copies if key]
        for number in members[1:]:
            parent[root(number)] = root(members[0])
        mixed += len({document.calendars[number].chosen for number in members}) > 1
    sizes = sorted(Counter(root(number) for number in range(len(parent))).values(), reverse=True)
    shared = [size for size in sizes if size > 1]
    return {"largest": shared[:MOST_GROUPS], "count": len(shared), "mixed": mixed}


def _steps(play: Play) -> list[dict[str, Any]]:
    """Return when each step began and how long it was the slowest calendar's."""
    begun = play.course.steps
    ends = [at for _, at in begun[1:]] + [play.course.seconds]
    return [{"step": step, "began": at, "lasted": end - at} for (step, at), end in zip(begun, ends, strict=True)]


def _calls(play: Play) -> dict[str, dict[str, int]]:
    return {role: play.world.log.by_endpoint(region=role) for role in (SOURCE, TARGET)}


def _slowest(document: Document, calls: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """Return which endpoints take longest: their calls at the pace that is ours, the longest first."""
    sides: dict[str, Side] = {SOURCE: document.source, TARGET: document.target}
    found: list[dict[str, Any]] = []
    for role, side in sides.items():
        for endpoint, count in calls[role].items():
            if endpoint in side.limits:
                share = reduced(document.share)
                pace = planner.usable(side.limits[endpoint] * share, reserve_percent=side.reserve_percent)
                found.append(
                    {"role": role, "endpoint": endpoint, "calls": count, "pace": pace, "minutes": count / pace}
                )
    return sorted(found, key=lambda one: -one["minutes"])[:MOST_GROUPS]


def _rows(play: Play) -> dict[str, Any]:
    """Count what our own rows say at the end."""
    batch = play.batch
    order = Handover.objects.get(pk=batch.handover_id)
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    statuses = dict(items.order_by().values_list("status").annotate(n=Count("pk")))
    held_up = items.filter(status__in=[ItemStatus.USER, ItemStatus.FAILED, ItemStatus.NOT_MOVABLE])
    reasons = held_up.order_by().values("status", "reason").annotate(n=Count("pk")).order_by("-n", "reason")
    findings = Finding.objects.filter(batch=batch).order_by().values("code", "severity").annotate(n=Count("pk"))
    return {
        "items": statuses,
        "reasons": [[row["status"], row["reason"], row["n"]] for row in reasons[:MOST_FINDINGS]],
        "findings": [[row["code"], row["severity"], row["n"]] for row in findings.order_by("code")[:MOST_FINDINGS]],
        "cut": _cut(play, order),
    }


def _cut(play: Play, order: Handover) -> dict[str, Any]:
    """Count the meetings about the cut line."""
    if order.cut_line is None:
        return {}
    line: datetime = order.cut_line
    mine = Assignment.objects.filter(occurrences__calendar__handover=order, start__lt=play.begun + HORIZON).distinct()
    before = mine.filter(start__lt=line)
    near = inventory.numbers(play.batch).near
    done = Item.objects.filter(
        batch=play.batch, status=ItemStatus.DONE, connection__calendar__occurrences__assignment=OuterRef("pk")
    )
    late = mine.filter(Q(flipped_at=None), Exists(done), start__gte=line, owner=play.batch.source)
    last = before.aggregate(at=Max("end"))["at"]
    return {
        "chosen": bool(play.document.cut_line),
        "after": (line - play.begun).total_seconds(),
        "before": before.count(),
        "last_ends": (last - play.begun).total_seconds() if last else None,
        "near": mine.filter(start__gte=line, start__lt=line + near).count(),
        "near_minutes": near.total_seconds() / 60,
        "late": late.count(),
    }
