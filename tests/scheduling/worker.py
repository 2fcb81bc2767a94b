"""The model's workers: they read, settle, decide and write as `reconcile` does, with production's own pure functions.

Each commit and each call may be the last thing that a worker does; one may stand still in mid-call instead, for as long
as the world likes, while others take over what it held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from calendars.scheduling.decide import decide
from calendars.scheduling.ownership import able_members, birth_owner, fits, is_told_by
from calendars.scheduling.settling import answered, happened, must_name_bot
from calendars.scheduling.values import Act, Action, Purpose, Row
from tests.scheduling.loading import load, member, number, open_intent, order_of
from tests.scheduling.regions import (
    LEASE,
    REGIONS,
    SOURCE,
    TARGET,
    TICK,
    Bot,
    Cell,
    Frozen,
    Kept,
    Mark,
    Sent,
    Setting,
    State,
    View,
    Write,
    Wrong,
    carry_out,
    moment,
    seconds,
    usable,
)

Decide = Callable[[Row, datetime], Action]
Next = Iterator[tuple[str, State]]

RETRY_ADD, RETRY_REMOVE = TICK // 2, TICK  # after a reading that shows that it did not happen


def by_the_table(setting: Setting) -> Decide:
    """Decide as production does."""
    return lambda row, now: decide(row, now=now, numbers=setting.numbers)


def act(state: State, at: int, setting: Setting, mind: Decide) -> Next:
    """Let a worker that holds a row do its next action; or die before it."""
    name = f"meeting at {at}: "
    yield from fault(state, at, setting, "crash", f"{name}the worker dies")
    if state.rows[at].intents and (again := settle(state, at, setting)):
        state.rows[at] = state.rows[at]._replace(due=again)
        yield f"{name}a write did not happen, asking again", state
        return
    row = load(state, at, setting)
    action = mind(row, moment(state.now))
    kept = state.rows[at]
    says = f"{name}{action.act} in the {REGIONS.get(action.workspace, '')}: {action.reason}"
    if action.act is Act.WAIT:
        if action.until is None or seconds(action.until) <= state.now:
            raise Wrong(f"waits for nothing: {action.reason}")
        state.rows[at] = kept._replace(due=seconds(action.until))
        yield f"{name}wait until {seconds(action.until) // TICK}: {action.reason}", state
    elif action.act in (Act.OVER, Act.LOOK):
        state.rows[at] = kept._replace(over=True)
        yield f"{name}{action.reason}", state
    elif action.act is Act.READ:
        for cell in list(state.views):
            if cell[0] in action.workspaces and state.placed[cell[1]] == at:
                read(state, cell, setting)
        yield f"{name}read {' and '.join(REGIONS[w] for w in action.workspaces)}: {action.reason}", state
    else:
        try:
            check(state, row, action, setting)
            if action.act is Act.FLIP:
                state.rows[at] = kept._replace(owner=action.workspace)
                yield f"{name}the {REGIONS[action.workspace]} owns it now: {action.reason}", state
                return
            todo = list(writes(state, row, action))
            if action.act is Act.REMOVE and not todo:
                state.rows[at] = kept._replace(due=state.now + TICK)
                yield f"{says}; but it is entangled with another event", state
                return
            for label, after in write(state, at, todo, setting):
                yield f"{says}{label}", after
        except Wrong as wrong:
            wrong.doing = f"{state.tick:>3} {says}"
            raise


def check(state: State, row: Row, action: Action, setting: Setting) -> None:
    """See that an action keeps what is promised of owners."""
    carries = able_members(row.owner, row)
    if action.act is Act.FLIP:
        for calendar in row.wanted:
            old, new = (state.views[workspace, calendar].shown for workspace in (row.owner.workspace, action.workspace))
            if old.connected and not old.deleted and moment(old.start * TICK) == row.start and new != old:
                raise Wrong("the owner went to a region that shows the meeting otherwise")
        there = row.other.members if row.other else ()
        numbers, now = setting.numbers, moment(state.now)
        read_back = any(
            fits(bot, row, now=now, freeze=numbers.freeze, patience=numbers.patience) for m in there for bot in m.bots
        )
        if carries and not read_back:
            raise Wrong("the owner went to a region in which no bot was read")
    elif action.act is Act.ADD and action.workspace != row.owner.workspace and carries:
        order = order_of(state, list(row.wanted), setting)
        forwards = order is None or not order.backwards
        if forwards and action.workspace == SOURCE:
            raise Wrong("a bot of the source was put into a meeting that the target owns")
        if not forwards and action.workspace == TARGET:
            raise Wrong("a bot of the target was put into a meeting that goes back")


# -- writes


def writes(state: State, row: Row, action: Action) -> Iterator[Write]:
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
        for bot in action.bots:
            if bot not in [entry.bot_id for entry in member.bots]:
                continue
            by_bot = must_name_bot(member, action.bots)
            if by_bot and held_elsewhere(state, bot, action):
                return
            yield Write(Purpose.REMOVE, cell, key, bot if by_bot else "")


def held_elsewhere(state: State, bot: str, action: Action) -> bool:
    return any(
        cell[0] == action.workspace
        and number(cell) not in action.events
        and not view.shown.deleted
        and bot in [one.id for one in view.bots]
        for cell, view in state.views.items()
    )


def write(state: State, at: int, todo: list[Write], setting: Setting) -> Next:
    """Send writes one after the other; each may go wrong, and then the rest is not sent."""
    if not todo:
        yield "", state
        return
    one, rest = todo[0], todo[1:]
    kept = state.rows[at]
    sent = Sent(one.purpose, one.cell, one.bot_id or next(iter(state.held[one.cell]), ""), state.now)
    if not usable(state, one, setting):
        state.rows[at] = kept._replace(due=state.now + TICK)
        yield ", refused", state
        return
    done = state.fork()
    carry_out(done, one, setting)
    note(done, at, sent._replace(answered_at=state.now), setting, one)
    yield from write(done, at, rest, setting)
    yield from lost(state, at, one, sent, setting)
    yield from fault(state, at, setting, "refusal", ", refused with a wait", due=state.now + TICK)
    known = state.fork()
    note(known, at, sent, setting, one)
    yield from fault(known, at, setting, "crash", ", the worker dies before the call")
    carry_out(known, one, setting)
    yield from fault(known, at, setting, "crash", ", the worker dies before the answer is stored")
    for what in ("before its intent is stored", "in mid-call"):
        after = state.fork()
        if what == "in mid-call":
            note(after, at, sent, setting, one)
        for label, new in fault(after, at, setting, "frozen", f", the worker freezes {what}"):
            new.asleep += (Frozen(at, one, sent),)
            yield label, new


def lost(state: State, at: int, one: Write, sent: Sent, setting: Setting) -> Next:
    """The answer is lost, and the worker knows: it looks again later."""
    near = at - state.tick < setting.near
    retry = state.now + (TICK // 2 if near else setting.late * TICK)
    for label in (", lost", ", done but unanswered", ", unanswered and done late"):
        for says, new in fault(state, at, setting, "loss", label):
            new.marks = (*new.marks[:-1], Mark("loss", new.tick + setting.late))
            if "done but" in label:
                carry_out(new, one, setting)
            elif "late" in label:
                new.coming += ((new.tick + setting.late, "write", one),)
            note(new, at, sent, setting, one)
            held = new.rows[at]._replace(held_until=0)
            new.rows[at] = held if setting.optimistic else held._replace(due=retry)
            yield says, new


def fault(state: State, at: int, setting: Setting, kind: str, label: str, due: int | None = None) -> Next:
    """Let one of our own faults happen if it may. What died or froze holds its lease until that is over."""
    if not state.left or kind not in setting.kinds:
        return
    new = state.fork()
    new.left -= 1
    new.marks = (*new.marks, Mark(kind, new.tick))
    kept = new.rows[at]
    new.rows[at] = kept._replace(held_until=new.now + LEASE * TICK) if due is None else kept._replace(due=due)
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


def settle(state: State, at: int, setting: Setting) -> int:
    """Close the intents that a reading answers; return when to ask again if one of them did not happen."""
    row, now = load(state, at, setting), moment(state.now)
    kept, again, still = state.rows[at], 0, []
    for sent in kept.intents:
        intent = open_intent(sent)
        here = state.placed[sent.cell[1]] == at
        one = member(state.views[sent.cell], sent.cell, state.now) if here else None
        if not answered(intent, one, now=now, numbers=setting.numbers):
            still.append(sent)
        elif not happened(intent, one, row, now=now, numbers=setting.numbers):
            again = state.now + (RETRY_ADD if sent.purpose is Purpose.ADD else RETRY_REMOVE)
    state.rows[at] = kept._replace(intents=tuple(still))
    return again


# -- reading


def read(state: State, cell: Cell, setting: Setting) -> None:
    """Read a cell, and let its calendar join the row that the owner's region shows."""
    shown = state.shown[cell]
    state.views[cell] = View(shown, tuple(state.bots[bot] for bot in state.held[cell]), state.now)
    join(state, cell, setting)
    if not shown.connected:
        for region in REGIONS:
            if region != cell[0]:
                join(state, (region, cell[1]), setting)


def join(state: State, cell: Cell, setting: Setting) -> None:
    region, calendar = cell
    shown, at = state.views[cell].shown, state.placed[calendar]
    left = state.rows[at]
    if not is_told_by(region, owner=left.owner, owner_shows=state.views[left.owner, calendar].shown.connected):
        return
    if not shown.connected or shown.deleted or shown.start == at or shown.start <= state.tick:
        return
    order = order_of(state, [calendar], setting)
    start = moment(shown.start * TICK)
    owner = birth_owner(left=left.owner, start=start, order=order, seen_in=region, all_in_target=False)
    known = state.rows.get(shown.start, Kept(owner, state.now))
    state.rows[shown.start] = known._replace(due=state.now, over=False)
    state.rows[at] = left._replace(due=state.now)
    state.placed[calendar] = shown.start
