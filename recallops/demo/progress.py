"""What there is to see of a move at one moment, counted from the rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, F, Sum

from calendars.models import Assignment, RateBudget, Verdict
from migrations_app.itineraries import OF_THE_ITEM, Step, position
from migrations_app.models import Batch, Finding, Item, ItemStatus
from recallops import clock

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a move."""

    now: datetime
    speed: float
    step: str
    status: str
    closed: bool
    stopped: bool
    reason: str
    track: tuple[tuple[str, str, str], ...]  # label, state (done, now, ahead), counts
    items: Mapping[str, int] = field(default_factory=dict)  # by label of the status
    verdicts: Mapping[str, int] = field(default_factory=dict)  # by label
    calls: int = 0
    refused: int = 0
    findings: int = 0


def look(slug: str) -> Snapshot | None:
    """Count; None while there is no such batch."""
    batch = Batch.objects.select_related("handover").filter(slug=slug).first()
    if batch is None:
        return None
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    places = {(row["step"], row["status"]): row["n"] for row in items.values("step", "status").annotate(n=Count("pk"))}
    budgets = RateBudget.objects.filter(workspace__in=[batch.source_id, batch.target_id])
    used = budgets.aggregate(calls=Sum("taken"), refused=Sum("refused"))
    verdicts = Assignment.objects.filter(over=False).values("verdict").annotate(n=Count("pk"))
    return Snapshot(
        now=clock.now(),
        speed=clock.speed(),
        step=Step(batch.step).label,
        status=batch.get_status_display(),
        closed=batch.closed_at is not None,
        stopped=batch.status == "stopped",
        reason=_reason(batch),
        track=_track(batch, places),
        items={
            ItemStatus(status).label: sum(n for (_, its), n in places.items() if its == status)
            for status in ItemStatus
            if any(its == status for _, its in places)
        },
        verdicts={str(Verdict(row["verdict"]).label): row["n"] for row in verdicts.order_by("verdict")},
        calls=used["calls"] or 0,
        refused=used["refused"] or 0,
        findings=Finding.objects.filter(batch=batch, gone_at=None, waived_at=None).exclude(severity="info").count(),
    )


def _track(batch: Batch, places: Mapping[tuple[str, str], int]) -> tuple[tuple[str, str, str], ...]:
    """Return the steps, with how many items have each behind them."""
    total = sum(places.values())
    active = {str(status) for status in ItemStatus.active()}
    now = position(batch.step)
    track = []
    for step in batch.steps:
        place = position(step)
        state = "done" if batch.closed_at or place < now else "now" if place == now else "ahead"
        counts = ""
        if step in OF_THE_ITEM and total:
            passed = sum(
                n
                for (at, status), n in places.items()
                if (position(at) > place if status in active else status == ItemStatus.DONE)
            )
            if passed and state == "ahead":
                state = "now"
            counts = f"{passed}/{total}"
        track.append((str(step.label), state, counts))
    return tuple(track)


def _reason(batch: Batch) -> str:
    """Return the sentence of what is waited for: the batch's own, or that of the item which goes on first."""
    if batch.reason:
        return batch.reason
    waiting = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION, status=ItemStatus.WAITING).exclude(reason="")
    first = waiting.order_by(F("due_at").asc(nulls_first=True)).first()
    return f"{first.title}: {first.reason}" if first else ""
