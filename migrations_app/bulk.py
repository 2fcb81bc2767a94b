"""What people may do to many items or findings at once: retry, skip, waive.

Each act is planned first: which rows, and which not and why. The page shows the plan, and the act decides by the same
sentences again, on locked rows, in chunks. So a second press, or two people at once, do nothing twice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from calendars.leases import free
from calendars.models import AuditEntry, Connection, Intent
from calendars.storable import storable
from migrations_app import tasks
from migrations_app.control import Refused, retry_failed
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, ErrorKind, Finding, Item, ItemStatus, Severity
from recallops import clock

MOST = 10_000  # rows of one press
CHUNK = 500  # rows of one transaction
MOST_NAMES = 5

NO_REASON = _("Say in a few words why; it stays on record.")

CLOSED = _("Its batch is closed.")
NO_CALENDAR = _("It is an entry of the checklist, not a calendar.")
NOT_FAILED = _("It has not failed and waits for no person: it is tried by itself.")
ENDED = _("It has ended already: {status}.")
GOES_BACK = _("Its batch goes back: what cannot be brought back is left by the button on the batch’s page.")
AT_WORK = _("A worker is at it at this moment. Try again in a minute.")
HAND_OVER_BEGUN = _("Its hand-over may have begun, and is never left half done.")
MADE = _(
    "It is in the target already. Send the batch back, or delete it in the target in the vendor’s dashboard; then it "
    "can be skipped."
)
UNSURE = _("Nobody knows yet whether it was made in the target. Try again when that is settled.")
IN_GROUP = _("It goes over together with its share group.")

WAIVED = _("It was waived already.")
GONE = _("It is gone: there is nothing to waive.")
BLOCKING = _("It is blocking: waiving it needs the permission to waive blocking findings.")


@dataclass(slots=True)
class Plan:
    """What an act would do: to which rows, and to which not and why (the sentence, how many, the first few names)."""

    will: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    refused: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, pk: int, name: str, refusal: str) -> None:
        """Take in a row."""
        if not refusal:
            self.will.append(pk)
            if len(self.names) < MOST_NAMES:
                self.names.append(name)
            return
        count, names = self.refused.get(refusal, (0, []))
        self.refused[refusal] = (count + 1, names if len(names) >= MOST_NAMES else [*names, name])

    @property
    def digest(self) -> str:
        """Return a short text that changes when the plan does."""
        return hashlib.sha256(repr((sorted(self.will), sorted(self.refused))).encode()).hexdigest()[:16]


# --- why not, of rows as `_items` and `_findings` read them. Pure.


def why_no_retry(item: dict[str, Any]) -> str:
    """Return why an item is not tried again; empty when it is."""
    if (refusal := _of_no_batch(item)) or item["status"] in (ItemStatus.FAILED, ItemStatus.USER):
        return refusal
    return str(NOT_FAILED)


def why_no_skip(item: dict[str, Any]) -> str:
    """Return why an item cannot be left where it is; empty when it can: nothing of it is half done."""
    if refusal := _of_no_batch(item):
        return refusal
    if item["status"] not in (*ItemStatus.active(), ItemStatus.FAILED, ItemStatus.USER):
        return str(ENDED).format(status=ItemStatus(item["status"]).label)
    if item["back"]:
        return str(GOES_BACK)
    if item["step"] not in (Step.RECREATE, Step.VERIFY):
        return str(HAND_OVER_BEGUN)
    if item["made"]:
        return str(MADE)
    if item["unsure"]:
        return str(UNSURE)
    if item["group"] is not None:
        return str(IN_GROUP)
    return str(AT_WORK) if item["held"] else ""


def _of_no_batch(item: dict[str, Any]) -> str:
    if item["kind"] != Item.Kind.CONNECTION:
        return str(NO_CALENDAR)
    return str(CLOSED) if item["closed_at"] or not item["open"] else ""


def why_no_waive(finding: dict[str, Any], *, may_blocking: bool) -> str:
    """Return why a finding is not waived; empty when it is."""
    if finding["waived_at"]:
        return str(WAIVED)
    if finding["gone_at"]:
        return str(GONE)
    return str(BLOCKING) if finding["severity"] == Severity.BLOCKING and not may_blocking else ""


# --- plans


def plan_items(ids: Iterable[int], why_not: Callable[[dict[str, Any]], str]) -> Plan:
    """Return what an act would do to items."""
    plan = Plan()
    for chunk in _chunks(ids):
        for item in _items(Item.objects.filter(pk__in=chunk)):
            plan.add(item["pk"], item["title"] or item["source_id"], why_not(item))
    return plan


def plan_waive(ids: Iterable[int], *, may_blocking: bool) -> Plan:
    """Return what waiving would do to findings."""
    plan = Plan()
    for chunk in _chunks(ids):
        for one in _findings(Finding.objects.filter(pk__in=chunk)):
            plan.add(one["pk"], one["sentence"], why_no_waive(one, may_blocking=may_blocking))
    return plan


def _items(rows: QuerySet[Item]) -> list[dict[str, Any]]:
    made = Connection.objects.live().filter(
        workspace=OuterRef("batch__target"), calendar=OuterRef("connection__calendar")
    )
    sent = Intent.objects.filter(
        connection=OuterRef("connection"), purpose=Intent.Purpose.CREATE_CALENDAR, state__in=Intent.OPEN
    )
    named = ("pk", "title", "source_id", "kind", "open", "status", "step", "group", "batch_id")
    return list(
        rows.order_by("pk").values(
            *named,
            closed_at=F("batch__closed_at"),
            back=F("batch__handover__backwards"),
            made=Exists(made),
            unsure=Exists(sent),
            held=ExpressionWrapper(~free(), output_field=BooleanField()),
        )
    )


def _findings(rows: QuerySet[Finding]) -> list[dict[str, Any]]:
    named = ("pk", "batch_id", "sentence", "severity", "waived_at", "gone_at")
    return list(rows.order_by("pk").values(*named))


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    left = iter(ids)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def _by_batch(rows: QuerySet[Any], ids: Collection[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield (batch, some of the rows), never more than a chunk at once."""
    of: dict[int, list[int]] = defaultdict(list)
    for chunk in _chunks(ids):
        for batch, pk in rows.filter(pk__in=chunk).order_by("pk").values_list("batch_id", "pk"):
            of[batch].append(pk)
    for batch, mine in sorted(of.items()):
        for chunk in _chunks(mine):
            yield batch, chunk


# --- acts


def retry(ids: Collection[int], *, actor: Any) -> int:
    """Let failed items, and those that wait for a person, be tried again; return how many."""
    count = 0
    for batch, chunk in _by_batch(Item.objects.all(), ids):
        plan = plan_items(chunk, why_no_retry)
        if plan.will:
            count += _retry(Batch.objects.get(pk=batch), plan.will, actor=actor)
    return count


def _retry(batch: Batch, ids: Sequence[int], *, actor: Any) -> int:
    try:
        return min(retry_failed(batch, actor=actor, items=ids), len(ids))
    except Refused:  # closed meanwhile: nothing is left to be tried
        return 0


def skip(ids: Collection[int], *, actor: Any, reason: str) -> int:
    """Leave items where they are for good, with a reason that stays on record; return how many. Raises Refused.

    The batch's row is locked before those of its items, as everywhere.
    """
    why = _said(reason)
    count = 0
    for batch, chunk in _by_batch(Item.objects.all(), ids):
        with transaction.atomic():
            row = Batch.objects.select_for_update(of=("self",)).select_related("source").get(pk=batch)
            locked = Item.objects.filter(pk__in=chunk).select_for_update(no_key=True).order_by("pk")
            will = plan_items(locked.values_list("pk", flat=True), why_no_skip).will
            if not will:
                continue
            Item.objects.filter(pk__in=will).update(
                status=ItemStatus.NOT_MOVABLE,
                reason=f"Left in {row.source}: {why}"[:600],
                error_kind=ErrorKind.NONE,
                due_at=None,
                attempts=0,
            )
            _go_on(row)
            AuditEntry.objects.record(
                actor=actor, action="batch.skip", subject=row, count=len(will), reason=why, items=will
            )
            transaction.on_commit(tasks.ring)
        count += len(will)
    return count


def _go_on(batch: Batch) -> None:
    """Let a batch look at its items again; one that stopped because some had failed goes on when none is left."""
    mine = Batch.objects.filter(pk=batch.pk)
    mine.update(reached="", due_at=None)
    failed = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION, status=ItemStatus.FAILED)
    if batch.status == BatchStatus.STOPPED and batch.step not in (Step.PREFLIGHT, Step.EXPORT) and not failed.exists():
        mine.update(status=BatchStatus.RUNNING, attempts=0)
        Finding.objects.filter(batch=batch, code="stopped", gone_at=None).update(gone_at=clock.now())


def waive(ids: Collection[int], *, actor: Any, reason: str, may_blocking: bool) -> int:
    """Accept findings, with one reason that stays on record; return how many. Raises Refused."""
    why = _said(reason)
    count = 0
    for batch, chunk in _by_batch(Finding.objects.all(), ids):
        with transaction.atomic():
            locked = Finding.objects.filter(pk__in=chunk).select_for_update(no_key=True).order_by("pk")
            will = plan_waive(locked.values_list("pk", flat=True), may_blocking=may_blocking).will
            if not will:
                continue
            Finding.objects.filter(pk__in=will, waived_at=None).update(
                waived_at=clock.now(), waived_by=actor if getattr(actor, "pk", None) else None, waived_reason=why[:400]
            )
            AuditEntry.objects.record(
                actor=actor,
                action="batch.waive",
                subject=Batch.objects.get(pk=batch),
                count=len(will),
                reason=why,
                findings=will,
            )
            transaction.on_commit(tasks.ring)
        count += len(will)
    return count


def _said(reason: str) -> str:
    why: str = storable(reason.strip())
    if not why:
        raise Refused(str(NO_REASON))
    return why
