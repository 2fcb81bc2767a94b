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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Coalesce, Least

from calendars import assignments, ingest
from calendars.leases import Lease, free, give_back, locked, taker
from calendars.models import Calendar, Connection, ConnectionStatus, Delivery, Event, Sweep, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.relay import outbox
from recallops import clock
from recallops.prepared import Given, changing, prepared

if TYPE_CHECKING:
    from calendars.providers.recall import Page, RecallClient

PAGE = 100  # events a page, the provider's maximum
LISTS_PER_GET = 5  # a list may be asked for 60 times a minute, an event 300 times: a list is worth five gets
OVERLAP = timedelta(minutes=5)
TIES = timedelta(seconds=10)  # what webhooks speak of is read again from a little before: equal times, and our clocks
FEW_CALENDARS = 5  # so many are retrieved one by one; more are listed
JUST_NOW = timedelta(seconds=20)
ANOTHERS_TURN = timedelta(seconds=15)  # until we look whether a list that another reads is through
CALENDARS_EVERY = 3  # sweeps of changes for one of the calendars
KEPT = timedelta(days=2)  # finished sweeps
DELIVERIES_KEPT = timedelta(days=30)
AHEAD = timedelta(days=28)  # how far the provider looks
CHANGED = (Sweep.Kind.CHANGES, Sweep.Kind.NEWS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event that must be read now."""

    pk: int
    remote_id: str
    start: datetime


@prepared
def _open_sweeps() -> QuerySet[Sweep]:
    return Sweep.objects.filter(workspace=Given("workspace"), kind=Given("kind"), finished_at=None)


@prepared
def workspaces() -> QuerySet[Workspace]:
    """Workspaces with their regions, by keys."""
    return Workspace.objects.filter(pk__any=Given("ids")).select_related("region")


def open_sweep(workspace: Workspace, kind: Sweep.Kind, *, since: datetime | None = None) -> Sweep:
    """Return the open sweep of a kind, begun now if there is none."""
    fields: dict[str, Any] = {"begun_at": clock.now(), "since": since}
    if kind == Sweep.Kind.BOTS:
        fields["since"] = clock.now()
    open_one: dict[str, Any] = {"workspace": workspace.pk, "kind": kind.value}
    sweep = next(iter(_open_sweeps(**open_one)), None)
    if sweep is None:
        try:
            with transaction.atomic():
                sweep = Sweep.objects.create(workspace=workspace, kind=kind, **fields)
        except IntegrityError:  # another has just begun it
            sweep = _open_sweeps.get(**open_one)
    # as it is now: whoever asks may have changed what is to be kept
    sweep.workspace = workspaces.get(ids=[workspace.pk])
    return sweep


@taker("pk")
def _take_open() -> QuerySet[Sweep]:
    return Sweep.objects.filter(pk__any=Given("ids"), finished_at=None)


def run_sweep(sweep: Sweep, *, seconds: float = 8.0) -> bool:
    """Read pages of a sweep until it is finished or the time is up; return whether it is finished.

    Raises ProviderError; what was read is kept, and the next call goes on. False when somebody else is at it.
    """
    return run_sweeps([sweep], seconds=seconds)


def run_sweeps(sweeps: Sequence[Sweep], *, seconds: float = 8.0) -> bool:
    """Read pages of several sweeps in turns, as `run_sweep`; return whether all of them are finished.

    In turns, since each has a budget of its own: while one waits for its next call, the others read.
    """
    lease = Lease()
    held = _take_open(limit=len(sweeps), lease=lease, ids=[sweep.pk for sweep in sweeps])
    try:
        going = [(sweep, client_for(sweep.workspace)) for sweep in sweeps if sweep.pk in held]
        read = {pk: (following, mark, rows) for pk, following, mark, rows in _how_far(ids=held)}
        for sweep, _ in going:
            sweep.next, sweep.mark, sweep.rows = read[sweep.pk]  # another may have read on
        while going and lease.seconds - lease.left() < seconds:
            going = [(sweep, client) for sweep, client in going if not _read_page(sweep, client, lease)]
        return not going and len(held) == len(sweeps)
    finally:
        give_back(Sweep, held, lease)


@prepared
def _how_far() -> QuerySet[Sweep, tuple[int, str, datetime | None, int]]:
    return Sweep.objects.filter(pk__any=Given("ids")).values_list("pk", "next", "mark", "rows")


@changing(
    next=Given("next"),
    pages=F("pages") + 1,
    rows=Given("rows"),
    mark=Given("mark"),
    finished_at=Given("finished_at"),
)
def _note_page() -> QuerySet[Sweep]:
    return Sweep.objects.filter(pk=Given("pk"), lease_token=Given("token"))


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
    sweep.next, sweep.rows = page.next or "", sweep.rows + len(page.items)
    sweep.mark = sweep.mark or page.server_date or page.begun_at
    sweep.finished_at = clock.now() if finished else None
    _note_page(
        pk=sweep.pk,
        token=lease.token,
        next=sweep.next,
        rows=sweep.rows,
        mark=sweep.mark,
        finished_at=sweep.finished_at,
    )
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


def read_again(connection: Connection) -> None:
    """Read a calendar that fell off once more, unless that was done just now; its row follows. Raises ProviderError."""
    if connection.status != ConnectionStatus.DISCONNECTED:
        return
    if connection.read_begun_at is None or connection.read_begun_at < clock.now() - JUST_NOW:
        read_now(connection)


def read_now(connection: Connection) -> None:
    """Read a calendar itself, without its events; its row follows. Raises ProviderError."""
    _is_gone(connection, client_for(connection.workspace))
    connection.refresh_from_db()


def _fetch(sweep: Sweep, client: RecallClient) -> Page[Any]:
    following = sweep.next or None
    if sweep.kind == Sweep.Kind.CALENDARS:
        return client.calendars_page(following)
    if sweep.kind == Sweep.Kind.BOTS:
        return client.bots_page(following, join_at_after=sweep.since)
    if sweep.kind in CHANGED:
        return client.events_page(following, updated_at__gte=sweep.since)
    return client.events_page(following)


def sweep_changes(workspace: Workspace, *, turn: bool = False) -> bool:
    """Read what changed since the last mark, and connections' states; return whether it is finished.

    `turn`: as a turn, which reads some minutes before the mark again, also when the last one was just now.

    A workspace that is always scheduled is read as a whole at first and every so often, and so is a calendar that
    came up. What webhooks speak of between two turns is read from a little before the last mark, and moves none: rows
    that became visible late are read again by the next turn. Raises ProviderError; what was read before it is kept.
    """
    first = workspace.always_on and workspace.full_read_at is None
    if first and not (_read_calendars(workspace) and _read_whole(workspace)):
        return _not_yet(workspace)
    kind = Sweep.Kind.CHANGES if turn or _turn_is_due(workspace) else Sweep.Kind.NEWS
    sweep = open_sweep(workspace, kind, since=_since(workspace, kind))
    if not run_sweep(sweep):
        return _not_yet(workspace)
    _finish(workspace, sweep)
    if _read_calendars(workspace) and (not workspace.always_on or _read_whole(workspace)):
        return True
    return _not_yet(workspace)


def go_on_at(sweeps: QuerySet[Sweep]) -> datetime:
    """Return when to go on with lists that are not through: at once, since only the time of one turn is up.

    Later where another reads one of them, or died over it: until then ours could only be asked for again and again.
    """
    taken = sweeps.filter(finished_at=None).exclude(free())
    return clock.now() + (ANOTHERS_TURN if taken.exists() else timedelta(0))


def _not_yet(workspace: Workspace) -> bool:
    due = go_on_at(Sweep.objects.filter(workspace=workspace).exclude(kind=Sweep.Kind.BOTS))
    Workspace.objects.filter(pk=workspace.pk).update(sweep_due_at=due)
    return False


def _finish(workspace: Workspace, sweep: Sweep) -> None:
    """Note the mark and the next turn. Webhooks that came in meanwhile bring it forward, before or after this."""
    if workspace.application_id:
        outbox.settle_held(workspace.pk)  # of calendars that became known while their webhooks came in
    fields: dict[str, Any] = {
        "sweep_due_at": _next_turn(clock.now(), workspace.sweep_every),
        "swept_at": sweep.begun_at,
        "trouble": "",
    }
    if sweep.kind == Sweep.Kind.CHANGES:
        fields["sweep_mark"] = sweep.mark
    Workspace.objects.filter(pk=workspace.pk).update(**fields)
    if workspace.news_since is not None:
        Workspace.objects.filter(pk=workspace.pk, news_since=workspace.news_since).update(news_since=None)
    if Connection.objects.filter(workspace=workspace, events_changed_at__gte=sweep.begun_at).exists():
        _hurry(workspace)


def _tidy(workspace: Workspace) -> None:
    """Forget old sweeps, and webhooks long since acted on."""
    now = clock.now()
    Sweep.objects.filter(workspace=workspace, finished_at__lt=now - KEPT).delete()
    old = Delivery.objects.filter(workspace=workspace, received_at__lt=now - DELIVERIES_KEPT)
    old.exclude(state=Delivery.State.RECEIVED).exclude(relayed__in=outbox.needed()).delete()


def _next_turn(after: datetime, every: timedelta) -> datetime:
    """Return the next multiple of a period: workspaces that belong together are read at the same moment."""
    seconds = every.total_seconds()
    return datetime.fromtimestamp((after.timestamp() // seconds + 1) * seconds, UTC)


def _turn_is_due(workspace: Workspace) -> bool:
    last = _last_sweep(workspace, Sweep.Kind.CHANGES)
    return last is None or last.finished_at is None or _next_turn(last.begun_at, workspace.sweep_every) <= clock.now()


@prepared
def _newest_sweeps() -> QuerySet[Sweep]:
    sweeps = Sweep.objects.filter(workspace=Given("workspace"), kind__any=Given("kinds"))
    return sweeps.only("begun_at", "finished_at").order_by("-begun_at", "-pk")


def _last_sweep(workspace: Workspace, *kinds: Sweep.Kind) -> Sweep | None:
    found = _newest_sweeps(limit=1, workspace=workspace.pk, kinds=[kind.value for kind in kinds])
    return found[0] if found else None


def _since(workspace: Workspace, kind: Sweep.Kind) -> datetime:
    turn = (workspace.sweep_mark or clock.now()) - OVERLAP
    if kind == Sweep.Kind.CHANGES:
        return turn
    marks = Sweep.objects.filter(workspace=workspace, kind__in=CHANGED).exclude(finished_at=None)
    newest = marks.aggregate(mark=Max("mark"))["mark"]
    told = [moment for moment in (newest, workspace.news_since) if moment is not None]
    return max(min(told) - TIES, turn) if told else turn


@prepared
def _told_of() -> QuerySet[Connection]:
    told = Q(read_begun_at=None) | Q(changed_at__gte=F("read_begun_at"))
    return Connection.objects.live().filter(told, workspace=Given("workspace"), changed_at__isnull=False)


def _read_calendars(workspace: Workspace) -> bool:
    """Read connections' states: those of which something was heard, and every so often all."""
    if _calendars_are_old(workspace):
        _tidy(workspace)  # here, since it need not be done at every sweep
        return run_sweep(open_sweep(workspace, Sweep.Kind.CALENDARS))
    changed = _told_of(limit=FEW_CALENDARS + 1, workspace=workspace.pk)
    if len(changed) > FEW_CALENDARS:
        return run_sweep(open_sweep(workspace, Sweep.Kind.CALENDARS))
    if not changed:
        return True
    client = client_for(workspace)
    for connection in changed:
        _is_gone(connection, client)
    return True


@prepared
def _lists_of_calendars() -> QuerySet[Sweep, tuple[datetime | None]]:
    open_or_new = Q(finished_at=None) | Q(finished_at__gte=Given("newest"))
    lists = Sweep.objects.filter(open_or_new, workspace=Given("workspace"), kind=Sweep.Kind.CALENDARS)
    return lists.values_list("finished_at")


def _calendars_are_old(workspace: Workspace) -> bool:
    """Connections' states are read less often than events: they change seldom and their list is dear."""
    newest = clock.now() - (CALENDARS_EVERY - 0.5) * workspace.sweep_every
    found = {finished_at for (finished_at,) in _lists_of_calendars(workspace=workspace.pk, newest=newest)}
    return not found or None in found


def _read_whole(workspace: Workspace) -> bool:
    """Read all events where it is time for that, else those of calendars that came up since."""
    fresh = Connection.objects.live().filter(workspace=workspace, events_read_at=None)
    open_one = Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.EVENTS, finished_at=None)
    last = workspace.full_read_at
    if last is None or last + workspace.full_every <= clock.now() or open_one.exists():
        if not open_one.exists():  # what comes up later is read by itself
            fresh.filter(status=ConnectionStatus.CONNECTED).update(events_read_at=clock.now())
        sweep = open_sweep(workspace, Sweep.Kind.EVENTS)
        if not run_sweep(sweep):
            return False
        if last is None and not workspace.key_template:
            assignments.learn_keys(workspace)
        Workspace.objects.filter(pk=workspace.pk).update(full_read_at=sweep.begun_at)
        workspace.full_read_at = sweep.begun_at
        if workspace.sweep_mark is None:
            Workspace.objects.filter(pk=workspace.pk).update(sweep_mark=sweep.mark)
            workspace.sweep_mark = sweep.mark
        return True
    for connection in fresh.filter(status=ConnectionStatus.CONNECTED):
        begun_at = clock.now()
        read_connection_events(workspace, connection.remote_id)
        Connection.objects.filter(pk=connection.pk).update(events_read_at=begun_at)
    return True


def events_changed(workspace: Workspace, calendars: Mapping[str, datetime | None], *, heard_at: datetime) -> None:
    """Note what `calendar.sync_events` webhooks say: these calendars have events that changed at these times.

    Bursts are gathered: the workspace is read at most once in `webhook_gather`. A time that the last turn has covered,
    overlap and all, is a webhook that came late, and asks for nothing. Calendars that nobody knows are listed.
    """
    mark = workspace.sweep_mark
    news = {remote_id for remote_id, at in calendars.items() if at is None or mark is None or at + OVERLAP >= mark}
    with transaction.atomic():
        told = locked(Connection.objects.live().filter(workspace=workspace, remote_id__in=news))
        Connection.objects.filter(pk__in=told).update(events_changed_at=heard_at)
    if news:
        if moments := [at for one, at in calendars.items() if one in news and at is not None]:
            oldest = Least(Coalesce("news_since", min(moments)), min(moments))
            Workspace.objects.filter(pk=workspace.pk).update(news_since=oldest)
        _look_up(workspace, news)
        _hurry(workspace)


def calendars_changed(workspace: Workspace, calendar_ids: Collection[str], *, heard_at: datetime) -> None:
    """Note what `calendar.update` webhooks say: these calendars have another state."""
    with transaction.atomic():
        told = locked(Connection.objects.live().filter(workspace=workspace, remote_id__in=calendar_ids))
        Connection.objects.filter(pk__in=told).update(changed_at=heard_at)
    _look_up(workspace, calendar_ids)
    _hurry(workspace)


def _look_up(workspace: Workspace, calendar_ids: Collection[str]) -> None:
    """Have the calendars listed when one of them is not known."""
    known = Connection.objects.filter(workspace=workspace, remote_id__in=calendar_ids).count()
    if known < len(calendar_ids) and workspace.watched:
        open_sweep(workspace, Sweep.Kind.CALENDARS)


def _hurry(workspace: Workspace) -> None:
    """Bring the next reading of changes forward, but not closer to the last one than webhooks may."""
    last = _last_sweep(workspace, *CHANGED)
    due = clock.now() if last is None else max(clock.now(), last.begun_at + workspace.webhook_gather)
    Workspace.objects.filter(pk=workspace.pk, watched=True, sweep_due_at__gt=due).update(sweep_due_at=due)


def watch(workspace: Workspace, *, from_mark: datetime | None) -> None:
    """Begin to read a workspace's changes again and again. A mark that is there already is kept."""
    Workspace.objects.filter(pk=workspace.pk, watched=False).update(
        watched=True, sweep_mark=from_mark, sweep_due_at=clock.now()
    )


def unwatch(workspace: Workspace) -> None:
    """Stop reading changes: no batch needs them any more. One that is always scheduled goes on."""
    Workspace.objects.filter(pk=workspace.pk, always_on=False).update(watched=False, sweep_due_at=None)


def keep_reading(workspace: Workspace) -> None:
    """Begin to read a workspace that is to be always scheduled; stop when it is not, unless a batch needs it."""
    if workspace.always_on:
        watch(workspace, from_mark=workspace.sweep_mark)
        Workspace.objects.filter(pk=workspace.pk).update(sweep_due_at=clock.now())
        assignments.judge_again(Calendar.objects.filter(connections__workspace=workspace))
        return
    if not Connection.objects.filter(workspace=workspace, calendar__handover__isnull=False).exists():
        unwatch(workspace)
    assignments.rest(workspace)


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
