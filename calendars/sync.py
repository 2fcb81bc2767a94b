"""Reads workspaces: whole lists page by page, what changed since, and the few events that a decision needs now.

Reads are the bottleneck (list events: 60 a minute), so nothing is listed per calendar or per webhook. What is read is
stored by `calendars/ingest.py`; a page that began earlier never overwrites one that began later.

1. A `Sweep` row holds how far a long read has come; anybody may go on where it stopped.
2. The next mark is the provider's clock at the start of the sweep, less an overlap: ties and rows that became visible
   late are read again, never skipped.
3. Absent from a list is no deletion: what was asked for and not seen is retrieved by its id.
4. A calendar that is gone takes its events with it; that cancels no meeting, which another region may still carry.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from calendars import assignments, ingest
from calendars.leases import Lease, give_back, take
from calendars.models import Connection, ConnectionStatus, Event, Sweep, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from recallops import clock

if TYPE_CHECKING:
    from calendars.providers.recall import Page, RecallClient

PAGE = 100  # events a page, the provider's maximum
LISTS_PER_GET = 5  # a list may be asked for 60 times a minute, an event 300 times: a list is worth five gets
OVERLAP = timedelta(minutes=5)
CALENDARS_EVERY = 3  # sweeps of changes for one of the calendars
KEPT = timedelta(days=2)  # finished sweeps
AHEAD = timedelta(days=28)  # how far the provider looks


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event that must be read now."""

    pk: int
    remote_id: str
    start: datetime


def open_sweep(workspace: Workspace, kind: Sweep.Kind, *, since: datetime | None = None) -> Sweep:
    """Return the open sweep of a kind, begun now if there is none."""
    fields: dict[str, Any] = {"begun_at": clock.now(), "since": since}
    if kind == Sweep.Kind.BOTS:
        fields["since"] = clock.now()
    try:
        with transaction.atomic():
            sweep, _ = Sweep.objects.get_or_create(workspace=workspace, kind=kind, finished_at=None, defaults=fields)
    except IntegrityError:
        sweep = Sweep.objects.get(workspace=workspace, kind=kind, finished_at=None)
    return sweep


def run_sweep(sweep: Sweep, *, seconds: float = 8.0) -> bool:
    """Read pages of a sweep until it is finished or the time is up; return whether it is finished.

    Raises ProviderError; what was read is kept, and the next call goes on. False when somebody else is at it.
    """
    lease = Lease()
    if not take(Sweep.objects.filter(pk=sweep.pk, finished_at=None), limit=1, lease=lease, order_by=["pk"]):
        return False
    try:
        sweep.refresh_from_db()
        client = client_for(sweep.workspace)
        while lease.seconds - lease.left() < seconds:
            if _read_page(sweep, client, lease):
                return True
        return False
    finally:
        give_back(Sweep, [sweep.pk], lease)


def _read_page(sweep: Sweep, client: RecallClient, lease: Lease) -> bool:
    """Read one page, store it, and note how far the sweep has come, in that order: a crash reads a page twice."""
    page = _fetch(sweep, client)
    note_clock(sweep.workspace, page)
    if sweep.kind == Sweep.Kind.CALENDARS:
        ingest.calendars(sweep.workspace, page.items, begun_at=page.begun_at)
    elif sweep.kind == Sweep.Kind.BOTS:
        ingest.bots(sweep.workspace, page.items, begun_at=page.begun_at)
    else:
        ingest.events(sweep.workspace, page.items, begun_at=page.begun_at)
    finished = page.next is None
    Sweep.objects.filter(pk=sweep.pk, lease_token=lease.token).update(
        next=page.next or "",
        pages=F("pages") + 1,
        rows=F("rows") + len(page.items),
        mark=sweep.mark or page.server_date or page.begun_at,
        finished_at=clock.now() if finished else None,
    )
    sweep.refresh_from_db()
    if finished and sweep.kind == Sweep.Kind.CALENDARS:
        _look_for_gone(sweep, client)
    return finished


def _look_for_gone(sweep: Sweep, client: RecallClient) -> None:
    """Retrieve the calendars that a whole list did not show: somebody may have deleted them."""
    older = Q(read_begun_at=None) | Q(read_begun_at__lt=sweep.begun_at)
    unseen = Connection.objects.live().filter(older, workspace=sweep.workspace)
    for connection in unseen.select_related("calendar"):
        _is_gone(connection, client)


def _is_gone(connection: Connection, client: RecallClient) -> bool:
    """Ask for a calendar by its id; note that it is gone when the provider does not know it."""
    try:
        reading = client.get_calendar(connection.remote_id)
    except errors.NotFound:
        ingest.connection_gone(connection)
        return True
    ingest.calendars(connection.workspace, [reading.value], begun_at=reading.begun_at)
    return False


def _fetch(sweep: Sweep, client: RecallClient) -> Page[Any]:
    following = sweep.next or None
    if sweep.kind == Sweep.Kind.CALENDARS:
        return client.calendars_page(following)
    if sweep.kind == Sweep.Kind.BOTS:
        return client.bots_page(following, join_at_after=sweep.since)
    if sweep.kind == Sweep.Kind.CHANGES:
        return client.events_page(following, updated_at__gte=sweep.since)
    return client.events_page(following)


def sweep_changes(workspace: Workspace) -> bool:
    """Read what changed since the last mark, and connections' states; return whether it is finished."""
    since = (workspace.sweep_mark or clock.now()) - OVERLAP
    sweep = open_sweep(workspace, Sweep.Kind.CHANGES, since=since)
    if not run_sweep(sweep):
        return False
    if _calendars_are_old(workspace) and not run_sweep(open_sweep(workspace, Sweep.Kind.CALENDARS)):
        return False
    Sweep.objects.filter(workspace=workspace, finished_at__lt=clock.now() - KEPT).delete()
    Workspace.objects.filter(pk=workspace.pk).update(
        sweep_mark=sweep.mark, sweep_due_at=_next_turn(workspace.sweep_every), trouble=""
    )
    return True


def _next_turn(every: timedelta) -> datetime:
    """Return the next multiple of a period: workspaces that belong together are read at the same moment."""
    seconds = every.total_seconds()
    return datetime.fromtimestamp((clock.now().timestamp() // seconds + 1) * seconds, UTC)


def _calendars_are_old(workspace: Workspace) -> bool:
    """Connections' states are read less often than events: they change seldom and their list is dear."""
    newest = clock.now() - (CALENDARS_EVERY - 0.5) * workspace.sweep_every
    return not Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.CALENDARS, finished_at__gte=newest).exists()


def watch(workspace: Workspace, *, from_mark: datetime | None) -> None:
    """Begin to read a workspace's changes again and again. A mark that is there already is kept."""
    Workspace.objects.filter(pk=workspace.pk, watched=False).update(
        watched=True, sweep_mark=from_mark, sweep_due_at=clock.now()
    )


def unwatch(workspace: Workspace) -> None:
    """Stop reading changes: no batch needs them any more."""
    Workspace.objects.filter(pk=workspace.pk).update(watched=False, sweep_due_at=None)


def read_events(workspace: Workspace, wanted: Collection[Wanted]) -> None:
    """Read some events now, by windows of starts where that needs fewer calls, else one by one.

    Raises ProviderError. An event that the provider does not know any more is stored as deleted; those of a calendar
    that is gone are gone for good, and nobody is asked.
    """
    gone_before = Event.objects.filter(
        pk__in=[one.pk for one in wanted], connection__status=ConnectionStatus.DELETED
    ).values_list("pk", flat=True)
    if settled := set(gone_before):
        with assignments.storing(workspace.family):
            Event.objects.filter(pk__in=settled).update(read_begun_at=clock.now())
        wanted = [one for one in wanted if one.pk not in settled]
    if not wanted:
        return
    client = client_for(workspace)
    left = {one.remote_id: one for one in wanted}
    for window in _windows(workspace, wanted):
        if _pages(workspace, window) * LISTS_PER_GET > len(window):
            continue
        for seen in _read_window(workspace, client, window[0].start, window[-1].start):
            left.pop(seen, None)
    gone: dict[int, bool] = {}
    for one in left.values():
        try:
            reading = client.get_event(one.remote_id)
        except errors.NotFound:
            connection = Connection.objects.select_related("calendar", "workspace").get(events=one.pk)
            if connection.pk not in gone:
                gone[connection.pk] = _is_gone(connection, client)
            if not gone[connection.pk]:
                ingest.vanished(one.pk, begun_at=clock.now())
        else:
            ingest.events(workspace, [reading.value], begun_at=reading.begun_at)


def _read_window(workspace: Workspace, client: RecallClient, start: datetime, end: datetime) -> set[str]:
    seen: set[str] = set()
    following: str | None = None
    while True:
        page = client.events_page(following, start_time__gte=start, start_time__lte=end)
        ingest.events(workspace, page.items, begun_at=page.begun_at)
        seen.update(event.id for event in page.items)
        following = page.next
        if following is None:
            return seen


def _windows(workspace: Workspace, wanted: Collection[Wanted]) -> list[list[Wanted]]:
    """Cut the wanted events where a gap would cost more pages than it saves."""
    ordered = sorted(wanted, key=lambda one: one.start)
    windows: list[list[Wanted]] = [[ordered[0]]]
    for one in ordered[1:]:
        if one.start - windows[-1][-1].start > timedelta(hours=12):
            windows.append([one])
        else:
            windows[-1].append(one)
    return windows


def _pages(workspace: Workspace, window: list[Wanted]) -> int:
    between = Q(start__gte=window[0].start, start__lte=window[-1].start)
    return -(-Event.objects.filter(between, workspace=workspace).count() // PAGE) or 1


def read_connection_events(workspace: Workspace, calendar_id: str) -> set[str]:
    """Read all events of one calendar: a gate's full list. Returns the ids seen. Raises ProviderError."""
    client = client_for(workspace)
    seen: set[str] = set()
    following: str | None = None
    while True:
        page = client.events_page(following, calendar_id=calendar_id)
        ingest.events(workspace, page.items, begun_at=page.begun_at)
        seen.update(event.id for event in page.items)
        following = page.next
        if following is None:
            return seen


def read_bots(workspace: Workspace, bot_ids: Collection[str]) -> None:
    """Read bots one by one; one that the provider does not know is stored as gone. Raises ProviderError."""
    client = client_for(workspace)
    for bot_id in bot_ids:
        try:
            reading = client.get_bot(bot_id)
        except errors.NotFound:
            ingest.bot_gone(workspace, bot_id, begun_at=clock.now())
        else:
            ingest.bots(workspace, [reading.value], begun_at=reading.begun_at)


def note_clock(workspace: Workspace, page: Page[Any]) -> None:
    """Remember the largest difference seen between our clock and the provider's; freezes grow by it."""
    if page.server_date is None:
        return
    offset = abs(page.server_date - page.begun_at)
    if offset > workspace.clock_offset + timedelta(seconds=1):
        Workspace.objects.filter(pk=workspace.pk, clock_offset__lt=offset).update(clock_offset=offset)
        workspace.clock_offset = offset
