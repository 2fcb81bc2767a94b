"""What the batch page shows, read in a fixed number of queries whatever the size of the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Count, IntegerField, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import JSONObject
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from calendars.admin.ledger import VERDICT_COLOURS
from calendars.models import Assignment, AuditEntry, Customer, RateBudget, Verdict
from migrations_app import checks, control, undo
from migrations_app.admin import group_summary, rehearsals, track, waits
from migrations_app.admin.acts import ACTS
from migrations_app.admin.items import STATUS_COLOURS, items_url
from migrations_app.coverage import assignments_of
from migrations_app.itineraries import Step
from migrations_app.models import (
    Approval,
    Batch,
    BatchStatus,
    CoverageReading,
    Finding,
    Inquiry,
    Item,
    ItemStatus,
    Severity,
    ShareGroup,
)
from recallops import clock
from recallops.admin_display import list_url
from recallops.digest import digest_of
from recallops.workers import last_sign

MOST_FINDINGS = 20
MOST_ACTS = 15
MOST_NAMES = 12


NOT_STARTED = _("Nothing is allowed yet. Press “Preflight” to let it look around; that writes nothing at the provider.")
NO_WORKERS = _("No worker is alive: nothing moves until “manage.py workers” runs.")
PAUSED = _("Paused: no new hand-over begins. Those that have begun are brought to their end.")


@dataclass(frozen=True, slots=True)
class Tally:
    """A number with its name and where to see the rows behind it."""

    label: str
    count: int
    colour: str = ""
    url: str = ""


def fetch(pk: int) -> Batch | None:
    """Return a batch with all that its page names, in one query."""
    names = Customer.objects.filter(batches=OuterRef("pk")).order_by("name").values("name")
    readings = (
        CoverageReading.objects.filter(batch=OuterRef("pk"))
        .order_by("pk")
        .values(
            one=JSONObject(
                moment="moment",
                at="at",
                total="total",
                counts="counts",
                source_read_at="source_read_at",
                target_read_at="target_read_at",
            )
        )
    )
    either = Q(workspace=OuterRef("source")) | Q(workspace=OuterRef("target"))
    budgets = (
        RateBudget.objects.filter(either)
        .order_by()
        .values(one=JSONObject(workspace="workspace", endpoint="endpoint", per_minute="per_minute"))
    )
    waiting = (
        Approval.objects.waiting()
        .filter(batch=OuterRef("pk"))
        .values(
            one=JSONObject(
                pk="pk", step="step", who="asked_by__username", at="asked_at", until="expires_at", sentences="sentences"
            )
        )
    )
    mine = Inquiry.objects.filter(batch=OuterRef("pk"), answered_at=None).order_by().values("batch")
    inquiries = mine.annotate(n=Count("pk")).values("n")
    return (
        Batch.objects.filter(pk=pk)
        .select_related(
            "source__region",
            "source__application",
            "target__region",
            "handover",
            "created_by",
            "delete_confirmed_by",
            "follows",
        )
        .defer("source__application__url")
        .annotate(
            customer_names=ArraySubquery(names[: MOST_NAMES + 1]),
            readings_json=ArraySubquery(readings),
            checks_json=checks.column(),
            budgets_json=ArraySubquery(budgets),
            approval_json=Subquery(waiting[:1]),
            open_inquiries=Subquery(inquiries, output_field=IntegerField()),
            **group_summary.columns(),
            **rehearsals.columns(),
        )
        .first()
    )


def live(batch: Batch, *, may_change: bool) -> dict[str, Any]:
    """Return all that changes while a batch runs: the live part of its page."""
    rows = _item_counts(batch)
    counts: _Counts = {(row["kind"], row["step"], row["status"]): row["count"] for row in rows}
    moved = {key[1:]: n for key, n in counts.items() if key[0] == Item.Kind.CONNECTION}
    verdicts = _verdict_counts(batch)
    found = _findings(batch)
    return {
        "batch": batch,
        "status_colour": BatchStatus(batch.status).colour,
        "may_change": may_change,
        "only_looking": track.ONLY_LOOKING,
        "notes": _notes(batch),
        "track": (stops := track.track(batch, moved, may_change=may_change)),
        "refusals": track.refusals(stops),
        "items": _items(batch, counts),
        "waits": waits.waits(batch) + waits.next_presses(batch, moved),
        "approval": _approval(batch),
        "coverage": _coverage(batch, verdicts),
        "groups": group_summary.summary(batch),
        "readings": _readings(batch),
        "undo": _undo(batch, rows, verdicts),
        "findings": found[:MOST_FINDINGS],
        "more_findings": len(found) > MOST_FINDINGS,
        "findings_url": list_url(Finding, batch__id__exact=batch.pk, state="open"),
        "acts": _acts(batch),
        "controls": control.digest(batch),
    }


def pulse() -> dict[str, Any]:
    """Return the sign of life of the workers, and when the page was read."""
    since = last_sign()
    alive = since is not None and since.total_seconds() <= settings.HEARTBEAT_STALE_SECONDS
    return {"workers": alive, "last_sign": since, "read_at": clock.now(), "no_workers": NO_WORKERS}


def digest(shown: dict[str, Any]) -> str:
    """Return a short text that changes when anything shown changes."""
    plain = {
        name: value
        for name, value in shown.items()
        if name not in {"batch", "findings", "acts", "track", "items", "coverage", "waits", "undo"}
    }
    batch: Batch = shown["batch"]
    plain["batch"] = [batch.status, batch.step, batch.reason, batch.changed_at, batch.started_at, batch.closed_at]
    plain["undo"] = asdict(shown["undo"])
    plain["track"] = [asdict(stop) for stop in shown["track"]]
    plain["items"] = [shown["items"]["matrix"], shown["items"]["total"]]
    plain["coverage"] = [asdict(one) for one in shown["coverage"]["tallies"]]
    plain["waits"] = [asdict(one) for one in shown["waits"]]
    plain["findings"] = [(one.pk, one.sentence, one.remedy, one.severity) for one in shown["findings"]]
    plain["acts"] = [entry.pk for entry, _ in shown["acts"]]
    return digest_of(plain)


# --- the parts

_Counts = dict[tuple[str, str, str], int]


def _item_counts(batch: Batch) -> list[dict[str, Any]]:
    items: Any = Item.objects.filter(batch=batch).order_by().values("kind", "step", "status")
    return list(items.annotate(count=Count("pk"), **undo.item_counts(), **undo.looks()))


def _verdict_counts(batch: Batch) -> list[dict[str, Any]]:
    rows: Any = assignments_of(batch).order_by().values("verdict")
    return list(rows.annotate(count=Count("pk"), **undo.meeting_counts(batch)))


def _undo(batch: Batch, items: list[dict[str, Any]], meetings: list[dict[str, Any]]) -> undo.Undo:
    """What staff read about going back, from the counts that the page has anyway."""
    counts = {name: sum(row[name] for row in items) for name in undo.item_counts()}
    earliest = min((row["soonest"] for row in items if row["soonest"]), default=None)
    if any(row["at_once"] for row in items):
        earliest = None
    return undo.of(batch, earliest=earliest, handed=sum(row["handed"] for row in meetings), **counts)


def _notes(batch: Any) -> list[Tally]:
    """What must be said first, in sentences."""
    notes = []
    if not batch.goal:
        notes.append(Tally(str(NOT_STARTED), 0, "info"))
    if batch.handover.paused:
        notes.append(Tally(str(PAUSED), 0, "warning"))
    notes += [
        Tally(f"{workspace}: {workspace.trouble}", 0, "danger")
        for workspace in (batch.source, batch.target)
        if workspace.trouble
    ]
    if number := batch.open_inquiries:
        said = ngettext(
            "%(count)s inquiry of a customer is not answered.",
            "%(count)s inquiries of customers are not answered.",
            number,
        )
        url = list_url(Inquiry, batch__id__exact=batch.pk, answered_at__isempty=1)
        notes.append(Tally(said % {"count": number}, 0, "warning", url))
    return notes


def _items(batch: Batch, counts: _Counts) -> dict[str, Any]:
    """Counts of items by status, and by step and status, each a link to the rows."""
    moved = {key[1:]: n for key, n in counts.items() if key[0] == Item.Kind.CONNECTION}
    by_status: Counter[str] = Counter()
    for (_step, status), n in moved.items():
        by_status[status] += n
    kind = Item.Kind.CONNECTION
    tallies = [
        Tally(
            status.label,
            by_status[status],
            STATUS_COLOURS[status],
            items_url(batch, kind=kind, status=status.value),
        )
        for status in ItemStatus
    ]
    statuses = [status for status in ItemStatus if by_status[status]]
    matrix = [
        (
            step.label,
            [
                (moved.get((step, status), 0), items_url(batch, kind=kind, step=step.value, status=status.value))
                for status in statuses
            ],
        )
        for step in batch.steps
        if any(moved.get((step, status)) for status in statuses)
    ]
    checklist = sum(n for key, n in counts.items() if key[0] == Item.Kind.CHECKLIST)
    retriable = by_status[ItemStatus.FAILED] + by_status[ItemStatus.USER]
    return {
        "total": sum(moved.values()),
        "url": items_url(batch, kind=kind),
        "tallies": tallies,
        "statuses": [status.label for status in statuses],
        "matrix": matrix,
        "checklist": checklist,
        "checklist_url": items_url(batch, kind=Item.Kind.CHECKLIST),
        "retriable": retriable,
        "stopped": batch.status == BatchStatus.STOPPED,
        "closed": batch.status == BatchStatus.CLOSED,
    }


def _approval(batch: Any) -> dict[str, Any] | None:
    """The request that waits for a second person, with where it is decided."""
    row: dict[str, Any] | None = batch.approval_json
    if row is None:
        return None
    what = Step(row["step"]).label if row["step"] else _("the way back")
    return {**row, "what": what, "url": reverse("admin:migrations_app_approval_change", args=[row["pk"]])}


def _coverage(batch: Batch, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The ledger's verdicts, counted from the rows."""
    counted: dict[str, int] = {row["verdict"]: row["count"] for row in rows}
    tallies = [
        Tally(
            verdict.label,
            counted[verdict],
            VERDICT_COLOURS.get(verdict, ""),
            list_url(Assignment, batch=batch.pk, verdict__exact=verdict.value),
        )
        for verdict in Verdict
        if counted.get(verdict)
    ]
    return {
        "tallies": tallies,
        "total": sum(counted.values()),
        "url": list_url(Assignment, batch=batch.pk),
    }


def _readings(batch: Any) -> dict[str, Any]:
    """The readings before, at the cut and after, side by side."""
    taken = {row["moment"]: row for row in batch.readings_json}
    moments = [(moment, taken.get(moment.value)) for moment in CoverageReading.Moment]
    verdicts = [verdict for verdict in Verdict if any(row and row["counts"].get(verdict) for _, row in moments)]
    return {
        "any": bool(taken),
        "moments": [(moment.label, row["at"] if row else str(_("not yet"))) for moment, row in moments],
        "rows": [
            (verdict.label, [row["counts"].get(verdict, 0) if row else "–" for _, row in moments])
            for verdict in verdicts
        ],
        "totals": [row["total"] if row else "–" for _, row in moments],
    }


def _findings(batch: Batch) -> Sequence[Finding]:
    """Open findings, the worst first; one more than is shown."""
    order = {Severity.BLOCKING.value: 0, Severity.WARNING.value: 1, Severity.INFO.value: 2}
    return list(
        Finding.objects.filter(batch=batch, gone_at=None, waived_at=None)
        .annotate(worst=_case(order))
        .order_by("worst", "pk")[: MOST_FINDINGS + 1]
    )


def _case(order: dict[str, int]) -> Any:
    return Case(
        *[When(severity=severity, then=Value(place)) for severity, place in order.items()],
        default=Value(9),
        output_field=IntegerField(),
    )


def _acts(batch: Batch) -> Sequence[tuple[AuditEntry, str]]:
    """Who pressed what, newest first, each with the act in words."""
    return [
        (entry, str(ACTS.get(entry.action, entry.action)))
        for entry in AuditEntry.objects.filter(
            Q(subject_kind=Batch._meta.label_lower, subject_id=batch.pk)
            | Q(subject_kind__in=[Finding._meta.label_lower, Approval._meta.label_lower], data__batch=batch.pk)
            | Q(subject_kind=ShareGroup._meta.label_lower, data__batch=batch.slug)
        ).order_by("-pk")[:MOST_ACTS]
    ]


def live_url(batch: Batch) -> str:
    """Return the address of the live part."""
    return reverse("admin:migrations_app_batch_live", args=[batch.pk])
