"""Recreate: the calendar exists in the target, once.

1. Known already (made by us, or found there): done.
2. An equal calendar (same platform and address) in the target is adopted, never made twice.
3. A create whose answer was lost is settled by reading, not by trying again.
4. Else: intent, create with the source's credentials and metadata, note the new id.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from calendars import assignments, ingest
from calendars.models import Calendar, Connection, Event, IdMapping, Intent, OAuthClient
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.providers.recall import RecallCalendar
from calendars.relay import outbox
from migrations_app import inventory
from migrations_app.itineraries import Step
from migrations_app.models import ErrorKind, Item
from migrations_app.outcomes import DONE, Outcome, failed, user, wait
from recallops import clock

TWICE = (
    "It is connected {count} times in the target; which one to use cannot be told. Delete the surplus ones, then retry."
)
GONE = "Somebody deleted it in the source before it could be moved."
DELETED = "Somebody deleted it in the target. Its meetings are with the source again. Press retry to make it once more."
LOST = "The answer to its creation was lost; looking in the target before trying again."


def run(item: Item) -> Outcome:
    """Make or adopt the calendar in the target."""
    connection = item.connection
    if connection is None:
        raise ValueError("an item of a calendar needs its connection")
    if item.target_connection_id:
        return DONE
    if connection.status == "deleted":
        return failed(GONE, ErrorKind.PERMANENT)
    reason, remedy = inventory.why_not_movable(connection)
    if reason:
        return user(f"{reason} {remedy}")
    there = list(Connection.objects.live().filter(workspace=item.batch.target, calendar=connection.calendar)[:3])
    if len(there) > 1:
        return failed(TWICE.format(count=len(there)), ErrorKind.CONFIGURATION)
    unsure = _open_intent(item)
    if there:
        if unsure is not None:
            _found(unsure)
        _adopt(item, there[0], created=unsure is not None)
        return DONE
    if unsure is not None:
        return _settle(item, connection, unsure)
    return _create(item, connection)


def lost(item: Item) -> Outcome | None:
    """Return why to stop when somebody deleted the calendar in the target; retry begins here again then."""
    target = item.target_connection
    if target is None or target.status != "deleted":
        return None
    Item.objects.filter(pk=item.pk).update(target_connection=None, created_target=False, step=Step.RECREATE, group=None)
    if item.batch.handover.external and item.connection is not None:
        # the application schedules in the source again, also what it has scheduled in the target
        with outbox.quiet([item.batch.source.family]):
            now = clock.now()
            outbox.route(Calendar.objects.filter(pk=item.connection.calendar_id), item.batch.source_id, at=now)
            outbox.announce([item.connection], at=now)
    gone = [target.remote_id, *Event.objects.filter(connection=target).values_list("remote_id", flat=True)]
    IdMapping.objects.filter(target=item.batch.target, target_remote_id__in=gone).update(superseded=True)
    return failed(DELETED, ErrorKind.CUSTOMER)


def _open_intent(item: Item) -> Intent | None:
    return Intent.objects.filter(
        workspace=item.batch.target,
        connection=item.connection,
        purpose=Intent.Purpose.CREATE_CALENDAR,
        state=Intent.State.SENT,
    ).first()


def _settle(item: Item, connection: Connection, unsure: Intent) -> Outcome:
    """Look for the calendar that may have been made; only when it is not there in time, it was not."""
    client, begun = client_for(item.batch.target), clock.now()
    found = [
        one
        for one in client.iter_calendars(email=connection.calendar.email, platform=connection.calendar.platform)
        if connection.calendar.email in ((one.platform_email or "").lower(), (one.oauth_email or "").lower())
    ]
    if len(found) > 1:
        return failed(TWICE.format(count=len(found)), ErrorKind.CONFIGURATION)
    if found:
        _found(unsure)
        _adopt(item, _store(item, connection, found[0], begun_at=begun), created=True)
        return DONE
    due = unsure.sent_at + item.batch.target.late_commit
    if clock.now() < due:
        return wait(LOST, due)
    Intent.objects.filter(pk=unsure.pk).update(
        state=Intent.State.FAILED, settled_at=clock.now(), outcome="not in the target: it did not happen"
    )
    return wait(LOST, clock.now())


def _found(unsure: Intent) -> None:
    Intent.objects.filter(pk=unsure.pk).update(
        state=Intent.State.CONFIRMED, settled_at=clock.now(), outcome="found in the target"
    )


def _create(item: Item, connection: Connection) -> Outcome:
    intent = Intent.objects.create(
        workspace=item.batch.target,
        connection=connection,
        purpose=Intent.Purpose.CREATE_CALENDAR,
        subject=f"calendar {connection.remote_id}",
        attempt=item.attempts,
        sent_at=clock.now(),
        lease_token=item.lease_token,
    )
    known = OAuthClient.objects.filter(
        platform=connection.calendar.platform, client_id=connection.oauth_client_id
    ).first()
    try:
        made = client_for(item.batch.target).create_calendar(
            platform=connection.calendar.platform,
            oauth_client_id=connection.oauth_client_id,
            oauth_client_secret=connection.oauth_client_secret or (known.client_secret if known else None) or None,
            oauth_client_certificate=(known.certificate or None) if known and not connection.has_secret else None,
            oauth_client_private_key=(known.private_key or None) if known and not connection.has_secret else None,
            oauth_refresh_token=connection.refresh_token,
            oauth_email=connection.oauth_email or connection.platform_email or None,
            metadata=connection.metadata,
            idempotency_key=f"recallops-{intent.pk}-{intent.attempt}",
        )
    except errors.ProviderError as error:
        if error.may_have_happened:
            Intent.objects.filter(pk=intent.pk).update(outcome=error.sentence[:300])
            return wait(LOST, clock.now() + item.batch.target.late_commit)
        Intent.objects.filter(pk=intent.pk).update(
            state=Intent.State.FAILED, settled_at=clock.now(), outcome=error.sentence[:300]
        )
        raise
    with transaction.atomic():
        Intent.objects.filter(pk=intent.pk).update(
            state=Intent.State.CONFIRMED, answered_at=clock.now(), settled_at=clock.now(), outcome=made.id
        )
        _adopt(item, _store(item, connection, made, begun_at=intent.sent_at), created=True)
    return DONE


def _store(item: Item, connection: Connection, made: RecallCalendar, *, begun_at: datetime) -> Connection:
    defaults = {
        "calendar": connection.calendar,
        "status": made.status[:24],
        "oauth_email": made.oauth_email or "",
        "oauth_client_id": made.oauth_client_id or "",
        "has_token": bool(made.oauth_refresh_token),
        "has_secret": bool(made.oauth_client_secret),
        "metadata": made.metadata,
        "status_changes": ingest.status_changes(made),
        "read_begun_at": begun_at,
    }
    target = item.batch.target
    with assignments.storing(target.family):  # a list that shows it may be read at this moment
        stored, _ = Connection.objects.get_or_create(workspace=target, remote_id=made.id, defaults=defaults)
        if stored.calendar_id != connection.calendar_id:  # read before the provider knew its address
            Connection.objects.filter(pk=stored.pk).update(calendar=connection.calendar)
            stored.calendar = connection.calendar
    return stored


def _adopt(item: Item, target: Connection, *, created: bool) -> None:
    """Note which calendar in the target is this one. `created`: by this batch, so that a cancel may remove it."""
    Item.objects.filter(pk=item.pk).update(target_connection=target, created_target=created)
    source = item.connection
    if source is None:
        return
    with transaction.atomic():
        old = IdMapping.objects.select_for_update().filter(kind="calendar", superseded=False)
        stale = old.filter(source=item.batch.source, source_remote_id=source.remote_id) | old.filter(
            target=item.batch.target, target_remote_id=target.remote_id
        )
        stale.exclude(source_remote_id=source.remote_id, target_remote_id=target.remote_id).update(superseded=True)
        IdMapping.objects.get_or_create(
            kind="calendar",
            source=item.batch.source,
            source_remote_id=source.remote_id,
            target=item.batch.target,
            target_remote_id=target.remote_id,
            superseded=False,
        )
