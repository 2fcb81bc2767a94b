"""Recreate: the calendar exists in the target, once. On the way back the same makes it again in the source.

1. Known already (made by us, or found there): done.
2. An equal calendar (same platform and address) is adopted, never made twice.
3. A create whose answer was lost is settled by reading, not by trying again. When it was given up, the next one reads
   once more right before it: that may be hours later, and the lost one may have been carried out after all.
4. Else: intent, create with the source's credentials and metadata, note the new id.
5. Whose person consented anew (`consents.py`) is made with what they allowed, or, where the target has it, given that.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import Any

from django.db import transaction

from calendars import assignments, ingest, sync
from calendars.models import Calendar, Connection, Event, IdMapping, Intent, OAuthClient, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.providers.recall import RecallCalendar
from calendars.relay import outbox
from migrations_app import inventory
from migrations_app.itineraries import Step
from migrations_app.models import Consent, ErrorKind, Item
from migrations_app.outcomes import DONE, Outcome, failed, user, wait
from migrations_app.steps.holding import SOMEBODY_ELSE, still_held
from recallops import clock

TWICE = (
    "It is connected {count} times in {where}; which one to use cannot be told. Delete the surplus ones, then retry."
)
GONE = "Somebody deleted it in the source before it could be moved."
DELETED = "Somebody deleted it in the target. Its meetings are with the source again. Press retry to make it once more."
DELETED_AGAIN = "Somebody deleted it in the source on the way back. Press retry to make it once more."
MADE_AGAIN = "Somebody deleted it in {where}; it is made again."
NOT_TAKEN = "not taken"
PASSED_OVER = (errors.Throttled, errors.BudgetBusy, errors.Unreachable, errors.Conflict)  # nothing is kept of these
NOT_THERE = "not there: it did not happen"
LOST = "The answer to its creation was lost; looking in {where} before trying again."


def run(item: Item) -> Outcome:
    """Make or adopt the calendar in the target."""
    connection = item.connection
    if connection is None:
        raise ValueError("an item of a calendar needs its connection")
    consent = Consent.objects.fresh(item)
    if item.target_connection is not None and item.target_connection.status != "deleted":
        return DONE if consent is None else _connect_again(item, item.target_connection, consent)
    sync.read_again(connection)  # its user may have connected it just now
    if connection.status == "deleted" and consent is None:
        return failed(GONE, ErrorKind.PERMANENT)
    reason, remedy = inventory.why_not_movable(connection)
    if reason and consent is None:
        return user(f"{reason} {remedy}", inventory.whose_turn(connection))
    return ensure(item, connection, consent)


def ensure(item: Item, like: Connection, consent: Consent | None = None) -> Outcome:
    """See to it that there is a calendar like this one, once, where the item goes to."""
    where = item.batch.destination
    there = list(Connection.objects.live().filter(workspace=where, calendar=like.calendar)[:3])
    if len(there) > 1:
        return failed(TWICE.format(count=len(there), where=where), ErrorKind.CONFIGURATION)
    unsure, given_up = open_intent(item, where), _given_up(like, where)
    if there:
        if unsure is not None:
            _found(unsure)
        _adopt(item, there[0], created=unsure is not None or bool(given_up))
        return DONE if consent is None else _connect_again(item, there[0], consent)
    if unsure is not None:
        return settle(item, like, unsure, consent)
    if given_up and (outcome := _look(item, like, where, consent)) is not None:
        return outcome
    return _create(item, like, consent, given_up)


def _connect_again(item: Item, there: Connection, consent: Consent) -> Outcome:
    """Give a calendar of the target what its person allowed. The same twice changes nothing, so no intent is needed."""
    sync.read_now(there)
    if there.status == "deleted":
        return wait(MADE_AGAIN.format(where=there.workspace), clock.now())
    if there.status != "connected":
        if not still_held(item):
            return wait(SOMEBODY_ELSE, clock.now())
        begun = clock.now()
        fields = {name: value for name, value in consent.credentials(there).items() if value is not None}
        changed = client_for(there.workspace).update_calendar(there.remote_id, fields=fields)
        ingest.calendars(there.workspace, [changed], begun_at=begun)
    consent.use()
    return DONE


def lost(item: Item) -> Outcome | None:
    """Return why to stop when somebody deleted the calendar where it goes to; retry begins from the start then."""
    if item.batch.goes_back:
        if item.connection is None or item.connection.status != "deleted":
            return None
        return failed(DELETED_AGAIN, ErrorKind.CUSTOMER, anew=Step.RESTORE)
    target = item.target_connection
    if target is None or target.status != "deleted":
        return None
    Item.objects.filter(pk=item.pk).update(group=None)
    if item.batch.handover.external and item.connection is not None:
        # the application schedules in the source again, also what it has scheduled in the target
        with outbox.quiet([item.batch.source.family]):
            now = clock.now()
            outbox.route(Calendar.objects.filter(pk=item.connection.calendar_id), item.batch.source_id, at=now)
            outbox.announce([item.connection], at=now)
    forget_ids(target)
    return failed(DELETED, ErrorKind.CUSTOMER, anew=Step.RECREATE)


def forget_ids(target: Connection) -> None:
    """Note that nothing has the ids any more that this calendar and its events had in the target."""
    gone = [target.remote_id, *Event.objects.filter(connection=target).values_list("remote_id", flat=True)]
    IdMapping.objects.filter(target=target.workspace_id, target_remote_id__in=gone).update(superseded=True)


def open_intent(item: Item, where: Workspace) -> Intent | None:
    """Return the creation in a workspace of which nobody knows whether it happened."""
    return Intent.objects.filter(
        workspace=where,
        connection__items=item,
        purpose=Intent.Purpose.CREATE_CALENDAR,
        state=Intent.State.SENT,
    ).first()


def settle(item: Item, like: Connection, unsure: Intent, consent: Consent | None = None) -> Outcome:
    """Look for the calendar that may have been made; only when it is not there in time, it was not."""
    where = unsure.workspace
    if (outcome := _look(item, like, where, consent, unsure)) is not None:
        return outcome
    due = unsure.sent_at + where.late_commit
    if clock.now() < due:
        return wait(LOST.format(where=where), due)
    Intent.objects.filter(pk=unsure.pk).settle(happened=False, outcome=NOT_THERE)
    return wait(LOST.format(where=where), clock.now())


def _look(
    item: Item, like: Connection, where: Workspace, consent: Consent | None, unsure: Intent | None = None
) -> Outcome | None:
    """Adopt the calendar that a create made whose answer was lost. None: it is not there."""
    begun = clock.now()
    found = _made(like, where)
    if len(found) > 1:
        return failed(TWICE.format(count=len(found), where=where), ErrorKind.CONFIGURATION)
    if not found:
        return None
    if unsure is not None:
        _found(unsure)
    stored = _store(where, like, found[0], begun_at=begun)
    _adopt(item, stored, created=True)
    return DONE if consent is None else _connect_again(item, stored, consent)


def _made(like: Connection, where: Workspace) -> list[RecallCalendar]:
    """Return the calendars of this account, as the provider shows them now.

    The provider knows a calendar's address (`email`) only once it is connected; until then it shows what it was given.
    """
    client, platform = client_for(where), like.calendar.platform
    given = {like.calendar.email, like.oauth_email.lower()} - {""}
    connecting = [
        one
        for one in client.iter_calendars(platform=platform, status="connecting")
        if (one.platform_email or one.oauth_email or "").lower() in given
    ]
    connected = [
        one
        for one in client.iter_calendars(platform=platform, email=like.calendar.email)
        if like.calendar.email in ((one.platform_email or "").lower(), (one.oauth_email or "").lower())
    ]
    return list({one.id: one for one in (*connecting, *connected)}.values())


def _given_up(like: Connection, where: Workspace) -> list[Intent]:
    """Return the last creates, newest first, that were not there when they should have been: nothing came of any."""
    sent = Intent.objects.filter(workspace=where, connection=like, purpose=Intent.Purpose.CREATE_CALENDAR)
    sent = sent.exclude(outcome__startswith=NOT_TAKEN).order_by("-pk")
    return list(takewhile(lambda one: one.outcome == NOT_THERE, sent))


def _found(unsure: Intent) -> None:
    Intent.objects.filter(pk=unsure.pk).settle(happened=True, outcome="found there")


def _create(item: Item, connection: Connection, consent: Consent | None, given_up: list[Intent]) -> Outcome:
    where = item.batch.destination
    if not still_held(item):
        return wait(SOMEBODY_ELSE, clock.now())
    intent = Intent.objects.create(
        workspace=where,
        connection=connection,
        purpose=Intent.Purpose.CREATE_CALENDAR,
        subject=f"calendar {connection.remote_id}",
        attempt=item.attempts,
        sent_at=clock.now(),
        lease_token=item.lease_token,
    )
    credentials = consent.credentials(connection) if consent is not None else _credentials(connection)
    try:
        made = client_for(where).create_calendar(
            platform=connection.calendar.platform,
            **credentials,
            metadata=connection.metadata,
            idempotency_key=f"recallops-{_first_try(intent, given_up, since=consent.given_at if consent else None)}",
        )
    except errors.ProviderError as error:
        if error.may_have_happened:
            Intent.objects.filter(pk=intent.pk, state__in=Intent.OPEN).update(outcome=error.sentence[:300])
            return wait(LOST.format(where=where), clock.now() + where.late_commit)
        passed_over = isinstance(error, PASSED_OVER)
        words = f"{NOT_TAKEN}: {error.sentence}" if passed_over else error.sentence
        Intent.objects.filter(pk=intent.pk).settle(happened=False, outcome=words)
        raise
    with transaction.atomic():
        Intent.objects.filter(pk=intent.pk).update(
            state=Intent.State.CONFIRMED, answered_at=clock.now(), settled_at=clock.now(), outcome=made.id
        )
        _adopt(item, _store(where, connection, made, begun_at=intent.sent_at), created=True)
        if consent is not None:
            consent.use()
    return DONE


def _credentials(connection: Connection) -> dict[str, Any]:
    """Return what opens a calendar, as its own region shows it, else as staff stored it."""
    known = OAuthClient.objects.filter(
        platform=connection.calendar.platform, client_id=connection.oauth_client_id
    ).first()
    return {
        "oauth_client_id": connection.oauth_client_id,
        "oauth_client_secret": connection.oauth_client_secret or (known.client_secret if known else None) or None,
        "oauth_client_certificate": (known.certificate or None) if known and not connection.has_secret else None,
        "oauth_client_private_key": (known.private_key or None) if known and not connection.has_secret else None,
        "oauth_refresh_token": connection.refresh_token,
        "oauth_email": connection.oauth_email or connection.platform_email or None,
    }


def _first_try(intent: Intent, given_up: list[Intent], *, since: datetime | None) -> int:
    """Return the number of the try under whose key this one is sent.

    After one whose answer was lost, and that was not there when it should have been, it is that one's: should it be
    carried out after all, by a worker that slept for minutes, say, the provider answers what the second made. Only
    once, since what the provider keeps under a key for an hour may be an error. What was sent before a consent
    (`since`) was another request.
    """
    same = [one.pk for one in given_up if since is None or one.sent_at >= since]
    return same[0] if len(same) % 2 else intent.pk


def _store(where: Workspace, connection: Connection, made: RecallCalendar, *, begun_at: datetime) -> Connection:
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
    with assignments.storing(where.family):  # a list that shows it may be read at this moment
        stored, _ = Connection.objects.get_or_create(workspace=where, remote_id=made.id, defaults=defaults)
        if stored.calendar_id != connection.calendar_id:  # read before the provider knew its address
            Connection.objects.filter(pk=stored.pk).update(calendar=connection.calendar)
            stored.calendar = connection.calendar
    return stored


def _adopt(item: Item, made: Connection, *, created: bool) -> None:
    """Note which calendar is this one there. `created`: by this batch, so that going back may remove it."""
    if made.workspace_id == item.batch.source_id:
        old = item.target_connection
        Item.objects.filter(pk=item.pk).update(connection=made)
    else:
        old = item.connection
        Item.objects.filter(pk=item.pk).update(target_connection=made, created_target=created)
    if old is None:
        return
    ids = [(old.remote_id, made.remote_id)]
    IdMapping.objects.moved("calendar", ids, source=old.workspace_id, target=made.workspace_id)
