"""The one writer: carries out what `decide` names, and nothing else adds or removes bots or flips an owner.

For a chunk of leased assignments, nearest start first:

1. load them; settle open intents by readings that began late enough;
2. ask `decide` for each; read together what they need (a list page serves many); ask again;
3. flip owners by guarded UPDATEs; write bots, each behind an intent row that is committed before the call;
4. go round until every assignment waits, is over, or had trouble; store verdict, reason and when to look again.

An error is no proof of failure: a lost answer leaves its intent open, and only a later reading settles it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from calendars import sync
from calendars.leases import Lease, give_back, lock
from calendars.models import Assignment, Bot, IdMapping, Intent, RateBudget, Workspace
from calendars.providers import errors
from calendars.providers.recall_endpoints import ADD_BOT, REMOVE_BOT
from calendars.scheduling.decide import decide
from calendars.scheduling.lanes import WRITES, Lane, Lanes, lane_of
from calendars.scheduling.ownership import fits
from calendars.scheduling.rows import MAY_COME, Loaded, load, numbers_for
from calendars.scheduling.settling import DID_NOT_HAPPEN, answered, happened, too_late_to_be_sure
from calendars.scheduling.values import Act, Action, Numbers, Purpose, Row, Side
from calendars.scheduling.verdicts import verdict, was_there
from calendars.scheduling.writes import CONFLICT_RETRY, NO_BOT_RETRY, SOON, TROUBLE_RETRY, Trouble, Writer
from recallops import clock, waits

NOT_DONE = "the provider did not do what was asked; asking again"
NEVER = datetime.min.replace(tzinfo=UTC)
READ_BACK = "read back"
MOVED_AWAY = "its event belongs to another meeting by now"
ROUNDS = 12  # READ, ADD, READ, FLIP, REMOVE, READ is the longest way of one hand-over; tidying may come between

# The longest that a pass goes on writing. A driver outlasts its own time by no more than this and one call, and the
# queue's time-out (settings) is longer than both.
PASS_SECONDS = 30.0

lanes = Lanes()


@dataclass(slots=True)
class Outcome:
    """What is to be stored of an assignment at the end."""

    reason: str
    due_at: datetime | None
    over: bool = False
    attended: bool | None = None
    version: int | None = None  # of the assignment when this was decided
    trouble: bool = False  # something did not work; the more often in a row, the later it is tried again


def reconcile(ids: Collection[int], *, lease: Lease) -> None:
    """Take leased assignments as far as they go now, and give them back."""
    try:
        _Run(ids, lease).run()
    finally:
        give_back(Assignment, ids, lease)


class _Run:
    """One pass over a chunk. Holds what is common to its rows; every decision is taken on freshly loaded ones."""

    def __init__(self, ids: Collection[int], lease: Lease) -> None:
        self.ids, self.lease = list(ids), lease
        self.outcomes: dict[int, Outcome] = {}
        self.writer = Writer(self.ids, lease)
        self.end = waits.monotonic() + PASS_SECONDS

    def run(self) -> None:
        loaded: list[Loaded] = []
        for _ in range(ROUNDS):
            loaded, actions = self._look()
            try:
                lane = self._lane(loaded, actions)
                with lanes.taken(lane, width=_width(lane), while_waiting=self._wait_on) as waited:
                    if waited:  # what was decided may have become old meanwhile
                        loaded, actions = self._look()
                    if not self._carry_out(loaded, actions):
                        break
            except Trouble:  # the time was over while it waited, or the lease: then nothing can be stored any more
                break
        else:
            loaded = self._load()
            for one in loaded:
                self.outcomes.setdefault(
                    one.row.assignment, Outcome(self._decide(one).reason, clock.now() + CONFLICT_RETRY)
                )
        self._store(loaded)

    # -- looking

    def _look(self) -> tuple[list[Loaded], dict[int, Action]]:
        loaded = self._load()
        return loaded, {one.row.assignment: self._decide(one) for one in loaded}

    def _wait_on(self) -> None:
        """Look after lease and time while waiting. Raises Trouble."""
        self.writer.hold_lease()
        if waits.monotonic() > self.end:
            raise Trouble(SOON, clock.now())

    def _lane(self, loaded: list[Loaded], actions: dict[int, Action]) -> Lane | None:
        """Return the lane for this round's writes; none where one of the meetings is too near to wait."""
        near = clock.now() + self.writer.numbers.near + timedelta(seconds=PASS_SECONDS) * clock.speed()
        if any(one.row.start < near for one in loaded):
            return None
        return lane_of(actions.values())

    def _load(self) -> list[Loaded]:
        loaded = load(self.ids)
        sides = {side.workspace for one in loaded for side in (one.row.owner, one.row.other) if side}
        if missing := sides - set(self.writer.workspaces):
            for workspace in sync.workspaces(ids=list(missing)):
                self.writer.workspaces[workspace.pk] = workspace
        if self.writer.workspaces:
            self.writer.numbers = numbers_for(list(self.writer.workspaces.values()))
        if settled := [pk for one in loaded for pk in self._settle(one)]:
            again = {one.row.assignment: one for one in load(settled)}
            loaded = [again.get(one.row.assignment, one) for one in loaded]
        return loaded

    def _decide(self, one: Loaded) -> Action:
        if done := self.outcomes.get(one.row.assignment):
            return Action(Act.WAIT, done.reason, until=done.due_at)
        return decide(one.row, now=clock.now(), numbers=self.writer.numbers)

    def _settle(self, one: Loaded) -> list[int]:
        """Close intents that a reading answers; return the assignment's key if any was closed."""
        closed = False
        for side in (one.row.owner, one.row.other):
            for intent in side.intents if side else ():
                member = next((m for m in side.members if m.event == intent.event), None) if side else None
                now, numbers = clock.now(), self.writer.numbers
                if not answered(intent, member, now=now, numbers=numbers):
                    continue
                done = happened(intent, member, one.row, now=now, numbers=numbers)
                outcome = READ_BACK if done else DID_NOT_HAPPEN
                if member is None:
                    outcome = MOVED_AWAY
                if done and side and too_late_to_be_sure(intent, one.row, numbers):
                    outcome = self._outcome_of_late_removal(one, side.workspace, intent.bot_id)
                    if not outcome:
                        continue
                if not done:
                    again = NO_BOT_RETRY if intent.purpose is Purpose.ADD else TROUBLE_RETRY
                    self._conclude(one, NOT_DONE, clock.now() + again)
                closed |= bool(
                    Intent.objects.filter(
                        assignment=one.row.assignment,
                        workspace=side.workspace if side else None,
                        purpose=intent.purpose,
                        event=intent.event,
                        bot_id=intent.bot_id,
                        sent_at=intent.sent_at,
                    ).settle(happened=done, outcome=outcome)
                )
        return [one.row.assignment] if closed else []

    def _outcome_of_late_removal(self, one: Loaded, workspace: int, bot_id: str) -> str:
        """Ask for the bot itself, since its event is no proof in the freeze; "" when no answer was to be had."""
        try:
            self.writer.hold_lease()
            sync.read_bots(self.writer.workspaces[workspace], [bot_id])
        except (errors.ProviderError, Trouble) as error:
            asked = self.writer.workspaces[workspace]
            trouble = error if isinstance(error, Trouble) else self._trouble(error, asked, [one])
            self._give_up(one, trouble)
            return ""
        there = Bot.objects.filter(workspace=workspace, remote_id=bot_id, terminal=False).exists()
        return MAY_COME if there else READ_BACK

    # -- doing

    def _carry_out(self, loaded: list[Loaded], actions: dict[int, Action]) -> bool:
        """Do the next thing for every row; return whether anything was done that calls for another round."""
        reads: dict[int, list[Loaded]] = defaultdict(list)
        for one in loaded:
            for workspace in actions[one.row.assignment].workspaces:
                reads[workspace].append(one)
        done = False
        for workspace, wanting in reads.items():
            done |= self._read(workspace, wanting)
        self.writer.find_configs([one for one in loaded if actions[one.row.assignment].act in (Act.ADD, Act.REMOVE)])
        for one in loaded:
            if one.row.assignment in self.outcomes:
                continue
            action = actions[one.row.assignment]
            # what begins a hand-over ends earlier than what completes it, so that few rest with a bot on both sides
            end = self.end - PASS_SECONDS / 2 if action.act is Act.ADD else self.end
            if action.act in WRITES and waits.monotonic() > end:
                self._conclude(one, SOON, clock.now())
                continue
            try:
                begun = waits.monotonic()
                done |= self._act(one, action)
                if action.act in WRITES:
                    lanes.took((action.workspace, action.act), (waits.monotonic() - begun) / max(1, len(action.events)))
            except Trouble as trouble:
                self._give_up(one, trouble)
        return done

    def _read(self, workspace_id: int, wanting: list[Loaded]) -> bool:
        workspace = self.writer.workspaces[workspace_id]
        events = [event for one in wanting for event in one.events.values() if event.workspace_id == workspace_id]
        events.sort(key=lambda event: event.read_begun_at or NEVER)  # where the budget ends within, the next goes on
        wanted = [sync.Wanted(event.pk, event.remote_id, event.start) for event in events]
        try:
            self.writer.hold_lease()
            sync.read_events(workspace, wanted)
        except (errors.ProviderError, Trouble) as error:
            trouble = error if isinstance(error, Trouble) else self._trouble(error, workspace, wanting)
            for one in wanting:
                self._give_up(one, trouble)
            return False
        return True

    def _act(self, one: Loaded, action: Action) -> bool:
        if action.act is Act.FLIP:
            return self._flip(one, action)
        if action.act is Act.ADD:
            self.writer.add(one, action)
            return True
        if action.act is Act.REMOVE:
            self.writer.remove(one, action)
            return True
        if action.act is Act.READ:
            return False
        over, attended = action.act in (Act.OVER, Act.LOOK), None
        if action.act is Act.LOOK:
            attended = self.writer.look(one, action)
        elif over and clock.now() >= one.row.end:
            attended = was_there(one.row, self.writer.numbers)
        reason = "over" if action.act is Act.LOOK else action.reason
        self._conclude(one, reason, action.until, over=over, attended=attended)
        return False

    def _flip(self, one: Loaded, action: Action) -> bool:
        """The point of no return of one meeting: guarded by owner, epoch and version as they were read."""
        row, assignment = one.row, one.assignment
        with transaction.atomic():
            won = Assignment.objects.filter(
                pk=assignment.pk,
                owner=assignment.owner_id,
                epoch=assignment.epoch,
                version=assignment.version,
                lease_token=self.lease.token,
            ).update(owner=action.workspace, epoch=F("epoch") + 1, flipped_at=clock.now())
            if won:
                _map_bots(row, action.workspace)
        return True

    def _trouble(self, error: errors.ProviderError, workspace: Workspace, rows: Collection[Loaded]) -> Trouble:
        """Return what an error of a reading means for all that it was for: the nearest of them cannot wait long."""
        attempts = 1 + max(one.assignment.attempts for one in rows)
        return self.writer.trouble(error, workspace, attempts=attempts, start=min(one.row.start for one in rows))

    def _give_up(self, one: Loaded, trouble: Trouble) -> None:
        self._conclude(one, trouble.reason, trouble.due_at, trouble=True)

    def _conclude(self, one: Loaded, reason: str, due_at: datetime | None, **more: Any) -> None:
        """Keep what came of a row, with the version it was decided on: a later change must wake it all the same."""
        self.outcomes[one.row.assignment] = Outcome(reason, due_at, version=one.assignment.version, **more)

    # -- storing

    def _store(self, loaded: list[Loaded]) -> None:
        """Write verdict, reason and due time; a wake-up that came in meanwhile is kept."""
        now = clock.now()
        values = []
        for one in loaded:
            outcome = self.outcomes.get(one.row.assignment, Outcome("goes on in a moment", now))
            row = replace(one.row, attended=outcome.attended) if outcome.over else one.row
            said, note = verdict(row, now=now, numbers=self.writer.numbers, order=one.order)
            held = [
                _has_bot(side, one.row, now, self.writer.numbers) for side in (one.row.owner, one.row.other) if side
            ]
            pending = any(i.purpose is Purpose.ADD for s in (one.row.owner, one.row.other) if s for i in s.intents)
            values.append(
                (
                    one.assignment.pk,
                    outcome.version if outcome.version is not None else one.assignment.version,
                    said.value,
                    note[:120],
                    outcome.reason[:300],
                    outcome.due_at,
                    outcome.over,
                    len(held) == 2 and (all(held) or pending),
                    outcome.attended,
                    min(one.assignment.attempts + 1, 20) if outcome.trouble else 0,
                )
            )
        if not values:
            return
        rows = ", ".join(
            ["(%s::bigint, %s::bigint, %s, %s, %s, %s::timestamptz, %s::bool, %s::bool, %s::bool, %s::int)"]
            * len(values)
        )
        with transaction.atomic(), connection.cursor() as cursor:
            lock(Assignment, self.ids)
            cursor.execute(
                f"""
                UPDATE {Assignment._meta.db_table} AS a SET
                    verdict = v.verdict, note = v.note, reason = v.reason, verdict_at = %s,
                    due_at = CASE WHEN a.version = v.version THEN v.due_at ELSE a.due_at END,
                    over = v.over AND a.version = v.version, attended = v.attended,
                    "both" = v.in_both, attempts = v.attempts
                FROM (VALUES {rows}) AS v(id, version, verdict, note, reason, due_at, over, in_both, attended, attempts)
                WHERE a.id = v.id AND a.lease_token = %s
                """,  # noqa: S608 (our own table's name and placeholders)
                [now, *[value for row in values for value in row], self.lease.token],
            )


def _width(lane: Lane | None) -> int:
    """Return how many of this process's threads fill the budget of a lane, together with those of other drivers."""
    if lane is None:
        return 1
    workspace, act = lane
    endpoint = ADD_BOT if act is Act.ADD else REMOVE_BOT
    budget = RateBudget.objects.filter(workspace=workspace, endpoint=endpoint).first()
    return lanes.width(lane, every=budget.emission * settings.DRIVERS) if budget else 1


def _has_bot(side: Side, row: Row, now: datetime, numbers: Numbers) -> bool:
    return any(
        fits(entry, row, now=now, freeze=numbers.freeze, patience=numbers.patience)
        for member in side.members
        for entry in member.bots
    )


def _map_bots(row: Row, new_owner: int) -> None:
    """Record which bot became which; a move back supersedes."""
    sides = {side.workspace: side for side in (row.owner, row.other) if side is not None}
    old_owner = row.owner.workspace
    if old_owner == new_owner or new_owner not in sides:
        return
    old, new = (
        sorted({e.bot_id for m in sides[w].members for e in m.bots if e.start == row.start and not e.terminal})
        for w in (old_owner, new_owner)
    )
    if not old or not new:
        return
    IdMapping.objects.filter(kind="bot", superseded=False).filter(
        Q(source=old_owner, source_remote_id=old[0]) | Q(target=new_owner, target_remote_id=new[0])
    ).update(superseded=True)
    IdMapping.objects.create(
        kind="bot", source_id=old_owner, source_remote_id=old[0], target_id=new_owner, target_remote_id=new[0]
    )
