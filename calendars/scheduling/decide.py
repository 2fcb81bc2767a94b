"""The hand-over's one decision: what is there -> ONE next action. Pure and level-triggered.

No phase is stored anywhere, so a crash, a restored database, a cancel and a reverse all converge by the same table.
The numbers in the comments are the lines of the table in docs/handover.md; the first line that applies is taken.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from calendars.scheduling.ownership import able_members, agree, fits, shows
from calendars.scheduling.values import Act, Action, BotEntry, Member, Numbers, Purpose, Row, Side

APPLICATION_ADDS = "the company's application schedules its bot"
APPLICATION_REMOVES = "the company's application removes its bot"
PUT_BACK = "the company's application puts a bot back that was removed"
MOST_REMOVED = 3  # bots taken from one row in one workspace


def decide(row: Row, *, now: datetime, numbers: Numbers) -> Action:
    """Return the one next action for an assignment."""
    if missing := _unread(row, now=now, numbers=numbers):
        return Action(Act.READ, "reading both sides", workspaces=missing)
    action = _ours(row, _table(row, now=now, numbers=numbers), now=now, numbers=numbers)
    if stale := _too_old(row, action, now=now, numbers=numbers):
        return Action(Act.READ, f"reading before: {action.reason}", workspaces=stale)
    return _not_longer_than_open(row, action, now=now, numbers=numbers)


def _not_longer_than_open(row: Row, action: Action, *, now: datetime, numbers: Numbers) -> Action:
    """A write whose answer was lost may still be carried out: no rest, and no end, before it can be read back."""
    if action.act not in (Act.WAIT, Act.OVER) or now >= row.end:
        return action
    dues = [intent.due(numbers.late_commit) for side in _sides(row) for intent in side.intents]
    if not dues or (action.until is not None and action.until <= min(dues)):
        return action
    return replace(action, act=Act.WAIT, until=min(dues))


def _sides(row: Row) -> tuple[Side, ...]:
    return (row.owner, row.other) if row.other is not None else (row.owner,)


def _unread(row: Row, *, now: datetime, numbers: Numbers) -> tuple[int, ...]:
    """Sides with a reading missing, overtaken, or older than an open intent that is due (line 1)."""
    if now >= row.end:
        return ()
    return tuple(
        side.workspace
        for side in _sides(row)
        if any(member.read_at is None or member.overtaken for member in side.members)
        or any(intent.due(numbers.late_commit) <= now for intent in side.intents)
    )


def _too_old(row: Row, action: Action, *, now: datetime, numbers: Numbers) -> tuple[int, ...]:
    """Sides whose reading is older than the action allows."""
    if action.act in (Act.LOOK, Act.OVER) or now >= row.end:
        return ()
    away = row.start - now
    near = timedelta(0) < away <= numbers.near
    if action.act is not Act.WAIT:
        oldest = now - (numbers.age_near_start if near and away < numbers.near else numbers.age_for_write)
    elif action.moving:  # what the application does is seen by reading only
        oldest = now - (numbers.age_for_wait if row.external is None else numbers.age_for_write)
    elif near:
        oldest = row.start - numbers.near  # the last look: once, fully, whatever webhooks say
    else:
        return ()
    return tuple(
        side.workspace for side in _sides(row) if side.members and (side.read_at is None or side.read_at < oldest)
    )


def _ours(row: Row, action: Action, *, now: datetime, numbers: Numbers) -> Action:
    """Return what of an action is ours to do where the company's application schedules; the rest is waited for.

    We take a bot away where another one of this row stays, or, in a workspace whose webhooks do not reach the
    application, where nobody wants it or it waits for another time. We add one only to bring a meeting back to the
    source, from where the application does not schedule. A bot that is put back again and again is left alone: two
    that undo each other's work end nowhere.
    """
    if row.external is None or action.act not in (Act.ADD, Act.REMOVE):
        return action
    view = _View(row, now, numbers)
    here, there = (row.owner, row.other) if action.workspace == row.owner.workspace else (row.other, row.owner)
    elsewhere = view.fitting(there)
    covers_nothing = not row.wanted or not set(action.bots) & set(view.fitting(here))
    until = _next_look(view) if elsewhere or view.fitting(here) else now + numbers.age_for_wait
    until = min(max(until, now + numbers.age_near_start), max(row.end, now + numbers.age_near_start))
    if action.act is Act.ADD:
        back = action.workspace == row.external.source and bool(elsewhere)
        if back:
            return action
        moves = row.wish == action.workspace != row.owner.workspace
        soon = now + numbers.age_for_write if moves else until
        return Action(Act.WAIT, APPLICATION_ADDS, until=soon, moving=moves)
    if not elsewhere and (action.workspace in row.external.active or not covers_nothing):
        return Action(Act.WAIT, APPLICATION_REMOVES, until=until)
    if row.external.removed.get(action.workspace, 0) >= MOST_REMOVED:
        return Action(Act.WAIT, PUT_BACK, until=until)
    return action


class _View:
    """A row seen at a moment: which bots fit on which side, and which are stale."""

    def __init__(self, row: Row, now: datetime, numbers: Numbers) -> None:
        self.row, self.now, self.numbers = row, now, numbers
        self.away = row.start - now

    def fitting(self, side: Side | None) -> dict[str, list[Member]]:
        """Return the fitting bots of a side, each with the members that hold it."""
        held: dict[str, list[Member]] = {}
        for member in side.members if side else ():
            for entry in member.bots:
                if self._fits(entry):
                    held.setdefault(entry.bot_id, []).append(member)
        return held

    def stale(self, side: Side | None, *, anybody: bool = False) -> list[tuple[Member, BotEntry]]:
        """Return the scheduled bots on wanted members' (or anybody's) events that wait for another start or URL."""
        return [
            (member, entry)
            for member in (side.members if side else ())
            if anybody or member.occurrence in self.row.wanted
            for entry in member.bots
            if not entry.terminal and not entry.live and not self._fits(entry) and entry.start > self.now
        ]

    def keeper(self, side: Side, held: dict[str, list[Member]]) -> str:
        """Return the bot to keep: the one under the row's key, else the one that most members hold."""
        key = self.row.keys.get(side.workspace)

        def rank(bot_id: str) -> tuple[bool, int, str]:
            keyed = any(e.key == key for m in held[bot_id] for e in m.bots if e.bot_id == bot_id)
            return (not keyed, -len(held[bot_id]), bot_id)

        return min(held, key=rank)

    def _fits(self, entry: BotEntry) -> bool:
        return fits(entry, self.row, now=self.now, freeze=self.numbers.freeze, patience=self.numbers.patience)


def _table(row: Row, *, now: datetime, numbers: Numbers) -> Action:
    view = _View(row, now, numbers)
    own, other = row.owner, row.other
    able_own, able_other = able_members(own, row), able_members(other, row) if other else ()
    has_own, has_other = view.fitting(own), view.fitting(other)
    away, freeze = view.away, numbers.freeze

    if now >= row.end:
        return _after_the_end(row, numbers)
    # 2: the owner cannot carry it any more, the other side can.
    leaving = all(member.closing for member in able_own) and not all(member.closing for member in able_other)
    # where only it has the bot, and line 12 would follow that bot at once, it stays: else they undo each other
    leaving = leaving and not (has_own and not has_other and other and (away < numbers.near or other.intents))
    if other and (not able_own or leaving) and able_other and not other.open(Purpose.REMOVE):
        return _flip(other, "the owner's calendar cannot carry it any more")
    # 3: it has begun. What covers it is watched, never touched.
    if away <= timedelta(0):
        came = any(_of_row(e, row, numbers) for s in _sides(row) for m in s.members for e in m.bots)
        if came or has_own or has_other:
            return _leftover(view, own) or Action(Act.WAIT, "in progress", until=row.end)
        return _add(view, own, able_own, "in progress without a bot", patient=False)
    # 4: nobody wants it.
    if not row.wanted:
        return _unwanted(view)

    # 5: two fitting bots in one workspace.
    for side, held in ((own, has_own), (other, has_other)):
        if side and len(held) > 1:
            return _drop_extra(view, side, held)
    # 6: no bot anywhere.
    if not has_own and not has_other:
        return _uncovered(view, able_own)
    if has_own and not has_other:
        return _only_owner(view, has_own, able_own, able_other)
    if other is None:
        raise AssertionError("a bot on the other side needs another side")
    if has_own:
        return _both(view, other)
    # 12, 13: only the other side has it.
    follow = row.wish == other.workspace or away < numbers.near or bool(own.intents)
    follow = follow or (row.external is not None and not all(member.closing for member in able_other))
    if agree(row) and follow and not other.open(Purpose.REMOVE):
        return _flip(other, "its bot is there")
    if not able_own:
        return Action(Act.WAIT, "no connected calendar of the owner shows it", until=now + numbers.age_for_wait)
    if first := _in_the_way(view, own):
        return first
    return _add(view, own, able_own, "only the other side has a bot", away > freeze)


def _of_row(entry: BotEntry, row: Row, numbers: Numbers) -> bool:
    """Tell whether a bot was meant for this row, over or not; one that came a little early was."""
    return entry.url == row.url and timedelta(0) <= row.start - entry.start <= numbers.patience


def _after_the_end(row: Row, numbers: Numbers) -> Action:
    running = {
        entry.bot_id
        for side in _sides(row)
        for member in side.members
        for entry in member.bots
        if _of_row(entry, row, numbers) and not entry.terminal
    }
    if running:
        return Action(Act.LOOK, "over: was it attended?", bots=tuple(sorted(running)), workspace=row.owner.workspace)
    return Action(Act.OVER, "over")


def _flip(side: Side, reason: str) -> Action:
    return Action(Act.FLIP, reason, workspace=side.workspace)


def _settling(view: _View, side: Side, *purposes: Purpose) -> Action | None:
    """Open intents whose outcome is not readable yet: wait for them rather than write over them."""
    waiting = [intent for intent in side.intents if not purposes or intent.purpose in purposes]
    if waiting:
        until = max(intent.due(view.numbers.late_commit) for intent in waiting)
        if until > view.now:
            return Action(Act.WAIT, "an answer was lost; waiting until it can be read", until=until, moving=True)
    return None


def _add(view: _View, side: Side, members: tuple[Member, ...], reason: str, patient: bool = True) -> Action:
    """Add the row's bot for members that lack it. The freeze never blocks this."""
    if not members:
        return Action(Act.WAIT, "no connected calendar shows it", until=view.now + view.numbers.age_for_wait)
    # an add under the same key may be sent again: near the start it is, rather than waited for
    purposes = (Purpose.ADD, Purpose.REMOVE) if view.away >= view.numbers.near else (Purpose.REMOVE,)
    if patient and (wait := _settling(view, side, *purposes)):
        return wait
    return Action(Act.ADD, reason, workspace=side.workspace, events=tuple(member.event for member in members))


def _remove(
    view: _View, side: Side, members: list[Member] | tuple[Member, ...], bots: tuple[str, ...], reason: str
) -> Action:
    if wait := _settling(view, side):
        return wait
    return Action(
        Act.REMOVE,
        reason,
        workspace=side.workspace,
        events=tuple(member.event for member in members),
        bots=tuple(sorted(set(bots))),
    )


def _unwanted(view: _View) -> Action:
    row, freeze = view.row, view.numbers.freeze
    lagging = False
    for side in _sides(row):
        waiting = [(m, e) for m in side.members for e in m.bots if not e.terminal and not e.live and e.start > view.now]
        held = [(m, e) for m, e in waiting if e.start - view.now > freeze]
        if waiting and not held:
            return Action(Act.WAIT, "nobody wants it, but it is too late to remove its bot", until=row.end)
        if not held:
            continue
        agrees = side is row.owner or all(member.deleted or not member.wanted for member in side.members)
        if agrees or view.away < view.numbers.near:
            return _remove(view, side, [m for m, _ in held], tuple(e.bot_id for _, e in held), "nobody wants it")
        lagging = True
    if lagging:
        soon = max(row.start - view.numbers.near, view.now) + timedelta(seconds=1)
        return Action(Act.WAIT, "nobody wants it, but the other region does not show that yet", until=soon)
    return Action(Act.OVER, "nobody wants it any more")


def _drop_extra(view: _View, side: Side, held: dict[str, list[Member]]) -> Action:
    if view.away <= view.numbers.freeze:
        return Action(Act.WAIT, "two bots, too late to remove one", until=view.row.start)
    keeper = view.keeper(side, held)
    extra = min(bot_id for bot_id in held if bot_id != keeper)
    return _remove(view, side, held[extra], (extra,), "a second bot in one workspace")


def _uncovered(view: _View, able_own: tuple[Member, ...]) -> Action:
    row, numbers, own = view.row, view.numbers, view.row.owner
    if first := _in_the_way(view, own):
        return first
    patient = view.away > numbers.freeze + numbers.late_commit or not own.open(Purpose.REMOVE)
    return _add(view, own, able_own, "no bot anywhere" if row.wanted else "", patient)


def _in_the_way(view: _View, side: Side) -> Action | None:
    """Remove stale bots before an add: while there is time all; later those under the row's key, which an add finds."""
    numbers, key = view.numbers, view.row.keys.get(side.workspace)
    stale = [
        (member, entry)
        for member, entry in view.stale(side)
        if view.away > numbers.near or (entry.key == key and entry.start - view.now > numbers.freeze)
    ]
    if not stale:
        return None
    return _remove(
        view, side, [m for m, _ in stale], tuple(e.bot_id for _, e in stale), "its bot waits for another time"
    )


def _only_owner(
    view: _View,
    held: dict[str, list[Member]],
    able_own: tuple[Member, ...],
    able_other: tuple[Member, ...],
) -> Action:
    """Lines 7 and 8: the owner has it, the other side has not."""
    row, numbers, own, other = view.row, view.numbers, view.row.owner, view.row.other
    moves = other is not None and row.wish == other.workspace
    if other is not None and (stale := [(m, e) for m, e in view.stale(other) if shows(m, row)]):
        return _remove(
            view, other, [m for m, _ in stale], tuple(e.bot_id for _, e in stale), "its bot waits for another time"
        )
    if moves and other is not None and agree(row) and view.away >= numbers.near and not row.hold:
        if wait := _settling(view, own):
            return wait
        return _add(view, other, able_other, "handing over")
    if tidy := _tidy(view, own, held, able_own):
        return tidy
    if not moves:
        return Action(Act.WAIT, "covered", until=_next_look(view))
    if row.hold:
        return Action(Act.WAIT, row.hold, until=_next_look(view))
    if view.away < numbers.near:
        return Action(Act.WAIT, "too near its start to be handed over", until=_next_look(view))
    soon = min(view.now + numbers.age_for_wait, _next_look(view))
    return Action(Act.WAIT, "the regions do not show the same yet", until=soon)


def _tidy(view: _View, own: Side, held: dict[str, list[Member]], able_own: tuple[Member, ...]) -> Action | None:
    """Attach wanting members first, then detach those that are unwanted, closing, or wait for another time."""
    if view.away <= view.numbers.freeze:
        return _leftover(view, own)
    keeper = view.keeper(own, held)
    holders = {member.event for member in held[keeper]}
    lacking = tuple(member for member in able_own if member.event not in holders)
    if lacking:
        return _add(view, own, lacking, "a calendar of this meeting has no bot yet")
    carrying = {member.event for member in able_own}
    loose = [member for member in held[keeper] if member.event not in carrying]
    if loose and carrying & holders:
        return _remove(view, own, loose, (keeper,), "not this calendar's to hold any more")
    if stale := [(m, e) for m, e in view.stale(own) if m.event in holders or m.event not in carrying]:
        return _remove(
            view, own, [m for m, _ in stale], tuple(e.bot_id for _, e in stale), "its bot waits for another time"
        )
    if view.row.outdated and able_own:
        # one of them is enough: they share the bot, and the provider takes the configuration that came last
        return _add(view, own, able_own[:1], "its bot profile has changed")
    return None


def _leftover(view: _View, side: Side) -> Action | None:
    """Remove bots that wait for a time that their event has left, while they can be: they cover nothing here."""
    stale = [
        (member, entry)
        for member, entry in view.stale(side, anybody=True)
        if entry.start - view.now > view.numbers.freeze
    ]
    if not stale:
        return None
    return _remove(
        view, side, [m for m, _ in stale], tuple(e.bot_id for _, e in stale), "its bot waits for another time"
    )


def _both(view: _View, other: Side) -> Action:
    """Lines 9 to 11: a bot on both sides, the normal middle of a hand-over."""
    row, numbers, own = view.row, view.numbers, view.row.owner
    held = view.fitting(other)
    if row.wish == other.workspace:
        if view.away <= numbers.freeze or (view.away < numbers.near and not agree(row)):
            return _give_up(view, other, held)
        for side in (own, other):
            if wait := _settling(view, side):
                return wait
        if agree(row):
            return _flip(other, "read back in the target")
        return Action(
            Act.WAIT, "the regions do not show the same yet", until=view.now + numbers.age_near_start, moving=True
        )
    if own.open(Purpose.REMOVE):
        return _settling(view, own) or Action(
            Act.WAIT, "a removal is open", until=view.now + numbers.age_near_start, moving=True
        )
    if any(e.live for m in other.members for e in m.bots if e.bot_id in held):
        return Action(Act.WAIT, "both bots have joined", until=view.row.end)
    members = [member for holders in held.values() for member in holders]
    return _remove(view, other, members, tuple(held), "the other region owns it")


def _give_up(view: _View, other: Side, held: dict[str, list[Member]]) -> Action:
    if any(e.live for m in other.members for e in m.bots if e.bot_id in held):
        return Action(Act.WAIT, "both bots have joined", until=view.row.end)
    members = [member for holders in held.values() for member in holders]
    return _remove(view, other, members, tuple(held), "too late to hand over: the owner keeps it")


def _next_look(view: _View) -> datetime:
    """The last look before the start; after it the start itself."""
    last_look = view.row.start - view.numbers.near
    return last_look if last_look > view.now else view.row.start
