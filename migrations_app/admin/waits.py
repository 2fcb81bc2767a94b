"""What a batch's calendars and meetings wait for, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import CharField, Count, F, Min, Q, Value
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from migrations_app.coverage import assignments_of
from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch, Item, ItemStatus

MOST_ROWS = 12
NEXT_PRESS = _("“{step}” is not allowed yet: it waits for that press.")


@dataclass(frozen=True, slots=True)
class Wait:
    """How many wait for one thing."""

    what: str
    status: str
    reason: str
    count: int
    until: str


def waits(batch: Batch) -> list[Wait]:
    """What items and meetings wait for, most frequent first; one query for both."""
    none = Value("", output_field=CharField())
    items = (
        Item.objects.filter(batch=batch)
        .exclude(reason="")
        .order_by()
        .values(what=Value("calendars", output_field=CharField()), state=F("status"), why=F("reason"))
        .annotate(n=Count("pk"), until=Cast(Min("due_at"), CharField()))
        .order_by("-n")[:MOST_ROWS]
    )
    meetings = (
        assignments_of(batch)
        .filter(~Q(reason=""), over=False)
        .order_by()
        .values(what=Value("meetings", output_field=CharField()), state=none, why=F("reason"))
        .annotate(n=Count("pk"), until=Cast(Min("due_at"), CharField()))
        .order_by("-n")[:MOST_ROWS]
    )
    labels = dict(ItemStatus.choices)
    rows = [
        Wait(
            row["what"],
            str(labels.get(row["state"], "waiting")),
            row["why"],
            row["n"],
            row["until"] or "",
        )
        for row in items.union(meetings, all=True)
    ]
    return sorted(rows, key=lambda row: (-row.count, row.what, row.reason))


def next_presses(batch: Batch, moved: Mapping[tuple[str, str], int]) -> list[Wait]:
    """Calendars that wait for nothing but a press, step by step."""
    found: Counter[Step] = Counter()
    for (step, status), count in moved.items():
        if status == ItemStatus.READY and not allows(batch.goal, step):
            found[Step(step)] += count
    return [
        Wait("calendars", str(ItemStatus.READY.label), NEXT_PRESS.format(step=step.label), found[step], "")
        for step in batch.steps
        if found[step]
    ]
