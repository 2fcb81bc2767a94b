"""Drafts: a batch while it is put together, page by page. Admin, terminal and tests come in by the same functions.

A draft is a batch that may run preflight and nothing else, so that all that is asked of a batch can be asked of it. It
keeps no credentials, takes no calendar from another batch, and can be discarded without a trace but its audit entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from calendars.leases import free
from calendars.models import ApiKey, AuditEntry, Calendar, Handover, Scheduler, Workspace
from migrations_app import checks, control, selection, tasks
from migrations_app.control import Refused
from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch, BatchStatus, Finding, PreflightCheck, Selection
from recallops import clock

NO_DRAFT = _("This is no draft any more: the batch was made. Its own page goes on from here.")
PAST_IT = _("This batch is past its checks: writing in the target is allowed already.")
AT_WORK = _("The checks are running at this moment. Wait until they are through, then press again.")
CHECKING = _("Somebody asked for the checks already; they are on their way.")
NO_NAME = _("Give the batch a name of letters, digits and -.")
NOTHING_CHOSEN = _("The list of this batch holds no calendar. Choose some on the page “Calendars”.")
NO_CUSTOMER = _("No customer is chosen. Choose some on the page “Calendars”.")

NO_KEY = _("{workspace} has no API key in use: nothing can be read there.")
NO_KEY_REMEDY = _("Add a key on the page of {workspace}.")
UNTESTED = _("The API key of {workspace} was never tested.")
UNTESTED_REMEDY = _("Press “test connection” on the key's page.")
TROUBLE = _("{workspace} cannot be called: {words}")
TROUBLE_REMEDY = _("Solve it on the page of {workspace}, and press “test connection”.")
OTHER_SCHEDULER = _("{source} is scheduled by {first}, {target} by {second}; both must be scheduled by the same.")
OTHER_SCHEDULER_REMEDY = _("Choose the scheduler on the page of the target.")
OPEN_BATCHES = _("Calendars of {source} are in open batches already: {names}. Those are left out of this one.")
SAME_REGION = _("Both are in {region}: a move between two workspaces of one region.")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a choice of source and target, and what to do. One that refuses must be solved first."""

    sentence: str
    remedy: str = ""
    refuses: bool = False


def begin(*, slug: str, source: Workspace, target: Workspace, actor: Any, follows: Batch | None = None) -> Batch:
    """Make a draft; without a name it gets one. Raises Refused."""
    _refuse(source, target)
    slug = slugify(slug) or free_name(source, target)
    batch = control.create_batch(slug=slug, source=source, target=target, actor=actor, draft=True)
    if follows is not None:
        selection.choose_rest(batch, follows)
    return batch


def free_name(source: Workspace, target: Workspace) -> str:
    """Return a name that no batch has yet."""
    name = f"{source.slug}-to-{target.slug}"[:44]
    taken = set(Batch.objects.filter(slug__startswith=name).values_list("slug", flat=True))
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in names if one not in taken)


def problems(source: Workspace, target: Workspace, *, but: Batch | None = None) -> list[Problem]:
    """Return all that is wrong, or worth knowing, of a choice of source and target: the worst first."""
    if source == target:
        return [Problem(str(control.SAME_WORKSPACE), refuses=True)]
    if source.region.provider != target.region.provider:
        said = control.OTHER_PROVIDER.format(source=source.region, target=target.region)
        return [Problem(said, refuses=True)]
    found = []
    if source.family != target.family and Calendar.objects.filter(connections__workspace=target).exists():
        said = control.OTHER_FAMILY.format(target=target, family=target.family)
        found.append(Problem(said, refuses=True))
    keys = list(ApiKey.objects.filter(workspace__in=[source.pk, target.pk], enabled=True).defer("secret"))
    for workspace in (source, target):
        found += _of_keys(workspace, [key for key in keys if key.workspace_id == workspace.pk])
    if source.scheduler != target.scheduler:
        first, second = Scheduler(source.scheduler).label, Scheduler(target.scheduler).label
        said = str(OTHER_SCHEDULER).format(source=source, target=target, first=first, second=second)
        found.append(Problem(said, str(OTHER_SCHEDULER_REMEDY)))
    others = Batch.objects.filter(source=source, closed_at=None, draft=False).exclude(pk=but.pk if but else 0)
    if names := list(others.order_by("pk").values_list("slug", flat=True)[:5]):
        found.append(Problem(str(OPEN_BATCHES).format(source=source, names=", ".join(names))))
    if source.region_id == target.region_id:
        found.append(Problem(str(SAME_REGION).format(region=source.region)))
    return found


def _of_keys(workspace: Workspace, keys: list[ApiKey]) -> list[Problem]:
    if not keys:
        return [Problem(str(NO_KEY).format(workspace=workspace), str(NO_KEY_REMEDY).format(workspace=workspace))]
    if workspace.trouble:
        said = str(TROUBLE).format(workspace=workspace, words=workspace.trouble)
        return [Problem(said, str(TROUBLE_REMEDY).format(workspace=workspace))]
    if all(key.tested_at is None for key in keys):
        return [Problem(str(UNTESTED).format(workspace=workspace), str(UNTESTED_REMEDY))]
    return []


def _refuse(source: Workspace, target: Workspace) -> None:
    for problem in problems(source, target):
        if problem.refuses:
            raise Refused(problem.sentence)


def set_route(batch: Batch, *, slug: str, source: Workspace, target: Workspace, actor: Any) -> None:
    """Choose name, source and target anew. Another route empties what was chosen and found for the one before.

    Raises Refused.
    """
    _refuse(source, target)
    slug = slugify(slug)
    if not slug:
        raise Refused(str(NO_NAME))
    if Batch.objects.filter(slug=slug).exclude(pk=batch.pk).exists():
        raise Refused(control.NAME_TAKEN.format(slug=slug))
    with transaction.atomic():
        row = _held(batch)
        fields: dict[str, Any] = {"slug": slug, "changed_at": clock.now()}
        if (row.source_id, row.target_id) != (source.pk, target.pk):
            fields |= {"source": source, "target": target, **_NOTHING_CHOSEN, **_NOT_CHECKED}
            Handover.objects.filter(pk=row.handover_id).update(
                source=source, target=target, cut_line=None, external=False
            )
            row.selected.all().delete()
            row.customers.clear()
            Finding.objects.filter(batch=row).delete()
            PreflightCheck.objects.filter(batch=row).delete()
        Batch.objects.filter(pk=row.pk).update(**fields)
        AuditEntry.objects.record(
            actor=actor,
            action="batch.route",
            subject=row,
            before=f"{row.slug}: {row.source} → {row.target}",
            after=f"{slug}: {source} → {target}",
        )


_NOTHING_CHOSEN: dict[str, Any] = {
    "selection": Selection.ALL,
    "search_by": "",
    "search_text": "",
    "share_percent": None,
    "file_name": "",
    "file_encoding": "",
    "follows": None,
    "selected_at": None,
}
_NOT_CHECKED: dict[str, Any] = {
    "goal": "",
    "step": Step.PREFLIGHT,
    "status": BatchStatus.DRAFT,
    "reached": "",
    "reason": "",
    "due_at": None,
    "attempts": 0,
    "started_at": None,
    "checked_from": None,
    "calls_before": {},
}


@contextmanager
def held(batch: Batch) -> Iterator[Batch]:
    """Hold a draft while something of it is changed. Raises Refused."""
    with transaction.atomic():
        yield _held(batch)


def _held(batch: Batch) -> Batch:
    """Return the row of a draft, locked. Raises Refused when it is none any more, or its checks are running."""
    row = Batch.objects.select_for_update(of=("self",)).select_related("source", "target").filter(pk=batch.pk).first()
    if row is None or not row.draft:
        raise Refused(str(NO_DRAFT))
    if not Batch.objects.filter(free(), pk=row.pk).exists():
        raise Refused(str(AT_WORK))
    return row


def set_cut_line(batch: Batch, at: datetime | None, *, actor: Any) -> None:
    """Choose the cut line; None: hand over takes the best one when it begins. Raises Refused."""
    with held(batch) as row:
        if row.source.scheduler == Scheduler.EXTERNAL:
            raise Refused(control.NO_CUT_LINE)
        order = Handover.objects.select_for_update().get(pk=row.handover_id)
        Handover.objects.filter(pk=order.pk).update(cut_line=at)
        Batch.objects.filter(pk=row.pk).update(changed_at=clock.now())
        AuditEntry.objects.record(
            actor=actor,
            action="batch.cut_line",
            subject=row,
            before=order.cut_line.isoformat() if order.cut_line else None,
            after=at.isoformat() if at else None,
        )


def why_no_check(row: Batch) -> str:
    """Return why the checks of a batch cannot be run now; empty when they can."""
    if row.closed_at:
        return str(control.CLOSED)
    if row.goes_back:
        return str(control.GOES_BACK)
    if allows(row.goal, Step.RECREATE):
        return str(PAST_IT)
    if row.goal and row.step == Step.PREFLIGHT and row.status != BatchStatus.STOPPED:
        return str(CHECKING)
    return ""


def check(batch: Batch, *, actor: Any, read_ahead: bool = False) -> None:
    """Run preflight, or run it again; nothing is written at the provider. Raises Refused.

    `read_ahead`: read all coming meetings of the source first, so that pages can show what will be moved.
    """
    with transaction.atomic():
        row = (
            Batch.objects.select_for_update(of=("self",))
            .select_related("source", "target", "handover")
            .get(pk=batch.pk)
        )
        if refusal := why_no_check(row):
            raise Refused(refusal)
        control.join_family(row.source, row.target)
        now = clock.now()
        Batch.objects.filter(pk=row.pk).update(
            goal=row.goal or Step.PREFLIGHT,
            step=Step.PREFLIGHT,
            status=BatchStatus.RUNNING,
            reached="",
            reason="",
            due_at=None,
            attempts=0,
            checked_from=now,
            changed_at=now,
            read_ahead=read_ahead,
        )
        Finding.objects.filter(batch=row, code="stopped", gone_at=None).update(gone_at=now)
        AuditEntry.objects.record(actor=actor, action="batch.check", subject=row, read_ahead=read_ahead)
        transaction.on_commit(tasks.ring)


def make(batch: Batch, *, actor: Any) -> None:
    """Make the batch of its draft: from now on its steps can be allowed. It does nothing by itself. Raises Refused.

    What preflight found counts on, unless other calendars were chosen since: then the first step that is allowed
    begins with it. What is read from now on is read with credentials, so reading begins anew.
    """
    with transaction.atomic():
        row = _held(batch)
        _refuse(row.source, row.target)
        if row.selection == Selection.CUSTOMERS and not row.customers.exists():
            raise Refused(str(NO_CUSTOMER))
        if row.selection in Selection.listed() and not _has_list(row):
            raise Refused(str(NOTHING_CHOSEN))
        control.join_family(row.source, row.target)
        external = row.source.scheduler == Scheduler.EXTERNAL
        Handover.objects.filter(pk=row.handover_id).update(external=external)
        fields: dict[str, Any] = {"draft": False, "changed_at": clock.now(), "started_at": None, "calls_before": {}}
        if checks.of_another_choice(row):
            fields |= _NOT_CHECKED
        elif row.goal:
            Workspace.objects.filter(pk=row.source_id).update(holds_credentials=True)
        Batch.objects.filter(pk=row.pk).update(**fields)
        AuditEntry.objects.record(
            actor=actor,
            action="batch.create",
            subject=row,
            source=row.source.slug,
            target=row.target.slug,
            selection=row.selection,
            customers=sorted(row.customers.values_list("slug", flat=True)),
        )
    batch.draft = False


def _has_list(row: Batch) -> bool:
    """Tell whether there is anything on its list, or may be once the source has been read."""
    return row.selected.filter(Q(problem="") | Q(problem="unknown")).exists()


def discard(batch: Batch, *, actor: Any) -> None:
    """Throw a draft away. Nothing was done at the provider, so nothing has to be undone. Raises Refused."""
    with transaction.atomic():
        row = _held(batch)
        AuditEntry.objects.record(actor=actor, action="batch.discard", subject=row)
        row.selected.all().delete()
        Finding.objects.filter(batch=row).delete()
        row.delete()
        Handover.objects.filter(pk=row.handover_id).delete()


def note_selection(batch: Batch, *, actor: Any) -> None:
    """Put on record how the calendars of a draft were chosen."""
    AuditEntry.objects.record(
        actor=actor,
        action="batch.select",
        subject=batch,
        selection=batch.selection,
        listed=batch.selected.filter(problem="").count(),
        left_out=batch.selected.exclude(problem="").count(),
    )
