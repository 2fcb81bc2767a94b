"""Loads assignments as the values that decisions take: a fixed number of queries for any number of assignments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from calendars.assignments import order_of
from calendars.ingest import SCHEDULED
from calendars.judging import policies_of
from calendars.models import (
    Assignment,
    Bot,
    BotProfile,
    ConnectionStatus,
    Event,
    Intent,
    Occurrence,
    RateBudget,
    Scheduler,
    Which,
    Workspace,
)
from calendars.providers.recall_endpoints import ADD_BOT, LIST_EVENTS, REMOVE_BOT
from calendars.scheduling.ownership import Copy, Order, cancelled, common_order, present, wish
from calendars.scheduling.values import BotEntry, External, Member, Numbers, OpenIntent, Purpose, Row, Side
from recallops import clock
from recallops.prepared import Given, prepared

OUTAGE = timedelta(minutes=15)  # an outage that the margin shall survive

PAUSED = "paused by staff"
MAY_COME = "taken off its event, but too late: the provider still has the bot"  # outcome of a removal

# Loading is what a pass does most, and each column of a joined row has its price.
OF_ASSIGNMENTS = (
    *(field.attname for field in Assignment._meta.concrete_fields),
    *("owner__slug", "owner__scheduler", "owner__bot_profile_id"),
)
OF_EVENTS = (
    *(field.attname for field in Event._meta.concrete_fields if field.name != "raw"),
    *("connection__calendar_id", "connection__status", "connection__closing", "connection__events_changed_at"),
    *("workspace__sweep_mark", "workspace__swept_at"),
)

# By hand, since every pass asks for it.
_AHEAD = f"""
SELECT max(tat) - extract(epoch FROM recallops_machine_now())::float8 FROM {RateBudget._meta.db_table}
WHERE workspace_id = ANY(%s) AND endpoint = ANY(%s)
"""  # noqa: S608 (our own table's name)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An assignment's row in both forms. `profile`: the configuration that a policy gives its bot."""

    assignment: Assignment
    row: Row
    order: Order | None
    events: dict[int, Event]
    profile: BotProfile | None = None


def numbers_for(workspaces: Collection[Workspace]) -> Numbers:
    """Return the numbers that hold between some workspaces: the more careful of each.

    The freeze grows by the clocks' difference and one request's time-out; the margin covers the present wait for the
    slowest budget, two late commits, three requests and an outage (docs/handover.md, 2).
    """
    request = timedelta(seconds=settings.PROVIDER_TIMEOUT * clock.speed())
    late = max(workspace.late_commit for workspace in workspaces)
    needed = _budget_wait(workspaces) + 2 * late + 3 * request + OUTAGE
    return Numbers(
        freeze=max(workspace.freeze + workspace.clock_offset for workspace in workspaces) + request,
        late_commit=late,
        margin=max(needed, *(workspace.margin for workspace in workspaces)),
        age_for_write=min(workspace.age_for_write for workspace in workspaces),
        age_for_wait=min(workspace.age_for_wait for workspace in workspaces),
        age_near_start=min(workspace.age_near_start for workspace in workspaces),
        patience=min(workspace.patience for workspace in workspaces),
        sweep_every=max(workspace.sweep_every for workspace in workspaces),
    )


def _budget_wait(workspaces: Collection[Workspace]) -> timedelta:
    """Return the present wait for the slowest budget used, in domain time."""
    with connection.cursor() as cursor:
        cursor.execute(_AHEAD, [[workspace.pk for workspace in workspaces], [ADD_BOT, REMOVE_BOT, LIST_EVENTS]])
        ahead = cursor.fetchone()[0]
    return timedelta(seconds=max(0.0, ahead or 0.0) * clock.speed())


@prepared
def _assignments() -> QuerySet[Assignment]:
    rows = Assignment.objects.filter(pk__any=Given("ids")).select_related("owner").only(*OF_ASSIGNMENTS)
    return rows.order_by("start", "pk")


@prepared
def _occurrences() -> QuerySet[Occurrence]:
    rows = Occurrence.objects.filter(assignment__any=Given("ids")).select_related("calendar__handover")
    return rows.order_by("pk")


@prepared
def _events() -> QuerySet[Event]:
    rows = Event.objects.filter(occurrence__assignment__any=Given("ids")).select_related("connection", "workspace")
    return rows.only(*OF_EVENTS).order_by("pk")


@prepared
def _intents() -> QuerySet[Intent]:
    """Open intents, and removals that may have come too late."""
    late = Q(purpose=Intent.Purpose.REMOVE_BOT, outcome=MAY_COME)
    return Intent.objects.filter(Q(state__in=Intent.OPEN) | late, assignment__any=Given("ids")).order_by("pk")


def load(ids: Collection[int]) -> list[Loaded]:
    """Load assignments by primary key, nearest start first."""
    ids = list(ids)
    assignments = _assignments(ids=ids)
    occurrences: dict[int, list[Occurrence]] = defaultdict(list)
    for occurrence in _occurrences(ids=ids):
        occurrences[occurrence.assignment_id or 0].append(occurrence)
    events: dict[int, list[Event]] = defaultdict(list)
    for event in _events(ids=ids):
        events[event.occurrence_id].append(event)
    bots = _bots([event for group in events.values() for event in group])
    profiles = _profiles(assignments, occurrences)
    intents: dict[int, list[Intent]] = defaultdict(list)
    too_late: list[Intent] = []
    for intent in _intents(ids=ids):
        if intent.state in Intent.OPEN:
            intents[intent.assignment_id or 0].append(intent)
        else:
            too_late.append(intent)
    loose = _loose(too_late, {assignment.pk: assignment.url for assignment in assignments})
    external = any(assignment.owner.scheduler == Scheduler.EXTERNAL for assignment in assignments)
    removed = _removed(assignments, occurrences) if external else {}
    return [
        _loaded(
            assignment,
            occurrences[assignment.pk],
            events,
            bots,
            intents[assignment.pk],
            loose.get(assignment.pk, ()),
            profiles.get(assignment.pk),
            removed.get(assignment.pk, {}),
        )
        for assignment in assignments
    ]


def _profiles(assignments: list[Assignment], occurrences: dict[int, list[Occurrence]]) -> dict[int, BotProfile]:
    """Return the bot profiles of assignments under a policy: that of the first wanted member, else the workspace's."""
    policies = policies_of({occurrence.calendar for group in occurrences.values() for occurrence in group})
    if not policies:
        return {}
    chosen: dict[int, int | None] = {}
    for assignment in assignments:
        members = [one for one in occurrences[assignment.pk] if one.wanted and one.calendar_id in policies]
        if members and assignment.owner.scheduler != Scheduler.EXTERNAL:
            policy = policies[members[0].calendar_id]
            if policy.bot_profile_id or policy.which != Which.AS_FOUND:
                chosen[assignment.pk] = policy.bot_profile_id or assignment.owner.bot_profile_id
    known = BotProfile.objects.in_bulk([pk for pk in set(chosen.values()) if pk is not None])
    return {assignment: known[pk] for assignment, pk in chosen.items() if pk is not None}


@prepared
def _states_of_bots() -> QuerySet[Bot, tuple[int, str, str, bool, bool]]:
    columns = ("workspace", "remote_id", "status", "terminal", "attended")
    return Bot.objects.filter(remote_id__any=Given("ids")).values_list(*columns)


def _bots(events: list[Event]) -> dict[tuple[int, str], tuple[str, bool, bool]]:
    ids = {entry["bot_id"] for event in events for entry in event.bots}
    if not ids:
        return {}
    rows = _states_of_bots(ids=list(ids))
    return {(workspace, remote): (status, over, there) for workspace, remote, status, over, there in rows}


def _loose(removals: Collection[Intent], urls: Mapping[int, str]) -> dict[int, list[BotEntry]]:
    """Return the bots that were taken off their events too late, and that the provider still has."""
    if not removals:
        return {}
    named = {(one.workspace_id, one.bot_id): one.assignment_id or 0 for one in removals}
    loose: dict[int, list[BotEntry]] = defaultdict(list)
    for bot in Bot.objects.filter(remote_id__in=[bot_id for _, bot_id in named], terminal=False).defer("config"):
        pk = named.get((bot.workspace_id, bot.remote_id))
        if pk is not None and bot.join_at is not None:
            live = bot.status != SCHEDULED
            loose[pk].append(BotEntry(bot.remote_id, bot.join_at, urls[pk], key="", live=live, attended=bot.attended))
    return loose


def _loaded(
    assignment: Assignment,
    occurrences: list[Occurrence],
    events: dict[int, list[Event]],
    bots: dict[tuple[int, str], tuple[str, bool, bool]],
    intents: list[Intent],
    loose: Collection[BotEntry],
    profile: BotProfile | None,
    removed: dict[int, int],
) -> Loaded:
    order = common_order(order_of(occurrence.calendar) for occurrence in occurrences)
    if order is not None and assignment.owner_id not in (order.source, order.target):
        order = None
    own = assignment.owner_id
    other = None
    if order is not None:
        other = order.target if own == order.source else order.source
    elif not occurrences:
        # all moved away, maybe while a write of ours was on its way: that one has an end, too
        other = next((intent.workspace_id for intent in intents if intent.workspace_id != own), None)
    mine = [(occurrence, event) for occurrence in occurrences for event in events[occurrence.pk]]
    wanted = frozenset(
        occurrence.pk
        for occurrence in occurrences
        if occurrence.wanted and not cancelled(_copies(events[occurrence.pk]), own)
    )
    sides = {
        workspace: Side(
            workspace=workspace,
            members=tuple(
                _member(occurrence, event, bots) for occurrence, event in mine if event.workspace_id == workspace
            ),
            intents=tuple(_intent(intent) for intent in intents if intent.workspace_id == workspace),
            swept_at=next((event.workspace.sweep_mark for _, event in mine if event.workspace_id == workspace), None),
        )
        for workspace in (own, other)
        if workspace is not None
    }
    in_place = {workspace: present(side, wanted) for workspace, side in sides.items()}
    row = Row(
        assignment=assignment.pk,
        start=assignment.start,
        end=assignment.end,
        url=assignment.url,
        wanted=wanted,
        owner=sides[own],
        other=sides[other] if other is not None else None,
        keys={int(workspace): key for workspace, key in assignment.keys.items()},
        wish=wish(
            owner=own,
            start=assignment.start,
            order=order,
            in_source=bool(order and in_place.get(order.source)),
            in_target=bool(order and in_place.get(order.target)),
        ),
        hold=PAUSED if order is not None and order.paused else "",
        attended=assignment.attended,
        outdated=profile is not None and assignment.config_digests.get(str(own)) != profile.digest,
        external=_external(assignment, occurrences, order, removed),
        loose=tuple(loose),
    )
    return Loaded(assignment, row, order, {event.pk: event for _, event in mine}, profile)


def _external(
    assignment: Assignment, occurrences: list[Occurrence], order: Order | None, removed: dict[int, int]
) -> External | None:
    """Return where the company's application schedules this row; None where it does not.

    Without an order nothing of it is ours: the application schedules where the row is.
    """
    if assignment.owner.scheduler != Scheduler.EXTERNAL:
        return None
    if order is None:
        return External(source=0, active=frozenset({assignment.owner_id}), removed=removed)
    routes = {one.calendar.relayed_from_id or order.source for one in occurrences if one.calendar.handover is not None}
    return External(source=order.source, active=frozenset(routes), removed=removed)


def _removed(assignments: list[Assignment], occurrences: dict[int, list[Occurrence]]) -> dict[int, dict[int, int]]:
    """Return how many bots were taken from each assignment in each workspace since its calendars last went over."""
    since: dict[int, datetime | None] = {}
    for assignment in assignments:
        moments = [one.calendar.relayed_since for one in occurrences[assignment.pk]]
        since[assignment.pk] = max((moment for moment in moments if moment is not None), default=None)
    taken: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    intents = Intent.objects.filter(assignment__in=assignments, purpose=Intent.Purpose.REMOVE_BOT)
    for pk, workspace, bot_id, sent_at in intents.values_list("assignment", "workspace", "bot_id", "sent_at"):
        begun = since[pk or 0]
        if begun is None or sent_at >= begun:
            taken[pk or 0][workspace].add(bot_id)
    return {pk: {workspace: len(bots) for workspace, bots in by.items()} for pk, by in taken.items()}


def _copies(events: list[Event]) -> list[Copy]:
    connected = ConnectionStatus.CONNECTED
    return [Copy(event.workspace_id, event.connection.status == connected, event.is_deleted) for event in events]


def _member(occurrence: Occurrence, event: Event, bots: dict[tuple[int, str], tuple[str, bool, bool]]) -> Member:
    return Member(
        occurrence=occurrence.pk,
        event=event.pk,
        start=event.start,
        url=event.url,
        wanted=occurrence.wanted,
        deleted=event.is_deleted,
        connected=event.connection.status == ConnectionStatus.CONNECTED,
        closing=event.connection.closing,
        gone=event.connection.status == ConnectionStatus.DELETED,
        bots=tuple(_entry(event, entry, bots) for entry in event.bots),
        read_at=event.read_begun_at,
        changed_at=max((at for at in (event.changed_at, _heard(event)) if at is not None), default=None),
    )


def _heard(event: Event) -> datetime | None:
    """Return when a webhook spoke of this calendar's events, unless they were read since."""
    heard, swept = event.connection.events_changed_at, event.workspace.swept_at
    return None if heard is None or (swept is not None and swept > heard) else heard


def _entry(event: Event, entry: dict[str, str], bots: dict[tuple[int, str], tuple[str, bool, bool]]) -> BotEntry:
    status, terminal, attended = bots.get((event.workspace_id, entry["bot_id"]), (SCHEDULED, False, False))
    return BotEntry(
        bot_id=entry["bot_id"],
        start=datetime.fromisoformat(entry["start"]),
        url=entry["url"],
        key=entry["key"],
        terminal=terminal,
        live=not terminal and status != SCHEDULED,
        attended=attended,
    )


def _intent(intent: Intent) -> OpenIntent:
    return OpenIntent(
        purpose=Purpose(intent.purpose),
        event=intent.event_id,
        bot_id=intent.bot_id,
        sent_at=intent.sent_at,
        answered_at=intent.answered_at,
    )
