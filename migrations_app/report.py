"""The proof of a move: what there was, what became of it, and what nobody looked at. docs/report.md explains each part.

Everything is read from the rows that the pages show, in one snapshot, and streamed: a page gets the first rows of each
list, the file gets all of them. The same rows give the same file, byte for byte; a closed batch keeps its report.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from calendars.models import Assignment, AuditEntry, Event, RateBudget, Verdict, Workspace
from migrations_app import coverage, report_inventory
from migrations_app.models import Batch, CoverageReading, Finding
from migrations_app.report_format import CHUNK, PAGE_ROWS, iso, listing, pieces, said
from recallops import clock
from recallops.snapshots import one_moment

NOT_CHECKED = (
    "Whether a scheduled bot that the provider lists really joins: it counts as covering its meeting until it is over.",
    "Meetings at a link that nobody put into the calendar event.",
    "Changes that reached the provider after a reading: each reading says as of when it is true.",
    "Meetings more than 28 days ahead: the provider does not list them yet.",
    "What the target does with a copied bot configuration at the meeting: its keys for transcription, logins and "
    "addresses for live data are on the checklist, not tried out.",
    "Scheduled bots that belong to no calendar event: they are counted as a finding and not moved.",
    "Recordings, transcripts, webhook endpoints and the vendor's dashboard: the checklist names them.",
    "A worker that was frozen between its last look at its lease and the provider's answer: deduplication and "
    "idempotency keys catch the write, nothing else does.",
    "Calls of other programs with the same API keys: counted are those that went through this installation's budgets, "
    "other work of it in the same workspaces included; answers 429 since each budget was made.",
)


_ALL = ("source__region", "target__region", "handover", "created_by", "delete_confirmed_by")


def build(batch: Batch, *, whole: bool = False) -> dict[str, Any]:
    """Return the report of a batch.

    Lists are {"total", "rows", ...} with the first rows. `whole`: "rows" are iterators over all rows, to be read once
    and inside `one_moment()`, and "sha256" is to be called after its rows were read; that is what `write` does.
    """
    with one_moment():
        batch = Batch.objects.select_related(*_ALL).get(pk=batch.pk)  # as it is in this snapshot
        calls = _calls(batch)
        return {
            "acts": _acts(batch, whole=whole),
            "batch": _batch(batch),
            "calls": calls,
            "findings": _findings(batch, whole=whole),
            "id_map": report_inventory.id_map(batch, whole=whole),
            "inventory": report_inventory.inventory(batch, whole=whole),
            "items": report_inventory.items(batch, whole=whole),
            "ledger": _ledger(batch, whole=whole),
            "not_checked": list(NOT_CHECKED),
            "prediction": _prediction(batch, calls),
        }


def write(batch: Batch, path: Path | str) -> None:
    """Write the whole report as JSON, piece by piece; an older file is replaced only when the new one is complete."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with one_moment(), draft.open("w", encoding="utf-8") as file:
            file.writelines(pieces(build(batch, whole=True)))
            file.write("\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


# -- what it is about


def _batch(batch: Batch) -> dict[str, Any]:
    return {
        "slug": batch.slug,
        "source": _workspace(batch.source),
        "target": _workspace(batch.target),
        "customers": sorted(batch.customers.values_list("slug", flat=True)),
        "selection": batch.selection,
        "cut_line": iso(batch.handover.cut_line),
        "goal": batch.goal,
        "step": batch.step,
        "status": batch.status,
        "reason": said(batch.reason),
        "paused": batch.handover.paused,
        "goes_back": batch.goes_back,
        "soak_seconds": batch.soak.total_seconds(),
        "canary_wait_seconds": batch.canary_wait.total_seconds(),
        "created_by": str(batch.created_by or ""),
        "started_at": iso(batch.started_at),
        "closed_at": iso(batch.closed_at),
        "confirmed": {"at": iso(batch.delete_confirmed_at), "by": str(batch.delete_confirmed_by or "")},
    }


def _workspace(workspace: Workspace) -> dict[str, str]:
    region = workspace.region
    return {"slug": workspace.slug, "name": workspace.name, "provider": region.provider, "region": region.code}


# -- nothing missed, nothing doubled


def _ledger(batch: Batch, *, whole: bool) -> dict[str, Any]:
    taken = {reading.moment: _reading(reading, whole=whole) for reading in CoverageReading.objects.filter(batch=batch)}
    return {moment: taken.get(moment) for moment in CoverageReading.Moment.values} | {"now": _now(batch, whole=whole)}


def _reading(reading: CoverageReading, *, whole: bool) -> dict[str, Any]:
    return _verdicts(
        reading.counts,
        exceptions=[_exception(row) for row in reading.exceptions[: None if whole else PAGE_ROWS]],
        at=reading.at,
        source_read_at=reading.source_read_at,
        target_read_at=reading.target_read_at,
    )


def _now(batch: Batch, *, whole: bool) -> dict[str, Any] | None:
    """Return the present ledger: a page shows what was last judged, as the batch's page does; the file judges anew.

    None for a closed batch, which nobody reads any more: its `after` counts.
    """
    if batch.closed_at or batch.started_at is None:
        return None
    rows = coverage.assignments_of(batch)
    return _judged_anew(batch, rows) if whole else _last_judged(batch, rows)


def _judged_anew(batch: Batch, rows: QuerySet[Assignment]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    exceptions: list[dict[str, str]] = []
    oldest: dict[int, datetime] = {}
    for row in coverage.ledger(rows, workspaces=[batch.source, batch.target]):
        counts[row.verdict] += 1
        for side in (row.loaded.row.owner, row.loaded.row.other):
            if side is not None and side.read_at is not None:
                oldest[side.workspace] = min(oldest.get(side.workspace, side.read_at), side.read_at)
        if row.verdict not in coverage.COVERED and len(exceptions) < coverage.MOST_EXCEPTIONS:
            exceptions.append(_exception(coverage.describe(row)))
    return _verdicts(
        counts,
        exceptions=exceptions,
        at=clock.now(),
        source_read_at=oldest.get(batch.source_id),
        target_read_at=oldest.get(batch.target_id),
    )


def _last_judged(batch: Batch, rows: QuerySet[Assignment]) -> dict[str, Any]:
    """Count the verdicts as they are stored: as many queries for many rows as for few."""
    counts = dict(rows.order_by().values_list("verdict").annotate(n=Count("pk")))
    doubtful = rows.exclude(verdict__in=coverage.COVERED).select_related("owner").order_by("start", "pk")
    exceptions = [
        {
            "start": one.start.isoformat(),
            "url": one.url,
            "verdict": one.get_verdict_display(),
            "note": one.note,
            "owner": one.owner.slug,
        }
        for one in doubtful[:PAGE_ROWS]
    ]
    coming = Event.objects.filter(occurrence__assignment__in=rows.filter(over=False).values("pk"), is_deleted=False)
    oldest = dict(coming.order_by().values_list("workspace").annotate(at=Min("read_begun_at")))
    return _verdicts(
        counts,
        exceptions=[_exception(row) for row in exceptions],
        at=clock.now(),
        source_read_at=oldest.get(batch.source_id),
        target_read_at=oldest.get(batch.target_id),
    )


def _verdicts(counts: dict[str, int], *, exceptions: list[dict[str, str]], **times: datetime | None) -> dict[str, Any]:
    """Return counts in the order of the verdicts, and how many of the meetings are not covered once."""
    total = sum(counts.values())
    covered = sum(number for code, number in counts.items() if code in coverage.COVERED)
    return {
        "total": total,
        "covered": covered,
        "not_covered": total - covered,
        "counts": [
            {"verdict": code, "label": label, "count": counts[code]}
            for code, label in Verdict.choices
            if code in counts
        ],
        "exceptions": exceptions,
    } | {name: iso(moment) for name, moment in times.items()}


def _exception(row: dict[str, str]) -> dict[str, str]:
    return row | {"url": said(row.get("url", ""))}


# -- what was done


def _calls(batch: Batch) -> list[dict[str, Any]]:
    """Return the calls of both workspaces since the batch began, by endpoint."""
    if batch.started_at is None:
        return []
    budgets = RateBudget.objects.filter(workspace__in=[batch.source_id, batch.target_id])
    rows = budgets.order_by("workspace__slug", "endpoint").values_list(
        "workspace__slug", "endpoint", "taken", "refused", "emission"
    )
    before, after = batch.calls_before, batch.calls_after
    since = (
        (slug, name, after.get(f"{slug} {name}", taken) - before.get(f"{slug} {name}", 0), *rest)
        for slug, name, taken, *rest in rows
    )
    return [
        {
            "workspace": slug,
            "endpoint": endpoint,
            "count": count,
            "refused": refused,
            "least_seconds": round(count * emission, 3),
        }
        for slug, endpoint, count, refused, emission in since
        if count
    ]


def _findings(batch: Batch, *, whole: bool) -> dict[str, Any]:
    found = Finding.objects.filter(batch=batch)
    open_ones = Count("pk", filter=Q(gone_at=None, waived_at=None))
    counts = found.order_by("severity").values("severity").annotate(count=Count("pk"), open=open_ones)
    counted = list(counts)
    rows = found.select_related("item", "assignment", "waived_by").order_by("pk")
    total = sum(row["count"] for row in counted)
    return {"counts": counted} | listing((_finding(one) for one in rows.iterator(CHUNK)), total=total, whole=whole)


def _finding(one: Finding) -> dict[str, Any]:
    about = one.item or one.assignment
    return {
        "step": one.step,
        "code": one.code,
        "severity": one.severity,
        "about": said(str(about) if about else one.subject),
        "sentence": said(one.sentence),
        "remedy": said(one.remedy),
        "found_at": iso(one.found_at),
        "gone_at": iso(one.gone_at),
        "waived": {"at": iso(one.waived_at), "by": str(one.waived_by or ""), "reason": said(one.waived_reason)}
        if one.waived_at
        else None,
    }


def _acts(batch: Batch, *, whole: bool) -> dict[str, Any]:
    """Return who pressed what, when: the audit entries of this batch and of its findings, in order."""
    findings = Finding.objects.filter(batch=batch).values("pk")
    entries = AuditEntry.objects.filter(
        Q(subject_kind=Batch._meta.label_lower, subject_id=batch.pk)
        | Q(subject_kind=Finding._meta.label_lower, subject_id__in=findings)
    ).order_by("pk")
    rows = (
        {
            "at": iso(one.at),
            "who": one.actor_name,
            "act": one.action,
            "about": said(one.subject_name),
            "data": _plain(one.details),
        }
        for one in entries.iterator(CHUNK)
    )
    return listing(rows, total=entries.count(), whole=whole)


def _plain(value: Any) -> Any:
    """Return an entry's data with its texts fit to be read."""
    if isinstance(value, str):
        return said(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _prediction(batch: Batch, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the time that was foretold before the first write with the time it took.

    Foretold is what the calls take at the limits, export, hand-over and delete one after the other. The time until the
    last meeting changed sides holds no wait but those of meetings that moved late; the whole time holds the waits for
    meetings, soak and canary, too.
    """
    said = Finding.objects.filter(batch=batch, code="time").values_list("sentence", flat=True).first()
    actual = (batch.closed_at - batch.started_at).total_seconds() if batch.closed_at and batch.started_at else None
    slowest = max(calls, key=lambda row: row["least_seconds"], default=None)
    flipped = coverage.assignments_of(batch).filter(owner=batch.target_id).aggregate(last=Max("flipped_at"))["last"]
    handed_over = (flipped - batch.started_at).total_seconds() if flipped and batch.started_at else None
    return {
        "sentence": said or "",
        "predicted_seconds": batch.predicted_seconds,
        "bound": batch.predicted_bound,
        "actual_seconds": actual,
        "handed_over_seconds": handed_over,
        "calls_seconds": slowest["least_seconds"] if slowest else None,
        "calls_bound": f"{slowest['endpoint']} in {slowest['workspace']}" if slowest else "",
    }
