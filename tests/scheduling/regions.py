"""Two regions and one meeting, in a tiny model: what they show, and what they do with writes.

Time goes in ticks of a minute, each action takes a second. Values are immutable; a state is copied when it changes.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from calendars.scheduling.values import Numbers, Purpose

SOURCE, TARGET = 1, 2
REGIONS = {SOURCE: "source", TARGET: "target"}
TICK = 60
ROOM = "https://meet.google.com/abc-defg-hij"
NUMBERS = Numbers(
    freeze=timedelta(minutes=2),
    late_commit=timedelta(minutes=2),
    margin=timedelta(minutes=7),  # two late commits and an outage of three
    age_for_write=timedelta(minutes=1),
    age_for_wait=timedelta(minutes=3),
    age_near_start=timedelta(seconds=30),
    patience=timedelta(0),
    sweep_every=timedelta(minutes=3),
)
FREEZE, LATE, NEAR, SWEEP, AGE = 2, 2, 9, 3, 1  # the same in ticks
LEASE = 1  # ticks; with one request it is shorter than a late commit
OUTAGE = 3

Cell = tuple[int, int]  # region, calendar


class Shown(NamedTuple):
    start: int
    deleted: bool = False
    connected: bool = True


class Bot(NamedTuple):
    id: str
    region: int
    start: int
    key: str


class View(NamedTuple):
    """What we have read of a cell."""

    shown: Shown
    bots: tuple[Bot, ...]
    read_at: int
    changed_at: int | None = None


class Sent(NamedTuple):
    """An intent in our database."""

    purpose: Purpose
    cell: Cell
    bot_id: str
    at: int
    answered_at: int | None = None


class Kept(NamedTuple):
    """A row of our database. `held_until`: a worker that is gone or frozen still has its lease."""

    owner: int
    due: int
    intents: tuple[Sent, ...] = ()
    over: bool = False
    held_until: int = 0


class Write(NamedTuple):
    purpose: Purpose
    cell: Cell
    key: str
    bot_id: str = ""  # to remove by its own id; else whatever is on the event


class Frozen(NamedTuple):
    """A worker that stands still just before it sends a write, for as long as the world likes."""

    row: int
    write: Write
    sent: Sent


class Mark(NamedTuple):
    """A fault, and when its last effect reached anybody."""

    kind: str
    tick: int


@dataclass(frozen=True)
class Setting:
    """What may happen in a world, and how its provider behaves."""

    faults: int = 1
    kinds: frozenset[str] = frozenset()
    calendars: int = 1
    workers: int = 1  # more: any row that is due may be the next, not only the nearest
    start: int = 20
    ordered_at: int = 0
    owner: int = SOURCE  # where the meeting is at the beginning
    backwards: bool = False  # the reverse is ordered from the beginning
    cut: int = -1  # the cut line
    missing: frozenset[Cell] = frozenset()  # cells that are not connected at the beginning
    webhooks: tuple[str, ...] = ("", ", webhooks lost")  # how those of a change may come
    replaces: bool = True  # an Add under a new key takes the place of the event's old bot
    optimistic: bool = False  # planted: a write counts as done when it was sent
    numbers: Numbers = NUMBERS
    frozen: int = FREEZE  # ticks before its start in which the provider takes no bot away
    outage: int = OUTAGE  # ticks that an outage takes

    @property
    def near(self) -> int:
        """Freeze and margin in full ticks."""
        return -(-int(self.numbers.near.total_seconds()) // TICK)

    @property
    def late(self) -> int:
        """How long a lost write may still be carried out, in ticks."""
        return int(self.numbers.late_commit.total_seconds()) // TICK


class Wrong(Exception):
    """An invariant does not hold."""

    doing = ""  # the action that broke it


@dataclass
class State:
    """Everything there is. Values are immutable; dicts are copied with the state."""

    now: int
    left: int
    truth: Shown
    shown: dict[Cell, Shown]
    held: dict[Cell, tuple[str, ...]]
    bots: dict[str, Bot]
    views: dict[Cell, View]
    rows: dict[int, Kept]
    placed: dict[int, int]  # calendar -> start of its row
    working: bool = False
    coming: tuple[tuple[int, str, object], ...] = ()
    asleep: tuple[Frozen, ...] = ()
    backwards: frozenset[int] = frozenset()  # calendars whose batch goes back
    paused: bool = False
    down_until: int = 0
    made: int = 0
    marks: tuple[Mark, ...] = ()

    def fork(self) -> State:
        new = copy(self)
        for name in ("shown", "held", "bots", "views", "rows", "placed"):
            setattr(new, name, dict(getattr(self, name)))
        return new

    def key(self) -> tuple[object, ...]:
        return tuple(frozenset(value.items()) if isinstance(value, dict) else value for value in self.__dict__.values())

    @property
    def tick(self) -> int:
        return self.now // TICK

    def fitting(self, start: int, region: int | None = None) -> set[str]:
        """The bots that truly wait for this start."""
        return {
            bot
            for cell, ids in self.held.items()
            for bot in ids
            if self.bots[bot].start == start and region in (None, cell[0])
        }


@cache
def moment(seconds: int) -> datetime:
    return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=seconds)


def seconds(at: datetime) -> int:
    return int((at - moment(0)).total_seconds())


def first_state(setting: Setting) -> State:
    calendars = range(1, setting.calendars + 1)
    cells = [(region, calendar) for region in REGIONS for calendar in calendars]
    bot = Bot(f"{REGIONS[setting.owner][0]}0", setting.owner, setting.start, f"k{setting.start}")
    there = Shown(setting.start)
    shown = {cell: there._replace(connected=cell not in setting.missing) for cell in cells}
    held = {cell: (bot.id,) if cell[0] == setting.owner else () for cell in cells}
    return State(
        now=0,
        left=setting.faults,
        truth=there,
        shown=shown,
        held=held,
        bots={bot.id: bot},
        views={cell: View(shown[cell], (bot,) if held[cell] else (), 0) for cell in cells},
        rows={setting.start: Kept(setting.owner, 0)},
        placed=dict.fromkeys(calendars, setting.start),
        backwards=frozenset(calendars) if setting.backwards else frozenset(),
    )


# -- the provider


def attach(state: State, write: Write, setting: Setting, *, replaces: bool | None = None) -> None:
    region, _ = write.cell
    shown = state.shown[write.cell]
    if not usable(state, write, setting):
        return
    bot = next((b for b in state.bots.values() if b.region == region and b.key == write.key), None)
    if bot is None:
        state.made += 1
        bot = Bot(f"{REGIONS[region][0]}{state.made}", region, shown.start, write.key)
        state.bots[bot.id] = bot
    if bot.id not in state.held[write.cell]:
        kept = () if (setting.replaces if replaces is None else replaces) else state.held[write.cell]
        state.held[write.cell] = (*kept, bot.id)
        bury(state)


def usable(state: State, write: Write, setting: Setting) -> bool:
    """Whether the provider carries this write out at all."""
    if write.purpose is Purpose.ADD:
        shown = state.shown[write.cell]
        return shown.connected and not shown.deleted
    taken = (write.bot_id,) if write.bot_id else state.held[write.cell]
    return all(bot not in state.bots or state.bots[bot].start - state.tick > setting.frozen for bot in taken)


def detach(state: State, write: Write, setting: Setting, *, late: bool = False) -> None:
    """Carry a removal of ours out, and see that it leaves no meeting without a bot.

    `late`: by a worker that was frozen past its lease; that one is outside any fence, and is repaired afterwards.
    """
    if not usable(state, write, setting):
        return
    rows = [start for start in state.placed.values() if not state.truth.deleted and start == state.truth.start]
    known = {bot.id for view in state.views.values() for bot in view.bots}
    before = {start: state.fitting(start) & known for start in rows}
    for cell, ids in state.held.items():
        if write.bot_id:
            state.held[cell] = tuple(bot for bot in ids if bot != write.bot_id)
        elif cell == write.cell:
            state.held[cell] = ()
    bury(state)
    for start in rows:
        if before[start] and not state.fitting(start) and not late and not keeper_failed(state):
            raise Wrong("a removal of ours took the last bot")


def keeper_failed(state: State) -> bool:
    """Whether the keeper failed within the age that a reading may have, or a restore took what we knew of it."""
    spans = {"disconnect": AGE, "lose bot": AGE, "restore": LATE}
    return any(mark.kind in spans and state.tick - mark.tick <= spans[mark.kind] for mark in state.marks)


def bury(state: State) -> None:
    """A bot that no event holds is gone."""
    alive = {bot for ids in state.held.values() for bot in ids}
    state.bots = {bot: value for bot, value in state.bots.items() if bot in alive}


def carry_out(state: State, write: Write, setting: Setting, *, late: bool = False) -> None:
    if write.purpose is Purpose.ADD:
        attach(state, write, setting)
    else:
        detach(state, write, setting, late=late)


# -- what we hear


def happen(state: State, setting: Setting) -> None:
    """Let everything happen that was to come by now: late writes, news that reach a region, webhooks of them."""
    due = [item for item in state.coming if item[0] <= state.tick]
    state.coming = tuple(item for item in state.coming if item[0] > state.tick)
    for _, kind, what in due:
        if kind == "write":
            carry_out(state, what, setting)  # type: ignore[arg-type]
        elif kind == "news":
            if state.shown[what].connected:  # type: ignore[index]
                state.shown[what] = state.truth  # type: ignore[index]
        elif state.shown[what].connected:  # type: ignore[index]
            notice(state, what)  # type: ignore[arg-type]


def notice(state: State, cell: Cell) -> None:
    """A webhook, or a sweep, says that there is something new."""
    state.views[cell] = state.views[cell]._replace(changed_at=state.now)
    wake(state, state.placed[cell[1]])


def wake(state: State, start: int | None = None) -> None:
    for at, kept in state.rows.items():
        if start in (None, at) and not kept.over:
            state.rows[at] = kept._replace(due=min(kept.due, state.now))
