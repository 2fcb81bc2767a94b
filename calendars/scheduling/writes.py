"""Writes of one reconcile pass: each behind an intent row that is committed before the call is made.

What a refusal or a lost answer means for the assignment is said here, too: `Trouble` with a reason and a time.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from calendars import assignments, sync
from calendars.leases import Lease, renew
from calendars.models import Assignment, Bot, Event, Handover, Intent, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.providers.recall import RecallClient
from calendars.scheduling.bot_config import portable, rewritten
from calendars.scheduling.rows import Loaded
from calendars.scheduling.settling import must_name_bot
from calendars.scheduling.values import Action, Numbers
from recallops import clock

NO_BOT_RETRY = timedelta(seconds=30)
CONFLICT_RETRY = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(minutes=5)
TROUBLE_RETRY = timedelta(minutes=1)
STILL_RUNNING = timedelta(minutes=15)
LONGEST_CALL = timedelta(hours=12)  # after the end; then a bot that never ends is not waited for
WINDOW_FULL = "as many meetings as allowed have a bot in both regions at the moment"
LOST = "an answer was lost; waiting until it can be read"
ENTANGLED = "its event holds a second bot, and the first is shared with other events; neither can be removed alone"
SOON = "goes on in a moment"


class Trouble(Exception):
    """A write or a reading did not work; says why, and when to try again."""

    def __init__(self, reason: str, due_at: datetime) -> None:
        super().__init__(reason)
        self.reason, self.due_at = reason, due_at


class Writer:
    """Writes bots for the rows of one pass, under its lease."""

    def __init__(self, ids: Collection[int], lease: Lease) -> None:
        self.ids, self.lease = ids, lease
        self.workspaces: dict[int, Workspace] = {}
        self.numbers = Numbers()
        self._clients: dict[int, RecallClient] = {}
        self._rewrites: dict[tuple[int, int], dict[str, str]] = {}

    def add(self, one: Loaded, action: Action) -> None:
        """Add the row's bot for the events named. Raises Trouble."""
        workspace = self.workspaces[action.workspace]
        handing_over = one.row.other is not None and one.row.other.workspace == action.workspace
        if handing_over and one.order is not None and not self._reserve(one):
            raise Trouble(WINDOW_FULL, clock.now() + NO_BOT_RETRY)
        key = self._key(one, action.workspace)
        config = self._config(one, workspace)
        for event_id in action.events:
            event = one.events[event_id]
            intent = self._intent(one, workspace, Intent.Purpose.ADD_BOT, event, "", {"key": key, "config": config})
            call = partial(
                self._client(workspace).add_bot,
                event.remote_id,
                deduplication_key=key,
                bot_config=config,
                idempotency_key=f"recallops-{intent.pk}-{intent.attempt}",
            )
            self._send(intent, one, call)
        if one.profile is not None:
            given = {**one.assignment.config_digests, str(workspace.pk): one.profile.digest}
            Assignment.objects.filter(pk=one.assignment.pk).update(config_digests=given)
            one.assignment.config_digests = given

    def remove(self, one: Loaded, action: Action) -> None:
        """Remove the bots named from the events named. Raises Trouble."""
        workspace = self.workspaces[action.workspace]
        if one.row.wanted and one.assignment.bot_config is None:
            self.find_configs([one], ask=True)  # the bot that goes may be the only one that shows it
        side = one.row.owner if one.row.owner.workspace == action.workspace else one.row.other
        for event_id in action.events:
            event = one.events[event_id]
            member = next((m for m in side.members if m.event == event_id), None) if side else None
            for bot_id in action.bots:
                if not any(entry["bot_id"] == bot_id for entry in event.bots):
                    continue
                by_bot = must_name_bot(member, action.bots)
                if by_bot and self._held_elsewhere(workspace, bot_id, action.events):
                    raise Trouble(ENTANGLED, clock.now() + LONGEST_BACKOFF)
                intent = self._intent(one, workspace, Intent.Purpose.REMOVE_BOT, event, bot_id, {"bot": bot_id})
                client = self._client(workspace)
                by_event: Callable[[], object] = partial(client.remove_bot, event.remote_id)
                self._send(intent, one, partial(client.delete_bot, bot_id) if by_bot else by_event)

    def _held_elsewhere(self, workspace: Workspace, bot_id: str, events: tuple[int, ...]) -> bool:
        """Whether an event that is not to lose the bot holds it: deleting the bot itself would take it from there."""
        holding = Event.objects.filter(workspace=workspace, is_deleted=False, bots__contains=[{"bot_id": bot_id}])
        return holding.exclude(pk__in=events).exists()

    def look(self, one: Loaded, action: Action) -> bool:
        """After the end: read the bots themselves; return whether one was in the call. Raises Trouble."""
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
                self.hold_lease()
                sync.read_bots(workspace, bots)
            except errors.ProviderError as error:
                raise self.trouble(error, workspace, attempts=one.assignment.attempts + 1) from error
        ended = Bot.objects.filter(remote_id__in=action.bots, terminal=True).count()
        if ended < len(action.bots) and clock.now() < one.row.end + LONGEST_CALL:
            raise Trouble("the call runs over", clock.now() + STILL_RUNNING)
        return Bot.objects.filter(remote_id__in=action.bots, attended=True).exists()

    def hold_lease(self) -> None:
        """Renew the lease when it may end before an answer comes. Raises Trouble when it was lost: nothing is sent."""
        if self.lease.left() <= 1.5 * settings.PROVIDER_TIMEOUT and not renew(Assignment, self.ids, self.lease):
            raise Trouble(SOON, clock.now())

    def _intent(
        self, one: Loaded, workspace: Workspace, purpose: Intent.Purpose, event: Event, bot_id: str, body: Any
    ) -> Intent:
        """Commit "about to write this" before it is sent."""
        self.hold_lease()
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

    def _send(self, intent: Intent, one: Loaded, call: Callable[[], object]) -> None:
        """Send one write. Raises Trouble; a lost answer leaves the intent open."""
        try:
            call()
        except errors.ProviderError as error:
            if not error.may_have_happened:
                Intent.objects.filter(pk=intent.pk).settle(happened=False, outcome=error.sentence)
            else:
                Intent.objects.filter(pk=intent.pk, state__in=Intent.OPEN).update(outcome=error.sentence[:300])
            self._learn(error, intent)
            workspace = self.workspaces[intent.workspace_id]
            raise self.trouble(error, workspace, attempts=one.assignment.attempts + 1, start=one.row.start) from error
        if not Intent.objects.filter(pk=intent.pk).answer():  # another has settled it meanwhile: it must look again
            Event.objects.filter(pk=intent.event_id or 0).update(changed_at=clock.now())
            assignments.wake([one.row.assignment])

    def _learn(self, error: errors.ProviderError, intent: Intent) -> None:
        """Some refusals are news about the world."""
        if isinstance(error, errors.BotAlreadyJoined) and intent.bot_id:
            Bot.objects.update_or_create(
                workspace_id=intent.workspace_id,
                remote_id=intent.bot_id,
                defaults={"status": "joining_call", "read_begun_at": clock.now()},
            )
        elif isinstance(error, errors.NotFound):
            Event.objects.filter(pk=intent.event_id or 0).update(changed_at=clock.now())

    def trouble(
        self, error: errors.ProviderError, workspace: Workspace, *, attempts: int, start: datetime | None = None
    ) -> Trouble:
        """Turn a provider's error into a reason and a time for the next try.

        `attempts`: how many failed in a row, this one included; `start`: of the meeting, for which near its start
        nothing waits long.
        """
        now = clock.now()
        if isinstance(error, errors.InvalidKey):
            Workspace.objects.filter(pk=workspace.pk).update(trouble=error.sentence[:600])
            return Trouble(error.sentence[:300], now + TROUBLE_RETRY)
        if isinstance(error, errors.BudgetBusy):
            return Trouble(error.sentence[:300], now + timedelta(seconds=error.wait * clock.speed()))
        if error.may_have_happened:
            urgent = start is not None and start - now < self.numbers.near
            return Trouble(LOST, now + (NO_BOT_RETRY if urgent else self.numbers.late_commit))
        if error.retry_after is not None:
            return Trouble(error.sentence[:300], now + error.retry_after)
        if isinstance(error, errors.NoBotsAvailable):
            return Trouble(error.sentence[:300], now + NO_BOT_RETRY)
        near = start is not None and abs(start - now) < self.numbers.near
        longest = NO_BOT_RETRY if near else LONGEST_BACKOFF
        backoff = min(CONFLICT_RETRY * 2 ** min(attempts, 8), longest) * random.uniform(0.5, 1.5)
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
        if workspace.pk not in self._clients:
            self._clients[workspace.pk] = client_for(workspace)
        return self._clients[workspace.pk]

    def _config(self, one: Loaded, workspace: Workspace) -> dict[str, Any]:
        """Return the complete configuration for this row's bot: its profile's, else the found bot's, rewritten."""
        if one.profile is not None:
            return rewritten(one.profile.config, rewrites=self._rewritten(one, workspace))
        if one.assignment.bot_config is None:
            self.find_configs([one], ask=True)
        if one.assignment.bot_config is None and workspace.bot_profile is not None:
            return rewritten(workspace.bot_profile.config, rewrites=self._rewritten(one, workspace))
        if one.assignment.bot_config is None:
            one.assignment.bot_config = self._neighbours_config(one)
        return portable(one.assignment.bot_config, rewrites=self._rewritten(one, workspace))

    def _neighbours_config(self, one: Loaded) -> dict[str, Any]:
        """Return the configuration of another meeting of the same calendars: its own bot is gone without a trace.

        A bot with a neighbour's configuration, or the provider's default one, is better than none.
        """
        calendars = {event.connection.calendar_id for event in one.events.values()}
        alike = Assignment.objects.filter(occurrences__calendar__in=calendars).exclude(bot_config=None)
        near = alike.order_by("-start").values_list("bot_config", flat=True).first()
        return dict(near or {})

    def _rewritten(self, one: Loaded, workspace: Workspace) -> dict[str, str]:
        if one.order is None:
            return {}
        pair = (one.order.source, one.order.target)
        if pair not in self._rewrites:
            ordered = Handover.objects.filter(source=pair[0], target=pair[1])
            found = ordered.filter(calendars__occurrences__assignment=one.assignment).first()
            self._rewrites[pair] = dict(found.rewrites) if found else {}
        rewrites = self._rewrites[pair]
        return {new: old for old, new in rewrites.items()} if workspace.pk == pair[0] else rewrites

    def find_configs(self, rows: list[Loaded], *, ask: bool = False) -> None:
        """Take the configuration of a bot found for these rows that have none yet; `ask`: read it if need be."""
        without = [one for one in rows if one.assignment.bot_config is None]
        entries = {
            (event.workspace_id, entry["bot_id"]): one
            for one in without
            for event in one.events.values()
            for entry in event.bots
        }
        if ask:
            for (workspace_id, bot_id), one in entries.items():
                if workspace_id in self.workspaces:
                    workspace, tries = self.workspaces[workspace_id], one.assignment.attempts + 1
                    try:
                        sync.read_bots(workspace, [bot_id])
                    except errors.ProviderError as error:
                        raise self.trouble(error, workspace, attempts=tries) from error
        known = Bot.objects.filter(remote_id__in=[bot_id for _, bot_id in entries]).exclude(config=None)
        found = []
        for bot in known if entries else ():
            holder = entries.get((bot.workspace_id, bot.remote_id))
            if holder is not None and holder.assignment.bot_config is None:
                holder.assignment.bot_config = bot.config
                found.append(holder.assignment)
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
