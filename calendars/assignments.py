"""From events to assignments: which meetings must be covered, and which events belong together.

Policies and choices of people say which events are wanted. Where nobody has said anything, everything stays *as found*:
an occurrence is wanted once its event was seen with a scheduled bot, until the event is cancelled. It stays wanted when
the provider loses the bot: that is what we are here to notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Mod

from calendars.judging import Judge
from calendars.leases import alone, lock, locked
from calendars.models import (
    Assignment,
    Calendar,
    Connection,
    ConnectionStatus,
    DedupScheme,
    Event,
    Handover,
    Occurrence,
    Scheduler,
    Workspace,
)
from calendars.scheduling import deduplication
from calendars.scheduling.ownership import Order, birth_owner, is_told_by
from calendars.scheduling.policy import Judgement
from recallops import clock
from recallops.prepared import Given, changing, prepared

AS_FOUND = "as found: a bot was scheduled for it"
BY_APPLICATION = "the company's application scheduled a bot for it"
ELSEWHERE = "its event belongs to another calendar now"
CHUNK = 500
MOST_SAMPLES = 20_000  # events whose keys are looked at to find their pattern


def order_of(calendar: Calendar) -> Order | None:
    """Return a calendar's standing order as a value.

    Where the company's application schedules, a calendar goes over as a whole when its share group is cut, and back
    when that falls back: the line is the cut, and before it everything is the source's (docs/handover.md, 5.6).
    """
    handover = calendar.handover
    if handover is None:
        return None
    order = Order(
        source=handover.source_id,
        target=handover.target_id,
        cut_line=handover.cut_line,
        allowed=handover.allowed,
        paused=handover.paused,
        backwards=handover.backwards,
    )
    if not handover.external:
        return order
    cut = calendar.relayed_from_id == handover.target_id
    return replace(
        order,
        cut_line=calendar.relayed_since if cut else None,
        allowed=handover.allowed and cut,
        backwards=handover.backwards or not cut,
    )


def learn_keys(workspace: Workspace) -> str:
    """Find the pattern of a workspace's deduplication keys in its events, store it, and return it ("" for none).

    In a large workspace some of them tell as much as all: every so many-th event is asked.
    """
    events = Event.objects.filter(workspace=workspace, is_deleted=False).exclude(bots=[])
    every = max(1, -(-events.count() // MOST_SAMPLES))
    samples = [
        deduplication.KeySample(
            key=entry["key"],
            start=datetime.fromisoformat(entry["start"]),
            url=entry["url"],
            email=email,
            event_id=remote_id,
        )
        for bots, remote_id, email in events.annotate(turn=Mod("pk", every))
        .filter(turn=0)
        .values_list("bots", "remote_id", "connection__calendar__email")
        .iterator(chunk_size=2000)
        for entry in bots
        if entry["key"]
    ]
    template = deduplication.infer_template(samples) or ""
    Workspace.objects.filter(pk=workspace.pk).update(key_template=template[:200])
    workspace.key_template = template[:200]
    return workspace.key_template


def form(workspace: Workspace) -> int:
    """Let every coming event of a workspace that is wanted join its assignment; return how many events were seen."""
    return _join_in_chunks(Event.objects.filter(workspace=workspace), workspace)


def judge_again(calendars: QuerySet[Calendar]) -> None:
    """Let the events of some calendars be judged anew: a policy, a choice or a bot profile changed."""
    calendars.model._default_manager.filter(pk__in=calendars.values("pk")).update(judge_at=clock.now())


def judge_calendar(calendar: int) -> None:
    """Judge the coming events of a calendar anew, in every workspace that is read, and wake their assignments.

    Where nobody reads, nobody schedules: a policy acts there from the day on which the reading begins.
    """
    for workspace in Workspace.objects.filter(connections__calendar=calendar, watched=True).distinct():
        _join_in_chunks(Event.objects.filter(workspace=workspace, connection__calendar=calendar), workspace)


def _join_in_chunks(events: QuerySet[Event], workspace: Workspace) -> int:
    last, count = 0, 0
    coming = events.filter(is_deleted=False, end__gt=clock.now()).order_by("pk")
    while chunk := list(coming.filter(pk__gt=last)[:CHUNK]):
        join(chunk, workspace=workspace)
        last, count = chunk[-1].pk, count + len(chunk)
    return count


def storing(family: str) -> AbstractContextManager[None]:
    """Store what was read of a family of workspaces: one at a time, since readings of both sides share rows."""
    return alone(f"store {family}")


def join(events: Collection[Event], *, workspace: Workspace) -> None:
    """Let changed events join, leave, or wake assignments. `events` are rows as just stored, of one workspace.

    Start, URL and "wanted" are taken from the owner's workspace, as long as the calendar is connected there; a change
    that the other side shows first wakes the assignment and nothing else.
    """
    with storing(workspace.family):
        _join_all(events, workspace=workspace)


@prepared
def _occurrences() -> QuerySet[Occurrence]:
    return Occurrence.objects.filter(pk__any=Given("ids")).select_related("assignment", "calendar__handover")


def _join_all(events: Collection[Event], *, workspace: Workspace) -> None:
    now = clock.now()
    ids = list({event.occurrence_id for event in events})
    occurrences = {occurrence.pk: occurrence for occurrence in _occurrences(ids=ids)}
    shown_by = _connected({occurrence.calendar_id for occurrence in occurrences.values()})
    touched: set[int] = set()
    seen: list[tuple[Occurrence, Event]] = []
    for event in events:
        occurrence = occurrences[event.occurrence_id]
        left = occurrence.assignment
        if left is not None:
            touched.add(left.pk)
            owner_shows = (occurrence.calendar_id, left.owner_id) in shown_by
            counts = is_told_by(workspace.pk, owner=left.owner_id, owner_shows=owner_shows)
            # an application that schedules where the row is not brings it back to life
            if not counts and not (left.over and workspace.scheduler == Scheduler.EXTERNAL):
                continue
        seen.append((occurrence, event))
    strays = _judge(seen, workspace, now)
    joining: list[tuple[Occurrence, Event, Assignment]] = []
    for occurrence, event in seen:
        left = occurrence.assignment
        if not occurrence.wanted and not ((left is None or left.over) and occurrence.pk in strays):
            continue
        if event.is_deleted or not event.url or event.end <= now:
            continue
        shown = _assignment(workspace, occurrence, event, left)
        if left is None or left.over or left.identity != shown.identity:
            joining.append((occurrence, event, shown))  # new, moved, or a cancellation that was withdrawn
    if joining:
        _join(joining, touched)
    wake(touched)


def _judge(seen: Collection[tuple[Occurrence, Event]], workspace: Workspace, now: datetime) -> set[int]:
    """Set which occurrences are wanted, why, and with whom they share; return those with a bot that nobody wants."""
    external = workspace.scheduler == Scheduler.EXTERNAL
    judge = Judge({occurrence.calendar for occurrence, _ in seen}, [occurrence for occurrence, _ in seen])
    elsewhere = _with_a_bot_elsewhere(seen, workspace, now) if external else set()
    changed: list[Occurrence] = []
    keyless: list[tuple[Occurrence, Event]] = []
    strays: set[int] = set()
    for occurrence, event in seen:
        entry = _scheduled(event, now)
        before = (occurrence.wanted, occurrence.found, occurrence.reason, occurrence.scope)
        if external:
            # only where the application schedules, no bot is its word: elsewhere it was we who took it away
            deaf = occurrence.calendar.relayed_from_id not in (None, workspace.pk)
            occurrence.found = entry is not None or occurrence.pk in elsewhere or (deaf and occurrence.found)
            ruled: Judgement | None = Judgement(occurrence.found, BY_APPLICATION if occurrence.found else "")
        else:
            if entry is not None and (occurrence.assignment is None or occurrence.assignment.over):
                occurrence.found = True  # nothing of ours is under way, so somebody else has put it there
            ruled = judge.judge(occurrence, event, found=occurrence.found)
        judgement = ruled or Judgement(occurrence.found, AS_FOUND if occurrence.found else "")
        if entry is not None and ruled is not None and not ruled.wanted:
            strays.add(occurrence.pk)
        if occurrence.assignment is None and (judgement.wanted or occurrence.pk in strays) and event.url:
            if entry is not None or workspace.dedup_scheme != DedupScheme.AS_FOUND:
                occurrence.scope = _scope(workspace, occurrence, entry["key"] if entry else "")
            elif not (occurrence.wanted and occurrence.scope):
                keyless.append((occurrence, event))
        occurrence.wanted, occurrence.reason = judgement.wanted, judgement.reason
        if before != (occurrence.wanted, occurrence.found, occurrence.reason, occurrence.scope):
            changed.append(occurrence)
    if keyless:
        changed += _share(keyless, seen, workspace)
    if changed:
        Occurrence.objects.bulk_update(set(changed), ["wanted", "found", "reason", "scope"])
    return strays


def _with_a_bot_elsewhere(seen: Collection[tuple[Occurrence, Event]], workspace: Workspace, now: datetime) -> set[int]:
    """Return the occurrences that have a scheduled bot in another workspace.

    Where the company's application schedules, a meeting is wanted as long as it has put a bot there, in whichever
    region: we take the source's away, and that is no word of the application.
    """
    others = Event.objects.filter(occurrence__in=[occurrence.pk for occurrence, _ in seen], is_deleted=False)
    others = others.exclude(workspace=workspace).exclude(bots=[]).defer("raw")
    return {event.occurrence_id for event in others if _scheduled(event, now) is not None}


def _share(
    keyless: Collection[tuple[Occurrence, Event]], seen: Collection[tuple[Occurrence, Event]], workspace: Workspace
) -> list[Occurrence]:
    """As found, but without a key of their own: such meetings share the bot of their copies in other calendars.

    Returns those whose scope changed.
    """
    scheme = deduplication.scheme_of(workspace.key_template) if workspace.key_template else DedupScheme.ALL
    known: dict[tuple[datetime, str, str], str] = {}

    def place(start: datetime, url: str, email: str) -> tuple[datetime, str, str]:
        return start, url, deduplication.domain_of(email) if scheme == DedupScheme.DOMAIN else ""

    if scheme != DedupScheme.NONE:
        held = Occurrence.objects.filter(
            wanted=True,
            assignment__over=False,
            assignment__family=workspace.family,
            assignment__start__in={event.start for _, event in keyless},
            assignment__url__in={event.url for _, event in keyless},
        ).order_by("pk")
        for start, url, scope, email in held.values_list(
            "assignment__start", "assignment__url", "scope", "calendar__email"
        ):
            known.setdefault(place(start, url, email), scope)
        without = {occurrence.pk for occurrence, _ in keyless}
        for occurrence, event in seen:
            if occurrence.wanted and occurrence.pk not in without:
                known.setdefault(place(event.start, event.url, occurrence.calendar.email), occurrence.scope)
    changed = []
    for occurrence, event in keyless:
        here = place(event.start, event.url, occurrence.calendar.email)
        alone = scheme == DedupScheme.NONE or (scheme == DedupScheme.DOMAIN and not here[2])
        scope = (_identity(occurrence) if alone else known.setdefault(here, here[2]))[:2000]
        if scope != occurrence.scope:
            occurrence.scope = scope
            changed.append(occurrence)
    return changed


@prepared
def _connections() -> QuerySet[Connection, tuple[int, int]]:
    connected = Connection.objects.filter(calendar__any=Given("calendars"), status=ConnectionStatus.CONNECTED)
    return connected.values_list("calendar", "workspace")


def _connected(calendars: Collection[int]) -> set[tuple[int, int]]:
    """Return which of these calendars are connected in which workspaces."""
    return set(_connections(calendars=list(calendars)))


def _join(joining: list[tuple[Occurrence, Event, Assignment]], touched: set[int]) -> None:
    """Give each occurrence the assignment that it shows, made where there is none. `touched` grows by these."""
    families = {shown.family for _, _, shown in joining}
    Assignment.objects.bulk_create([shown for _, _, shown in joining], ignore_conflicts=True)
    stored = {
        (row.family, row.identity): row
        for row in Assignment.objects.filter(
            family__in=families, identity__in=[shown.identity for _, _, shown in joining]
        )
    }
    touched |= {row.pk for row in stored.values()}
    lock(Assignment, touched)
    longer: dict[int, Assignment] = {}
    for occurrence, event, shown in joining:
        occurrence.assignment = stored[(shown.family, shown.identity)]
        if event.end > occurrence.assignment.end:
            occurrence.assignment.end = event.end
            longer[occurrence.assignment.pk] = occurrence.assignment
    Assignment.objects.bulk_update(longer.values(), ["end"])
    Occurrence.objects.bulk_update([occurrence for occurrence, _, _ in joining], ["assignment"])
    # a meeting that comes back to a time it had left finds its old assignment
    mine = Assignment.objects.filter(pk__in=[row.pk for row in stored.values()])
    mine.filter(over=True, end__gt=clock.now()).update(over=False, attended=None)


def _scheduled(event: Event, now: datetime) -> dict[str, Any] | None:
    """Return the entry of a bot that is scheduled for this event, or None."""
    if event.is_deleted:
        return None
    for entry in event.bots:
        if datetime.fromisoformat(entry["start"]) >= min(now, event.start) and event.end > now:
            return dict(entry)
    return None


def _scope(workspace: Workspace, occurrence: Occurrence, key: str) -> str:
    scope = deduplication.scope_text(
        scheme=workspace.dedup_scheme,
        template=workspace.key_template or None,
        key=key,
        email=occurrence.calendar.email,
        identity=_identity(occurrence),
    )
    return scope[:2000]


def _identity(occurrence: Occurrence) -> str:
    return f"{occurrence.calendar_id}/{occurrence.platform_id}"


def _assignment(workspace: Workspace, occurrence: Occurrence, event: Event, left: Assignment | None) -> Assignment:
    """Return the assignment that an event shows, not yet stored."""
    order = None if workspace.scheduler == Scheduler.EXTERNAL else order_of(occurrence.calendar)
    owner = birth_owner(
        left=left.owner_id if left else None,
        start=event.start,
        order=order,
        seen_in=workspace.pk,
        all_in_target=False,
    )
    key = _key(workspace, occurrence, event, left)
    return Assignment(
        family=workspace.family,
        start=event.start,
        end=event.end,
        url=event.url,
        scope=occurrence.scope,
        identity=identity(event.start, event.url, occurrence.scope),
        owner_id=owner,
        keys={str(workspace.pk): key},
        bot_config=left.bot_config if left else None,
        due_at=clock.now(),
    )


def _key(workspace: Workspace, occurrence: Occurrence, event: Event, left: Assignment | None) -> str:
    """Return the key for a new assignment: as found, else by the workspace's pattern, else the old one moved on."""
    for entry in event.bots:
        if entry["key"] and datetime.fromisoformat(entry["start"]) == event.start and entry["url"] == event.url:
            return str(entry["key"])
    if left is not None and left.keys:
        moved = deduplication.key_after_move(
            template=workspace.key_template or None,
            key=next(iter(left.keys.values())),
            old_start=left.start,
            new_start=event.start,
            old_url=left.url,
            new_url=event.url,
            email=occurrence.calendar.email,
            event_id=event.remote_id,
        )
        if moved:
            return moved
    scheme = workspace.dedup_scheme
    if scheme == DedupScheme.AS_FOUND:
        scheme = DedupScheme.NONE if occurrence.scope else DedupScheme.ALL
    learned = workspace.key_template if workspace.dedup_scheme == DedupScheme.AS_FOUND else ""
    template = learned or deduplication.RECOMMENDED[scheme]
    try:
        return deduplication.render(
            template, start=event.start, url=event.url, email=occurrence.calendar.email, event_id=event.remote_id
        )
    except ValueError:  # a link so long that no key holds it; any text that is this meeting's alone will do
        return identity(event.start, event.url, occurrence.scope)


def let_go(occurrences: Collection[int]) -> None:
    """Forget occurrences that no event shows any more, because theirs went to another calendar."""
    empty = Occurrence.objects.filter(pk__in=occurrences, events=None)
    left = list(empty.exclude(assignment=None).values_list("assignment", flat=True))
    empty.update(wanted=False, reason=ELSEWHERE)
    wake(left)


def identity(start: datetime, url: str, scope: str) -> str:
    """Return the digest by which an assignment is unique in its family."""
    return hashlib.sha256(f"{start.isoformat()}\n{url}\n{scope}".encode()).hexdigest()


def wake(ids: Iterable[int]) -> None:
    """Let assignments be looked at now. A FLIP decided before this does not happen any more."""
    ids = list(ids)
    if ids:
        with transaction.atomic(savepoint=False):
            _look_now(ids=[pk for (pk,) in _open(ids=ids)], now=clock.now())


@prepared
def _open() -> QuerySet[Assignment, tuple[int]]:
    rows = Assignment.objects.filter(pk__any=Given("ids"), over=False).order_by("pk")
    return rows.select_for_update(no_key=True).values_list("pk")


def _wake(rows: QuerySet[Assignment]) -> None:
    with transaction.atomic(savepoint=False):
        _look_now(ids=locked(rows.filter(over=False)), now=clock.now())


@changing(version=F("version") + 1, due_at=Given("now"))
def _look_now() -> QuerySet[Assignment]:
    return Assignment.objects.filter(pk__any=Given("ids"), over=False)


def touch_connections(connections: Collection[Connection]) -> None:
    """Wake the coming assignments of calendars whose connections changed; the other side's view may count now.

    The connections are of one workspace. All of their assignments are locked at once, as everywhere in one order.
    """
    if not connections:
        return
    now = clock.now()
    here = next(iter(connections)).workspace
    calendars = {connection.calendar_id for connection in connections}
    by_workspace: dict[Workspace, list[Event]] = {}
    with storing(here.family):
        _wake(Assignment.objects.filter(occurrences__calendar__in=calendars, end__gt=now))
        elsewhere = Event.objects.filter(connection__calendar__in=calendars, end__gt=now, is_deleted=False)
        for event in elsewhere.exclude(workspace=here).select_related("workspace"):
            by_workspace.setdefault(event.workspace, []).append(event)
        for workspace, events in by_workspace.items():
            join(events, workspace=workspace)


def rest(workspace: Workspace) -> None:
    """Look no more at the meetings of a workspace that nobody reads, except those that a batch is to move."""
    ordered = Assignment.objects.filter(occurrences__calendar__handover__isnull=False)
    mine = Assignment.objects.filter(owner=workspace, over=False).exclude(pk__in=ordered.values("pk"))
    mine.update(due_at=None)


def touch_handover(handover: Handover) -> None:
    """Wake the coming assignments under a standing order that people changed."""
    _wake(Assignment.objects.filter(occurrences__calendar__handover=handover, end__gt=clock.now()))
