"""Explores the model of two regions breadth-first, driven by production's own `decide`.

The worker reads, decides and carries out until every row waits. Each write may be lost, carried out unanswered, or
carried out late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from calendars.scheduling.decide import decide
from calendars.scheduling.ownership import Order, present, wish
from calendars.scheduling.values import Act, Action, BotEntry, Member, OpenIntent, Purpose, Row, Side
from tests.scheduling.regions import (
    LATE,
    NEAR,
    NUMBERS,
    REGIONS,
    ROOM,
    SOURCE,
    SWEEP,
    TARGET,
    TICK,
    Bot,
    Cell,
    Kept,
    Mark,
    Sent,
    Setting,
    State,
    View,
    Write,
    Wrong,
    befall,
    carry_out,
    first_state,
    happen,
    moment,
    notice,
    seconds,
    usable,
)

BUSY = 55  # actions in one tick: more is a loop

Decide = Callable[[Row, datetime], Action]

# -- the worker


def step(state: State, setting: Setting, mind: Decide) -> Iterator[tuple[str, State]]:
    """Return what may come next."""
    if not state.working:
        new = state.fork()
        happen(new, replaces=setting.replaces)
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


def work(state: State, setting: Setting, mind: Decide) -> Iterator[tuple[str, State]]:
    """Let the worker take the nearest row that is due one action further, or wait for the next tick."""
    new = state
    due = sorted(at for at, kept in new.rows.items() if not kept.over and kept.due < (new.tick + 1) * TICK)
    if not due:
        new.now, new.working = (new.tick + 1) * TICK, False
        yield "", new
        return
    tick = new.tick
    new.now = max(new.now + 1, new.rows[due[0]].due)
    if new.now >= tick * TICK + BUSY:
        raise Wrong("no end of actions within one tick")
    yield from act(new, due[0], setting, mind)


def act(state: State, at: int, setting: Setting, mind: Decide) -> Iterator[tuple[str, State]]:
    settle(state, at)
    row = load(state, at)
    action = mind(row, moment(state.now))
    kept = state.rows[at]
    says = f"[{at}] {action.act} {REGIONS.get(action.workspace, '')}: {action.reason}"
    if action.act is Act.WAIT:
        if action.until is None or seconds(action.until) <= state.now:
            raise Wrong(f"waits for nothing: {action.reason}")
        state.rows[at] = kept._replace(due=seconds(action.until))
        yield f"[{at}] waits until {seconds(action.until) // TICK}: {action.reason}", state
    elif action.act in (Act.OVER, Act.LOOK):
        state.rows[at] = kept._replace(over=True)
        yield says, state
    elif action.act is Act.READ:
        for cell in list(state.views):
            if cell[0] in action.workspaces and state.placed[cell[1]] == at:
                read(state, cell)
        yield f"[{at}] read {', '.join(REGIONS[w] for w in action.workspaces)}", state
    elif action.act is Act.FLIP:
        see_that_truth_stays(state, row, action)
        state.rows[at] = kept._replace(owner=action.workspace)
        yield says, state
    else:
        try:
            for label, after in write(state, at, list(writes(row, action)), setting):
                yield f"{says}{label}", after
        except Wrong as wrong:
            wrong.doing = f"{state.tick:>3} {says}"
            raise


def see_that_truth_stays(state: State, row: Row, action: Action) -> None:
    """The owner, while it can carry the meeting, must not give it to a region that does not show it alike."""
    for calendar in row.wanted:
        old, new = (state.views[workspace, calendar].shown for workspace in (row.owner.workspace, action.workspace))
        if old.connected and not old.deleted and moment(old.start * TICK) == row.start and new != old:
            raise Wrong("the owner went to a region that shows the meeting otherwise")


def writes(row: Row, action: Action) -> Iterator[Write]:
    """Turn an action into writes as production's writer does."""
    side = row.owner if row.owner.workspace == action.workspace else row.other
    assert side is not None
    members = {member.event: member for member in side.members}
    key = row.keys[action.workspace]
    for event in action.events:
        member = members[event]
        cell = (action.workspace, member.occurrence)
        if action.act is Act.ADD:
            yield Write(Purpose.ADD, cell, key)
            continue
        there = [entry.bot_id for entry in member.bots]
        for bot in action.bots:
            if bot in there:
                by_bot = not member.connected or member.deleted or any(other not in action.bots for other in there)
                yield Write(Purpose.REMOVE, cell, key, bot if by_bot else "")


def write(state: State, at: int, todo: list[Write], setting: Setting) -> Iterator[tuple[str, State]]:
    """Send writes one after the other; each may go wrong, and then the rest is not sent."""
    if not todo:
        yield "", state
        return
    one, rest = todo[0], todo[1:]
    kept = state.rows[at]
    bot_id = one.bot_id or next(iter(state.held[one.cell]), "")
    sent = Sent(one.purpose, one.cell, bot_id, state.now)
    retry = state.now + (TICK // 2 if at - state.tick < NEAR else LATE * TICK)
    if not usable(state, one):
        state.rows[at] = kept._replace(due=state.now + TICK)
        yield ", refused", state
        return
    done = state.fork()
    carry_out(done, one, replaces=setting.replaces)
    note(done, at, sent._replace(answered_at=state.now), setting, one)
    yield from write(done, at, rest, setting)
    if not state.left or "loss" not in setting.kinds:
        return
    for label in (", lost", ", done but unanswered", ", unanswered and done late"):
        new = state.fork()
        new.left -= 1
        new.marks = (*new.marks, Mark("loss", new.tick + LATE))
        if "done but" in label:
            carry_out(new, one, replaces=setting.replaces)
        elif "late" in label:
            new.coming += ((new.tick + LATE, "write", one),)
        note(new, at, sent, setting, one)
        if not setting.optimistic:
            new.rows[at] = new.rows[at]._replace(due=retry)
        yield label, new


def note(state: State, at: int, sent: Sent, setting: Setting, write: Write) -> None:
    """Keep the intent; or, planted, believe that what was sent was done."""
    kept = state.rows[at]
    if not setting.optimistic:
        state.rows[at] = kept._replace(intents=(*kept.intents, sent))
        return
    view = state.views[sent.cell]
    bots = (Bot("hoped", sent.cell[0], at, write.key),) if sent.purpose is Purpose.ADD else ()
    state.views[sent.cell] = view._replace(bots=bots, read_at=state.now)


def settle(state: State, at: int) -> None:
    """Close the intents that a later reading answers."""
    kept = state.rows[at]
    open_still = tuple(
        sent
        for sent in kept.intents
        if (state.views[sent.cell].read_at if state.placed[sent.cell[1]] == at else state.now) <= sent.due
    )
    state.rows[at] = kept._replace(intents=open_still)


def read(state: State, cell: Cell) -> None:
    """Read a cell, and let its calendar join the row that the owner's region shows."""
    shown = state.shown[cell]
    state.views[cell] = View(shown, tuple(state.bots[bot] for bot in state.held[cell]), state.now)
    join(state, cell)
    if not shown.connected:
        for region in REGIONS:
            if region != cell[0]:
                join(state, (region, cell[1]))


def join(state: State, cell: Cell) -> None:
    region, calendar = cell
    shown, at = state.views[cell].shown, state.placed[calendar]
    left = state.rows[at]
    if left.owner != region and state.views[left.owner, calendar].shown.connected:
        return
    if shown.deleted or shown.start == at or shown.start <= state.tick:
        return
    known = state.rows.get(shown.start, Kept(left.owner, state.now))
    state.rows[shown.start] = known._replace(due=state.now, over=False)
    state.rows[at] = left._replace(due=state.now)
    state.placed[calendar] = shown.start


def load(state: State, at: int) -> Row:
    """Build the row as production loads it."""
    kept = state.rows[at]
    calendars = [calendar for calendar, start in state.placed.items() if start == at]
    wanted = frozenset(calendar for calendar in calendars if not cancelled(state, calendar, kept.owner))
    sides = {region: side(state, region, calendars, kept) for region in REGIONS}
    order = Order(SOURCE, TARGET, moment(-TICK), allowed=True, paused=state.paused, backwards=state.backwards)
    start = moment(at * TICK)
    return Row(
        assignment=at,
        start=start,
        end=start + timedelta(hours=1),
        url=ROOM,
        wanted=wanted,
        owner=sides[kept.owner],
        other=sides[SOURCE + TARGET - kept.owner],
        keys=dict.fromkeys(REGIONS, f"k{at}"),
        wish=wish(
            owner=kept.owner,
            start=start,
            order=order,
            in_source=present(sides[SOURCE], wanted),
            in_target=present(sides[TARGET], wanted),
        ),
        hold="paused" if state.paused else "",
    )


def cancelled(state: State, calendar: int, owner: int) -> bool:
    views = {region: state.views[region, calendar].shown for region in REGIONS}
    if views[owner].connected:
        return views[owner].deleted
    connected = [shown for shown in views.values() if shown.connected] or list(views.values())
    return all(shown.deleted for shown in connected)


def side(state: State, region: int, calendars: list[int], kept: Kept) -> Side:
    return Side(
        workspace=region,
        members=tuple(member(state.views[region, calendar], (region, calendar), state.now) for calendar in calendars),
        intents=tuple(open_intent(sent) for sent in kept.intents if sent.cell[0] == region),
    )


@cache
def open_intent(sent: Sent) -> OpenIntent:
    answered = None if sent.answered_at is None else moment(sent.answered_at)
    return OpenIntent(sent.purpose, number(sent.cell), sent.bot_id, moment(sent.at), answered)


def number(cell: Cell) -> int:
    return 10 * cell[0] + cell[1]


def member(view: View, cell: Cell, now: int) -> Member:
    return Member(
        occurrence=cell[1],
        event=number(cell),
        start=moment(view.shown.start * TICK),
        url=ROOM,
        deleted=view.shown.deleted,
        connected=view.shown.connected,
        bots=tuple(
            BotEntry(bot.id, moment(bot.start * TICK), ROOM, bot.key, live=bot.start * TICK <= now) for bot in view.bots
        ),
        read_at=moment(view.read_at),
        changed_at=None if view.changed_at is None else moment(view.changed_at),
    )


# -- exploring


def by_the_table(row: Row, now: datetime) -> Action:
    """Decide as production does."""
    return decide(row, now=now, numbers=NUMBERS)


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
    judge: Callable[[State], str],
    mind: Decide = by_the_table,
    choose: Callable[[list[tuple[str, State]]], list[tuple[str, State]]] | None = None,
    most: int = 200_000,
) -> Found:
    """Look at every reachable state (or at those that `choose` leaves) until an invariant does not hold.

    `judge` sees the state at the meeting's true start and returns an excuse, or "" when all is well. It raises Wrong.
    """
    found = Found()
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
                if excuse := judge(state):
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
    if doing:
        lines.insert(0, doing)
    return [*reversed(lines), f"{state.tick:>3} then: true start {state.truth.start}, bots: {bots}"]
