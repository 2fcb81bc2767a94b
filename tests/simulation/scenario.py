"""What happens in one run, as a value that follows from the seed alone.

Times are minutes after the start. Whatever people do, they do early enough that it can be known: `lead` minutes before
a meeting, old or new start (docs/handover.md, 8). Trouble strikes at calls, by their number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recallops.sandbox.meetings import GOOGLE

NAMES = ("ada", "ben", "cat", "dan", "eve", "flo")
CUSTOMERS = ("northwind", "southwind")
LINK = "https://meet.google.com/{}-{}-{}"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
HOUR = 60

# Trouble of a single call: what the provider or the network does to it.
CALL_TROUBLE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("drop", {"when": "before"}),
    ("drop", {"when": "after"}),
    ("drop", {"when": "late", "seconds": 90.0}),
    ("drop", {"when": "connect"}),
    ("status", {"status": 429, "retry_after": 20}),
    ("status", {"status": 429}),
    ("status", {"status": 409}),
    ("status", {"status": 507, "retry_after": 30}),
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("status", {"status": 503, "retry_after": 15}),
    ("status", {"status": 504}),
    ("status", {"status": 504, "commit": True}),
    ("html", {}),
    ("html", {"status": 403}),
    ("truncated", {}),
    ("oversized", {}),
    ("latency", {"seconds": 8.0}),
    ("latency", {"seconds": 25.0}),
)
# Trouble of who calls: `play.py` says what each is.
WORKER_TROUBLE = (
    "crash_before_commit",
    "crash_after_commit",
    "asleep_before",
    "asleep_after",
    "database_lost",
    "shift",
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a calendar in the source."""

    email: str
    platform: str = GOOGLE


@dataclass(frozen=True, slots=True)
class Planned:
    """A meeting: when, who, where, and whether the application has put a bot on it."""

    name: str
    at: int
    minutes: int
    who: tuple[int, ...]
    link: str
    bot: bool = True
    series: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens in the world."""

    at: float
    what: str
    meeting: int = -1
    person: int = -1
    to: int = 0
    region: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that staff do in the admin. `to` is a step or minutes."""

    at: float
    what: str
    to: Any = None
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """Trouble at a call."""

    call: int
    kind: str
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.details.items())
        return f"call {self.call}: {self.kind} {said}".rstrip()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is to happen in a run."""

    seed: int
    people: tuple[Person, ...]
    meetings: tuple[Planned, ...]
    happenings: tuple[Happening, ...] = ()
    acts: tuple[Act, ...] = ()
    strikes: tuple[Strike, ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)
    batches: int = 1
    soak: int = HOUR
    canary_wait: int = 10
    sweep_every: int = 20
    cut: int | None = 2 * HOUR
    always_on: bool = False  # both workspaces are read and scheduled beyond the batch
    external: bool = False  # the company's own application schedules, behind the relay
    webhooks: bool = False
    disturbed: float = 0.0  # how often a webhook is lost, doubled, late or forged
    shuffled: bool = False  # work in seeded order, workers that come between
    takes: float = 0.0  # seconds that a call takes, at most
    skew: float = 0.0  # seconds that the provider's clock is ahead of ours
    rate_factor: float = 100_000.0
    page_size: int = 100

    def __str__(self) -> str:
        """Say it in a few lines."""
        lines = [
            f"seed {self.seed}: {len(self.people)} calendars, {len(self.meetings)} meetings, {self.batches} batch(es), "
            f"cut line {self.cut} min, soak {self.soak} min, sweeps {self.sweep_every} min, page {self.page_size}, "
            f"always on {self.always_on}, external {self.external}, "
            f"rate x{self.rate_factor:g}, skew {self.skew:g} s, webhooks {self.webhooks} ({self.disturbed:g}), "
            f"switches {self.switches}"
        ]
        lines += [
            f"  {m.name}: +{m.at} min for {m.minutes}, {m.who}, {'bot' if m.bot else 'no bot'}" for m in self.meetings
        ]
        lines += [
            f"  +{h.at:g} min {h.what} meeting {h.meeting} person {h.person} to {h.to} {h.region}"
            for h in self.happenings
        ]
        lines += [f"  +{a.at:g} min staff {a.what} {a.to} (batch {a.batch})" for a in self.acts]
        lines += [f"  {strike}" for strike in self.strikes]
        return "\n".join(lines)


def small() -> Scenario:
    """Return the small batch whose every call is struck: 3 calendars, 12 events, nothing else happens."""
    people = tuple(Person(f"{name}@northwind.example") for name in NAMES[:3])
    meetings = [
        Planned("shared by all", 26 * HOUR, 30, (0, 1, 2), link(0)),
        Planned("shared by two", 27 * HOUR, 30, (0, 1), link(1)),
        Planned("weekly", 28 * HOUR, 45, (1, 2), link(2)),
    ]
    meetings += [Planned(f"alone {n}", (30 + n) * HOUR, 30, (n % 3,), link(3 + n)) for n in range(4)]
    meetings.append(Planned("early", 3 * HOUR, 30, (0,), link(9)))
    return Scenario(0, people, tuple(meetings), sweep_every=60)


def link(number: int) -> str:
    """Return a link of its own for each number."""
    one, two, three = LETTERS[number % 26], LETTERS[number // 26 % 26], LETTERS[number // 676 % 26]
    return LINK.format(three * 3, two * 4, one * 3)
