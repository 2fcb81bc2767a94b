"""Delete old: take the calendar out of the source, when nothing can be lost by it. Empty target: the same, mirrored.

On the way back it is the target's that goes, if the batch made it; whatever else is in the target stays.

1. The goal allows it and the delete was confirmed by typing the batch's name; the soak since its last flip is over.
2. One calendar for each (platform, OAuth client) goes first: the canary. The others wait until it has passed.
3. The connection is marked *closing*; `reconcile` takes its bots off first, as far as others hold them.
4. Gate: full lists of both sides, begun just now, show no bot on it and each of its wanted meetings covered on
   another calendar; the list of bots (path B) shows the same; none starts soon; no write is open.
5. Intent, delete, read back: the provider does not know it any more.
6. The canary is waited for, and passes only when the side that stays minted a token after the delete.

What fails the gate is named, is a finding, and is looked at again: the delete is refused, not forced.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from calendars import assignments, ingest, sync
from calendars.models import Assignment, Bot, Calendar, Connection, Event, Intent, Sweep, Verdict
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.scheduling.ownership import is_lost
from calendars.scheduling.rows import Loaded, load
from calendars.scheduling.settling import DID_NOT_HAPPEN
from calendars.scheduling.values import Numbers
from migrations_app import coverage, inventory
from migrations_app.findings import Found, gone, note
from migrations_app.itineraries import Step
from migrations_app.models import Item, ItemStatus, Severity
from migrations_app.outcomes import DONE, How, Outcome, stop, wait
from migrations_app.steps import recreate
from migrations_app.steps.holding import SOMEBODY_ELSE, still_held
from recallops import clock

SOAK = "It is left in both regions until {until:%Y-%m-%d %H:%M} UTC, in case something shows up."
NOT_CONFIRMED = "The delete was not confirmed yet."
CANARY_FIRST = "Waits for the first calendar of its kind ({canary}) to be deleted without harm."
CANARY_LOOK = "Deleted as the first of its kind; looked at again {until:%H:%M} UTC."
CANARY_FAILED = (
    "After {calendar} was deleted in {origin}, {destination} could not use its grant any more: {words} Nothing more "
    "is deleted; its user must connect it again."
)
CANARY_ASKS_AGAIN = "{destination} still uses its token from before the delete; asked again {until:%H:%M} UTC."
NO_CANARY = "No calendar of its kind is without a meeting in the next {minutes} minutes; looking again."
DETACHING = "{count} bot(s) in {origin} are still on it."
REFUSED = "Refused: the meeting of {start:%Y-%m-%d %H:%M} UTC at {url} is {verdict}{note}."
REFUSED_REMEDY = "It is looked at again by itself; if it stays, open the meeting in the ledger."
NEAR = "Waits: a meeting of it starts at {start:%H:%M} UTC."
NOT_LISTED = "Refused: the provider does not have the bot of {start:%Y-%m-%d %H:%M} UTC that its event names."
GONE = "Somebody deleted it in {origin}."
LOST_THERE = (
    "The meeting of {start:%Y-%m-%d %H:%M} UTC at {url} was shown only in {origin}, where its calendar had fallen off: "
    "no bot comes to it."
)
LOST_REMEDY = "As a rule it was cancelled meanwhile. If it takes place, see why the other region does not show it."
FELL_BACK = "Its share group fell back to the source: nothing of it is deleted there."
REFUSALS = ("delete_refused", "not_listed")
READING = "reading the list of bots in {workspace}"
LOST = "The answer to the delete was lost; reading before anything else."
STILL_THERE = "It is still shown after the delete; reading again."
LOOK_AGAIN = timedelta(minutes=1)
LIST_AGE = timedelta(minutes=10)
GATE_AGE = timedelta(seconds=60)


def run(item: Item) -> Outcome:
    """Delete the calendar where it leaves, or say what keeps it."""
    leaving, staying = item.leaving, item.staying
    if leaving is None or staying is None:
        raise ValueError("an item to delete has a connection on both sides")
    batch, now = item.batch, clock.now()
    if item.deleted_at or leaving.status == "deleted":
        settle(leaving)  # a sweep may have seen it gone before the lost answer to the delete was settled
        return _after_delete(item, staying)
    if (lost := recreate.lost(item)) is not None:
        return lost
    if not batch.delete_confirmed_at:
        return wait(NOT_CONFIRMED, now + LOOK_AGAIN)
    until = _soak_until(item)
    if until is not None and until > now:
        return wait(SOAK.format(until=until), until)
    if (not_yet := _canary_first(item)) is not None:
        return not_yet
    if not leaving.closing:
        if _fell_back(item):
            return wait(FELL_BACK, now + LOOK_AGAIN)
        if not _mark_closing(item, leaving):
            return wait(SOMEBODY_ELSE, now)
    if (refusal := _gate(item, leaving, staying)) is not None:
        return refusal
    if _fell_back(item):
        return wait(FELL_BACK, now + LOOK_AGAIN)
    if item.canary and item.token_until is None:
        _keep(item, token_until=client_for(batch.destination).access_token(staying.remote_id).expires_at or now)
    return _delete(item, leaving)


def empty_target(item: Item) -> Outcome:
    """Delete the calendar in the target on the way back, if this batch made it."""
    if item.target_connection is None or not item.created_target:
        return DONE
    outcome = run(item)
    if outcome.how is How.DONE:
        recreate.forget_ids(item.target_connection)
    return outcome


def _mark_closing(item: Item, leaving: Connection) -> bool:
    """Let its bots be taken off, unless the item was sent another way meanwhile: then it is to stay."""
    with transaction.atomic():
        if not Item.objects.select_for_update().filter(pk=item.pk, step=item.step).exists():
            return False
        Connection.objects.filter(pk=leaving.pk).update(closing=True)
    assignments.touch_connections([leaving])
    leaving.closing = True
    return True


def _fell_back(item: Item) -> bool:
    """Tell whether the company's application schedules this calendar in the source (again)."""
    if item.connection is None or not item.batch.handover.external or item.batch.goes_back:
        return False
    theirs = Calendar.objects.filter(pk=item.connection.calendar_id)  # read anew: it may have fallen back just now
    return not theirs.filter(relayed_from=item.batch.target_id).exists()


def _soak_until(item: Item) -> datetime | None:
    """Return until when it is kept in both regions; None when none of its meetings was handed over."""
    flipped = Assignment.objects.filter(
        occurrences__calendar=item.connection.calendar_id if item.connection else None, owner=item.batch.destination
    ).aggregate(last=Max("flipped_at"))["last"]
    return flipped + item.batch.soak if flipped else None


# -- the canary


def _kind(item: Item) -> dict[str, str]:
    if item.connection is None:
        raise ValueError("an item to delete has a connection")
    return {
        "connection__calendar__platform": item.connection.calendar.platform,
        "connection__oauth_client_id": item.connection.oauth_client_id,
    }


def _canary_first(item: Item) -> Outcome | None:
    """Return why to wait for the canary; None when it has passed or is this very item."""
    alike = Item.objects.filter(batch=item.batch, kind=Item.Kind.CONNECTION, **_kind(item))
    if item.batch.goes_back:
        alike = alike.filter(created_target=True)
    canary = alike.filter(canary=True).exclude(status__in=[ItemStatus.FAILED, ItemStatus.USER]).first()
    if canary is not None:
        if canary.status in (ItemStatus.DONE, ItemStatus.BACK) or canary.pk == item.pk:
            return None
        until = max(canary.due_at or clock.now(), clock.now() + LOOK_AGAIN)
        return wait(CANARY_FIRST.format(canary=canary), until)
    quiet = clock.now() + item.batch.canary_wait + inventory.numbers(item.batch).near
    busy = Assignment.objects.filter(
        occurrences__calendar=item.connection.calendar_id if item.connection else None,
        over=False,
        start__lte=quiet,
        end__gte=clock.now(),
    )
    if busy.exists():
        minutes = (quiet - clock.now()) // timedelta(minutes=1)
        return wait(NO_CANARY.format(minutes=minutes), clock.now() + LIST_AGE)
    # one canary of a kind: the constraint is that only one row of the kind carries the mark
    if not alike.filter(canary=True).exclude(status__in=[ItemStatus.FAILED, ItemStatus.USER]).exists():
        _keep(item, canary=True)
    return None


def _after_delete(item: Item, staying: Connection) -> Outcome:
    """The calendar is gone where it left; a canary is looked at once more before it counts."""
    if item.deleted_at is None:
        _keep(item, deleted_at=clock.now())
    if not item.canary:
        return DONE
    until = (item.deleted_at or clock.now()) + item.batch.canary_wait
    if clock.now() < until:
        return wait(CANARY_LOOK.format(until=until), until)
    words, again = _grant_trouble(item, staying)
    origin, destination = item.batch.origin, item.batch.destination
    if again is not None:
        return wait(CANARY_ASKS_AGAIN.format(destination=destination, until=again), again)
    if words:
        sentence = CANARY_FAILED.format(calendar=item, origin=origin, destination=destination, words=words)
        note(item.batch, Step(item.step), Found("canary", Severity.BLOCKING, sentence, item=item))
        return stop(sentence)
    kind = Item.objects.filter(batch=item.batch, step=item.step, status=ItemStatus.WAITING, **_kind(item))
    kind.exclude(pk=item.pk).update(due_at=None)
    return DONE


def _grant_trouble(item: Item, staying: Connection) -> tuple[str, datetime | None]:
    """Say why the side that stays cannot use the grant, or when to ask again; neither when it minted a new token.

    `connected` alone proves nothing: it may lag for hours. Nor does a token from before the delete: it is good until
    its end, so the one that counts is one that ends later than the one it had before.
    """
    client = client_for(item.batch.destination)
    try:
        reading = client.get_calendar(staying.remote_id)
        if reading.value.status != "connected":
            return f"{item.batch.destination} says {reading.value.status[:40]}.", None
        token = client.access_token(staying.remote_id)
    except (errors.CredentialRefused, errors.InvalidRequest, errors.NotFound) as error:
        return error.sentence, None
    before = item.token_until
    if before is None or token.expires_at is None or token.expires_at > before:
        return "", None
    if clock.now() <= before:
        return "", before + LOOK_AGAIN
    return "It gives out the token from before the delete, which is over.", None


# -- the gate


def _gate(item: Item, leaving: Connection, staying: Connection) -> Outcome | None:
    """Return why the delete is refused for now; None when nothing can be lost by it."""
    begun = clock.now()
    listed = _list_of_bots(item)
    if isinstance(listed, Outcome):
        return listed
    sync.read_again(leaving)  # where it fell off: it may be back, or gone
    if leaving.status == "deleted":
        return wait(GONE.format(origin=item.batch.origin), clock.now())
    seen = sync.read_connection_events(item.batch.origin, leaving.remote_id)
    _vanish_unseen(leaving, seen, begun)
    seen = sync.read_connection_events(item.batch.destination, staying.remote_id)
    _vanish_unseen(staying, seen, begun)
    rows = load(list(_coming(leaving).values_list("pk", flat=True)))
    if held := _still_held(leaving):
        assignments.wake([one.assignment.pk for one in rows])
        return wait(DETACHING.format(count=held, origin=item.batch.origin), clock.now() + LOOK_AGAIN)
    numbers = inventory.numbers(item.batch)
    for one in rows:
        if (refusal := _row_refuses(item, one, listed, numbers)) is not None:
            return refusal
    gone(item.batch, *REFUSALS, item=item)
    if clock.now() - begun > GATE_AGE:
        return wait("The readings took too long; reading again.", clock.now())
    return None


def _list_of_bots(item: Item) -> Sweep | Outcome:
    """Return a whole list of the bots where it stays that is fresh enough, reading it if there is none."""
    now, where = clock.now(), item.batch.destination
    bots = Sweep.objects.filter(workspace=where, kind=Sweep.Kind.BOTS)
    fresh = bots.filter(begun_at__gte=now - LIST_AGE).exclude(finished_at=None).order_by("-begun_at").first()
    if fresh is not None:
        return fresh
    sweep = sync.open_sweep(where, Sweep.Kind.BOTS)
    if now - sweep.begun_at > 3 * LIST_AGE:
        Sweep.objects.filter(pk=sweep.pk).update(finished_at=now)
    sync.run_sweep(sweep)
    return wait(READING.format(workspace=where), clock.now() + timedelta(seconds=5))


def _vanish_unseen(connection: Connection, seen: set[str], begun: datetime) -> None:
    """Events that a full list did not show are retrieved: absent is no deletion."""
    now = clock.now()
    missing = Event.objects.filter(connection=connection, is_deleted=False, start__gt=now, start__lt=now + sync.AHEAD)
    wanted = [
        sync.Wanted(event.pk, event.remote_id, event.start)
        for event in missing.exclude(remote_id__in=seen).filter(read_begun_at__lt=begun)
    ]
    sync.read_events(connection.workspace, wanted)


def _coming(leaving: Connection) -> QuerySet[Assignment]:
    return Assignment.objects.filter(
        occurrences__calendar=leaving.calendar_id, over=False, end__gt=clock.now()
    ).distinct()


def _still_held(leaving: Connection) -> int:
    """Count bots that are not over on the calendar's events: scheduled, frozen, in a call, or on a moved event."""
    events = Event.objects.filter(connection=leaving).exclude(bots=[]).values_list("bots", "end")
    entries = [(entry, end) for bots, end in events for entry in bots]
    over = set(
        Bot.objects.filter(
            workspace=leaving.workspace, terminal=True, remote_id__in=[entry["bot_id"] for entry, _ in entries]
        ).values_list("remote_id", flat=True)
    )
    now = clock.now()
    return sum(
        1
        for entry, end in entries
        if entry["bot_id"] not in over and (datetime.fromisoformat(entry["start"]) > now or end > now)
    )


def _row_refuses(item: Item, one: Loaded, listed: Sweep, numbers: Numbers) -> Outcome | None:
    row = coverage.judge(one, numbers=numbers)
    now = clock.now()
    if row.verdict in (Verdict.OVER, Verdict.ATTENDED, Verdict.NOT_ATTENDED):
        return None
    if is_lost(one.row) and item.staying is not None and item.staying.connected:
        sentence = LOST_THERE.format(start=one.row.start, url=one.row.url[:200], origin=item.batch.origin)
        found = Found("lost", Severity.WARNING, sentence, LOST_REMEDY, item=item, assignment=one.assignment)
        note(item.batch, Step(item.step), found)
        return None
    if not _covered_elsewhere(item, one, row.verdict):
        sentence = REFUSED.format(
            start=one.row.start,
            url=one.row.url[:200],
            verdict=row.verdict.label,
            note=f" ({row.note})" if row.note else "",
        )
        return _refuse(item, one, "delete_refused", sentence)
    if one.row.start - now < numbers.near:
        return wait(NEAR.format(start=one.row.start), max(one.row.end, now + LOOK_AGAIN))
    if unlisted := coverage.not_listed(row, listed):
        sync.read_bots(item.batch.destination, unlisted)  # younger than the list, or gone
        if coverage.not_listed(row, listed):
            # the event names a bot that the provider does not have: the list of bots counts
            return _refuse(item, one, "not_listed", NOT_LISTED.format(start=one.row.start))
    return None


def _refuse(item: Item, one: Loaded, code: str, sentence: str) -> Outcome:
    """Name the meeting that keeps the calendar, let it be looked at, and come again."""
    found = Found(code, Severity.WARNING, sentence, REFUSED_REMEDY, item=item, assignment=one.assignment)
    gone(item.batch, *REFUSALS, item=item, but=note(item.batch, Step(item.step), found))
    assignments.wake([one.assignment.pk])
    return wait(sentence, clock.now() + LOOK_AGAIN)


def _covered_elsewhere(item: Item, one: Loaded, said: Verdict) -> bool:
    """Covered, by a bot that a connected calendar other than the one that goes holds."""
    if said not in (Verdict.TARGET, Verdict.SOURCE, Verdict.OWNER, Verdict.FROZEN):
        return False
    gone_id = item.leaving.pk if item.leaving else None
    return any(
        entry.start == one.row.start and entry.url == one.row.url and not entry.terminal
        for side in (one.row.owner, one.row.other)
        if side is not None
        for member in side.members
        if member.connected and not member.closing and one.events[member.event].connection_id != gone_id
        for entry in member.bots
    )


# -- the delete


def _delete(item: Item, leaving: Connection) -> Outcome:
    unsure = _open_intent(leaving)
    if unsure is not None and (waiting := settle(leaving)) is not None:
        return waiting
    if unsure is not None and leaving.status == "deleted":
        return _gone(item)
    if not still_held(item):
        return wait(SOMEBODY_ELSE, clock.now())
    intent = Intent.objects.create(
        workspace=leaving.workspace,
        connection=leaving,
        purpose=Intent.Purpose.DELETE_CALENDAR,
        subject=f"calendar {leaving.remote_id}",
        attempt=item.attempts,
        sent_at=clock.now(),
        lease_token=item.lease_token,
    )
    try:
        client_for(leaving.workspace).delete_calendar(leaving.remote_id)
    except errors.NotFound:
        pass
    except errors.ProviderError as error:
        if not error.may_have_happened:
            Intent.objects.filter(pk=intent.pk).settle(happened=False, outcome=error.sentence)
            raise
        return wait(LOST, clock.now() + leaving.workspace.late_commit)
    Intent.objects.filter(pk=intent.pk).answer()
    if (waiting := settle(leaving)) is not None:
        return waiting
    return _gone(item) if leaving.status == "deleted" else wait(STILL_THERE, clock.now() + LOOK_AGAIN)


def _open_intent(leaving: Connection) -> Intent | None:
    return Intent.objects.filter(
        connection=leaving, purpose=Intent.Purpose.DELETE_CALENDAR, state__in=Intent.OPEN
    ).first()


def settle(leaving: Connection) -> Outcome | None:
    """Settle by reading whether a delete happened; None when none is open any more. Raises ProviderError.

    The connection says *deleted* afterwards if it happened.
    """
    unsure = _open_intent(leaving)
    if unsure is None:
        return None
    if leaving.status == "deleted" or not _known(leaving):
        Intent.objects.filter(pk=unsure.pk).settle(happened=True, outcome="read back: it is gone")
        ingest.connection_gone(leaving)
        return None
    due = unsure.sent_at + leaving.workspace.late_commit
    if clock.now() < due:
        return wait(LOST if unsure.answered_at is None else STILL_THERE, min(due, clock.now() + LOOK_AGAIN))
    Intent.objects.filter(pk=unsure.pk).settle(happened=False, outcome=DID_NOT_HAPPEN)
    return None


def _known(leaving: Connection) -> bool:
    try:
        client_for(leaving.workspace).get_calendar(leaving.remote_id)
    except errors.NotFound:
        return False
    return True


def _gone(item: Item) -> Outcome:
    _keep(item, deleted_at=clock.now())
    if item.staying is None:
        raise ValueError("an item to delete has a connection on both sides")
    return _after_delete(item, item.staying)


def _keep(item: Item, **fields: Any) -> None:
    """Store what this step has come to, unless the item was sent another way meanwhile."""
    Item.objects.filter(pk=item.pk, step=item.step).update(**fields)
    for name, value in fields.items():
        setattr(item, name, value)
