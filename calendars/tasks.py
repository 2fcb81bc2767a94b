"""What the queue wakes for assignments and sweeps, one subject for each family of workspaces."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from calendars import assignments, drivers, sync
from calendars.leases import Lease, alone, free, taker
from calendars.models import Application, Assignment, Calendar, Delivery, Workspace
from calendars.providers import errors
from calendars.relay import outbox
from calendars.relay import tasks as relay
from calendars.scheduling.reconcile import lanes, reconcile
from calendars.webhooks import handling
from recallops import clock
from recallops.prepared import Given, changing, prepared

logger = logging.getLogger("recallops.webhooks")

TASK = "calendars.tasks.drive"
CHUNK = 40  # assignments at once: few enough that the writes follow the readings closely, enough to fill a page
SMALLEST = 10  # of chunks; where little is due, more threads share it
FOREVER = datetime.max.replace(tzinfo=UTC)
NEAR = timedelta(hours=1)  # meetings so near are taken up however many others wait to be written
SWEEP_RETRY = timedelta(minutes=1)
JUDGE_RETRY = timedelta(minutes=5)
HEARD_AT_ONCE = 100  # deliveries

# One statement, since it is asked again and again; LEAST passes over what is null.
_NEXT_DUE = f"""
SELECT LEAST(
    (SELECT min(due_at) FROM {Assignment._meta.db_table} WHERE NOT over),
    (SELECT min(sweep_due_at) FROM {Workspace._meta.db_table} WHERE watched),
    (SELECT min(judge_at) FROM {Calendar._meta.db_table}),
    (SELECT min(received_at) FROM {Delivery._meta.db_table} WHERE state = %s)
)
"""  # noqa: S608 (our own tables' names)


def pump() -> int:
    """Ring for every family with assignments or sweeps that are due; return how many doorbells were rung."""
    now = clock.now()
    families = set(_due_assignments(now).values_list("family", flat=True).distinct())
    families |= set(_due_sweeps(now).values_list("family", flat=True))
    families |= set(_to_judge(now).values_list("family", flat=True).distinct())
    families |= set(_waiting_deliveries().values_list("workspace__family", flat=True).distinct())
    return sum(drivers.ring(TASK, family, slots=settings.DRIVERS) for family in sorted(families))


def drive(family: str, slot: int) -> None:
    """Work on what is due in a family, in a slot."""
    drivers.drive(TASK, family, slot, find_work=partial(find_work, family), linger=lambda: _active(family))


def find_work(family: str, room: int) -> list[Callable[[], None]]:
    """Hear what webhooks say; claim due sweeps, calendars to judge and chunks of due assignments, nearest first."""
    _hear(family)
    now = clock.now()
    work: list[Callable[[], None]] = []
    for pk, due_at in _sweeps_to_begin(limit=room, family=family, now=now):
        if _put_off(pk=pk, due_at=due_at, until=now + SWEEP_RETRY):
            work.append(partial(_sweep, pk))
    for pk, judge_at in _calendars_to_judge(limit=max(0, room - len(work)), family=family, now=now):
        until = now + JUDGE_RETRY
        if Calendar.objects.filter(pk=pk, judge_at=judge_at).update(judge_at=until):
            work.append(partial(_judge, pk, until))
    # while lanes are crowded, only what is near
    due = {"family": family, "now": now, "latest": now + NEAR if lanes.crowded() else FOREVER}
    chunk = _chunk(due, room - len(work))
    while len(work) < room and chunk:
        lease = Lease()
        ids = _take_due(limit=chunk, lease=lease, **due)
        if not ids:
            break
        work.append(partial(reconcile, ids, lease=lease))
        if len(ids) < chunk:  # there were no more
            break
    return work


@prepared
def _sweeps_to_begin() -> QuerySet[Workspace, tuple[int, datetime | None]]:
    return _due_sweeps(Given("now")).filter(family=Given("family")).values_list("pk", "sweep_due_at")


@changing(sweep_due_at=Given("until"))
def _put_off() -> QuerySet[Workspace]:
    return Workspace.objects.filter(pk=Given("pk"), sweep_due_at=Given("due_at"))


@prepared
def _calendars_to_judge() -> QuerySet[Calendar, tuple[int, datetime | None]]:
    return _to_judge(Given("now")).filter(family=Given("family")).values_list("pk", "judge_at")


def _due_of_a_family() -> QuerySet[Assignment]:
    return _due_assignments(Given("now")).filter(family=Given("family"), start__lte=Given("latest"))


_take_due = taker("start", "pk")(_due_of_a_family)


@prepared
def _waiting() -> QuerySet[Assignment, tuple[int]]:
    return _due_of_a_family().order_by().values_list("pk")


def _chunk(due: dict[str, Any], room: int) -> int:
    """Return how many assignments a piece of work gets, so that all threads with nothing to do get some."""
    waiting = len(_waiting(limit=CHUNK * room, **due)) if room > 0 else 0
    return min(CHUNK, max(SMALLEST, math.ceil(waiting / room))) if waiting else 0


def _sweep(workspace: int) -> None:
    """Read what changed; an error waits for the next time, which is due anyway."""
    try:
        sync.sweep_changes(sync.workspaces.get(ids=[workspace]))
    except errors.InvalidKey as error:
        Workspace.objects.filter(pk=workspace).update(trouble=error.sentence[:600])
    except errors.ProviderError:
        pass


def _judge(calendar: int, until: datetime) -> None:
    """Judge a calendar's events anew. A change that came meanwhile has another time, and is judged again."""
    assignments.judge_calendar(calendar)
    Calendar.objects.filter(pk=calendar, judge_at=until).update(judge_at=None)


@prepared
def _delivered() -> QuerySet[Delivery, tuple[int]]:
    return _waiting_deliveries().filter(workspace__family=Given("family")).order_by().values_list("pk")


def _hear(family: str) -> None:
    """Act on deliveries that wait. It takes milliseconds and calls nobody, so no lease is needed: others wait."""
    if not _delivered(limit=1, family=family):
        return
    try:
        with alone(f"hear {family}"):
            waiting = _waiting_deliveries().filter(workspace__family=family).select_related("workspace")
            deliveries = list(waiting.order_by("pk")[:HEARD_AT_ONCE])
            handling.handle(deliveries)
            if applications := outbox.take_in(deliveries):
                transaction.on_commit(lambda: relay.ring(Application.objects.filter(pk__in=applications)))
    except OperationalError:  # a deadlock, say: they wait for the next time, and hold up nothing else
        logger.exception("deliveries of %s could not be acted on", family)


def _waiting_deliveries() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=Delivery.State.RECEIVED)


def _to_judge(now: datetime | Given) -> QuerySet[Calendar]:
    return Calendar.objects.filter(judge_at__lte=now)


def _due_assignments(now: datetime | Given) -> QuerySet[Assignment]:
    return Assignment.objects.filter(free(), over=False, due_at__lte=now)


def _due_sweeps(now: datetime | Given) -> QuerySet[Workspace]:
    return Workspace.objects.filter(watched=True, sweep_due_at__lte=now)


def _active(family: str) -> bool:
    """Tell whether a driver of this family may soon have work again: then it stays awake."""
    return Workspace.objects.filter(family=family, watched=True).exists()


def next_due() -> datetime | None:
    """Return the domain time at which the next thing is due; None when nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_DUE, [Delivery.State.RECEIVED])
        found: datetime | None = cursor.fetchone()[0]
    return found


def leased() -> bool:
    """Tell whether anybody works on an assignment at this moment."""
    return Assignment.objects.exclude(Q(lease_token=None)).exclude(free()).exists()


def oldest_due() -> float | None:
    """Return for how many domain seconds the oldest due assignment or sweep has been waiting, or None."""
    due = next_due()
    waited = (clock.now() - due).total_seconds() if due else 0.0
    return waited if waited > 0 else None
