"""Calendars that their people connect again: which, and what happens once somebody has consented.

The consent belongs to the item. The step *recreate* makes the calendar in the target with it, or gives it to the
calendar that the target could not connect; from there the item goes on as every other.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from calendars.models import (
    AuditEntry,
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerDomain,
    OAuthClient,
)
from migrations_app import tasks
from migrations_app.findings import Found, note
from migrations_app.itineraries import Step
from migrations_app.models import (
    Batch,
    BatchStatus,
    Consent,
    ErrorKind,
    Finding,
    Item,
    ItemStatus,
    Severity,
    StatusLink,
    StepRecord,
)
from recallops import clock

CONNECTED_AGAIN = "Its person connected it again on the status page."
REFUSED_CODE = "reconnect"
REFUSED = "People cannot connect their calendars again: {client} is refused ({detail})."
REFUSED_REMEDY = (
    "Look at the client: its secret or certificate, and whether our redirect address is registered with it."
)
BEFORE_MEETINGS = (Step.RECREATE, Step.VERIFY)


def possible(*, on_the_way: bool = False) -> Q:
    """Return which items' people may connect them again, as a condition on items.

    They wait for that person, on the way there, before any of their meetings has gone over; and the client that
    connected them is one that staff opened for it. Nobody is led anywhere while we do not know our own address.
    `on_the_way`: somebody who left in time may come back also when staff have pressed retry meanwhile.
    """
    client = OAuthClient.objects.filter(
        platform=OuterRef("connection__calendar__platform"),
        client_id=OuterRef("connection__oauth_client_id"),
        reconnects=True,
    )
    waits = Q(status=ItemStatus.USER, error_kind=ErrorKind.CUSTOMER)
    if on_the_way:
        waits |= Q(status__in=ItemStatus.active()) & ~Q(target_connection__status=ConnectionStatus.CONNECTED)
    return waits & Q(
        Exists(client),
        kind=Item.Kind.CONNECTION,
        open=True,
        step__in=BEFORE_MEETINGS,
        connection__calendar__email__contains="@",
        batch__closed_at=None,
        batch__handover__backwards=False,
        pk__isnull=not settings.SITE_URL,
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item that waits for its person, the address of the calendar, and the client that is consented for."""

    item: Item
    email: str
    client: OAuthClient


def find(customer: Customer, pk: int, *, on_the_way: bool = False) -> Waiting | None:
    """Return an item of a customer whose person may connect it again."""
    mine = Item.objects.filter(possible(on_the_way=on_the_way), pk=pk, connection__calendar__customer=customer)
    item = mine.select_related("batch", "connection__calendar").first()
    if item is None or item.connection is None:
        return None
    calendar = item.connection.calendar
    clients = OAuthClient.objects.filter(platform=calendar.platform, client_id=item.connection.oauth_client_id)
    client = clients.first()  # staff may take it away at this moment
    return Waiting(item, calendar.email, client) if client is not None else None


def is_ours(client: OAuthClient, email: str) -> bool:
    """Tell whether somebody may have consented before, and live on it: a calendar by this client, or a colleague."""
    theirs = Calendar.objects.filter(platform=client.platform, email=email)
    connected = Connection.objects.live().filter(calendar__in=theirs, oauth_client_id=client.client_id)
    return connected.exists() or CustomerDomain.objects.filter(domain=email.rpartition("@")[2]).exists()


def give(waiting: Waiting, *, link: StatusLink, refresh_token: str) -> bool:
    """Let an item go on with what its person allowed. False: it does not wait for that any more."""
    now, item = clock.now(), waiting.item
    with transaction.atomic():
        # clean up holds this row, too, while it lets go: the item goes on before that, or not at all
        batch = Batch.objects.select_for_update().get(pk=item.batch_id)
        if not Item.objects.filter(possible(on_the_way=True), pk=item.pk).exists():
            return False
        allowed = {"client": waiting.client, "refresh_token": refresh_token}
        Consent.objects.update_or_create(
            item=item, defaults={"link": link, "given_at": now, "used_at": None, **allowed}
        )
        Item.objects.filter(pk=item.pk).update(
            step=Step.RECREATE,
            status=ItemStatus.READY,
            reason="",
            error_kind=ErrorKind.NONE,
            due_at=None,
            attempts=0,
            lease_token=None,  # whoever works on it without the consent writes nothing any more
            lease_until=None,
        )
        StepRecord.objects.create(
            item=item, at=now, step=item.step, status=ItemStatus.READY, reason=CONNECTED_AGAIN, attempt=item.attempts
        )
        mine = Batch.objects.filter(pk=batch.pk)
        if batch.step == Step.CLEAN_UP:
            mine.update(step=Step.RECREATE, due_at=None, attempts=0)
        if batch.status != BatchStatus.STOPPED:  # what was stopped waits for staff
            mine.update(reached="", changed_at=now)
        AuditEntry.objects.record(
            actor=None, action="item.connected_again", subject=item, batch=batch.pk, status_link=link.pk
        )
        mended = Finding.objects.filter(batch=batch, code=REFUSED_CODE, subject=str(waiting.client), gone_at=None)
        mended.update(gone_at=now)
        transaction.on_commit(tasks.ring)
    return True


def refused(waiting: Waiting, detail: str) -> None:
    """Tell staff that a client is not as Google or Microsoft know it: nobody can connect again until it is mended."""
    sentence = REFUSED.format(client=waiting.client, detail=detail[:100])
    found = Found(REFUSED_CODE, Severity.WARNING, sentence, REFUSED_REMEDY, subject=str(waiting.client))
    note(waiting.item.batch, Step.RECREATE, found)
