"""Verify: what stands in the target is the same calendar, and it shows the same events; on the way back, the source.

1. The provider says *connected*, and for the same account; its word is read for all calendars in one list.
2. Every coming event of the side that it leaves has its partner on the other one, field by field the same.
3. What differs is a finding; an event that one region does not show after a while neither blocks nor is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db.models import Exists, OuterRef

from calendars import assignments, sync
from calendars.models import Connection, Event, IdMapping, Occurrence, Sweep, Workspace
from migrations_app.findings import Found, gone, note
from migrations_app.itineraries import Step
from migrations_app.models import Consent, ErrorKind, Item, Severity
from migrations_app.outcomes import DONE, Outcome, failed, user, wait
from migrations_app.steps import recreate
from recallops import clock

LOOK_EVERY = timedelta(seconds=20)
LONGEST_CONNECT = timedelta(minutes=30)
LONGEST_MISSING = timedelta(minutes=15)
LONG_AGO = datetime.min.replace(tzinfo=UTC)

CONNECTING = "{where} is still connecting it."
NEVER = "{where} has been connecting it for more than {minutes} minutes."
REFUSED = "{where} could not connect it: its user must connect it again."
OTHER = "{where} connected another account ({found}); expected {expected}."
MISSING = "{count} event(s) are not in {where} yet."
MISSING_FOR_GOOD = "{count} coming event(s) of {calendar} are not shown by {where}, for example {example}."
MISSING_REMEDY = "Their meetings stay where they are. Check the calendar in {where}."
FELL_OFF_REMEDY = (
    "It fell off in {origin}, so no bot can come to them, unless {where} shows them after all. Check the calendar."
)
DIFFER = "{count} event(s) of {calendar} differ between the regions in: {fields}."
DIFFER_REMEDY = "The next change of the event brings both together; the start and link of the owner's region count."

COMPARED = ("start", "end", "url", "meeting_platform", "is_deleted")


def run(item: Item) -> Outcome:
    """Compare the calendar in both regions."""
    leaving, staying, where = item.leaving, item.staying, item.batch.destination
    if leaving is None or staying is None:
        raise ValueError("an item to verify has a connection on both sides")
    sync.read_again(staying)  # its user may have connected it just now
    if (lost := recreate.lost(item)) is not None:
        return lost
    if (not_yet := _connected(item, staying)) is not None:
        return not_yet
    since = staying.last_became("connected") or LONG_AGO  # so that no wait is endless
    patient = clock.now() - since < LONGEST_MISSING
    if patient and (count := _not_there(leaving, staying)):
        _hasten(where)
        return wait(MISSING.format(count=count, where=where), clock.now() + LOOK_EVERY)
    partners, missing = _match(leaving, staying)
    if missing:
        if patient:
            _hasten(where)
            return wait(MISSING.format(count=len(missing), where=where), clock.now() + LOOK_EVERY)
        example = f"{missing[0].start:%Y-%m-%d %H:%M}"
        sentence = MISSING_FOR_GOOD.format(count=len(missing), calendar=item, where=where, example=example)
        sync.read_now(leaving)
        fell_off = leaving.status == "disconnected"
        remedy = (FELL_OFF_REMEDY if fell_off else MISSING_REMEDY).format(where=where, origin=item.batch.origin)
        note(item.batch, Step(item.step), Found("missing", Severity.WARNING, sentence, remedy, item=item))
    else:
        gone(item.batch, "missing", item=item)
    _note_differences(item, partners)
    pairs = [(ours.remote_id, theirs.remote_id) for ours, theirs in partners]
    IdMapping.objects.moved("event", pairs, source=leaving.workspace_id, target=staying.workspace_id)
    return DONE


def _connected(item: Item, target: Connection) -> Outcome | None:
    """Return why to wait or stop; None when it is connected as the same account."""
    now, where = clock.now(), item.batch.destination
    if target.status == "connected" and target.platform_email:
        found, expected = target.platform_email.lower(), item.connection.calendar.email if item.connection else ""
        if found != expected:
            return failed(OTHER.format(where=where, found=found, expected=expected), ErrorKind.CUSTOMER)
        return None
    if target.status == "disconnected":
        if not _just_given(item, target):
            return user(REFUSED.format(where=where))
    elif now - (target.last_became("connecting") or now) > LONGEST_CONNECT:
        minutes = LONGEST_CONNECT // timedelta(minutes=1)
        return failed(NEVER.format(where=where, minutes=minutes), ErrorKind.TEMPORARY)
    _reread_connections(where)
    return wait(CONNECTING.format(where=where), now + LOOK_EVERY)


def _just_given(item: Item, target: Connection) -> bool:
    """Tell whether the target has a new consent that it has not tried yet."""
    lately = clock.now() - LONGEST_CONNECT
    fell_off = target.last_became("disconnected") or lately
    return Consent.objects.filter(item=item, used_at__gt=max(fell_off, lately)).exists()


def _reread_connections(workspace: Workspace) -> None:
    """Read the list of calendars again unless somebody did so just now: one list serves all that wait."""
    fresh = Sweep.objects.filter(
        workspace=workspace, kind=Sweep.Kind.CALENDARS, begun_at__gte=clock.now() - LOOK_EVERY / 2
    )
    if not fresh.exists():
        sync.run_sweep(sync.open_sweep(workspace, Sweep.Kind.CALENDARS))


def _hasten(workspace: Workspace) -> None:
    """Let the next read of the changes come soon; one serves all that wait."""
    now = clock.now()
    Workspace.objects.filter(pk=workspace.pk, sweep_due_at__gt=now + LOOK_EVERY / 2).update(sweep_due_at=now)


def _not_there(leaving: Connection, staying: Connection) -> int:
    """Count the coming events of the one side that can have no partner on the other yet.

    One statement, since many calendars wait at the same time and ask every few seconds; `_match` reads all events.
    """
    there = Event.objects.filter(connection=staying, **_window())
    alike = there.filter(
        is_deleted=False, start=OuterRef("start"), occurrence__ical_uid=OuterRef("occurrence__ical_uid")
    ).exclude(occurrence__ical_uid="")
    ours = Event.objects.filter(connection=leaving, is_deleted=False, **_window())
    return ours.filter(~Exists(there.filter(occurrence=OuterRef("occurrence"))), ~Exists(alike)).count()


def _window() -> dict[str, datetime]:
    now = clock.now()
    return {"end__gt": now, "start__lt": now + sync.AHEAD - timedelta(hours=1)}


def _match(leaving: Connection, staying: Connection) -> tuple[list[tuple[Event, Event]], list[Event]]:
    """Pair the coming events of both sides; return the pairs and the events of the first without a partner.

    Partners are copies of one occurrence (same platform id). Where a platform gives another id in each region, one
    candidate with the same iCal id and start on each side is the partner.
    """
    window = _window()
    ours = list(
        Event.objects.filter(connection=leaving, is_deleted=False, **window).select_related("occurrence", "workspace")
    )
    theirs = list(Event.objects.filter(connection=staying, **window).select_related("occurrence"))
    by_occurrence = {event.occurrence_id: event for event in theirs}
    pairs = [(event, by_occurrence[event.occurrence_id]) for event in ours if event.occurrence_id in by_occurrence]
    alone = [event for event in ours if event.occurrence_id not in by_occurrence]
    if not alone:
        return pairs, []
    paired = {event.occurrence_id for _, event in pairs}
    free = [event for event in theirs if event.occurrence_id not in paired and not event.is_deleted]
    missing = []
    for event in alone:
        key = (event.occurrence.ical_uid, event.start)
        here = [one for one in alone if (one.occurrence.ical_uid, one.start) == key]
        there = [one for one in free if (one.occurrence.ical_uid, one.start) == key]
        if event.occurrence.ical_uid and len(here) == len(there) == 1:
            _join_occurrences(event, there[0])
            pairs.append((event, there[0]))
        else:
            missing.append(event)
    return pairs, missing


def _join_occurrences(ours: Event, theirs: Event) -> None:
    """Let one side's event be a copy of the other's occurrence."""
    orphan = theirs.occurrence_id
    with assignments.storing(ours.workspace.family):
        Event.objects.filter(pk=theirs.pk).update(occurrence=ours.occurrence)
        theirs.occurrence = ours.occurrence
        if not Event.objects.filter(occurrence=orphan).exists():
            Occurrence.objects.filter(pk=orphan).delete()
    if ours.occurrence.assignment_id:
        assignments.wake([ours.occurrence.assignment_id])


def _note_differences(item: Item, pairs: list[tuple[Event, Event]]) -> None:
    fields: set[str] = set()
    count = 0
    for ours, theirs in pairs:
        differing = set(_differences(ours, theirs))
        fields |= differing
        count += bool(differing)
    if not count:
        gone(item.batch, "differ", item=item)
        return
    sentence = DIFFER.format(count=count, calendar=item, fields=", ".join(sorted(fields)))
    note(item.batch, Step(item.step), Found("differ", Severity.WARNING, sentence, DIFFER_REMEDY, item=item))


def _differences(ours: Event, theirs: Event) -> Iterator[str]:
    for name in COMPARED:
        if getattr(ours, name) != getattr(theirs, name):
            yield name
    if ours.raw != theirs.raw:
        keys = set(ours.raw) | set(theirs.raw)
        yield from (f"raw.{key}"[:60] for key in keys if ours.raw.get(key) != theirs.raw.get(key))
