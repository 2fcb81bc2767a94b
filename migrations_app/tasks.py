"""What the queue wakes for batches: one subject for each batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, Max, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from calendars import assignments, drivers
from calendars import tasks as calendar_tasks
from calendars.leases import Lease, MachineNow, free, give_back, machine_now, taker
from calendars.models import Assignment, Driver, Handover
from migrations_app import cuts, engine, inventory
from migrations_app.itineraries import OF_THE_BATCH, Step, allows
from migrations_app.models import Batch, BatchStatus, Item, ShareGroup
from migrations_app.steps import hand_over
from recallops import clock
from recallops.prepared import Given, prepared

TASK = "migrations_app.tasks.drive"
TROUBLE = Coalesce(NullIf("source__trouble", Value("")), "target__trouble")

GOING = Q(handover__paused=False) & ~Q(goal="") & ~Q(reached=F("goal")) & ~Q(status=BatchStatus.STOPPED)
"""Allowed further than it has come, not paused, not stopped."""

# What looking for work needs, in the order of the models: it looks all the time, and finds nothing mostly.
OF_BATCHES = ("id", "slug", "source_id", "target_id", "goal", "drivers", "step", "status", "due_at", "groups_due_at")
OF_HANDOVERS = ("id", "cut_line", "paused", "backwards", "external")


@dataclass(frozen=True, slots=True)
class Open:
    """A batch that may have work, with few of its columns; the others are read when they are asked for."""

    batch: Batch
    moving: bool  # allowed further than it has come, not paused, stopped or closed
    trouble: str  # of one of its workspaces


def ring() -> None:
    """Wake drivers for whatever is due."""
    pump()
    calendar_tasks.pump()


def look_again() -> None:
    """Wake the assignments of open batches, after a control column changed that they depend on."""
    for batch in Batch.objects.filter(closed_at=None).exclude(goal="").select_related("handover"):
        assignments.touch_handover(batch.handover)
    ring()


def pump() -> int:
    """Ring for batches that are due and have no driver; return how many doorbells were rung."""
    now = clock.now()
    due = [found.batch for found in _open() if _due_at(found, now) <= now]
    return sum(drivers.ring(TASK, batch.slug, slots=batch.drivers) for batch in due)


def moving() -> QuerySet[Batch]:
    """Return the batches that may go on: allowed further than they have come, not paused, stopped or closed."""
    return Batch.objects.filter(GOING, closed_at=None)


def _open() -> list[Open]:
    """Return the batches that are `moving`, and those at rest of which a share group may fall back."""
    return [_as_open(row) for row in _rows_of_open()]


@prepared
def _rows_of_open() -> QuerySet[Batch, tuple[Any, ...]]:
    states = [ShareGroup.State.CUT, ShareGroup.State.SETTLED]
    cut = Q(handover__external=True) & Exists(ShareGroup.objects.filter(batch=OuterRef("pk"), state__in=states))
    either = Batch.objects.annotate(moving=ExpressionWrapper(GOING, output_field=BooleanField()), trouble=TROUBLE)
    columns = (*OF_BATCHES, *(f"handover__{name}" for name in OF_HANDOVERS), "moving", "trouble")
    return either.filter(Q(moving=True) | cut, closed_at=None).order_by().values_list(*columns)


def _as_open(row: tuple[Any, ...]) -> Open:
    of_batch, of_handover = row[: len(OF_BATCHES)], row[len(OF_BATCHES) : -2]
    batch = Batch.from_db(connection.alias, OF_BATCHES, of_batch)
    batch.handover = Handover.from_db(connection.alias, OF_HANDOVERS, of_handover)
    return Open(batch, moving=row[-2], trouble=row[-1])


def _due_at(found: Open, now: datetime) -> datetime:
    """Return when one of the batches that are `_open` is to be looked at: `now`, or before, for now."""
    batch = found.batch
    if not found.moving:
        return batch.groups_due_at or now
    if batch.step in OF_THE_BATCH or (batch.due_at is not None and batch.due_at > now):
        return batch.due_at or now
    return _items_due_at(batch, now)


def _items_due_at(batch: Batch, now: datetime) -> datetime:
    """Return when a batch whose items walk by themselves is to be looked at."""
    due = engine.next_due(batch, now)
    if due is None or due <= now or (batch.step in hand_over.HANDING and hand_over.any_finished(batch)):
        return now
    return min(due, max(_look_at(batch), now))


def drive(slug: str, slot: int) -> None:
    """Work on a batch, in a slot."""
    drivers.drive(TASK, slug, slot, find_work=partial(find_work, slug), linger=lambda: _active(slug))


@taker("pk")
def _take_batch() -> QuerySet[Batch]:
    return Batch.objects.filter(pk=Given("pk"))


def find_work(slug: str, room: int) -> list[Callable[[], None]]:
    """Claim the batch itself when its own step is due, and due items, nearest meeting first."""
    found = next((one for one in _open() if one.batch.slug == slug), None)
    if found is None:
        return []
    batch = found.batch
    if not found.moving:
        cuts.look(batch, watching=True)
        return []
    if batch.due_at is not None and batch.due_at > clock.now():
        return []
    lease = Lease()
    if batch.step in OF_THE_BATCH:
        held = _take_batch(limit=1, lease=lease, pk=batch.pk)
        return [partial(_advance_batch, batch.pk, lease)] if held else []
    # on the way back it stops at the first call that is refused: where nothing was made, no call is needed
    if found.trouble and not batch.due_at and not batch.goes_back:
        engine.stop_batch(batch, found.trouble)
        return []
    if batch.goes_back:
        engine.turn_round(batch)
    elif allows(batch.goal, Step.HAND_OVER):
        hand_over.prepare(batch)
    ids = engine.take_due(batch, limit=room, lease=lease)
    if not ids and not (batch.step in hand_over.HANDING and hand_over.wake_finished(batch)):
        engine.follow_items(batch)
    return [partial(engine.advance, pk, lease=lease) for pk in ids]


def _advance_batch(pk: int, lease: Lease) -> None:
    try:
        batch = engine.batches.get(pk=pk)
        if batch.started_at is None:
            batch.started_at = clock.now()
            Batch.objects.filter(pk=pk, started_at=None).update(
                started_at=batch.started_at, calls_before=inventory.calls(batch)
            )
        engine.advance_batch(batch, lease=lease)
    finally:
        give_back(Batch, [pk], lease)


def _active(slug: str) -> bool:
    """A driver of a batch stays awake as long as the batch may go on."""
    return moving().filter(slug=slug).exists()


def next_due() -> datetime | None:
    """Return the domain time at which the next batch or item is due; now, when one is; None when nothing waits."""
    now = clock.now()
    return min((_due_at(found, now) for found in _open()), default=None)


def _look_at(batch: Batch) -> datetime:
    """Return when a batch's share groups are looked at again; never where there are none."""
    if not batch.handover.external or batch.goes_back or not allows(batch.goal, Step.HAND_OVER):
        return datetime.max.replace(tzinfo=UTC)
    return batch.groups_due_at or clock.now()


def leased() -> bool:
    """Tell whether anybody works on a batch or an item at this moment."""
    held = Q(lease_token=None)
    return Item.objects.exclude(held).exclude(free()).exists() or Batch.objects.exclude(held).exclude(free()).exists()


def last_progress() -> float | None:
    """Return machine seconds since any lease was last taken or renewed, or None when none is held."""
    newest = [
        model._default_manager.filter(lease_until__gt=MachineNow()).aggregate(at=Max("lease_until"))["at"]
        for model in (Driver, Assignment, Item, Batch)
    ]
    held: list[datetime] = [until for until in newest if until is not None]
    if not held:
        return None
    return (machine_now() - max(held)).total_seconds() + float(settings.LEASE_SECONDS)
