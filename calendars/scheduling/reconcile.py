"""The one writer: carries out what `decide` names, and nothing else adds or removes bots or flips an owner.

For a chunk of leased assignments, nearest start first:

1. load them; settle open intents by readings that began late enough;
2. ask `decide` for each; read together what they need (a list page serves many); ask again;
3. flip owners by guarded UPDATEs; write bots, each behind an intent row that is committed before the call;
4. go round until every assignment waits, is over, or had trouble; store verdict, reason and when to look again.

An error is no proof of failure: a lost answer leaves its intent open, and only a later reading settles it.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from calendars import sync
from calendars.leases import Lease, give_back
from calendars.models import Assignment, Bot, Event, Handover, IdMapping, Intent, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.providers.recall import RecallClient
from calendars.scheduling.bot_config import portable
from calendars.scheduling.decide import decide
from calendars.scheduling.ownership import fits
from calendars.scheduling.rows import Loaded, load, numbers_for
from calendars.scheduling.values import Act, Action, Numbers, Purpose, Row, Side
from calendars.scheduling.verdicts import verdict, was_there
from recallops import clock

ROUNDS = 12  # READ, ADD, READ, FLIP, REMOVE, READ is the longest way of one hand-over; tidying may come between
NO_BOT_RETRY = timedelta(seconds=30)
CONFLICT_RETRY = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(minutes=5)
TROUBLE_RETRY = timedelta(minutes=1)
STILL_RUNNING = timedelta(minutes=15)
WINDOW_FULL = "as many meetings as allowed have a bot in both regions at the moment"
NO_CONFIG = "the configuration of its bot could not be read"


@dataclass(slots=True)
class Outcome:
    """What is to be stored of an assignment at the end."""

    reason: str
    due_at: datetime | None
    over: bool = False
    attended: bool | None = None


class Trouble(Exception):
    """A write or a reading did not work; says what and when to try again."""

    def __init__(self, reason: str, due_at: datetime) -> None:
        super().__init__(reason)
        self.reason, self.due_at = reason, due_at


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
        self.workspaces: dict[int, Workspace] = {}
        self.numbers = Numbers()
        self.clients: dict[int, RecallClient] = {}
        self.rewrites: dict[tuple[int, int], dict[str, str]] = {}

    def run(self) -> None:
        loaded: list[Loaded] = []
        for _ in range(ROUNDS):
            loaded = self._load()
            actions = {one.row.assignment: self._decide(one) for one in loaded}
            if not self._carry_out(loaded, actions):
                break
        else:
            loaded = self._load()
            for one in loaded:
                self.outcomes.setdefault(
                    one.row.assignment, Outcome(self._decide(one).reason, clock.now() + CONFLICT_RETRY)
                )
        self._store(loaded)

    # -- looking

    def _load(self) -> list[Loaded]:
        loaded = load(self.ids)
        sides = {side.workspace for one in loaded for side in (one.row.owner, one.row.other) if side}
        for missing in Workspace.objects.select_related("region").filter(pk__in=sides - set(self.workspaces)):
            self.workspaces[missing.pk] = missing
        if self.workspaces:
            self.numbers = numbers_for(list(self.workspaces.values()))
        if settled := [pk for one in loaded for pk in self._settle(one)]:
            again = {one.row.assignment: one for one in load(settled)}
            loaded = [again.get(one.row.assignment, one) for one in loaded]
        return loaded

    def _decide(self, one: Loaded) -> Action:
        if done := self.outcomes.get(one.row.assignment):
            return Action(Act.WAIT, done.reason, until=done.due_at)
        return decide(one.row, now=clock.now(), numbers=self.numbers)

    def _settle(self, one: Loaded) -> list[int]:
        """Close intents that a reading answers; return the assignment's key if any was closed."""
        closed = False
        for side in (one.row.owner, one.row.other):
            for intent in side.intents if side else ():
                member = next((m for m in side.members if m.event == intent.event), None) if side else None
                due = intent.due(self.numbers.late_commit)
                if member is not None and (member.read_at is None or member.read_at <= due):
                    continue
                if member is None and clock.now() <= due:
                    continue
                happened = self._happened(one.row, intent.purpose, intent.bot_id, member)
                closed |= bool(
                    Intent.objects.filter(
                        assignment=one.row.assignment,
                        workspace=side.workspace if side else None,
                        purpose=intent.purpose,
                        event=intent.event,
                        bot_id=intent.bot_id,
                        state__in=Intent.OPEN,
                        sent_at=intent.sent_at,
                    ).update(
                        state=Intent.State.CONFIRMED if happened else Intent.State.FAILED,
                        settled_at=clock.now(),
                        outcome="read back" if happened else "a later reading shows that it did not happen",
                    )
                )
        return [one.row.assignment] if closed else []

    def _happened(self, row: Row, purpose: Purpose, bot_id: str, member: Any) -> bool:
        if purpose is Purpose.REMOVE:
            return member is None or all(entry.bot_id != bot_id for entry in member.bots)
        return member is not None and any(
            fits(entry, row, now=clock.now(), freeze=self.numbers.freeze, patience=self.numbers.patience)
            for entry in member.bots
        )

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
        self._find_configs([one for one in loaded if actions[one.row.assignment].act is Act.ADD])
        for one in loaded:
            if one.row.assignment in self.outcomes:
                continue
            action = actions[one.row.assignment]
            try:
                done |= self._act(one, action)
            except Trouble as trouble:
                self.outcomes[one.row.assignment] = Outcome(trouble.reason, trouble.due_at)
        return done

    def _read(self, workspace_id: int, wanting: list[Loaded]) -> bool:
        workspace = self.workspaces[workspace_id]
        wanted = [
            sync.Wanted(event.pk, event.remote_id, event.start)
            for one in wanting
            for event in one.events.values()
            if event.workspace_id == workspace_id
        ]
        try:
            self._hold_lease()
            sync.read_events(workspace, wanted)
        except (errors.ProviderError, Trouble) as error:
            trouble = error if isinstance(error, Trouble) else self._trouble(error, workspace, attempts=1)
            for one in wanting:
                self.outcomes[one.row.assignment] = Outcome(trouble.reason, trouble.due_at)
            return False
        return True

    def _act(self, one: Loaded, action: Action) -> bool:
        if action.act is Act.FLIP:
            return self._flip(one, action)
        if action.act is Act.ADD:
            return self._add(one, action)
        if action.act is Act.REMOVE:
            return self._remove(one, action)
        if action.act is Act.LOOK:
            return self._look(one, action)
        if action.act is Act.WAIT:
            self.outcomes[one.row.assignment] = Outcome(action.reason, action.until)
        elif action.act is Act.OVER:
            attended = was_there(one.row) if clock.now() >= one.row.end else None
            self.outcomes[one.row.assignment] = Outcome(action.reason, None, over=True, attended=attended)
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

    def _add(self, one: Loaded, action: Action) -> bool:
        workspace = self.workspaces[action.workspace]
        handing_over = one.row.other is not None and one.row.other.workspace == action.workspace
        if handing_over and one.order is not None and not self._reserve(one):
            raise Trouble(WINDOW_FULL, clock.now() + NO_BOT_RETRY)
        key = self._key(one, action.workspace)
        config = self._config(one, workspace)
        for event_id in action.events:
            event = one.events[event_id]
            intent = self._intent(one, workspace, Intent.Purpose.ADD_BOT, event, "", {"key": key, "config": config})
            self._send(
                intent,
                one,
                lambda event=event, intent=intent: self._client(workspace).add_bot(
                    event.remote_id,
                    deduplication_key=key,
                    bot_config=config,
                    idempotency_key=f"recallops-{intent.pk}-{intent.attempt}",
                ),
            )
        return True

    def _remove(self, one: Loaded, action: Action) -> bool:
        workspace = self.workspaces[action.workspace]
        side = one.row.owner if one.row.owner.workspace == action.workspace else one.row.other
        for event_id in action.events:
            event = one.events[event_id]
            for bot_id in action.bots:
                if not any(entry["bot_id"] == bot_id for entry in event.bots):
                    continue
                intent = self._intent(one, workspace, Intent.Purpose.REMOVE_BOT, event, bot_id, {"bot": bot_id})
                by_bot = self._must_name_bot(side, event_id, action.bots)
                client = self._client(workspace)
                self._send(
                    intent,
                    one,
                    (lambda bot_id=bot_id, client=client: client.delete_bot(bot_id))
                    if by_bot
                    else (lambda event=event, client=client: client.remove_bot(event.remote_id)),
                )
        return True

    def _must_name_bot(self, side: Side | None, event_id: int, bots: tuple[str, ...]) -> bool:
        """Whether Remove on the event could take a bot that stays: a live or frozen one, or one that fits.

        Whether Remove takes all bots of an event or only one is not documented.
        """
        member = next((m for m in side.members if m.event == event_id), None) if side else None
        if member is None or not member.connected or member.deleted:
            return True
        return any(not entry.terminal and entry.bot_id not in bots for entry in member.bots)

    def _look(self, one: Loaded, action: Action) -> bool:
        """After the end: read the bots themselves. A call that runs over is looked at again."""
        by_workspace: dict[int, set[str]] = defaultdict(set)
        for event in one.events.values():
            for entry in event.bots:
                if entry["bot_id"] in action.bots:
                    by_workspace[event.workspace_id].add(entry["bot_id"])
        for workspace_id, bots in by_workspace.items():
            workspace = self.workspaces.get(workspace_id)
            if workspace is None:
                continue
            try:
                self._hold_lease()
                sync.read_bots(workspace, bots)
            except errors.ProviderError as error:
                raise self._trouble(error, workspace, attempts=1) from error
        ended = Bot.objects.filter(remote_id__in=action.bots, terminal=True).count()
        if ended < len(action.bots) and clock.now() < one.row.end + timedelta(hours=12):
            raise Trouble("the call runs over", clock.now() + STILL_RUNNING)
        attended = Bot.objects.filter(remote_id__in=action.bots, attended=True).exists()
        self.outcomes[one.row.assignment] = Outcome("over", None, over=True, attended=attended)
        return False

    # -- the pieces of a write

    def _hold_lease(self) -> None:
        if self.lease.left() <= settings.PROVIDER_TIMEOUT:
            raise Trouble("goes on in a moment", clock.now())

    def _intent(
        self, one: Loaded, workspace: Workspace, purpose: Intent.Purpose, event: Event, bot_id: str, body: Any
    ) -> Intent:
        """Commit "about to write this" before it is sent."""
        self._hold_lease()
        return Intent.objects.create(
            workspace=workspace,
            assignment=one.assignment,
            event=event,
            purpose=purpose,
            subject=f"event {event.remote_id}",
            bot_id=bot_id,
            digest=hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()[:32],
            attempt=one.assignment.attempts + 1,
            sent_at=clock.now(),
            lease_token=self.lease.token,
        )

    def _send(self, intent: Intent, one: Loaded, call: Any) -> None:
        """Send one write. Raises Trouble; a lost answer leaves the intent open."""
        try:
            call()
        except errors.ProviderError as error:
            if not error.may_have_happened:
                Intent.objects.filter(pk=intent.pk).update(
                    state=Intent.State.FAILED, settled_at=clock.now(), outcome=error.sentence[:300]
                )
            else:
                Intent.objects.filter(pk=intent.pk).update(outcome=error.sentence[:300])
            self._learn(error, intent)
            workspace = self.workspaces[intent.workspace_id]
            raise self._trouble(error, workspace, attempts=one.assignment.attempts + 1) from error
        Intent.objects.filter(pk=intent.pk).update(state=Intent.State.ANSWERED, answered_at=clock.now())

    def _learn(self, error: errors.ProviderError, intent: Intent) -> None:
        """Some refusals are news about the world."""
        if isinstance(error, errors.BotAlreadyJoined) and intent.bot_id:
            Bot.objects.update_or_create(
                workspace_id=intent.workspace_id,
                remote_id=intent.bot_id,
                defaults={"status": "joining_call", "read_begun_at": clock.now()},
            )
        elif isinstance(error, errors.NotFound):
            Event.objects.filter(pk=intent.event_id).update(changed_at=clock.now())

    def _trouble(self, error: errors.ProviderError, workspace: Workspace, *, attempts: int) -> Trouble:
        """Turn a provider's error into a reason and a time for the next try."""
        now = clock.now()
        if isinstance(error, errors.InvalidKey):
            Workspace.objects.filter(pk=workspace.pk).update(trouble=error.sentence[:600])
            return Trouble(error.sentence[:300], now + TROUBLE_RETRY)
        if isinstance(error, errors.BudgetBusy):
            return Trouble(error.sentence[:300], now + timedelta(seconds=error.wait * clock.speed()))
        if error.may_have_happened:
            return Trouble("an answer was lost; waiting until it can be read", now + self.numbers.late_commit)
        if error.retry_after is not None:
            return Trouble(error.sentence[:300], now + error.retry_after)
        if isinstance(error, errors.NoBotsAvailable):
            return Trouble(error.sentence[:300], now + NO_BOT_RETRY)
        backoff = min(CONFLICT_RETRY * 2 ** min(attempts, 8), LONGEST_BACKOFF) * random.uniform(0.5, 1.5)
        return Trouble(error.sentence[:300], now + backoff)

    def _key(self, one: Loaded, workspace: int) -> str:
        """Return the row's key for a workspace: its own, else the other side's to the letter; stored before use."""
        keys = one.assignment.keys
        if str(workspace) not in keys:
            key = next(iter(keys.values()))
            Assignment.objects.filter(pk=one.assignment.pk).update(keys={**keys, str(workspace): key})
            one.assignment.keys = {**keys, str(workspace): key}
        return str(one.assignment.keys[str(workspace)])

    def _client(self, workspace: Workspace) -> RecallClient:
        if workspace.pk not in self.clients:
            self.clients[workspace.pk] = client_for(workspace)
        return self.clients[workspace.pk]

    def _config(self, one: Loaded, workspace: Workspace) -> dict[str, Any]:
        """Return the complete configuration for this row's bot: that of the bot found, rewritten for the region."""
        if one.assignment.bot_config is None:
            self._find_configs([one], ask=True)
        if one.assignment.bot_config is None:
            raise Trouble(NO_CONFIG, clock.now() + TROUBLE_RETRY)
        return portable(one.assignment.bot_config, rewrites=self._rewrites(one, workspace))

    def _rewrites(self, one: Loaded, workspace: Workspace) -> dict[str, str]:
        if one.order is None:
            return {}
        pair = (one.order.source, one.order.target)
        if pair not in self.rewrites:
            ordered = Handover.objects.filter(source=pair[0], target=pair[1])
            found = ordered.filter(calendars__occurrences__assignment=one.assignment).first()
            self.rewrites[pair] = dict(found.rewrites) if found else {}
        rewrites = self.rewrites[pair]
        return {new: old for old, new in rewrites.items()} if workspace.pk == pair[0] else rewrites

    def _find_configs(self, rows: list[Loaded], *, ask: bool = False) -> None:
        """Take the configuration of a bot found for these rows that have none yet; `ask`: read it if need be."""
        without = [one for one in rows if one.assignment.bot_config is None]
        entries = {
            (event.workspace_id, entry["bot_id"]): one
            for one in without
            for event in one.events.values()
            for entry in event.bots
        }
        if ask:
            for workspace_id, bot_id in entries:
                if workspace_id in self.workspaces:
                    try:
                        sync.read_bots(self.workspaces[workspace_id], [bot_id])
                    except errors.ProviderError as error:
                        raise self._trouble(error, self.workspaces[workspace_id], attempts=1) from error
        known = Bot.objects.filter(remote_id__in=[bot_id for _, bot_id in entries]).exclude(config=None)
        found = []
        for bot in known if entries else ():
            one = entries.get((bot.workspace_id, bot.remote_id))
            if one is not None and one.assignment.bot_config is None:
                one.assignment.bot_config = bot.config
                found.append(one.assignment)
        if found:
            Assignment.objects.bulk_update(found, ["bot_config"])

    def _reserve(self, one: Loaded) -> bool:
        """Take a place in the window of meetings with a bot in both regions: what a total outage could double."""
        if one.assignment.both or one.order is None:
            return True
        pair = Q(source=one.order.source, target=one.order.target)
        with transaction.atomic():
            handovers = list(Handover.objects.select_for_update().filter(pair).order_by("pk"))
            room = min(handover.max_both for handover in handovers)
            taken = Assignment.objects.filter(both=True, over=False, owner__in=[one.order.source, one.order.target])
            if taken.count() >= room:
                return False
            Assignment.objects.filter(pk=one.assignment.pk).update(both=True)
        return True

    # -- storing

    def _store(self, loaded: list[Loaded]) -> None:
        """Write verdict, reason and due time; a wake-up that came in meanwhile is kept."""
        now = clock.now()
        values = []
        for one in loaded:
            outcome = self.outcomes.get(one.row.assignment, Outcome("goes on in a moment", now))
            row = replace(one.row, attended=outcome.attended) if outcome.over else one.row
            said, note = verdict(row, now=now, numbers=self.numbers, order=one.order)
            held = [_has_bot(side, one.row, now, self.numbers) for side in (one.row.owner, one.row.other) if side]
            pending = any(i.purpose is Purpose.ADD for s in (one.row.owner, one.row.other) if s for i in s.intents)
            progressed = outcome.reason != one.assignment.reason or outcome.over
            values.append(
                (
                    one.assignment.pk,
                    one.assignment.version,
                    said.value,
                    note[:120],
                    outcome.reason[:300],
                    outcome.due_at,
                    outcome.over,
                    len(held) == 2 and (all(held) or pending),
                    outcome.attended,
                    0 if progressed else min(one.assignment.attempts + 1, 20),
                )
            )
        if not values:
            return
        rows = ", ".join(
            ["(%s::bigint, %s::bigint, %s, %s, %s, %s::timestamptz, %s::bool, %s::bool, %s::bool, %s::int)"] * len(values)
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {Assignment._meta.db_table} AS a SET
                    verdict = v.verdict, note = v.note, reason = v.reason, verdict_at = %s,
                    due_at = CASE WHEN a.version = v.version THEN v.due_at ELSE a.due_at END,
                    over = v.over AND a.version = v.version, "both" = v.in_both, attended = v.attended, attempts = v.attempts
                FROM (VALUES {rows}) AS v(id, version, verdict, note, reason, due_at, over, in_both, attended, attempts)
                WHERE a.id = v.id AND a.lease_token = %s
                """,  # noqa: S608 (our own table's name and placeholders)
                [now, *[value for row in values for value in row], self.lease.token],
            )


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
