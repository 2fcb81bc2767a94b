"""What the batch page shows, read in a fixed number of queries whatever the size of the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, CharField, Count, F, IntegerField, Min, OuterRef, Q, Value, When
from django.db.models.functions import Cast, JSONObject
from django.urls import reverse

from calendars.admin.ledger import VERDICT_COLOURS
from calendars.models import Assignment, AuditEntry, Customer, Verdict
from migrations_app import checks, control, undo
from migrations_app.admin import group_summary, rehearsals
from migrations_app.admin.acts import ACTS
from migrations_app.admin.items import STATUS_COLOURS, items_url
from migrations_app.coverage import assignments_of
from migrations_app.itineraries import OF_THE_BATCH, OF_THE_ITEM, position
from migrations_app.models import Batch, BatchStatus, CoverageReading, Finding, Item, ItemStatus, Severity, ShareGroup
from recallops import clock
from recallops.admin_base import digest_of
from recallops.admin_display import list_url
from recallops.workers import workers_alive

MOST_ROWS = 12
MOST_FINDINGS = 20
MOST_ACTS = 15
MOST_NAMES = 12


ONLY_LOOKING = "You may look at this batch but not change it: that needs the permission to change batches."
NOT_STARTED = "Nothing is allowed yet. Press “Preflight” to let it look around; that writes nothing at the provider."
NO_WORKERS = "No worker is alive: nothing moves until “manage.py workers” runs."
PAUSED = "Paused: no new hand-over begins. Those that have begun are brought to their end."


@dataclass(frozen=True, slots=True)
class Stop:
    """One step on the track."""

    step: str
    label: str
    state: str
    word: str
    passed: int
    of: int
    refusal: str
    needs_confirmation: bool
    next: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """A number with its name and where to see the rows behind it."""

    label: str
    count: int
    colour: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """How many wait for one thing."""

    what: str
    status: str
    reason: str
    count: int
    until: str


STATE_WORDS = {"done": "done", "now": "now", "goal": "allowed", "ahead": "not allowed yet"}


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
            **group_summary.columns(),
            **rehearsals.columns(),
        )
        .first()
    )


def live(batch: Batch, *, may_change: bool) -> dict[str, Any]:
    """Return all that changes while a batch runs: the live part of its page."""
    rows = _item_counts(batch)
    counts: _Counts = {(row["kind"], row["step"], row["status"]): row["count"] for row in rows}
    verdicts = _verdict_counts(batch)
    found = _findings(batch)
    return {
        "batch": batch,
        "status_colour": BatchStatus(batch.status).colour,
        "may_change": may_change,
        "only_looking": ONLY_LOOKING,
        "notes": _notes(batch),
        "track": (track := _track(batch, counts, may_change=may_change)),
        "refusals": _refusals(track),
        "items": _items(batch, counts),
        "waits": _waits(batch),
        "coverage": _coverage(batch, verdicts),
        "groups": group_summary.summary(batch),
        "readings": _readings(batch),
        "undo": _undo(batch, rows, verdicts),
        "findings": found[:MOST_FINDINGS],
        "more_findings": len(found) > MOST_FINDINGS,
        "findings_url": list_url(Finding, batch__id__exact=batch.pk, state="open"),
        "acts": _acts(batch),
        "controls": controls_digest(batch),
    }


def pulse() -> dict[str, Any]:
    """Return the sign of life of the workers, and when the page was read."""
    return {"workers": workers_alive(), "read_at": clock.now(), "no_workers": NO_WORKERS}


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


def controls_digest(batch: Batch) -> str:
    """Return a short text that changes when a person changed what the forms of the page show."""
    order = batch.handover
    shown = [batch.goal, order.paused, order.backwards, order.cut_line, batch.delete_confirmed_at, batch.closed_at]
    shown += [batch.soak, batch.canary_wait, batch.drivers, batch.tell_customers]
    return digest_of(shown)


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


def _notes(batch: Batch) -> list[Tally]:
    """What must be said first, in sentences."""
    notes = []
    if not batch.goal:
        notes.append(Tally(NOT_STARTED, 0, "info"))
    if batch.handover.paused:
        notes.append(Tally(PAUSED, 0, "warning"))
    notes += [
        Tally(f"{workspace}: {workspace.trouble}", 0, "danger")
        for workspace in (batch.source, batch.target)
        if workspace.trouble
    ]
    return notes


def _track(batch: Batch, counts: _Counts, *, may_change: bool) -> list[Stop]:
    moved = {key: n for key, n in counts.items() if key[0] == Item.Kind.CONNECTION}
    of = sum(n for (_, _, status), n in moved.items() if status != ItemStatus.NOT_MOVABLE)
    stops: list[Stop] = []
    next_found = False
    for button in control.buttons(batch):
        refusal = button.refusal if may_change else ONLY_LOOKING
        is_next = not next_found and not refusal and not batch.closed_at
        next_found = next_found or is_next
        passed = 0
        if button.step in OF_THE_ITEM:
            passed = sum(
                n
                for (_, step, status), n in moved.items()
                if status != ItemStatus.NOT_MOVABLE
                and (status in (ItemStatus.DONE, ItemStatus.BACK) or position(step) > position(button.step))
            )
        stops.append(
            Stop(
                step=button.step.value,
                label=button.label,
                state=button.state,
                word=_word(batch, button, left=of - passed if button.step in OF_THE_ITEM else 0),
                passed=passed,
                of=of if button.step not in OF_THE_BATCH else 0,
                refusal=refusal,
                needs_confirmation=button.needs_confirmation,
                next=is_next,
            )
        )
    return stops


def _refusals(track: Sequence[Stop]) -> list[tuple[str, str]]:
    """Return why buttons are missing, each sentence once with the steps it holds for."""
    reasons: dict[str, list[str]] = {}
    for stop in track:
        if stop.refusal and stop.state != "done" and stop.refusal != control.ALREADY_ALLOWED.format(step=stop.label):
            reasons.setdefault(stop.refusal, []).append(stop.label)
    return [(", ".join(labels), sentence) for sentence, labels in reasons.items()]


def _word(batch: Batch, button: control.Button, *, left: int) -> str:
    """Return the state of a step in a word; calendars that did not come along are not passed over."""
    if button.state == "done" and left:
        return f"{left} not through"
    if button.state != "now":
        return STATE_WORDS[button.state]
    if batch.status == BatchStatus.STOPPED:
        return "stopped"
    if position(button.step) > position(batch.goal):
        return "waits for the press"
    return "under way"


def _items(batch: Batch, counts: _Counts) -> dict[str, Any]:
    """Counts of items by status, and by step and status, each a link to the rows."""
    moved = {key[1:]: n for key, n in counts.items() if key[0] == Item.Kind.CONNECTION}
    by_status: Counter[str] = Counter()
    for (_, status), n in moved.items():
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


def _waits(batch: Batch) -> list[Wait]:
    """What items and meetings wait for, most frequent first; one query for both."""
    none = Value("", output_field=CharField())
    items = (
        Item.objects.filter(batch=batch)
        .exclude(reason="")
        .order_by()
        .values(what=Value("calendars", output_field=CharField()), state=F("status"), why=F("reason"))
        .annotate(n=Count("pk"), until=Cast(Min("due_at"), CharField()))
        .order_by("-n")[:MOST_ROWS]
    )
    meetings = (
        assignments_of(batch)
        .filter(~Q(reason=""), over=False)
        .order_by()
        .values(what=Value("meetings", output_field=CharField()), state=none, why=F("reason"))
        .annotate(n=Count("pk"), until=Cast(Min("due_at"), CharField()))
        .order_by("-n")[:MOST_ROWS]
    )
    labels = dict(ItemStatus.choices)
    rows = [
        Wait(
            row["what"],
            str(labels.get(row["state"], "waiting")),
            row["why"],
            row["n"],
            row["until"] or "",
        )
        for row in items.union(meetings, all=True)
    ]
    return sorted(rows, key=lambda row: (-row.count, row.what, row.reason))


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
        "moments": [(moment.label, row["at"] if row else "not yet") for moment, row in moments],
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
        (entry, ACTS.get(entry.action, entry.action))
        for entry in AuditEntry.objects.filter(
            Q(subject_kind=Batch._meta.label_lower, subject_id=batch.pk)
            | Q(subject_kind=Finding._meta.label_lower, data__batch=batch.pk)
            | Q(subject_kind=ShareGroup._meta.label_lower, data__batch=batch.slug)
        ).order_by("-pk")[:MOST_ACTS]
    ]


def live_url(batch: Batch) -> str:
    """Return the address of the live part."""
    return reverse("admin:migrations_app_batch_live", args=[batch.pk])
