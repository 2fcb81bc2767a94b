"""What the queue wakes for assignments and sweeps, one subject for each family of workspaces."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db.models import Min, Q, QuerySet

from calendars import drivers, sync
from calendars.leases import Lease, free, take
from calendars.models import Assignment, Workspace
from calendars.providers import errors
from calendars.scheduling.reconcile import reconcile
from recallops import clock

TASK = "calendars.tasks.drive"
CHUNK = 40  # assignments at once: few enough that the writes follow the readings closely, enough to fill a page
SWEEP_RETRY = timedelta(minutes=1)


def pump() -> int:
    """Ring for every family with assignments or sweeps that are due; return how many doorbells were rung."""
    now = clock.now()
    families = set(_due_assignments(now).values_list("family", flat=True).distinct())
    families |= set(_due_sweeps(now).values_list("family", flat=True))
    return sum(drivers.ring(TASK, family, slots=settings.DRIVERS) for family in sorted(families))


def drive(family: str, slot: int) -> None:
    """Work on what is due in a family, in a slot."""
    drivers.drive(TASK, family, slot, find_work=partial(find_work, family), linger=lambda: _active(family))


def find_work(family: str, room: int) -> list[Callable[[], None]]:
    """Claim due sweeps and chunks of due assignments of a family, nearest start first."""
    now = clock.now()
    work: list[Callable[[], None]] = []
    for workspace in _due_sweeps(now).filter(family=family).select_related("region")[:room]:
        claimed = Workspace.objects.filter(pk=workspace.pk, sweep_due_at=workspace.sweep_due_at)
        if claimed.update(sweep_due_at=now + SWEEP_RETRY):
            work.append(partial(_sweep, workspace))
    while len(work) < room:
        lease = Lease()
        ids = take(_due_assignments(now).filter(family=family), limit=CHUNK, lease=lease, order_by=["start", "pk"])
        if not ids:
            break
        work.append(partial(reconcile, ids, lease=lease))
    return work


def _sweep(workspace: Workspace) -> None:
    """Read what changed; an error waits for the next time, which is due anyway."""
    try:
        sync.sweep_changes(workspace)
    except errors.InvalidKey as error:
        Workspace.objects.filter(pk=workspace.pk).update(trouble=error.sentence[:600])
    except errors.ProviderError:
        pass


def _due_assignments(now: datetime) -> QuerySet[Assignment]:
    return Assignment.objects.filter(free(), over=False, due_at__lte=now)


def _due_sweeps(now: datetime) -> QuerySet[Workspace]:
    return Workspace.objects.filter(watched=True, sweep_due_at__lte=now)


def _active(family: str) -> bool:
    """Tell whether a driver of this family may soon have work again: then it stays awake."""
    return Workspace.objects.filter(family=family, watched=True).exists()


def next_due() -> datetime | None:
    """Return the domain time at which the next assignment or sweep is due; None when nothing waits."""
    assignments = Assignment.objects.filter(over=False).aggregate(at=Min("due_at"))["at"]
    sweeps = Workspace.objects.filter(watched=True).aggregate(at=Min("sweep_due_at"))["at"]
    moments = [moment for moment in (assignments, sweeps) if moment is not None]
    return min(moments, default=None)


def leased() -> bool:
    """Tell whether anybody works on an assignment at this moment."""
    return Assignment.objects.exclude(Q(lease_token=None)).exclude(free()).exists()


def oldest_due() -> float | None:
    """Return for how many domain seconds the oldest due assignment or sweep has been waiting, or None."""
    due = next_due()
    waited = (clock.now() - due).total_seconds() if due else 0.0
    return waited if waited > 0 else None
