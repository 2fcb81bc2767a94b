"""What people may do to a batch. Admin, terminal and tests come in by the same functions.

Each changes control columns only, in one guarded UPDATE whose count tells who won, writes its audit entry in the same
transaction, and rings the doorbell when that is committed. Refusals are `Refused` with a sentence for the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from calendars import assignments
from calendars.models import AuditEntry, Calendar, Connection, Customer, Handover, Workspace
from calendars.relay import outbox
from calendars.storable import storable
from migrations_app import checks, cuts, engine, tasks
from migrations_app.itineraries import BACK, Step, allows, position
from migrations_app.models import Batch, BatchStatus, ErrorKind, Finding, Item, ItemStatus, Selection, Severity
from recallops import clock
from recallops.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class Refused(Exception):
    """The act is not allowed now; the sentence says why and what to do."""


class NeedsApproval(Refused):
    """All else is right, but a second person has to approve it; `approvals.ask` asks for that."""


CHANGED_MEANWHILE = _("Somebody else changed this batch in the meantime. Reload the page and look again.")
SAME_WORKSPACE = _("Source and target are the same workspace. Choose another target.")
OTHER_PROVIDER = _("Source and target speak different APIs ({source} and {target}). Choose two of one provider.")
OTHER_FAMILY = _(
    "{target} already holds calendars of its own family “{family}”. A move needs an empty target, or both workspaces "
    "in one family (workspace page, “family”)."
)
NAME_TAKEN = _("There is already a batch called {slug}. Choose another name.")
CLOSED = _("This batch is closed. Make a new one to move more.")
STILL_A_DRAFT = _("This batch is still a draft. Finish it on its pages, and press “Make the batch”.")
ALREADY_ALLOWED = _("{step} is already allowed.")
BLOCKED = _("{count} blocking finding(s) must be solved or waived first: {first}")
WRONG_NAME = _("To confirm the delete, type the batch's name exactly: {slug}")
NO_CUT_LINE = _(
    "The company's application schedules here: there is no cut line, each share group goes over at a quiet moment."
)
GOES_BACK = _("This batch goes back: there is nothing to allow and no cut line.")
NOT_ITS_STEP = _("{step} is no step of this batch.")
ALREADY_BACK = _("This batch goes back already.")
TOO_LATE_BACK = _(
    "This batch is closed, and the credentials that it kept are wiped. Make a batch from {target} to {source} to move "
    "its calendars back."
)
CONFIRM_BACK = _("Deleting in {target} what this batch made there must be confirmed by typing the batch's name: {slug}")
SECOND_PERSON = _(
    "A second person has to approve this, because {workspaces} is set so: ask for it on the batch's page in the admin."
)
NEEDS_CONFIRMATION = _("Deleting calendars in {source} must be confirmed by typing the batch's name.")


CUT_LINE, POSTPONE = "batch.cut_line", "batch.postpone"
"""The acts by which a cut line is moved, as they are on record."""


@dataclass(frozen=True, slots=True)
class Button:
    """One step's button: what it would do, and why not if it may not."""

    step: Step
    label: str
    state: str  # done, now, goal or ahead
    refusal: str
    needs_confirmation: bool


def create_batch(
    *,
    slug: str,
    source: Workspace,
    target: Workspace,
    customers: Iterable[Customer] = (),
    actor: Any = None,
    draft: bool = False,
) -> Batch:
    """Make a batch that does nothing yet; without customers it is for every calendar. Raises Refused.

    A draft is made further by `drafts`, which also lets its workspaces share a family.
    """
    slug = slugify(slug)
    if source == target:
        raise Refused(SAME_WORKSPACE)
    if source.region.provider != target.region.provider:
        raise Refused(OTHER_PROVIDER.format(source=source.region, target=target.region))
    taken = Refused(NAME_TAKEN.format(slug=slug or "“”"))
    if not slug or Batch.objects.filter(slug=slug).exists():
        raise taken
    try:
        return _create(slug, source, target, list(customers), actor, draft=draft)
    except IntegrityError as error:  # somebody made one of this name at the same moment
        raise taken from error


@transaction.atomic
def _create(
    slug: str, source: Workspace, target: Workspace, customers: list[Customer], actor: Any, *, draft: bool
) -> Batch:
    if not draft:
        join_family(source, target)
    batch = Batch.objects.create(
        slug=slug,
        source=source,
        target=target,
        draft=draft,
        changed_at=clock.now() if draft else None,
        selection=Selection.CUSTOMERS if customers else Selection.ALL,
        handover=Handover.objects.create(source=source, target=target),
        created_by=actor if getattr(actor, "pk", None) else None,
    )
    batch.customers.set(customers)
    AuditEntry.objects.record(
        actor=actor,
        action="batch.draft" if draft else "batch.create",
        subject=batch,
        source=source.slug,
        target=target.slug,
        customers=[customer.slug for customer in customers],
    )
    return batch


def join_family(source: Workspace, target: Workspace) -> None:
    """Let the target share the source's assignments and scheme; only one without calendars of its own may change.

    Raises Refused.
    """
    if source.family == target.family:
        return
    if Calendar.objects.filter(connections__workspace=target).exists():
        raise Refused(OTHER_FAMILY.format(target=target, family=target.family))
    Workspace.objects.filter(pk=target.pk).update(family=source.family, dedup_scheme=source.dedup_scheme)
    target.family, target.dedup_scheme = source.family, source.dedup_scheme


def digest(batch: Batch) -> str:
    """Return a short text that changes when a person decided something about a batch: what its page's forms show."""
    order = batch.handover
    decided = [batch.goal, order.paused, order.backwards, order.cut_line, batch.delete_confirmed_at, batch.closed_at]
    decided += [batch.soak, batch.canary_wait, batch.drivers, batch.tell_customers, batch.postpone_until]
    return digest_of(decided)


def buttons(batch: Batch) -> list[Button]:
    """Return the track of a batch: every step with its state, and whether its button may be pressed."""
    goal, now = position(batch.goal), position(batch.step)
    blocking, stale = list(_blocking(batch)[:50]), checks.stale(batch)
    track = []
    for step in batch.steps:
        place = position(step)
        if batch.closed_at or place < now:
            state = "done"
        elif place == now:
            state = "now"
        else:
            state = "goal" if place <= goal else "ahead"
        track.append(
            Button(
                step=step,
                label=step.label,
                state=state,
                refusal=_refusal(batch, step, blocking, stale),
                needs_confirmation=place >= position(Step.DELETE_OLD) and not batch.delete_confirmed_at,
            )
        )
    return track


def _blocking(batch: Batch) -> Any:
    return Finding.objects.filter(batch=batch, severity=Severity.BLOCKING, waived_at=None, gone_at=None)


def _refusal(batch: Batch, step: Step, blocking: list[Finding], stale: str) -> str:
    if batch.closed_at:
        return str(CLOSED)
    if batch.draft:
        return str(STILL_A_DRAFT)
    if step not in batch.steps:
        return NOT_ITS_STEP.format(step=step.label)
    if position(step) <= position(batch.goal):
        return ALREADY_ALLOWED.format(step=step.label)
    if position(step) > position(Step.EXPORT) and blocking:
        return BLOCKED.format(count=len(blocking), first=blocking[0].sentence)
    if position(step) > position(Step.EXPORT):
        return stale
    return ""


def careful(batch: Batch) -> list[str]:
    """Return those of a batch's workspaces that want a second person for deletes."""
    return [workspace.slug for workspace in (batch.source, batch.target) if workspace.second_person]


def require_second_person(batch: Batch) -> None:
    """Raise NeedsApproval where one of the batch's workspaces wants a second person for deletes."""
    if slugs := careful(batch):
        raise NeedsApproval(SECOND_PERSON.format(workspaces=", ".join(slugs)))


def set_goal(batch: Batch, step: Step, *, actor: Any, confirm: str = "", approved_by: Any = None) -> None:
    """Allow everything up to a step. Raises Refused.

    `confirm` is the batch's name, typed; needed once for *delete old* and beyond. `approved_by` is the second person,
    where there is one: `approvals.approve` passes it, and then `actor` is who asked and typed the name.
    """
    batch.refresh_from_db()
    if refusal := _refusal(batch, step, list(_blocking(batch)[:50]), checks.stale(batch)):
        raise Refused(refusal)
    confirmed: dict[str, Any] = {}
    if position(step) >= position(Step.DELETE_OLD) and not batch.delete_confirmed_at:
        if approved_by is None:
            if not confirm:
                raise Refused(NEEDS_CONFIRMATION.format(source=batch.source))
            if confirm.strip() != batch.slug:
                raise Refused(WRONG_NAME.format(slug=batch.slug))
            require_second_person(batch)
        confirmed = {
            "delete_confirmed_at": clock.now(),
            "delete_confirmed_by": actor if getattr(actor, "pk", None) else None,
        }
    with transaction.atomic():
        won = Batch.objects.filter(pk=batch.pk, goal=batch.goal, closed_at=None).update(goal=step, **confirmed)
        if not won:
            raise Refused(CHANGED_MEANWHILE)
        if position(step) >= position(Step.HAND_OVER):
            Handover.objects.filter(pk=batch.handover_id).update(allowed=True)
        AuditEntry.objects.record(
            actor=approved_by or actor,
            action="batch.goal",
            subject=batch,
            before=batch.goal,
            after=step.value,
            **({"asked_by": str(actor)} if approved_by else {}),
        )
        # meetings that were judged while hand over was not allowed rest for days: wake them
        first = position(step) >= position(Step.HAND_OVER) > position(batch.goal)
        transaction.on_commit(tasks.look_again if first else tasks.ring)


def set_cut_line(batch: Batch, at: datetime, *, actor: Any) -> None:
    """Choose the meeting start from which assignments go to the target. Raises Refused."""
    if batch.handover.external:
        raise Refused(NO_CUT_LINE)
    if batch.goes_back:
        raise Refused(GOES_BACK)
    with transaction.atomic():
        order = Handover.objects.select_for_update().get(pk=batch.handover_id)
        if batch.closed_at:
            raise Refused(CLOSED)
        move_cut_line(batch, order, at, actor=actor)


def move_cut_line(
    batch: Batch, order: Handover, at: datetime, *, actor: Any, action: str = CUT_LINE, **data: Any
) -> None:
    """Write the cut line that somebody chose, and wake what depends on it. `order` is held by the transaction."""
    Handover.objects.filter(pk=order.pk).update(cut_line=at)
    AuditEntry.objects.record(
        actor=actor,
        action=action,
        subject=batch,
        before=order.cut_line.isoformat() if order.cut_line else None,
        after=at.isoformat(),
        **data,
    )
    transaction.on_commit(tasks.look_again)


def cut_line_changes(batch: Batch) -> int:
    """Return how often somebody chose or moved the cut line of a batch."""
    mine = AuditEntry.objects.filter(subject_kind=Batch._meta.label_lower, subject_id=batch.pk)
    return mine.filter(action__in=(CUT_LINE, POSTPONE)).count()


def set_paused(batch: Batch, paused: bool, *, actor: Any, reason: str = "") -> None:
    """Stop new work, or go on. The second half of a hand-over that has begun is never stopped. Raises Refused."""
    with transaction.atomic():
        won = Handover.objects.filter(pk=batch.handover_id).exclude(paused=paused).update(paused=paused)
        if not won:
            raise Refused(CHANGED_MEANWHILE)
        AuditEntry.objects.record(
            actor=actor, action="batch.pause" if paused else "batch.resume", subject=batch, reason=reason
        )
        transaction.on_commit(tasks.look_again)


def go_back(batch: Batch, *, actor: Any, confirm: str = "", approved_by: Any = None) -> None:
    """Cancel or reverse: every calendar is in the source again, and what the batch made in the target is deleted.

    `confirm` is the batch's name, typed; needed where the batch may have made anything in the target. `approved_by`:
    as of `set_goal`. Raises Refused.
    """
    batch.refresh_from_db()
    external = [batch.source.family] if batch.handover.external else []
    with transaction.atomic(), outbox.quiet(external):
        mine = Batch.objects.select_for_update().filter(pk=batch.pk)
        items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
        if not mine.filter(closed_at=None).exists() or items.filter(open=False).exists():
            raise Refused(TOO_LATE_BACK.format(source=batch.source, target=batch.target))
        if not Handover.objects.filter(pk=batch.handover_id, backwards=False).update(backwards=True, paused=False):
            raise Refused(ALREADY_BACK)
        batch.refresh_from_db(fields=["goal", "step"])  # as they are now that the row is held
        confirmed: dict[str, Any] = {}
        if allows(batch.goal, Step.RECREATE):
            if approved_by is None:
                if confirm.strip() != batch.slug:
                    raise Refused(CONFIRM_BACK.format(target=batch.target, slug=batch.slug))
                require_second_person(batch)
            confirmed = {
                "delete_confirmed_at": clock.now(),
                "delete_confirmed_by": actor if getattr(actor, "pk", None) else None,
            }
        step = batch.step
        mine.update(
            goal=Step.CLEAN_UP,
            step=BACK[0],
            status=BatchStatus.RUNNING,
            reached="",
            reason="",
            due_at=None,
            attempts=0,
            changed_at=clock.now(),
            **confirmed,
        )
        engine.turn_round(batch)
        Finding.objects.filter(batch=batch, code="stopped", gone_at=None).update(gone_at=clock.now())
        Connection.objects.filter(items__in=items, closing=True).update(closing=False)
        if external:
            cuts.take_all_back(batch)
        assignments.touch_handover(batch.handover)
        AuditEntry.objects.record(
            actor=approved_by or actor,
            action="batch.go_back",
            subject=batch,
            at_step=step,
            **({"asked_by": str(actor)} if approved_by else {}),
        )
        transaction.on_commit(tasks.look_again)


def retry_failed(batch: Batch, *, actor: Any, items: Iterable[int] | None = None) -> int:
    """Let failed calendars (and those that waited for a person) be tried again; nothing else is touched.

    Returns how many. Raises Refused.
    """
    chosen = Q(status__in=[ItemStatus.FAILED, ItemStatus.USER])
    named: dict[str, Any] = {}
    if items is not None:
        named = {"items": sorted(items)}
        chosen &= Q(pk__in=named["items"])
    with transaction.atomic():
        # clean up holds this row, too, while it lets go: they are tried again before that, or not at all
        mine = Batch.objects.filter(pk=batch.pk)
        row = mine.select_for_update().get()
        calendars = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
        if row.closed_at or calendars.filter(open=False).exists():
            raise Refused(CLOSED)
        steps = set(calendars.filter(chosen).values_list("step", flat=True))
        count = calendars.filter(chosen).update(
            status=ItemStatus.READY, reason="", error_kind=ErrorKind.NONE, due_at=None, attempts=0
        )
        if steps and row.step == Step.CLEAN_UP:
            mine.update(step=min(steps, key=position), due_at=None, attempts=0)
        mine.update(reached="", reason="")
        Finding.objects.filter(batch=batch, code="stopped", gone_at=None).update(gone_at=clock.now())
        if row.status == BatchStatus.STOPPED:
            count += 1
            again = {"started_at": None, "checked_from": None} if row.step == Step.PREFLIGHT else {}
            mine.update(status=BatchStatus.RUNNING, due_at=None, attempts=0, **again)
        if count:
            AuditEntry.objects.record(actor=actor, action="batch.retry_failed", subject=batch, count=count, **named)
        transaction.on_commit(tasks.ring)
    return count


def leave_failed(batch: Batch, *, actor: Any, reason: str) -> int:
    """Leave failed items where they are for good, with a reason that stays on record, so that the batch can end.

    Returns how many. Raises Refused.
    """
    if batch.closed_at:
        raise Refused(CLOSED)
    reason = _said(reason)
    if not reason:
        raise Refused(_("Say in a few words why they may stay where they are; it stays on record."))
    with transaction.atomic():
        Batch.objects.select_for_update().get(pk=batch.pk)  # the batch before its items, as everywhere
        count = Item.objects.filter(batch=batch, status=ItemStatus.FAILED).update(
            status=ItemStatus.NOT_MOVABLE, reason=f"Left in {batch.origin}: {reason}"[:600]
        )
        if not count:
            raise Refused(_("No calendar of this batch has failed."))
        Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.RUNNING, reached="", due_at=None, attempts=0)
        AuditEntry.objects.record(actor=actor, action="batch.leave_failed", subject=batch, count=count, reason=reason)
        transaction.on_commit(tasks.ring)
    return count


def waive(finding: Finding, *, actor: Any, reason: str) -> None:
    """Accept a finding, with a reason that stays on record. Raises Refused."""
    reason = _said(reason)
    if not reason:
        raise Refused(_("Say in a few words why this may be waived; it stays on record."))
    with transaction.atomic():
        won = Finding.objects.filter(pk=finding.pk, waived_at=None).update(
            waived_at=clock.now(),
            waived_by=actor if getattr(actor, "pk", None) else None,
            waived_reason=reason,
        )
        if not won:
            raise Refused(_("This finding was already waived."))
        AuditEntry.objects.record(
            actor=actor, action="finding.waive", subject=finding, reason=reason, batch=finding.batch_id
        )
        transaction.on_commit(tasks.ring)


def _said(reason: str) -> str:
    """Return what somebody typed as the database takes it, without more than is kept."""
    kept: str = storable(reason.strip())
    return kept[:400]
