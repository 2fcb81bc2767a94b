"""A second person for what cannot be taken back: one asks, another approves, and only then it is allowed.

On for a batch when either of its workspaces says so. `control` refuses such an act without an approval, whoever comes
in by whichever way; here it is asked for and decided. Nobody approves what he asked for himself, and nobody approves
what is not any more as it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from calendars.models import AuditEntry
from calendars.relay import outbox
from migrations_app import control
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import Approval, Batch
from recallops import clock

State = Approval.State


def ask(batch: Batch, step: Step | None, *, actor: Any, reason: str = "", sentences: Sequence[str] = ()) -> Approval:
    """Ask for a step that deletes; None for the way back. `sentences`: what the page says it does. Raises Refused."""
    now = clock.now()
    batch = Batch.objects.select_related("handover").get(pk=batch.pk)
    try:
        with transaction.atomic():
            overdue = Approval.objects.filter(batch=batch, state=State.WAITING).exclude(
                expires_at__gt=now, shown=control.digest(batch)
            )
            overdue.update(state=State.LAPSED, decided_at=now, said=_("Asked for anew."))
            asked = Approval.objects.create(
                batch=batch,
                act=Approval.Act.GOAL if step else Approval.Act.GO_BACK,
                step=step or "",
                asked_by=actor,
                asked_at=now,
                reason=reason.strip()[:400],
                sentences=list(sentences),
                shown=control.digest(batch),
                expires_at=now + timedelta(hours=settings.APPROVAL_HOURS),
            )
            AuditEntry.objects.record(
                actor=actor, action="approval.ask", subject=asked, reason=reason, batch=batch.pk, step=asked.step
            )
    except IntegrityError as error:
        raise Refused(_("Somebody asked for this batch already; that request waits for a second person.")) from error
    return asked


def approve(approval: Approval, *, actor: Any, reason: str = "") -> None:
    """Approve what another person asked for: it is allowed in the same transaction. Raises Refused."""
    family = [approval.batch.source.family] if approval.act == Approval.Act.GO_BACK else []
    with transaction.atomic(), outbox.quiet(family):  # before the batch is held, as `control.go_back` does it
        row = _waiting(approval)
        if row.asked_by_id == actor.pk:
            raise Refused(_("You asked for this yourself: another person has to approve it."))
        lapsed = _why_lapsed(row)
        if not lapsed:
            _decide(row, State.APPROVED, actor=actor, said=reason)
            if row.act == Approval.Act.GO_BACK:
                control.go_back(row.batch, actor=row.asked_by, approved_by=actor)
            else:
                control.set_goal(row.batch, Step(row.step), actor=row.asked_by, approved_by=actor)
        else:
            _decide(row, State.LAPSED, actor=None, said=lapsed)
    if lapsed:
        raise Refused(lapsed)


def refuse(approval: Approval, *, actor: Any, reason: str) -> None:
    """Refuse what was asked for, with a reason. Raises Refused."""
    if not reason.strip():
        raise Refused(_("Say in a few words why not: the person who asked reads it."))
    with transaction.atomic():
        _decide(_waiting(approval), State.REFUSED, actor=actor, said=reason)


def withdraw(approval: Approval, *, actor: Any) -> None:
    """Take a request back. Raises Refused."""
    with transaction.atomic():
        row = _waiting(approval)
        if row.asked_by_id != actor.pk:
            raise Refused(
                _("{name} asked for this; only that person withdraws it. You may refuse it.").format(name=row.asked_by)
            )
        _decide(row, State.WITHDRAWN, actor=actor, said="")


def _waiting(approval: Approval) -> Approval:
    """Hold a request that nobody has decided yet. Raises Refused."""
    rows = Approval.objects.select_for_update(of=("self", "batch", "batch__handover"))
    row = rows.select_related("batch__handover", "asked_by").get(pk=approval.pk)
    if row.state != State.WAITING:
        raise Refused(_("This request is not waiting any more: {state}.").format(state=row.get_state_display()))
    return row


def _why_lapsed(row: Approval) -> str:
    """Return why a request cannot be approved any more; an empty text when it can."""
    if row.expires_at <= clock.now():
        return _("This request is too old: it was good until {at:%Y-%m-%d %H:%M} UTC. Ask anew.").format(
            at=row.expires_at
        )
    if row.shown != control.digest(row.batch):
        return _("The batch is not any more as {name} saw it when asking. Look at it, and ask anew.").format(
            name=row.asked_by
        )
    return ""


def _decide(row: Approval, state: State, *, actor: Any, said: str) -> None:
    Approval.objects.filter(pk=row.pk).update(
        state=state, decided_by=actor, decided_at=clock.now(), said=said.strip()[:400]
    )
    AuditEntry.objects.record(
        actor=actor, action=f"approval.{state.value}", subject=row, reason=said, batch=row.batch_id, step=row.step
    )
