"""Conducts the shared clock: it runs while there is work, and jumps while only domain waits are left.

Nothing due, and nobody holds a lease: the next thing that happens, happens at the next due time, so the clock goes
there at once. What falls due within the next seconds is gathered, since every stop costs a moment of the wall's time.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Max

from calendars import tasks as calendar_tasks
from calendars.models import Assignment, Sweep, Workspace
from migrations_app import tasks as batch_tasks
from migrations_app.models import Batch, Item, ItemStatus

if TYPE_CHECKING:
    from recallops.clock import FileClock

SLACK = timedelta(seconds=30)
POLL = 0.04  # seconds between two looks
RING_EVERY = 0.5

# Asked many times a second, so in one statement: does anybody hold a lease that is not over?
LEASED = (Batch, Item, Assignment, Sweep)
_EXISTS = "EXISTS (SELECT 1 FROM {} WHERE lease_until >= recallops_machine_now())"
HELD = "SELECT " + " OR ".join(_EXISTS.format(model._meta.db_table) for model in LEASED)


class Conductor:
    """Moves the clock. One in all, in the demo's own process."""

    def __init__(self, clock: FileClock) -> None:
        self.clock = clock
        self.jumps = 0
        self.jumped = timedelta(0)
        self._rang = 0.0

    def look(self) -> None:
        """Look once: ring for what is due, or jump over a wait, or let be."""
        if self.held():
            return
        due = self.next_due()
        if due is None or not batch_tasks.moving().exists():
            return
        if due <= self.clock.now():
            self._ring()
            return
        to = self._gather(due)
        if self.held() or self.next_due() != due:
            return
        before = self.clock.now()
        self.clock.jump(to)
        self.jumps += 1
        self.jumped += max(to - before, timedelta(0))

    def held(self) -> bool:
        """Tell whether anybody works at this moment."""
        with connection.cursor() as cursor:
            cursor.execute(HELD)
            found: bool = cursor.fetchone()[0]
            return found

    def next_due(self) -> datetime | None:
        """Return when the next thing is due; None when nothing waits."""
        moments = [batch_tasks.next_due(), calendar_tasks.next_due()]
        return min((moment for moment in moments if moment is not None), default=None)

    def _gather(self, due: datetime) -> datetime:
        """Return the last due time that lies close behind the first one."""
        close = (due, due + SLACK)
        items = Item.objects.filter(status__in=ItemStatus.active(), due_at__range=close)
        last: list[datetime | None] = [
            Assignment.objects.filter(over=False, due_at__range=close).aggregate(at=Max("due_at"))["at"],
            Workspace.objects.filter(watched=True, sweep_due_at__range=close).aggregate(at=Max("sweep_due_at"))["at"],
            items.aggregate(at=Max("due_at"))["at"],
        ]
        return max([due, *(moment for moment in last if moment is not None)])

    def _ring(self) -> None:
        """Wake the workers, in case none is awake; not again and again while they rub their eyes."""
        now = time.monotonic()
        if now - self._rang >= RING_EVERY:
            self._rang = now
            batch_tasks.ring()
