"""What somebody who waits for a batch wants to know: where it is, what it waits for, and whether it has ended.

Reads rows, writes nothing. `ending` is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from django.db.models import Count, Min

from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Item, ItemStatus, Severity
from recallops import clock

MOST_WAITS = 6

CLOSED = "Closed: all {moved} calendar(s) are moved."
BACK = "Closed: all {back} calendar(s) are in the source again."
REACHED = "“{goal}” is done for all {total} calendar(s). The next step waits for its press."
PEOPLE = "{head} {count} calendar(s) stay in {where} until a person has done something; the report names each."
FAILED = "{head} {count} calendar(s) failed, the first: {first} Solve it, then run again with --retry-failed."
BLOCKED = "Stopped: {sentence} {remedy} Solve it and run again with --retry-failed, or waive it on the batch's page."
STOPPED = "Stopped: {reason} Solve it, then run again with --retry-failed."


class Code(IntEnum):
    """How a command that watches a batch exits. 1 and 2 are taken: refused, and wrong arguments."""

    FINE = 0
    PEOPLE = 3
    FAILED = 4
    BLOCKED = 5
    STOPPED = 6
    NO_WORKER = 7
    NOT_CONFIRMED = 8
    NO_DATABASE = 9
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Wait:
    """How many items wait for one thing."""

    reason: str
    count: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """A batch at one moment."""

    at: datetime
    batch: Batch
    paused: bool
    counts: dict[tuple[str, str], int]  # items by step and status
    waits: tuple[Wait, ...]
    failure: str  # what the first failed item says
    blocking: Finding | None

    @property
    def total(self) -> int:
        """All items that are calendars."""
        return sum(self.counts.values())

    def having(self, *statuses: str) -> int:
        """Count items by status."""
        return sum(number for (_, status), number in self.counts.items() if status in statuses)

    def at_step(self, step: Step) -> int:
        """Count items that the engine goes on with at a step."""
        return sum(self.counts.get((step, status), 0) for status in ItemStatus.active())


@dataclass(frozen=True, slots=True)
class Ending:
    """Why there is nothing more to watch."""

    code: Code
    sentence: str


def look(pk: int) -> Look:
    """Read a batch now, in a fixed number of queries."""
    batch = Batch.objects.select_related("source__region", "target__region", "handover").get(pk=pk)
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    counted = items.order_by().values_list("step", "status").annotate(n=Count("pk"))
    waits = (
        items.filter(status=ItemStatus.WAITING)
        .exclude(reason="")
        .order_by()
        .values_list("reason")
        .annotate(n=Count("pk"), until=Min("due_at"))
        .order_by("-n", "reason")[:MOST_WAITS]
    )
    failed = items.filter(status=ItemStatus.FAILED).order_by("pk").values_list("title", "reason").first()
    blocking = Finding.objects.filter(batch=batch, severity=Severity.BLOCKING, waived_at=None, gone_at=None)
    return Look(
        at=clock.now(),
        batch=batch,
        paused=batch.handover.paused,
        counts={(step, status): number for step, status, number in counted},
        waits=tuple(Wait(*row) for row in waits),
        failure=f"{failed[0]}: {failed[1]}" if failed else "",
        blocking=blocking.order_by("pk").first(),
    )


def ending(seen: Look) -> Ending | None:
    """Tell whether a batch has come to rest, and how; None while it goes on by itself."""
    batch = seen.batch
    if batch.status == BatchStatus.STOPPED:
        found = seen.blocking
        if found is not None and found.code != "key":
            return Ending(Code.BLOCKED, BLOCKED.format(sentence=found.sentence, remedy=found.remedy).replace("  ", " "))
        return Ending(Code.STOPPED, STOPPED.format(reason=batch.reason))
    if batch.closed_at is None and (not batch.goal or batch.reached != batch.goal):
        return None
    moved, where = seen.having(ItemStatus.DONE), "the target" if batch.goes_back else "the source"
    if batch.closed_at and batch.goes_back:
        back = seen.having(ItemStatus.BACK)
        head = f"Closed: {back} of {seen.total} calendar(s) are in the source again."
        fine = BACK.format(back=back)
    elif batch.closed_at:
        head, fine = f"Closed: {moved} of {seen.total} calendar(s) are moved.", CLOSED.format(moved=moved)
    else:
        goal = batch.get_goal_display()
        head, fine = f"“{goal}” is done as far as possible.", REACHED.format(goal=goal, total=seen.total)
    if failed := seen.having(ItemStatus.FAILED):
        return Ending(Code.FAILED, FAILED.format(head=head, count=failed, first=seen.failure))
    if people := seen.having(ItemStatus.USER, ItemStatus.NOT_MOVABLE):
        return Ending(Code.PEOPLE, PEOPLE.format(head=head, count=people, where=where))
    return Ending(Code.FINE, fine)


def progress(seen: Look) -> str:
    """Say in one line where the items are."""
    batch = seen.batch
    if not seen.total:
        return f"{batch.get_step_display().lower()}: {batch.reason or batch.get_status_display()}"
    parts = [f"{step.label.lower()} {number}" for step in batch.steps if (number := seen.at_step(step))]
    if batch.goes_back:
        parts.append(f"back {seen.having(ItemStatus.BACK)} of {seen.total}")
    else:
        parts.append(f"moved {seen.having(ItemStatus.DONE)} of {seen.total}")
    for label, statuses in (
        ("waiting for a person", (ItemStatus.USER, ItemStatus.NOT_MOVABLE)),
        ("failed", ("failed",)),
    ):
        if number := seen.having(*statuses):
            parts.append(f"{label} {number}")
    return ("paused: " if seen.paused else "") + ", ".join(parts)


def findings_after(pk: int, last: int) -> Sequence[Finding]:
    """Return the open findings of a batch that are newer than a number."""
    return list(Finding.objects.filter(batch=pk, pk__gt=last, gone_at=None, waived_at=None).order_by("pk")[:50])
