"""Webhooks on their way to the application: put in when they are handled, sent one after the other in each lane.

Which webhooks of calendars pass and which are held follows from rows alone (`_elsewhere`, `_unknown`), so that a cut, a
fall back and a calendar that becomes known are all the same: the rows change, and `settle` makes the outbox follow.

1. Webhooks of a calendar pass from the one workspace that `Calendar.relayed_from` names, as long as the calendar works
   there; from both when it names none. All others (bots, recordings, ...) pass always.
2. A calendar that nobody knows yet, in a workspace that calendars are being moved to, is held: it may be one of those.
3. In a lane the oldest goes first, and the next one only when that one is delivered or given up.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet

from calendars.leases import Lease, alone, free, taker
from calendars.models import (
    Application,
    Calendar,
    Connection,
    ConnectionStatus,
    Delivery,
    Event,
    Handover,
    RelayAttempt,
    Relayed,
)
from calendars.relay.post import Outcome
from calendars.webhooks.events import CALENDAR_SYNC, CALENDAR_UPDATE
from recallops import clock
from recallops.prepared import Given, changing, prepared

OF_CALENDARS = frozenset({CALENDAR_SYNC, CALENDAR_UPDATE})
OK_EVERY = timedelta(minutes=1)  # "last delivered" is for people; a write for each webhook would be a hot row
ANNOUNCED = "made here at the cut: the application lists all events of this calendar"
CHUNK = 1000

State = Relayed.State


def take_in(deliveries: Collection[Delivery]) -> set[int]:
    """Put webhooks that were handled into the outbox, once each; return the applications that have something new.

    Called in the transaction that notes them as handled. `deliveries` come with their workspaces.
    """
    rows = [_row(one, application) for one in deliveries if (application := one.workspace.application_id)]
    if not rows:
        return set()
    Relayed.objects.bulk_create(rows, ignore_conflicts=True)
    settle(Relayed.objects.filter(delivery__in=[row.delivery_id for row in rows]))
    return {row.application_id for row in rows}


def _row(delivery: Delivery, application: int) -> Relayed:
    of_calendar = delivery.event in OF_CALENDARS and bool(delivery.subject)
    if of_calendar:
        lane = lane_of_calendar(delivery.workspace_id, delivery.subject)
    else:
        lane = f"{delivery.workspace_id}:{delivery.subject or f'delivery:{delivery.pk}'}"[:160]
    return Relayed(
        application_id=application,
        delivery=delivery,
        lane=lane,
        of_calendar=of_calendar,
        due_at=clock.now(),
    )


@contextmanager
def quiet(families: Iterable[str]) -> Iterator[None]:
    """Be the only one who puts webhooks of these families into the outbox or lets them pass, in a transaction."""
    with ExitStack() as stack:
        for family in sorted(families):
            stack.enter_context(alone(f"hear {family}"))
        yield


def settle(rows: QuerySet[Relayed]) -> None:
    """Hold those of some rows that may not pass now, and let go those that may."""
    rows.filter(_stopped(), of_calendar=True, state=State.WAITING).update(state=State.HELD)
    _may_pass(rows).update(state=State.WAITING, due_at=clock.now(), attempts=0, problem="")


def _may_pass(rows: QuerySet[Relayed]) -> QuerySet[Relayed]:
    return rows.filter(~_stopped(), of_calendar=True, state=State.HELD)


def _stopped() -> Q:
    return _elsewhere() | _unknown()


def lane_of_calendar(workspace: int, remote_id: str) -> str:
    """Return the lane of a calendar's webhooks."""
    return f"{workspace}:calendar:{remote_id}"[:160]


def settle_calendars(calendars: Collection[int]) -> None:
    """Let the outbox follow after calendars went to another workspace."""
    lanes = [
        lane_of_calendar(workspace, remote_id)
        for workspace, remote_id in Connection.objects.filter(calendar__in=calendars).values_list(
            "workspace", "remote_id"
        )
    ]
    theirs = Relayed.objects.filter(lane__in=lanes)
    if theirs.filter(state__in=[State.WAITING, State.HELD]).exists():  # mostly there is no application at all
        settle(theirs)


def settle_held(workspace: int) -> None:
    """Let the outbox follow after connections of a workspace became known, or went."""
    _let_go(workspace=workspace, now=clock.now())


@changing(state=State.WAITING, due_at=Given("now"), attempts=0, problem="")
def _let_go() -> QuerySet[Relayed]:
    return _may_pass(Relayed.objects.filter(delivery__workspace=Given("workspace")))


def route(calendars: QuerySet[Calendar], workspace: int, *, at: datetime) -> None:
    """Let only one workspace's webhooks of some calendars reach the application from now on."""
    ids = list(calendars.values_list("pk", flat=True))
    with transaction.atomic():
        Calendar.objects.filter(pk__in=ids).update(relayed_from=workspace, relayed_since=at)
        settle_calendars(ids)


def announce(connections: Iterable[Connection], *, at: datetime) -> None:
    """Tell the application that all events of some calendars are new, as the vendor does when one is connected.

    At a cut it comes after what was held: whatever was lost on the way, or taken at an earlier cut by an application
    that did not know what to do with it, the application lists everything once more. Its id is ours and new each time.
    """
    rows = list(connections)
    oldest = dict(
        Event.objects.filter(connection__in=rows)
        .values_list("connection")
        .annotate(at=Min("remote_updated_at"))
        .order_by()
    )
    made = [_announcement(row, since=oldest.get(row.pk, at), now=at) for row in rows]
    with transaction.atomic():
        Delivery.objects.bulk_create(made)
        take_in(made)


def _announcement(connection: Connection, *, since: datetime, now: datetime) -> Delivery:
    data = {"calendar_id": connection.remote_id, "last_updated_ts": since.isoformat()}
    return Delivery(
        workspace=connection.workspace,
        delivery_id=f"msg_recallops_{uuid.uuid4().hex}",
        received_at=now,
        sent_at=now,
        region=connection.workspace.region.code,
        body=json.dumps({"event": CALENDAR_SYNC, "data": data}, separators=(",", ":")).encode(),
        state=Delivery.State.KEPT,
        event=CALENDAR_SYNC,
        subject=connection.remote_id,
        reason=ANNOUNCED,
        handled_at=now,
    )


def _elsewhere() -> Exists:
    """The calendar's webhooks come from another workspace, and it works there."""
    mine = Connection.objects.filter(workspace=OuterRef("delivery__workspace"), remote_id=OuterRef("delivery__subject"))
    there = Connection.objects.filter(calendar=OuterRef("calendar"), workspace=OuterRef("calendar__relayed_from"))
    return Exists(
        mine.exclude(calendar__relayed_from=None)
        .exclude(calendar__relayed_from=F("workspace"))
        .filter(Exists(there.exclude(status__in=[ConnectionStatus.DELETED, ConnectionStatus.DISCONNECTED])))
    )


def _unknown() -> Q:
    """Nobody knows the calendar, and calendars are being moved to its workspace."""
    known = Connection.objects.filter(
        workspace=OuterRef("delivery__workspace"), remote_id=OuterRef("delivery__subject")
    )
    coming = Handover.objects.filter(external=True, target=OuterRef("delivery__workspace"), calendars__isnull=False)
    return Q(~Exists(known)) & Q(Exists(coming))


# --- out


def claim(application: Application, *, limit: int, lease: Lease) -> list[int]:
    """Lease the webhooks that may be sent now, oldest first, one for each lane."""
    waiting = Relayed.objects.filter(application=application, state=State.WAITING)
    room = min(limit, application.at_once - waiting.exclude(free()).count())
    if application.paused or room <= 0:
        return []
    return _take_due(limit=room, lease=lease, application=application.pk, now=clock.now())


@taker("due_at", "delivery")
def _take_due() -> QuerySet[Relayed]:
    return heads().filter(application=Given("application"), due_at__lte=Given("now"))


def heads() -> QuerySet[Relayed]:
    """Return the oldest webhook of each lane that is to be sent: no other of the lane may go before it."""
    before = Relayed.objects.filter(lane=OuterRef("lane"), state=State.WAITING, delivery__lt=OuterRef("delivery"))
    return Relayed.objects.filter(~Exists(before), state=State.WAITING)


def begin(pk: int, lease: Lease) -> Relayed | None:
    """Count a try before it is made; None when somebody else has the row."""
    mine = Relayed.objects.filter(pk=pk, lease_token=lease.token)
    if not mine.filter(state=State.WAITING).update(attempts=F("attempts") + 1):
        mine.update(lease_token=None, lease_until=None)  # held since it was claimed
        return None
    return Relayed.objects.select_related("application", "delivery__workspace__region").get(pk=pk)


def finish(relayed: Relayed, outcome: Outcome, *, lease: Lease) -> None:
    """Note what came of a try: delivered, the next rung of the ladder, or given up."""
    now, application = clock.now(), relayed.application
    RelayAttempt.objects.create(
        relayed=relayed,
        at=now,
        seconds=outcome.seconds,
        status=outcome.status,
        problem=outcome.problem[:300],
        answer=outcome.answer,
    )
    mine = Relayed.objects.filter(pk=relayed.pk, lease_token=lease.token)
    if outcome.delivered:
        mine.update(state=State.DELIVERED, delivered_at=now, problem="", lease_token=None, lease_until=None)
        _well(application, now)
        return
    ladder, times = application.ladder, max(1, relayed.attempts)
    given_up = times > len(ladder)
    due = now if given_up else now + timedelta(seconds=ladder[times - 1])
    mine.filter(state=State.WAITING).update(state=State.DEAD if given_up else State.WAITING, due_at=due)
    if not mine.update(problem=outcome.problem[:300], lease_token=None, lease_until=None):
        return
    Application.objects.filter(pk=application.pk, failing_since=None).update(failing_since=now)
    Application.objects.filter(pk=application.pk).update(last_problem=outcome.problem[:300])


def _well(application: Application, now: datetime) -> None:
    seldom = Q(last_ok_at=None) | Q(last_ok_at__lte=now - OK_EVERY) | Q(failing_since__isnull=False)
    Application.objects.filter(seldom, pk=application.pk).update(last_ok_at=now, failing_since=None, last_problem="")


def lag(application: Application) -> timedelta | None:
    """Return for how long the oldest webhook that is to be sent has waited; None when none waits."""
    waiting = Relayed.objects.filter(application=application, state=State.WAITING).order_by("delivery")
    oldest: datetime | None = waiting.values_list("delivery__received_at", flat=True).first()
    return None if oldest is None else clock.now() - oldest


def next_due() -> datetime | None:
    """Return when the next webhook is to be sent; None when none waits."""
    return next((due_at for (due_at,) in _due_heads(limit=1)), None)


@prepared
def _due_heads() -> QuerySet[Relayed, tuple[datetime | None]]:
    return heads().filter(application__paused=False).order_by("due_at").values_list("due_at")


# --- what staff do


def again(rows: QuerySet[Relayed]) -> int:
    """Send webhooks that were given up, or delivered, again under their own ids; return how many.

    Those of calendars that come from another region now are held instead.
    """
    rows = rows.filter(state__in=[State.DEAD, State.DELIVERED])
    ids = list(rows.values_list("pk", flat=True))
    families = set(rows.values_list("delivery__workspace__family", flat=True))
    for at in range(0, len(ids), CHUNK):
        with quiet(families):
            chunk = Relayed.objects.filter(pk__in=ids[at : at + CHUNK])
            chunk.update(state=State.WAITING, due_at=clock.now(), attempts=0, problem="", delivered_at=None)
            settle(chunk)
    return len(ids)


def replay(application: Application, *, since: datetime) -> int:
    """Send everything that came in since a time again, in its order; return how many webhooks."""
    came = Delivery.objects.filter(workspace__application=application, received_at__gte=since)
    came = came.exclude(state=Delivery.State.RECEIVED).select_related("workspace").defer("body")
    missing = came.filter(relayed=None)
    count = 0
    while chunk := list(missing.order_by("pk")[:CHUNK]):
        count += len(chunk)
        with quiet({one.workspace.family for one in chunk}):
            take_in(chunk)
    return count + again(Relayed.objects.filter(application=application, delivery__received_at__gte=since))


def hasten(application: Application) -> int:
    """Try all that wait for a later try now; return how many."""
    now = clock.now()
    waiting = Relayed.objects.filter(application=application, state=State.WAITING, due_at__gt=now)
    return waiting.update(due_at=now)


def needed() -> QuerySet[Relayed]:
    """Return what may not be forgotten yet, however old: to be sent, or held while its calendar moves."""
    moving = Connection.objects.filter(
        workspace=OuterRef("delivery__workspace"),
        remote_id=OuterRef("delivery__subject"),
        calendar__handover__isnull=False,
    )
    return Relayed.objects.filter(Q(state=State.WAITING) | Q(Exists(moving), state=State.HELD))
