"""Stores what was read. Idempotent; the later reading wins; every change wakes the assignments it touches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from calendars import assignments
from calendars.models import (
    Bot,
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerDomain,
    Event,
    Occurrence,
    Workspace,
)
from calendars.relay import outbox
from calendars.storable import storable
from recallops import clock
from recallops.prepared import Given, prepared

if TYPE_CHECKING:
    from calendars.providers.recall import RecallBot, RecallCalendar, RecallEvent

# A bot in one of these states is over; the vendor says that the list is not closed.
TERMINAL = frozenset(
    {"call_ended", "done", "fatal", "media_expired", "analysis_done", "analysis_failed", "recording_done"}
)
IN_CALL = frozenset({"in_call_not_recording", "in_call_recording", "recording_permission_allowed"})
SCHEDULED = "ready"

_EVENT_COLUMNS = (
    "connection",
    "occurrence",
    "start",
    "end",
    "url",
    "meeting_platform",
    "is_deleted",
    "bots",
    "raw",
    "digest",
    "remote_updated_at",
    "read_begun_at",
)


# -- calendars


def calendars(workspace: Workspace, items: Sequence[RecallCalendar], *, begun_at: datetime) -> None:
    """Store connections as they were read; new ones get their calendar and its customer."""
    with assignments.storing(workspace.family):
        known = {
            row.remote_id: row
            for row in Connection.objects.select_for_update(of=("self",))
            .select_related("calendar", "workspace")
            .filter(workspace=workspace, remote_id__in=[item.id for item in items])
            .order_by("pk")
        }
        changed: list[Connection] = []
        fell_off: list[Connection] = []
        for item in items:
            connection = known.get(item.id)
            if connection is None:
                connection = Connection(
                    workspace=workspace, remote_id=item.id, calendar=_calendar_of(workspace, item), status=""
                )
            elif connection.read_begun_at and connection.read_begun_at > begun_at:
                continue
            before, known_changes = connection.status, connection.status_changes
            _store_connection(connection, item, begun_at)
            if before and before != connection.status:
                changed.append(connection)
            if before == ConnectionStatus.CONNECTED and _fell_off(connection, known_changes):
                fell_off.append(connection)
        # the provider takes their coming bots away, and may show it by no change of an event
        coming = Event.objects.filter(connection__in=fell_off, end__gt=clock.now(), is_deleted=False)
        coming.update(changed_at=clock.now())
        assignments.touch_connections([*changed, *(one for one in fell_off if one not in changed)])
        if workspace.application_id:
            outbox.settle_calendars([connection.calendar_id for connection in changed])
            if len(known) < len(items):
                outbox.settle_held(workspace.pk)


def _fell_off(connection: Connection, known_changes: list[dict[str, Any]]) -> bool:
    """Tell whether a connection that worked does not any more, or did not for a while between two readings."""
    new = [change for change in connection.status_changes if change not in known_changes]
    return connection.status != ConnectionStatus.CONNECTED or any(
        change["status"] == ConnectionStatus.DISCONNECTED for change in new
    )


def _store_connection(connection: Connection, item: RecallCalendar, begun_at: datetime) -> None:
    fields: dict[str, Any] = {
        "status": item.status[:24],
        "platform_email": storable(item.platform_email or "")[:320],
        "oauth_email": storable(item.oauth_email or "")[:320],
        "oauth_client_id": storable(item.oauth_client_id or ""),
        "has_secret": bool(item.oauth_client_secret),
        "has_token": bool(item.oauth_refresh_token),
        "webhook_url": storable(item.webhook_url or ""),
        "metadata": storable(item.metadata),
        "status_changes": status_changes(item),
        "extra": storable(item.extra),
        "read_begun_at": begun_at,
    }
    if connection.workspace.holds_credentials:
        fields["oauth_client_secret"] = storable(item.oauth_client_secret or "")
        fields["refresh_token"] = storable(item.oauth_refresh_token or "")
    for name, value in fields.items():
        setattr(connection, name, value)
    if connection._state.adding:
        connection.save(force_insert=True)
    else:
        connection.save(update_fields=list(fields))


def status_changes(item: RecallCalendar) -> list[dict[str, Any]]:
    """Return the newest of a calendar's changes of status, as they are stored."""
    return [
        {"status": change.code, "created_at": change.created_at and change.created_at.isoformat()}
        for change in item.status_changes[-20:]
    ]


def _calendar_of(workspace: Workspace, item: RecallCalendar) -> Calendar:
    """Find or make the calendar of a connection. Without an address it stands for itself alone."""
    email = storable(item.platform_email or item.oauth_email or item.id).strip().lower()[:320]
    found, _ = Calendar.objects.get_or_create(
        family=workspace.family,
        platform=item.platform[:24],
        email=email,
        defaults={"customer": _customer_of(email)},
    )
    return found


def _customer_of(email: str) -> Customer:
    domain = email.rpartition("@")[2]
    known = CustomerDomain.objects.select_related("customer").filter(domain=domain).first()
    if known:
        return known.customer
    slug = slugify(domain.replace(".", "-"))[:50] or "unknown"
    customer, made = Customer.objects.get_or_create(slug=slug, defaults={"name": domain})
    if not made and customer.domains.exists():  # foo.bar.example and foo-bar.example are two companies
        slug = f"{slug[:41]}-{hashlib.sha256(domain.encode()).hexdigest()[:8]}"
        customer, _ = Customer.objects.get_or_create(slug=slug, defaults={"name": domain})
    CustomerDomain.objects.get_or_create(domain=domain, defaults={"customer": customer})
    return customer


def connection_gone(connection: Connection) -> None:
    """Note that the provider does not have a calendar any more, whoever deleted it."""
    now = clock.now()
    with assignments.storing(connection.workspace.family):
        Connection.objects.filter(pk=connection.pk).exclude(status=ConnectionStatus.DELETED).update(
            status=ConnectionStatus.DELETED, deleted_at=now, read_begun_at=now
        )
        Event.objects.filter(connection=connection).update(is_deleted=True, bots=[], digest="", read_begun_at=now)
        connection.status = ConnectionStatus.DELETED
        assignments.touch_connections([connection])
        outbox.settle_calendars([connection.calendar_id])


# -- events


@prepared
def _owners() -> QuerySet[Connection]:
    rows = Connection.objects.filter(workspace=Given("workspace"), remote_id__any=Given("remote_ids"))
    return rows.select_related("calendar").defer(*Connection.SEALED)


@prepared
def _known() -> QuerySet[Event]:
    rows = Event.objects.filter(workspace=Given("workspace"), remote_id__any=Given("remote_ids"))
    return rows.only("remote_id", "occurrence_id", "connection_id", "digest", "read_begun_at")


def events(workspace: Workspace, items: Sequence[RecallEvent], *, begun_at: datetime, join: bool = True) -> None:
    """Store events as they were read, and let the changed ones join the assignments that they show.

    Events of calendars that are not known yet are passed over: the next read of the calendars brings them.
    """
    if not items:  # as it is with most readings of what changed
        return
    with assignments.storing(workspace.family):
        calendar_ids = list({item.calendar_id for item in items})
        owners = {row.remote_id: row for row in _owners(workspace=workspace.pk, remote_ids=calendar_ids)}
        items = [item for item in items if item.calendar_id in owners]
        ids = [item.id for item in items]
        known = {row.remote_id: row for row in _known(workspace=workspace.pk, remote_ids=ids)}
        # an event keeps its occurrence, to which `verify` may have joined it, as long as it keeps its calendar
        places = {row.remote_id: row.occurrence_id for row in known.values()}
        fresh = [
            item
            for item in items
            if (row := known.get(item.id)) is None or row.connection_id != owners[item.calendar_id].pk
        ]
        places |= _occurrences([(owners[item.calendar_id].calendar_id, item) for item in fresh])
        same: list[int] = []
        changed: list[Event] = []
        moved = [known[item.id].occurrence_id for item in fresh if item.id in known]
        for item in items:
            row = known.get(item.id)
            digest = _digest(item)
            if row is not None and row.read_begun_at > begun_at:
                continue
            if row is not None and row.digest == digest:
                same.append(row.pk)
                continue
            row = Event(
                workspace=workspace,
                remote_id=item.id,
                connection=owners[item.calendar_id],
                occurrence_id=places[item.id],
            )
            _fill_event(row, item, digest, begun_at)
            changed.append(row)
        Event.objects.filter(pk__in=same).update(read_begun_at=begun_at)
        Event.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["workspace", "remote_id"],
            update_fields=_EVENT_COLUMNS,
        )
        if moved:
            assignments.let_go(moved)
        if join and changed:
            assignments.join(changed, workspace=workspace)


def _fill_event(row: Event, item: RecallEvent, digest: str, begun_at: datetime) -> None:
    row.start, row.end = item.start_time, item.end_time
    row.url = storable(item.meeting_url or "")[:2000]
    row.meeting_platform = (item.meeting_platform or "")[:40]
    row.is_deleted = item.is_deleted
    row.bots = [
        {
            "bot_id": entry.bot_id,
            "start": entry.start_time.isoformat(),
            "key": storable(entry.deduplication_key or ""),
            "url": storable(entry.meeting_url or ""),
        }
        for entry in item.bots
    ]
    row.raw = storable(item.raw)
    row.digest = digest
    row.remote_updated_at = item.updated_at
    row.read_begun_at = begun_at


def vanished(event_id: int, *, begun_at: datetime) -> None:
    """Note that the provider does not know an event any more."""
    family = Workspace.objects.values_list("family", flat=True).get(events=event_id)
    with assignments.storing(family):
        row = Event.objects.select_related("workspace").get(pk=event_id)
        if row.read_begun_at > begun_at:
            return
        row.is_deleted, row.bots, row.digest, row.read_begun_at = True, [], "", begun_at
        row.save(update_fields=["is_deleted", "bots", "digest", "read_begun_at"])
        assignments.join([row], workspace=row.workspace)


def _occurrences(pairs: Collection[tuple[int, RecallEvent]]) -> dict[str, int]:
    """Return the occurrence of each event, by the event's id; made where there is none."""
    wanted = {(calendar, _identity(item.platform_id)): item for calendar, item in pairs}
    found = _find_occurrences(wanted)
    missing = [
        Occurrence(calendar_id=calendar, platform_id=text, ical_uid=storable(item.ical_uid)[:1024])
        for (calendar, text), item in wanted.items()
        if (calendar, text) not in found
    ]
    if missing:
        Occurrence.objects.bulk_create(missing)
        found = _find_occurrences(wanted)
    return {item.id: found[(calendar, _identity(item.platform_id))] for calendar, item in pairs}


@prepared
def _places() -> QuerySet[Occurrence, tuple[int, int, str]]:
    rows = Occurrence.objects.filter(calendar__any=Given("calendars"), platform_id__any=Given("platform_ids"))
    return rows.values_list("pk", "calendar_id", "platform_id")


def _find_occurrences(keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
    calendars_, texts = list({calendar for calendar, _ in keys}), [text for _, text in keys]
    rows = _places(calendars=calendars_, platform_ids=texts)
    return {(calendar, text): pk for pk, calendar, text in rows}


def _identity(text: str) -> str:
    """Return an id as it is stored; one too long for an index is replaced by its digest."""
    clean: str = storable(text)
    return clean if len(clean) <= 600 else f"sha256:{hashlib.sha256(clean.encode()).hexdigest()}"


def _digest(item: RecallEvent) -> str:
    seen = [
        item.calendar_id,
        item.platform_id,
        item.ical_uid,
        item.start_time,
        item.end_time,
        item.meeting_url,
        item.meeting_platform,
        item.is_deleted,
        item.updated_at,
        [[entry.bot_id, entry.start_time, entry.deduplication_key, entry.meeting_url] for entry in item.bots],
        item.raw,
    ]
    return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()[:32]


# -- bots


def bots(workspace: Workspace, items: Sequence[RecallBot], *, begun_at: datetime) -> None:
    """Store bots as they were read, but for those of which a webhook has told something newer."""
    told = Bot.objects.filter(workspace=workspace, status_at__gt=begun_at, remote_id__in=[item.id for item in items])
    newer = set(told.values_list("remote_id", flat=True))
    rows = [
        Bot(
            workspace=workspace,
            remote_id=item.id,
            status=item.status[:60],
            terminal=item.status in TERMINAL,
            attended=any(change.code in IN_CALL for change in item.status_changes),
            join_at=item.join_at,
            meeting_url=storable(item.meeting_url or "")[:2000],
            config=storable(item.body),
            read_begun_at=begun_at,
        )
        for item in sorted(items, key=lambda item: item.id)  # whoever writes many takes them in this order
        if item.id not in newer
    ]
    Bot.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["workspace", "remote_id"],
        update_fields=["status", "terminal", "attended", "join_at", "meeting_url", "config", "read_begun_at"],
    )


def bot_statuses(workspace: Workspace, told: Sequence[tuple[str, str, datetime]]) -> None:
    """Store what webhooks say of bots: (id, code, the provider's time of it), in any order, doubled or late.

    An older word never takes back a newer one, and what is over stays over. Where the workspace is read, the
    assignments that hold them are woken.
    """
    newest: dict[str, tuple[datetime, str]] = {}
    in_call = {bot_id for bot_id, code, _ in told if code in IN_CALL}
    for bot_id, code, at in told:
        if bot_id not in newest or newest[bot_id] < (at, code):
            newest[bot_id] = (at, code)
    now = clock.now()
    Bot.objects.bulk_create(
        [Bot(workspace=workspace, remote_id=bot_id, read_begun_at=now) for bot_id in sorted(newest)],
        ignore_conflicts=True,
    )
    with transaction.atomic():
        rows = Bot.objects.select_for_update(no_key=True).filter(workspace=workspace, remote_id__in=newest)
        changed = []
        for row in rows.order_by("remote_id"):
            at, code = newest[row.remote_id]
            before = (row.status, row.terminal, row.attended)
            row.attended |= row.remote_id in in_call
            if not row.terminal and (row.status_at is None or row.status_at < at):
                row.status, row.status_at, row.terminal = code[:60], at, code in TERMINAL
            if before != (row.status, row.terminal, row.attended):
                changed.append(row)
        Bot.objects.bulk_update(changed, ["status", "status_at", "terminal", "attended"])
    if changed and workspace.watched:
        holding = Q()
        for row in changed:
            holding |= Q(bots__contains=[{"bot_id": row.remote_id}])
        events = Event.objects.filter(holding, workspace=workspace).exclude(occurrence__assignment=None)
        assignments.wake(set(events.values_list("occurrence__assignment", flat=True)))


def bot_gone(workspace: Workspace, bot_id: str, *, begun_at: datetime) -> None:
    """Note that the provider does not know a bot."""
    Bot.objects.update_or_create(
        workspace=workspace,
        remote_id=bot_id,
        defaults={"status": "gone", "terminal": True, "read_begun_at": begun_at},
    )
