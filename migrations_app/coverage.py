"""The coverage ledger: is every wanted meeting covered exactly once? The same code behind page, terminal and report.

One row for each assignment in the 28-day horizon. Path A is what the events of both regions show; path B, independent
of it, is the list of scheduled bots by join time. Where the two disagree, that is a finding, and path B counts.

Not seen by either: a bot that the provider lists but that will not join; a meeting at a link that nobody put into the
calendar; a change that reached the provider after the reading (the ledger says as of when it is true).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import QuerySet

from calendars.models import Assignment, Bot, Sweep, Verdict, Workspace
from calendars.scheduling.rows import Loaded, load, numbers_for
from calendars.scheduling.values import Numbers, Side
from calendars.scheduling.verdicts import verdict
from migrations_app.models import Batch, CoverageReading
from recallops import clock
from recallops.prepared import Given, prepared

CHUNK = 500
MOST_EXCEPTIONS = 1000
COVERED = frozenset({Verdict.SOURCE, Verdict.TARGET, Verdict.OWNER, Verdict.ATTENDED, Verdict.OVER, Verdict.FROZEN})


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One assignment in the ledger."""

    loaded: Loaded
    verdict: Verdict
    note: str

    @property
    def assignment(self) -> Assignment:
        """The assignment itself."""
        return self.loaded.assignment


def assignments_of(batch: Batch) -> QuerySet[Assignment]:
    """Return the assignments of a batch: those that a calendar of one of its items takes part in."""
    return Assignment.objects.filter(
        pk__in=Assignment.objects.filter(
            occurrences__calendar__connections__items__batch=batch,
        ).values("pk")
    )


def ledger(assignments: QuerySet[Assignment], *, workspaces: list[Workspace]) -> Iterator[LedgerRow]:
    """Judge assignments now, from the stored readings; streams, whatever the number."""
    numbers = numbers_for(workspaces)
    ids = assignments.order_by("start", "pk").values_list("pk", flat=True).iterator(chunk_size=CHUNK)
    while chunk := list(islice(ids, CHUNK)):
        for one in load(chunk):
            yield judge(one, numbers=numbers)


def judge(one: Loaded, *, numbers: Numbers) -> LedgerRow:
    """Return the ledger's row of a loaded assignment."""
    said, note = verdict(one.row, now=clock.now(), numbers=numbers, order=one.order)
    return LedgerRow(one, said, note)


@prepared
def _readings() -> QuerySet[CoverageReading]:
    return CoverageReading.objects.filter(batch=Given("batch"), moment=Given("moment")).order_by("pk")


def read(batch: Batch, moment: CoverageReading.Moment) -> CoverageReading:
    """Take the ledger of a batch at a moment; the first reading of a moment stays, except the last one's."""
    if moment != CoverageReading.Moment.AFTER:
        known = _readings(limit=1, batch=batch.pk, moment=moment.value)
        if known:
            return known[0]
    counts: Counter[str] = Counter()
    exceptions: list[dict[str, str]] = []
    oldest: dict[int, datetime] = {}
    for row in ledger(assignments_of(batch), workspaces=[batch.source, batch.target]):
        counts[row.verdict] += 1
        for side in (row.loaded.row.owner, row.loaded.row.other):
            _note_oldest(side, oldest)
        if row.verdict not in COVERED and len(exceptions) < MOST_EXCEPTIONS:
            exceptions.append(describe(row))
    reading, _ = CoverageReading.objects.update_or_create(
        batch=batch,
        moment=moment,
        defaults={
            "at": clock.now(),
            "source_read_at": oldest.get(batch.source_id),
            "target_read_at": oldest.get(batch.target_id),
            "total": sum(counts.values()),
            "counts": dict(counts),
            "exceptions": exceptions,
        },
    )
    return reading


def describe(row: LedgerRow) -> dict[str, str]:
    """Return a row in words, for reports and refusals."""
    return {
        "start": row.assignment.start.isoformat(),
        "url": row.assignment.url,
        "verdict": row.verdict.label,
        "note": row.note,
        "owner": row.assignment.owner.slug,
    }


def _note_oldest(side: Side | None, oldest: dict[int, datetime]) -> None:
    if side is None or side.read_at is None:
        return
    oldest[side.workspace] = min(oldest.get(side.workspace, side.read_at), side.read_at)


def not_listed(row: LedgerRow, sweep: Sweep) -> list[str]:
    """Path B: bots that an event of this row names but that neither a whole list of bots nor a later look showed."""
    named = {
        entry.bot_id
        for side in (row.loaded.row.owner, row.loaded.row.other)
        if side is not None and side.workspace == sweep.workspace_id
        for member in side.members
        for entry in member.bots
        if not entry.terminal and entry.start > clock.now()
    }
    seen = Bot.objects.filter(
        workspace=sweep.workspace_id, remote_id__in=named, terminal=False, read_begun_at__gte=sweep.begun_at
    )
    return sorted(named - set(seen.values_list("remote_id", flat=True)))
