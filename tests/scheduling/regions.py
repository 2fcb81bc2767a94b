"""Two regions and one meeting, in a tiny model: what they show, what they do with writes, and what may go wrong.

Time goes in ticks of a minute, each action takes a second. In each tick the world may do one thing: the meeting moves,
a calendar disconnects, nobody works for a while, ... Each is a fault; a path has a bounded number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
FREEZE, LATE, NEAR, SWEEP = 2, 2, 9, 3  # the same in ticks
OUTAGE = 3
LAGS = ((0, 0), (0, 2), (2, 0))  # ticks until source and target learn of a change

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
    purpose: Purpose
    cell: Cell
    bot_id: str
    at: int
    answered_at: int | None = None

    @property
    def due(self) -> int:
        return self.at + LATE * TICK if self.answered_at is None else self.answered_at


class Kept(NamedTuple):
    """A row of our database."""

    owner: int
    due: int
    intents: tuple[Sent, ...] = ()
    over: bool = False


class Write(NamedTuple):
    purpose: Purpose
    cell: Cell
    key: str
    bot_id: str = ""  # to remove by its own id; else whatever is on the event


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
    start: int = 20
    ordered_at: int = 0
    replaces: bool = True  # an Add under a new key takes the place of the event's old bot
    optimistic: bool = False  # planted: a write counts as done when it was sent


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
    backwards: bool = False
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

    def fitting(self, start: int) -> set[str]:
        """The bots that truly wait for this start."""
        return {bot for ids in self.held.values() for bot in ids if self.bots[bot].start == start}


@cache
def moment(seconds: int) -> datetime:
    return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=seconds)


def seconds(at: datetime) -> int:
    return int((at - moment(0)).total_seconds())


def first_state(setting: Setting) -> State:
    calendars = range(1, setting.calendars + 1)
    cells = [(region, calendar) for region in REGIONS for calendar in calendars]
    bot = Bot("s0", SOURCE, setting.start, f"k{setting.start}")
    there = Shown(setting.start)
    held = {cell: (bot.id,) if cell[0] == SOURCE else () for cell in cells}
    return State(
        now=0,
        left=setting.faults,
        truth=there,
        shown=dict.fromkeys(cells, there),
        held=held,
        bots={bot.id: bot},
        views={cell: View(there, (bot,) if held[cell] else (), 0) for cell in cells},
        rows={setting.start: Kept(SOURCE, 0)},
        placed=dict.fromkeys(calendars, setting.start),
    )


# -- the provider


def attach(state: State, write: Write, *, replaces: bool) -> None:
    region, _ = write.cell
    shown = state.shown[write.cell]
    if not usable(state, write):
        return
    bot = next((b for b in state.bots.values() if b.region == region and b.key == write.key), None)
    if bot is None:
        state.made += 1
        bot = Bot(f"{REGIONS[region][0]}{state.made}", region, shown.start, write.key)
        state.bots[bot.id] = bot
    if bot.id not in state.held[write.cell]:
        kept = () if replaces else state.held[write.cell]
        state.held[write.cell] = (*kept, bot.id)
        bury(state)


def usable(state: State, write: Write) -> bool:
    """Whether the provider carries this write out at all."""
    if write.purpose is Purpose.ADD:
        shown = state.shown[write.cell]
        return shown.connected and not shown.deleted
    taken = (write.bot_id,) if write.bot_id else state.held[write.cell]
    return all(bot not in state.bots or state.bots[bot].start - state.now // TICK > FREEZE for bot in taken)


def detach(state: State, write: Write) -> None:
    """Carry a removal of ours out, and see that it leaves no meeting without a bot."""
    if not usable(state, write):
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
        if before[start] and not state.fitting(start) and not keeper_failed(state):
            raise Wrong("a removal of ours took the last bot")


def keeper_failed(state: State) -> bool:
    """Whether something that we could not know yet befell the keeper."""
    return any(
        mark.kind in ("disconnect", "lose bot", "restore") and state.tick - mark.tick <= LATE for mark in state.marks
    )


def bury(state: State) -> None:
    """A bot that no event holds is gone."""
    alive = {bot for ids in state.held.values() for bot in ids}
    state.bots = {bot: value for bot, value in state.bots.items() if bot in alive}


# -- what befalls the world


def befall(state: State, setting: Setting) -> Iterator[tuple[str, State]]:
    """Let nothing happen, or one of the faults that are possible here and now."""
    yield "", state
    if not state.left:
        return
    for kind, label, effect in _faults(state, setting):
        if kind in setting.kinds:
            new = state.fork()
            new.left -= 1
            new.marks = (*new.marks, Mark(kind, state.tick))
            effect(new)
            yield label, new


def _faults(state: State, setting: Setting) -> Iterator[tuple[str, str, Callable[[State], None]]]:
    yield "outage", f"nobody works for {OUTAGE} ticks", lambda new: setattr(new, "down_until", new.tick + OUTAGE)
    if not state.backwards:
        yield "reverse", "staff order the reverse", _reverse
    if not state.paused:
        yield "pause", "staff pause the batch", lambda new: setattr(new, "paused", True)
    for heard in (True, False):
        lost = "" if heard else ", webhooks lost"
        if not state.truth.deleted:
            for lag in LAGS:
                for start in {setting.start - 4, setting.start + 4} - {state.truth.start}:
                    if start > state.tick:
                        change = state.truth._replace(start=start)
                        yield "move", f"moved to {start}, lag {lag}{lost}", _news(change, lag, heard)
                yield "cancel", f"cancelled, lag {lag}{lost}", _news(state.truth._replace(deleted=True), lag, heard)
        for cell, shown in state.shown.items():
            if shown.connected:
                label = f"calendar {cell[1]} disconnects in the {REGIONS[cell[0]]}{lost}"
                yield "disconnect", label, _disconnect(cell, heard)
    for cell, ids in state.held.items():
        if ids:
            yield "lose bot", f"the {REGIONS[cell[0]]} loses {ids[0]}", _lose(ids[0])
        if state.shown[cell].connected and not state.shown[cell].deleted:
            label = f"somebody adds a bot in the {REGIONS[cell[0]]}"
            yield (
                "foreign bot",
                label,
                lambda new, cell=cell: attach(  # type: ignore[misc]
                    new, Write(Purpose.ADD, cell, "foreign"), replaces=False
                ),
            )
    yield "restore", "the database is restored from the beginning", lambda new: _restore(new, setting)


def _reverse(state: State) -> None:
    state.backwards = True
    wake(state)


def _restore(state: State, setting: Setting) -> None:
    """A restored database is stale throughout, and nothing runs until what was sent can be read."""
    first = first_state(setting)
    state.rows, state.placed = first.rows, first.placed
    state.views = {cell: view._replace(changed_at=state.now) for cell, view in first.views.items()}
    state.down_until = state.tick + LATE
    wake(state)


def _news(change: Shown, lag: tuple[int, int], heard: bool) -> Callable[[State], None]:
    def effect(state: State) -> None:
        state.truth = change
        for cell in state.shown:
            state.coming += ((state.tick + lag[cell[0] - 1], "news", (cell, heard)),)
        state.marks = (*state.marks[:-1], state.marks[-1]._replace(tick=state.tick + max(lag)))
        happen(state, replaces=True)

    return effect


def _disconnect(cell: Cell, heard: bool) -> Callable[[State], None]:
    def effect(state: State) -> None:
        state.shown[cell] = state.shown[cell]._replace(connected=False)
        state.held[cell] = ()
        bury(state)
        if heard:
            notice(state, cell)

    return effect


def _lose(bot: str) -> Callable[[State], None]:
    def effect(state: State) -> None:
        state.held = {cell: tuple(other for other in ids if other != bot) for cell, ids in state.held.items()}
        bury(state)

    return effect


def happen(state: State, *, replaces: bool) -> None:
    """Let everything happen that was to come by now: late writes, and news that reach a region."""
    due = [item for item in state.coming if item[0] <= state.tick]
    state.coming = tuple(item for item in state.coming if item[0] > state.tick)
    for _, kind, what in due:
        if kind == "news":
            cell, heard = what  # type: ignore[misc]
            if state.shown[cell].connected:
                state.shown[cell] = state.truth
                if heard:
                    notice(state, cell)
        else:
            carry_out(state, what, replaces=replaces)  # type: ignore[arg-type]


def carry_out(state: State, write: Write, *, replaces: bool) -> None:
    if write.purpose is Purpose.ADD:
        attach(state, write, replaces=replaces)
    else:
        detach(state, write)


def notice(state: State, cell: Cell) -> None:
    """A webhook, or a sweep, says that there is something new."""
    state.views[cell] = state.views[cell]._replace(changed_at=state.now)
    wake(state, state.placed[cell[1]])


def wake(state: State, start: int | None = None) -> None:
    for at, kept in state.rows.items():
        if start in (None, at) and not kept.over:
            state.rows[at] = kept._replace(due=min(kept.due, state.now))
