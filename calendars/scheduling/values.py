"""Plain values that decisions take: no ORM, no HTTP, no clock.

An assignment (`Row`) has an owner side and, while a hand-over is ordered, another side. A side is what ONE workspace
shows of the assignment's members: their events, the bots on them, and what we wrote there and have not read back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of the hand-over (docs/handover.md), as spans of domain time."""

    freeze: timedelta = timedelta(minutes=10)
    late_commit: timedelta = timedelta(minutes=2)
    margin: timedelta = timedelta(minutes=20)
    age_for_write: timedelta = timedelta(minutes=2)
    age_for_wait: timedelta = timedelta(minutes=10)
    age_near_start: timedelta = timedelta(minutes=1)
    patience: timedelta = timedelta(minutes=10)
    sweep_every: timedelta = timedelta(minutes=5)

    @property
    def near(self) -> timedelta:
        """Freeze and margin: what starts sooner is not handed over any more."""
        return self.freeze + self.margin


@dataclass(frozen=True, slots=True)
class BotEntry:
    """One entry of an event's `bots[]`, with what is known of the bot itself."""

    bot_id: str
    start: datetime
    url: str
    key: str
    terminal: bool = False
    live: bool = False  # it has joined the call, or is joining
    attended: bool = False  # it was in the call


@dataclass(frozen=True, slots=True)
class Member:
    """One occurrence of an assignment as one workspace shows it."""

    occurrence: int
    event: int
    start: datetime
    url: str
    wanted: bool = True
    deleted: bool = False
    connected: bool = True
    closing: bool = False
    gone: bool = False  # its calendar is not in this workspace any more
    bots: tuple[BotEntry, ...] = ()
    read_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def overtaken(self) -> bool:
        """A sign of a newer state came in after this was read."""
        return self.read_at is None or (self.changed_at is not None and self.changed_at >= self.read_at)


class Purpose(StrEnum):
    """What an open intent was about to do."""

    ADD = "add_bot"
    REMOVE = "remove_bot"


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """A write that was sent and not yet read back."""

    purpose: Purpose
    event: int | None
    bot_id: str
    sent_at: datetime
    answered_at: datetime | None = None

    def due(self, late_commit: timedelta) -> datetime:
        """Return from when a reading settles it: an unanswered write may still be carried out for a while."""
        return self.answered_at or self.sent_at + late_commit


@dataclass(frozen=True, slots=True)
class Side:
    """What one workspace shows of an assignment."""

    workspace: int
    members: tuple[Member, ...] = ()
    intents: tuple[OpenIntent, ...] = ()
    swept_at: datetime | None = None

    def open(self, purpose: Purpose) -> bool:
        """Tell whether a write of this kind is open here."""
        return any(intent.purpose == purpose for intent in self.intents)

    @property
    def read_at(self) -> datetime | None:
        """When the oldest reading of a member began; None without members or with one never read."""
        moments = [member.read_at for member in self.members]
        if not moments or None in moments:
            return None
        return min(moment for moment in moments if moment is not None)

    @property
    def overtaken(self) -> bool:
        """At least one member's reading was overtaken."""
        return any(member.overtaken for member in self.members)


@dataclass(frozen=True, slots=True)
class External:
    """The company's own application schedules: where it does for this row, and how often it put a bot back."""

    source: int  # workspace
    active: frozenset[
        int
    ]  # workspaces whose webhooks of the members' calendars reach it; more than one: members differ
    removed: dict[int, int] = field(default_factory=dict)  # by workspace: bots that we have taken from this row there


@dataclass(frozen=True, slots=True)
class Row:
    """An assignment, with everything that `decide` looks at."""

    assignment: int
    start: datetime
    end: datetime
    url: str
    wanted: frozenset[int]  # occurrences, by the owner's view
    owner: Side
    other: Side | None = None
    keys: dict[int, str] = field(default_factory=dict)
    wish: int = 0  # the workspace where it should be
    hold: str = ""  # why the wish may not be acted on now: paused, window full
    attended: bool | None = None  # once it is over
    outdated: bool = False  # its bot was given an older configuration than its profile has now
    external: External | None = None  # None: RecallOps schedules
    loose: tuple[BotEntry, ...] = ()  # taken off their events in the freeze, and still known to the provider


class Act(StrEnum):
    """What `decide` can name."""

    READ = "read"
    FLIP = "flip"
    ADD = "add"
    REMOVE = "remove"
    LOOK = "look"  # read the bots themselves: is the call over?
    WAIT = "wait"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Action:
    """One next action. `workspaces` for READ, `workspace` for writes, `until` for WAIT."""

    act: Act
    reason: str
    workspace: int = 0
    workspaces: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    bots: tuple[str, ...] = ()
    until: datetime | None = None
    moving: bool = False  # the wait is in the middle of a hand-over: readings age faster
