"""Explores the model of two regions breadth-first, driven by production's own `decide`.

In each tick the world may do one thing; then workers take every row that is due, one action after the other, until all
of them wait. An exploration ends at the meeting's start, or with a trace that a person can follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.scheduling.faults import befall
from tests.scheduling.regions import SWEEP, TICK, Setting, State, Wrong, first_state, happen, notice
from tests.scheduling.worker import Decide, Next, act, by_the_table

BUSY = 58  # actions in one tick: more is a loop


def step(state: State, setting: Setting, mind: Decide) -> Next:
    """Return what may come next."""
    if not state.working:
        new = state.fork()
        happen(new, setting)
        if new.tick % SWEEP == 0:
            for cell, view in new.views.items():
                if view.shown != new.shown[cell]:
                    notice(new, cell)
        for label, after in befall(new, setting):
            after.working = after.tick >= max(after.down_until, setting.ordered_at)
            if not after.working:
                after.now += TICK
            yield label, after
        return
    for label, new in befall(state.fork(), setting):
        if label and new.tick >= new.down_until:
            yield label, new
        elif label:
            new.now, new.working = (new.tick + 1) * TICK, False
            yield label, new
        else:
            yield from work(new, setting, mind)


def work(state: State, setting: Setting, mind: Decide) -> Next:
    """Let a worker take any row that is due one action further, or wait for the next tick."""
    end = (state.tick + 1) * TICK
    due = sorted(at for at, kept in state.rows.items() if not kept.over and max(kept.due, kept.held_until) < end)
    if not due:
        state.now, state.working = end, False
        yield "", state
    for at in due[: setting.workers]:
        new = state.fork()
        kept = new.rows[at]
        new.now = max(new.now + 1, kept.due, kept.held_until)
        if new.now >= new.tick * TICK + BUSY:
            if max(kept.due, kept.held_until) < new.tick * TICK + BUSY - 1:
                raise Wrong("no end of actions within one tick")
            new.now, new.working = end, False
            yield "", new
            continue
        new.rows[at] = kept._replace(held_until=0)
        yield from act(new, at, setting, mind)


@dataclass
class Found:
    """What an exploration saw."""

    states: int = 0
    ends: int = 0
    excused: dict[str, int] = field(default_factory=dict)
    wrong: str = ""
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([self.wrong or "nothing wrong", *self.trace])


def explore(
    setting: Setting,
    *,
    judge: Callable[[State, Setting], str],
    mind: Decide | None = None,
    choose: Callable[[list[tuple[str, State]]], list[tuple[str, State]]] | None = None,
    most: int = 200_000,
) -> Found:
    """Look at every reachable state (or at those that `choose` leaves) until an invariant does not hold.

    `judge` sees the state at the meeting's true start and returns an excuse, or "" when all is well. It raises Wrong.
    """
    found = Found()
    mind = mind or by_the_table(setting)
    first = first_state(setting)
    came: dict[object, tuple[object, str]] = {first.key(): (None, "")}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        key = state.key()
        found.states += 1
        if found.states > most:
            raise AssertionError(f"more than {most} states: {setting}")
        try:
            if state.now >= state.truth.start * TICK and not state.working:
                found.ends += 1
                if excuse := judge(state, setting):
                    found.excused[excuse] = found.excused.get(excuse, 0) + 1
                continue
            following = list(step(state, setting, mind))
        except Wrong as error:
            found.wrong = str(error)
            found.trace = _trace(came, key, state, error.doing)
            return found
        for label, new in choose(following) if choose else following:
            new_key = new.key()
            if new_key not in came:
                came[new_key] = (key, f"{new.tick:>3} {label}" if label else "")
                queue.append(new)
    return found


def _trace(came: dict[object, tuple[object, str]], key: object, state: State, doing: str) -> list[str]:
    lines = []
    while key is not None:
        key, label = came[key]
        if label:
            lines.append(label)
    bots = ", ".join(f"{bot.id} for {bot.start}" for bot in state.bots.values()) or "none"
    there = f"{state.tick:>3} there are: a meeting at {state.truth.start}; bots: {bots}"
    return [*reversed(lines), there, doing] if doing else [*reversed(lines), there]
