"""Preflight: look before anything is touched.

1. Each key opens the region it is meant for; the wrong-region answer is explained in words.
2. The target is empty, or what is in it is explained: equal calendars are adopted, others stay as they are.
3. Every calendar that cannot be moved as it is is named, with what to do.
4. The time needed follows from the limits; the meetings of the next day show what the cut line will meet.

Nothing is written at the provider. Running it again renews its findings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from calendars import ingest, sync
from calendars.models import Connection, Event, RateBudget, Scheduler, Sweep, Workspace
from calendars.providers import errors
from calendars.providers.connect import client_for
from migrations_app import inventory, planner
from migrations_app.findings import Found, renew
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Finding, Item, Severity
from migrations_app.outcomes import DONE, Outcome, stop, wait
from recallops import clock

KEY_REFUSED = "The key of {workspace} does not open {region}: {words}"
KEY_REMEDY = "Check the key and the region on the page of {workspace}, press “test connection”, then retry."
EXTERNAL = (
    "{workspace} is scheduled by the company's own application; this move needs a workspace that RecallOps manages."
)
EMPTY = "The target is empty."
ADOPTED = "{count} calendar(s) are in the target already and are adopted, not made a second time."
OTHERS = "{count} calendar(s) in the target are not part of this batch and stay untouched."
TWICE = "{calendar} is connected {count} times in the target; which one should be used cannot be told."
TWICE_REMEDY = "Delete the surplus connections in the target, then retry this item."
ELSEWHERE = "{calendar} is in the open batch {batch}."
NOT_MOVABLE = "{calendar} ({customer}): {reason}"
NOTHING = "There is no calendar to move. Check the customers chosen for this batch."
TIME = "The calls take {sentence}."
SOON = "{near} of {count} meetings of the next 24 hours start within freeze and margin ({minutes} minutes) of now."
READING = "reading the calendars of {workspace}"
LOOK_AHEAD = timedelta(hours=24)


def run(batch: Batch) -> Outcome:
    """Check everything that can be checked before the first write."""
    refused = [found for workspace in (batch.source, batch.target) if (found := _key(workspace))]
    if refused:
        return _unless_blocked(renew(batch, Step.PREFLIGHT, refused))
    Workspace.objects.filter(pk=batch.source_id).update(holds_credentials=True)
    for workspace in (batch.source, batch.target):
        RateBudget.objects.fill(workspace)
        newest = Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.CALENDARS, begun_at__gte=_begun(batch))
        if not newest.exclude(finished_at=None).exists() and not sync.run_sweep(
            sync.open_sweep(workspace, Sweep.Kind.CALENDARS)
        ):
            return wait(READING.format(workspace=workspace), clock.now())
    _read_next_day(batch)
    return _unless_blocked(renew(batch, Step.PREFLIGHT, _checks(batch)))


def _unless_blocked(findings: list[Finding]) -> Outcome:
    """Stop at what must be solved or waived first."""
    blocking = [one for one in findings if one.severity == Severity.BLOCKING and one.waived_at is None]
    return stop(blocking[0].sentence) if blocking else DONE


def _begun(batch: Batch) -> object:
    return batch.started_at or clock.now()


def _key(workspace: Workspace) -> Found | None:
    """Probe a key; errors that pass are raised for the engine to retry."""
    try:
        client_for(workspace).probe()
    except errors.ProviderError as error:
        if error.kind == errors.ErrorKind.TEMPORARY and not isinstance(error, errors.Unreachable):
            raise
        return Found(
            "key",
            Severity.BLOCKING,
            KEY_REFUSED.format(workspace=workspace, region=workspace.region, words=error.sentence),
            KEY_REMEDY.format(workspace=workspace),
            subject=workspace.slug,
        )
    Workspace.objects.filter(pk=workspace.pk).update(trouble="")
    return None


def _read_next_day(batch: Batch) -> None:
    client = client_for(batch.source)
    now, following = clock.now(), None
    while True:
        page = client.events_page(following, start_time__gte=now, start_time__lte=now + LOOK_AHEAD)
        ingest.events(batch.source, page.items, begun_at=page.begun_at, join=False)
        following = page.next
        if following is None:
            return


def _checks(batch: Batch) -> Iterator[Found]:
    for workspace in (batch.source, batch.target):
        if workspace.scheduler != Scheduler.MANAGED:
            yield Found("scheduler", Severity.BLOCKING, EXTERNAL.format(workspace=workspace), subject=workspace.slug)
    connections = list(inventory.chosen(batch))
    if not connections:
        yield Found("nothing", Severity.BLOCKING, NOTHING)
    yield from _target(batch, connections)
    yield from _calendars(batch, connections)
    load = inventory.load(batch)
    said = planner.sentence(load, inventory.limits(batch), regions=inventory.regions(batch))
    yield Found("time", Severity.INFO, TIME.format(sentence=said))
    yield from _soon(batch)


def _target(batch: Batch, connections: list[Connection]) -> Iterator[Found]:
    there: dict[int, int] = defaultdict(int)
    for calendar in Connection.objects.live().filter(workspace=batch.target).values_list("calendar", flat=True):
        there[calendar] += 1
    if not there:
        yield Found("target", Severity.INFO, EMPTY)
        return
    equal = [one for one in connections if there.get(one.calendar_id)]
    if equal:
        yield Found("adopted", Severity.INFO, ADOPTED.format(count=len(equal)))
    if others := sum(there.values()) - sum(there[one.calendar_id] for one in equal):
        yield Found("others", Severity.INFO, OTHERS.format(count=others))
    for one in equal:
        if there[one.calendar_id] > 1:
            yield Found(
                "twice",
                Severity.WARNING,
                TWICE.format(calendar=one.calendar, count=there[one.calendar_id]),
                TWICE_REMEDY,
                subject=one.remote_id,
            )


def _calendars(batch: Batch, connections: list[Connection]) -> Iterator[Found]:
    elsewhere = dict(
        Item.objects.filter(open=True, connection__in=connections)
        .exclude(batch=batch)
        .values_list("connection", "batch__slug")
    )
    for one in connections:
        if one.pk in elsewhere:
            yield Found(
                "elsewhere",
                Severity.WARNING,
                ELSEWHERE.format(calendar=one.calendar, batch=elsewhere[one.pk]),
                "It is left out of this one.",
                subject=one.remote_id,
            )
        reason, remedy = inventory.why_not_movable(one)
        if reason:
            yield Found(
                "not_movable",
                Severity.WARNING,
                NOT_MOVABLE.format(calendar=one.calendar, customer=one.calendar.customer, reason=reason),
                remedy,
                subject=one.remote_id,
            )


def _soon(batch: Batch) -> Iterator[Found]:
    now = clock.now()
    near = inventory.numbers(batch).near
    coming = Event.objects.filter(
        workspace=batch.source, start__gte=now, start__lte=now + LOOK_AHEAD, is_deleted=False
    ).exclude(bots=[])
    yield Found(
        "soon",
        Severity.INFO,
        SOON.format(
            near=coming.filter(start__lte=now + near).count(),
            count=coming.count(),
            minutes=round(near / timedelta(minutes=1)),
        ),
    )
