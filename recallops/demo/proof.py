"""The proof: who attended, counted from the sandbox's attendance log, held against what our own rows say.

1. The workers are stopped; from here on nobody calls a region.
2. The sandbox saves its world. That world runs on, bots and all, to the end of the 28 days; the sandbox itself stays at
   the moment when the batch was closed, so that staff can go on from there.
3. Every wanted meeting is judged from the attendance log; each must have a row in our ledger; each item an end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from calendars.models import Assignment, Verdict
from migrations_app.models import Batch, CoverageReading, Item, ItemStatus
from recallops.clock import ManualClock
from recallops.sandbox import truth
from recallops.sandbox.links import platform_of
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HORIZON = timedelta(days=28)
UNTIL_ALL_ARE_OVER = timedelta(hours=12)
LEAST_HELD = 0.95
LEAST_DURING = 50 / 4000  # of the events, so that a small demo is asked for less
SHOWN = 10


@dataclass(slots=True)
class Proof:
    """What came of it, in numbers."""

    closed: bool = False
    wanted: int = 0
    held: int = 0
    during: int = 0
    during_asked: int = 50
    missed: int = 0
    doubled: int = 0
    without_verdict: int = 0  # wanted meetings that the attendance log gives no verdict
    without_row: int = 0  # wanted meetings that our ledger does not know
    without_end: int = 0  # items in no terminal state
    stray: int = 0
    cancelled: int = 0
    places: dict[str, int] = field(default_factory=dict)
    ledger: dict[str, dict[str, int]] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    moved_from: str = ""
    moved_to: str = ""
    until: str = ""
    seconds: float = 0.0
    cases: list[str] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """Everything of which nobody can say what became of it."""
        return self.without_verdict + self.without_row + self.without_end

    @property
    def held_share(self) -> float:
        """Return which share of the wanted meetings was held."""
        return self.held / self.wanted if self.wanted else 0.0

    def wrong(self) -> list[str]:
        """Return what does not hold, in sentences; empty when the proof holds."""
        checks = [
            (self.closed, "The batch is not closed."),
            (self.missed == 0, f"{self.missed} meetings were missed."),
            (self.doubled == 0, f"{self.doubled} meetings were doubled."),
            (self.unaccounted == 0, f"{self.unaccounted} are unaccounted for."),
            (self.held_share >= LEAST_HELD, f"Less than {LEAST_HELD:.0%} of the wanted meetings were held."),
            (self.during >= self.during_asked, f"Less than {self.during_asked} meetings were held during the move."),
        ]
        return [sentence for holds, sentence in checks if not holds]

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Return what is printed, the plain lines last."""
        yield "Ledger                         before   at the cut        after"
        for verdict in Verdict:
            readings = [self.ledger.get(moment, {}).get(verdict.value, 0) for moment in ("before", "cut", "after")]
            if any(readings):
                yield f"  {verdict.label:<24} {readings[0]:>9} {readings[1]:>12} {readings[2]:>12}"
        yield "Calls                                              us-west-2  eu-central-1   429"
        for endpoint, counts in self.endpoints.items():
            source, target, refused = (counts.get(name, 0) for name in ("us-west-2", "eu-central-1", "429"))
            yield f"  {endpoint:<48} {source:>9} {target:>13} {refused:>5}"
        total = sum(counts["us-west-2"] + counts["eu-central-1"] for counts in self.endpoints.values())
        refused = sum(counts["429"] for counts in self.endpoints.values())
        yield f"calls {total}, of them refused with 429: {refused}"
        yield "changes of the world during the move: " + (
            ", ".join(f"{name} {count}" for name, count in self.changes.items()) or "none"
        )
        exported = sum(self.items.values())
        parts = " + ".join(f"{count} {name}" for name, count in self.items.items())
        yield f"items: {exported} exported = {parts or 'none'}"
        yield f"move: {self.moved_from} to {self.moved_to}, domain time; proof until {self.until}"
        yield "held in " + ", ".join(f"{place}: {count}" for place, count in sorted(self.places.items()))
        yield from self.cases
        yield f"wall time {self.seconds:.0f} s"
        yield f"wanted {self.wanted}"
        yield f"held {self.held} ({self.held_share:.1%})".replace("%", " %")
        yield f"held during the move {self.during}"
        yield f"missed {self.missed}"
        yield f"doubled {self.doubled}"
        yield f"unaccounted {self.unaccounted}"


def prove(batch: Batch, world_file: Path, *, begun: datetime, events: int, seconds: float) -> Proof:
    """Let the saved world run on without us, and count."""
    until = begun + HORIZON
    world = World.load(world_file, ManualClock(batch.closed_at or begun))
    truth.run_out(world, until + UNTIL_ALL_ARE_OVER)
    found = truth.truth(world, until=until, move_from=batch.started_at, move_to=batch.closed_at)
    proof = Proof(
        closed=batch.closed_at is not None,
        wanted=found.wanted,
        held=found.held,
        during=found.during_move,
        during_asked=int(min(4000, events) * LEAST_DURING),
        missed=len(found.missed),
        doubled=len(found.doubled),
        without_verdict=found.unaccounted + found.not_over,
        stray=len(found.stray),
        cancelled=len(found.cancelled),
        places=found.by_place,
        moved_from=_moment(batch.started_at),
        moved_to=_moment(batch.closed_at),
        until=_moment(until),
        seconds=seconds,
    )
    _hold_against_rows(proof, world, batch, until)
    _count_calls(proof, world)
    for name in ("missed", "doubled"):
        for case in getattr(found, name)[:SHOWN]:
            proof.cases.append(f"{name.upper()} {case.start} {case.url} ({', '.join(case.accounts)}): {case.reason}")
            proof.cases += [f"    {detail}" for detail in case.details]
    script = world.notes.get("script")
    if script is not None:
        proof.changes = dict(script.state()["counts"])
    return proof


def _hold_against_rows(proof: Proof, world: World, batch: Batch, until: datetime) -> None:
    """Look for wanted meetings without a row, and items without an end."""
    rows = set(Assignment.objects.values_list("start", "url"))
    wanted = {
        (meeting.start, meeting.url)
        for meeting in world.meetings.values()
        if meeting.start <= until and meeting.url and platform_of(meeting.url) and meeting.expected_scopes()
    }
    unknown = sorted(wanted - rows)
    proof.without_row = len(unknown)
    proof.cases += [f"NO ROW {start:%Y-%m-%d %H:%M} {url}" for start, url in unknown[:SHOWN]]
    items = Counter(Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION).values_list("status", flat=True))
    names = {"done": "moved", "user": "waiting", "not_movable": "not movable", "failed": "failed"}
    proof.items = {name: items.pop(status, 0) for status, name in names.items()}
    proof.items |= {ItemStatus(status).label: count for status, count in items.items()}
    proof.without_end = sum(items.values())
    proof.ledger = dict(CoverageReading.objects.filter(batch=batch).values_list("moment", "counts"))


def _count_calls(proof: Proof, world: World) -> None:
    for (region, _, endpoint, status), count in sorted(world.log.counts.items()):
        counts = proof.endpoints.setdefault(endpoint, {"us-west-2": 0, "eu-central-1": 0, "429": 0})
        counts[region] = counts.get(region, 0) + count
        counts["429"] += count * (status == 429)
    proof.endpoints = dict(sorted(proof.endpoints.items(), key=lambda one: one[0].split(" ", 1)[::-1]))


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "-"
