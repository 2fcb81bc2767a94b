"""What the queue wakes for e-mails to customers: one subject, one slot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from calendars import drivers
from calendars.leases import Lease
from migrations_app.mail import milestones, outbox, post, subscribing

TASK = "migrations_app.mail.tasks.drive"
SUBJECT = "e-mail to customers"  # has blanks, so it is no batch's and no family's


def pump() -> int:
    """Find milestones, settle what is lost or not wanted, and ring when something is to be sent; return how often."""
    subscribing.forget()
    milestones.find()
    outbox.settle_lost()
    outbox.withdraw()
    return drivers.ring(TASK, SUBJECT, slots=1) if outbox.due().exists() else 0


def drive(subject: str, slot: int) -> None:
    """Send what is due, in a slot."""
    drivers.drive(TASK, subject, slot, find_work=find_work, linger=lambda: outbox.due().exists())


def find_work(room: int) -> list[Callable[[], None]]:
    """Claim e-mails that are due."""
    lease = outbox.lease()
    return [partial(send, pk, lease=lease) for pk in outbox.claim(limit=room, lease=lease)]


def send(pk: int, *, lease: Lease) -> None:
    """Send one."""
    message = outbox.begin(pk, lease)
    if message is not None:
        outbox.finish(message, post.send(message), lease=lease)
