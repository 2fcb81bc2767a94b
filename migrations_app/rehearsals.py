"""What people may do with rehearsals, and how one is kept: asked for, taken, told of, ended.

The one who keeps it (`manage.py rehearse`) holds a lease on the row. A rehearsal whose keeper died has failed; nothing
is lost with it, and it can be asked for again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from calendars.leases import Lease, MachineNow, free
from calendars.models import AuditEntry, Event, Scheduler
from migrations_app.control import Refused
from migrations_app.itineraries import Step, position
from migrations_app.models import Batch, Rehearsal, RehearsalState
from recallops import clock

logger = logging.getLogger("recallops.rehearsal")

LEASE = 60.0  # machine seconds


def refusal(batch: Batch) -> str:
    """Return why a batch cannot be rehearsed; empty when it can."""
    if batch.closed_at:
        return _("This batch is closed.")
    if batch.draft:
        return _("This batch is still a draft: make it ready first.")
    if batch.goes_back or position(batch.goal) > position(Step.EXPORT):
        return _("This batch has begun to write: a rehearsal shows what would happen before that.")
    if Scheduler.EXTERNAL in (batch.source.scheduler, batch.target.scheduler):
        return _(
            "The company's own application schedules here. What it would do cannot be played, so there is no "
            "rehearsal of this batch."
        )
    return ""


def ask(batch: Batch, *, actor: Any) -> Rehearsal:
    """Ask for a rehearsal; the workers begin it within seconds. Raises Refused."""
    if said := refusal(batch):
        raise Refused(said)
    if not Event.objects.filter(workspace=batch.source, end__gt=clock.now(), is_deleted=False).exists():
        said = _("No coming meeting of {source} is known yet. Allow “Export” first, which only reads; then rehearse.")
        raise Refused(said.format(source=batch.source))
    try:
        with transaction.atomic():
            row = Rehearsal.objects.create(
                batch=batch, asked_by=actor if getattr(actor, "pk", None) else None, asked_at=clock.now()
            )
            AuditEntry.objects.record(actor=actor, action="rehearsal.ask", subject=batch, rehearsal=row.pk)
    except IntegrityError as error:
        raise Refused(_("A rehearsal of this batch is under way already; its result is still to come.")) from error
    return row


def stop(row: Rehearsal, *, actor: Any) -> None:
    """Stop a rehearsal; its player ends within seconds. Raises Refused."""
    with transaction.atomic():
        mine = Rehearsal.objects.filter(pk=row.pk, state__in=RehearsalState.open())
        if not mine.update(state=RehearsalState.STOPPED, ended_at=clock.now()):
            raise Refused(_("This rehearsal has ended already."))
        AuditEntry.objects.record(actor=actor, action="rehearsal.stop", subject=row.batch, rehearsal=row.pk)


# --- for its keeper


def waiting() -> int | None:
    """Return the rehearsal that is next, when none runs; those whose keeper died are ended first."""
    given_up = Rehearsal.objects.filter(free(), state=RehearsalState.RUNNING)
    if count := given_up.update(state=RehearsalState.FAILED, ended_at=clock.now(), reason=CUT_OFF):
        logger.warning("%s rehearsal(s) had been cut off", count)
    if Rehearsal.objects.filter(state=RehearsalState.RUNNING).exists():
        return None
    asked = Rehearsal.objects.filter(state=RehearsalState.ASKED).order_by("pk")
    return asked.values_list("pk", flat=True).first()


CUT_OFF = "It was cut off: the workers were restarted or killed. Ask for it again."


def begin(pk: int, *, lease: Lease) -> bool:
    """Take a rehearsal that was asked for; return whether it is ours."""
    try:
        with transaction.atomic():
            return bool(
                Rehearsal.objects.filter(pk=pk, state=RehearsalState.ASKED).update(
                    state=RehearsalState.RUNNING, begun_at=clock.now(), lease_token=lease.token, lease_until=_until()
                )
            )
    except IntegrityError:  # another one runs
        return False


def tell(pk: int, *, lease: Lease, progress: dict[str, Any]) -> bool:
    """Keep how far it is, and the lease; return whether it is still ours and wanted."""
    mine = Rehearsal.objects.filter(pk=pk, state=RehearsalState.RUNNING, lease_token=lease.token)
    return bool(mine.update(progress=progress, lease_until=_until()))


def end(pk: int, *, lease: Lease, state: RehearsalState, **fields: Any) -> bool:
    """Keep how it ended, unless somebody has ended it before."""
    mine = Rehearsal.objects.filter(pk=pk, state=RehearsalState.RUNNING, lease_token=lease.token)
    return bool(mine.update(state=state, ended_at=clock.now(), lease_token=None, lease_until=None, **fields))


def _until() -> Any:
    return MachineNow() + timedelta(seconds=LEASE)
