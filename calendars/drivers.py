"""Drivers: tasks that run a small pool of threads over whatever is due, for some seconds, in a slot of their own.

A doorbell may ring twice or not at all: the slot's lease lets one driver work, and what is due is in the rows. The
pool is a parameter, so that the simulation can pass an inline one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from django.conf import settings
from django.db import connections
from django.db.models import Q
from django_q.tasks import async_task

from calendars.leases import Lease, MachineNow, free, give_back, renew, take
from calendars.models import Driver
from calendars.providers import recording

logger = logging.getLogger("recallops.drivers")

RING_AGAIN = timedelta(seconds=30)  # a doorbell not answered in this time is rung again
IDLE_PAUSE = 0.2

Work = Callable[[], None]


def ring(task: str, subject: str, *, slots: int) -> int:
    """Ring for every slot of a subject that nobody works in and that was not rung just now; return how many.

    The task's arguments are the subject's key and the slot, nothing else.
    """
    Driver.objects.bulk_create([Driver(subject=subject, slot=n) for n in range(slots)], ignore_conflicts=True)
    rung = 0
    quiet = Q(rung_at=None) | Q(rung_at__lt=MachineNow() - RING_AGAIN)
    for driver in Driver.objects.filter(free(), quiet, subject=subject, slot__lt=slots):
        if Driver.objects.filter(quiet, pk=driver.pk).update(rung_at=MachineNow()):
            async_task(task, subject, driver.slot)
            rung += 1
    return rung


def drive(
    task: str,
    subject: str,
    slot: int,
    *,
    find_work: Callable[[int], list[Work]],
    linger: Callable[[], bool],
    pool: Executor | None = None,
) -> None:
    """Work on a subject in a slot until the turn is over, then ring again while `linger()` says there may be more.

    `find_work(room)` claims what is due, at most `room` pieces, and returns it as calls. A piece never raises. A driver
    that is busy has several turns: while the last pieces end, its other threads lie idle.
    """
    lease = Lease()
    held = take(Driver.objects.filter(subject=subject, slot=slot), limit=1, lease=lease, order_by=["pk"])
    if not held:
        return
    begun = time.monotonic()
    end, busy_end = begun + settings.DRIVER_SECONDS, begun + longest(slot)
    running: set[Future[None]] = set()
    executor = pool or ThreadPoolExecutor(settings.DRIVER_THREADS, thread_name_prefix=subject)
    try:
        while (now := time.monotonic()) < end or (running and now < busy_end):
            if lease.left() < lease.seconds / 2 and not renew(Driver, held, lease):
                break  # another works in this slot by now
            pieces = find_work(settings.DRIVER_THREADS - len(running))
            running |= {executor.submit(_piece, work) for work in pieces}
            if running:
                _, running = wait(running, timeout=IDLE_PAUSE if not pieces else 0.02, return_when="FIRST_COMPLETED")
            elif not linger():
                return
            else:
                time.sleep(IDLE_PAUSE)
    finally:
        while running:  # pieces outlast the driver's time; its slot stays its own meanwhile
            _, running = wait(running, timeout=lease.seconds / 3)
            renew(Driver, held, lease)
        if pool is None:
            executor.submit(connections.close_all).result()
            executor.shutdown()
        recording.write()
        give_back(Driver, held, lease)
        if linger():
            Driver.objects.filter(pk__in=held).update(rung_at=MachineNow())
            async_task(task, subject, slot)


def longest(slot: int) -> float:
    """Return for how many seconds a driver that is never without work takes more of it.

    Every other slot has a turn more: drivers that begin together do not end together.
    """
    return float(settings.DRIVER_SECONDS * (settings.DRIVER_TURNS + slot % 2))


def _piece(work: Work) -> None:
    """Run one piece in a thread; what it raises is ours, and is logged rather than lost."""
    try:
        work()
    except Exception:
        logger.exception("a piece of work failed")
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()
