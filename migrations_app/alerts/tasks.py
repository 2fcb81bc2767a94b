"""What the queue wakes for alerts: one subject, one slot. It looks for facts, then posts what waits.

The pump itself only looks at heartbeats, since workers that hang cannot find that they hang; it calls nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from calendars import drivers
from migrations_app.alerts import facts, outbox
from migrations_app.models import AlertKind

TASK = "migrations_app.alerts.tasks.drive"
SUBJECT = "alerts for staff"  # has blanks, so it is no batch's and no family's


def pump() -> int:
    """Ring where somebody wants to be told of something; return how often."""
    kinds = facts.wanted()
    facts.find(kinds & {AlertKind.HEARTBEAT})
    return drivers.ring(TASK, SUBJECT, slots=1) if kinds else 0


def drive(subject: str, slot: int) -> None:
    """Look once, post what waits, and leave; the pump rings again in half a minute."""
    looked = False

    def find_work(room: int) -> list[Callable[[], None]]:
        nonlocal looked
        if looked:
            return []
        looked = True
        return look(room)

    drivers.drive(TASK, subject, slot, find_work=find_work, linger=lambda: False)


def look(room: int) -> list[Callable[[], None]]:
    """Find facts, and claim the channels that are to be told of them."""
    facts.find(facts.wanted())
    lease = outbox.lease()
    return [partial(outbox.send, pk, lease=lease) for pk in outbox.claim(limit=room, lease=lease)]
