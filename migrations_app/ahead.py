"""What lies before a batch, in numbers: counted from the rows that the engine goes by, before anything is pressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, Concat

from calendars.models import Connection, ConnectionStatus, Event, Occurrence
from migrations_app import inventory, undo
from migrations_app.coverage import assignments_of
from migrations_app.itineraries import FORWARD, Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus
from migrations_app.steps.hand_over import propose
from recallops import clock

GOING = (*ItemStatus.active(), ItemStatus.DONE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What lies before a batch, in numbers."""

    listed: int = 0  # calendars that export lists, or has listed
    user: int = 0  # wait for a person; export says why
    failed: int = 0
    make: int = 0
    adopt: int = 0
    stuck: int = 0  # connected several times in the target
    compare: int = 0
    hand_over: int = 0  # calendars
    delete: int = 0
    kinds: int = 0  # each has a canary
    meetings: int | None = None  # that go to the target; None: not read yet
    staying: int = 0
    cut_line: datetime | None = None
    stopped: bool = False
    back: Mapping[str, int] = field(default_factory=dict)  # what going back depends on, as `undo` counts it


def facts_of(batch: Batch) -> Facts:
    """Count what lies before a batch."""
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    rows = items.annotate(equal=_equal(batch, "connection__calendar"))
    counted: dict[str, Any] = rows.aggregate(**_of_items(), **undo.item_counts())
    stopped = batch.status == BatchStatus.STOPPED
    back = {name: counted.pop(name) for name in undo.item_counts()}
    if not counted["listed"]:
        return Facts(**_of_what_is_chosen(batch), stopped=stopped, back={**back, "handed": 0})
    for name in ("compare", "hand_over", "delete"):
        counted[name] -= counted["stuck"]
    meetings = _of_meetings(batch)
    back["handed"] = meetings.pop("handed")
    return Facts(**counted, **meetings, stopped=stopped, back=back)


def _equal(batch: Batch, calendar: str) -> Coalesce:
    """Count the calendars in the target that are the same one: one is adopted; of several nobody can tell which."""
    same = Connection.objects.live().filter(workspace=batch.target_id, calendar=OuterRef(calendar)).order_by()
    count = same.values("calendar").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(count, output_field=IntegerField()), Value(0))


def _up_to(step: Step) -> list[Step]:
    return list(FORWARD[: FORWARD.index(step) + 1])


def _of_items() -> dict[str, Count]:
    active = Q(status__in=ItemStatus.active())
    there = Q(target_connection__isnull=False) & ~Q(target_connection__status=ConnectionStatus.DELETED)
    fresh = active & Q(step=Step.RECREATE) & ~there
    left = active & Q(deleted_at=None, step__in=_up_to(Step.DELETE_OLD))
    left &= ~Q(connection__status=ConnectionStatus.DELETED)
    kind = Concat("connection__calendar__platform", Value(" "), "connection__oauth_client_id", output_field=CharField())
    return {
        "listed": Count("pk"),
        "user": Count("pk", filter=Q(status=ItemStatus.USER)),
        "failed": Count("pk", filter=Q(status=ItemStatus.FAILED)),
        "make": Count("pk", filter=fresh & Q(equal=0)),
        "adopt": Count("pk", filter=fresh & Q(equal=1)),
        "stuck": Count("pk", filter=fresh & Q(equal__gt=1)),
        "compare": Count("pk", filter=active & Q(step__in=_up_to(Step.VERIFY))),
        "hand_over": Count("pk", filter=active & Q(step__in=_up_to(Step.HAND_OVER))),
        "delete": Count("pk", filter=left),
        "kinds": Count(kind, distinct=True, filter=left),
    }


def _of_what_is_chosen(batch: Batch) -> dict[str, Any]:
    """Count before the export has listed anything: what it would list, as far as the source was read."""
    elsewhere = Item.objects.filter(open=True, connection=OuterRef("pk")).exclude(batch=batch)
    mine = inventory.chosen(batch).filter(~Exists(elsewhere)).order_by()
    able = Q(is_able=True)
    rows = mine.annotate(
        equal=_equal(batch, "calendar"),
        is_able=ExpressionWrapper(~inventory.needs_person(), output_field=BooleanField()),
    )
    counted: dict[str, Any] = rows.aggregate(
        listed=Count("pk"),
        able=Count("pk", filter=able),
        make=Count("pk", filter=able & Q(equal=0)),
        adopt=Count("pk", filter=able & Q(equal=1)),
        stuck=Count("pk", filter=able & Q(equal__gt=1)),
        kinds=Count(
            Concat("calendar__platform", Value(" "), "oauth_client_id", output_field=CharField()),
            distinct=True,
            filter=able,
        ),
    )
    able_ones = counted.pop("able")
    going = able_ones - counted["stuck"]
    return {**counted, "user": counted["listed"] - able_ones, "compare": going, "hand_over": going, "delete": going}


def _of_meetings(batch: Batch) -> dict[str, Any]:
    """Count the coming meetings that go to the target, and those that stay where they are to their end."""
    mine, handed = assignments_of(batch), undo.meeting_counts(batch)
    if batch.handover.external or batch.goes_back:  # each share group has a line of its own; back there is none
        return mine.aggregate(**handed)
    line, now, numbers = batch.handover.cut_line, clock.now(), inventory.numbers(batch)
    if line is None:
        line = next((choice.at for choice in propose(batch, most=1, numbers=numbers)), None)
    shown = Event.objects.filter(occurrence=OuterRef("pk"), is_deleted=False)
    wanted = Occurrence.objects.filter(Exists(shown.filter(workspace=batch.source_id)), wanted=True)
    wanted = wanted.filter(assignment=OuterRef("pk"))
    taken = Item.objects.filter(batch=batch, status__in=GOING, connection__calendar=OuterRef("calendar"))
    there = shown.filter(workspace=batch.target_id, connection__status=ConnectionStatus.CONNECTED)
    held = wanted.filter(~Exists(taken), ~Exists(there))
    coming = Q(is_wanted=True, owner=batch.source_id, over=False, end__gt=now)
    goes = coming & Q(is_held=False, start__gt=now + numbers.near) & (Q(start__gte=line) if line else Q(pk=None))
    rows = mine.annotate(is_wanted=Exists(wanted), is_held=Exists(held))
    counted = rows.aggregate(meetings=Count("pk", filter=goes), coming=Count("pk", filter=coming), **handed)
    staying = counted.pop("coming") - counted["meetings"]
    return {**counted, "staying": staying, "cut_line": line}
