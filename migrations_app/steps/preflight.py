"""Preflight: look before anything is touched.

1. Each key opens the region it is meant for; the wrong-region answer is explained in words.
2. The target is empty, or what is in it is explained: equal calendars are adopted, others stay as they are.
3. Every calendar that cannot be moved as it is is named, with what to do.
4. What a file asked for and nobody knows, and meetings shared with calendars that were not chosen, are counted.
5. The time needed follows from the limits; the meetings of the next day show what the cut line will meet.

Nothing is written at the provider. Running it again renews its findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef, Subquery

from calendars import ingest, sync
from calendars.models import (
    Application,
    Connection,
    Event,
    Handover,
    RateBudget,
    Scheduler,
    Sweep,
    WebhookEndpoint,
    WebhookSecret,
    Workspace,
)
from calendars.providers import errors
from calendars.providers.connect import client_for
from calendars.relay import hosts
from migrations_app import checks, inventory, planner, selection
from migrations_app.findings import Found, renew
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Check, Finding, Item, Severity
from migrations_app.outcomes import DONE, Outcome, stop, wait
from recallops import clock

KEY_REFUSED = "The key of {workspace} does not open {region}: {words}"
KEY_REMEDY = "Check the key and the region on the page of {workspace}, press “test connection”, then retry."
TWO_SCHEDULERS = "{source} is scheduled by {first}, {target} by {second}; both must be scheduled by the same."
TWO_SCHEDULERS_REMEDY = "Choose the scheduler on the page of the target, then retry."
NO_APPLICATION = "{workspace} is scheduled by the company's own application, but none is named on its page."
NO_APPLICATION_REMEDY = "Add the application (URL, secret) and choose it on the pages of both workspaces, then retry."
TWO_APPLICATIONS = "{source} and {target} pass their webhooks on to two applications: {first} and {second}."
TWO_APPLICATIONS_REMEDY = "Choose the same application on the pages of both workspaces, then retry."
URL_REFUSED = "Webhooks cannot be passed on to {application}: {problem}"
URL_REMEDY = "Correct the application's URL, or the setting that it names, then retry."
UNSIGNED = "The application {application} has no secret in use: nothing that is passed on can be signed."
UNSIGNED_REMEDY = "Add the secret that the application checks, then press “send a test”, then retry."
NOT_TRIED = "The application {application} has taken no webhook from here yet."
NOT_TRIED_REMEDY = "Press “send a test” on its page."
NO_DOOR = "{workspace} has no webhook endpoint here with a secret in use: its webhooks cannot come in."
NO_DOOR_REMEDY = "Add an endpoint and its secret under “Webhooks”, enter it in the vendor's dashboard, then retry."
NOT_IN_FRONT = "No webhook of {workspace} has come in during the last day."
NOT_IN_FRONT_REMEDY = (
    "In the vendor's dashboard, replace the application's own endpoint by the one shown here: webhooks that reach the "
    "application past RecallOps would let it schedule in both regions. Waive this if no meeting changed for a day."
)
EMPTY = "The target is empty."
ADOPTED = "{count} calendar(s) are in the target already and are adopted, not made a second time."
OTHERS = "{count} calendar(s) in the target are not part of this batch and stay untouched."
TWICE = "{calendar} is connected {count} times in the target; which one should be used cannot be told."
TWICE_REMEDY = "Delete the surplus connections in the target, then retry this item."
ELSEWHERE = "{calendar} is in the open batch {batch}."
NOT_MOVABLE = "{calendar} ({customer}): {reason}"
NOTHING = "There is no calendar to move. Check which calendars were chosen for this batch."
NOT_FOUND = "{count} line(s) of {file} name no calendar of {source}, and are left out."
NOT_FOUND_REMEDY = "Download the lines, correct them, and move them in a later batch; or leave them where they are."
SPLIT = (
    "{count} coming meeting(s) are shared with calendars outside this batch; they stay in the source until those move, "
    "too."
)
SPLIT_REMEDY = "Move those calendars soon after, or choose them now, so that everybody who meets goes together."
TIME = "The calls take {sentence}."
SOON = "{near} of {count} meetings of the next 24 hours start within freeze and margin ({minutes} minutes) of now."
READING = "reading {kind} of {workspace}: {rows} so far"
LOOK_AHEAD = timedelta(hours=24)
CHUNK = 500


def run(batch: Batch) -> Outcome:
    """Check everything that can be checked before the first write."""
    refused = [found for workspace in (batch.source, batch.target) if (found := _key(workspace))]
    if refused:
        checks.looked_at(batch, Check.KEYS)
        return _unless_blocked(renew(batch, Step.PREFLIGHT, refused))
    external = batch.source.scheduler == Scheduler.EXTERNAL
    Handover.objects.filter(pk=batch.handover_id).exclude(external=external).update(external=external)
    if not batch.draft:
        Workspace.objects.filter(pk=batch.source_id).update(holds_credentials=True)
    for workspace in (batch.source, batch.target):
        RateBudget.objects.fill(workspace)
        if (not_yet := _read(batch, workspace, Sweep.Kind.CALENDARS)) is not None:
            return not_yet
    if batch.read_ahead:
        if (not_yet := _read(batch, batch.source, Sweep.Kind.EVENTS)) is not None:
            return not_yet
        Batch.objects.filter(pk=batch.pk).update(read_ahead=False)
    else:
        _read_next_day(batch)
    findings = renew(batch, Step.PREFLIGHT, _checks(batch))
    checks.looked_at(batch, *Check)
    return _unless_blocked(findings)


def _read(batch: Batch, workspace: Workspace, kind: Sweep.Kind) -> Outcome | None:
    """Read a whole list, unless that was done since preflight was asked for; return what to wait for."""
    lists = Sweep.objects.filter(workspace=workspace, kind=kind)
    if lists.filter(begun_at__gte=_begun(batch)).exclude(finished_at=None).exists():
        return None
    sweep = sync.open_sweep(workspace, kind)
    if sync.run_sweep(sweep):
        return None
    said = READING.format(kind=sweep.get_kind_display(), workspace=workspace, rows=sweep.rows)
    return wait(said, sync.go_on_at(lists))


def _unless_blocked(findings: list[Finding]) -> Outcome:
    """Stop at what must be solved or waived first."""
    blocking = [one for one in findings if one.severity == Severity.BLOCKING and one.waived_at is None]
    return stop(blocking[0].sentence) if blocking else DONE


def _begun(batch: Batch) -> object:
    return batch.checked_from or batch.started_at or clock.now()


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
    yield from _scheduler(batch)
    if missing := selection.look_for_unknown(batch):
        said = NOT_FOUND.format(count=missing, file=batch.file_name, source=batch.source)
        yield Found("not_found", Severity.WARNING, said, NOT_FOUND_REMEDY)
    if not inventory.chosen(batch).exists():
        yield Found("nothing", Severity.BLOCKING, NOTHING)
    if count := selection.split_meetings(batch):
        yield Found("split", Severity.WARNING, SPLIT.format(count=count), SPLIT_REMEDY)
    yield from _target(batch)
    yield from _calendars(batch)
    load = inventory.load(batch)
    said = planner.sentence(load, inventory.limits(batch), regions=inventory.regions(batch))
    yield Found("time", Severity.INFO, TIME.format(sentence=said))
    yield from _soon(batch)


def _scheduler(batch: Batch) -> Iterator[Found]:
    """Check that one schedules in both; if that is the company's application, that the relay stands in front of it."""
    source, target = batch.source, batch.target
    if source.scheduler != target.scheduler:
        first, second = source.get_scheduler_display(), target.get_scheduler_display()
        sentence = TWO_SCHEDULERS.format(source=source, target=target, first=first, second=second)
        yield Found("scheduler", Severity.BLOCKING, sentence, TWO_SCHEDULERS_REMEDY)
        return
    if source.scheduler != Scheduler.EXTERNAL:
        return
    for workspace in (source, target):
        if workspace.application is None:
            sentence = NO_APPLICATION.format(workspace=workspace)
            yield Found("application", Severity.BLOCKING, sentence, NO_APPLICATION_REMEDY, subject=workspace.slug)
        yield from _door(workspace, in_front=workspace == source)
    here, there = source.application, target.application
    if here is not None and there is not None and here != there:
        sentence = TWO_APPLICATIONS.format(source=source, target=target, first=here, second=there)
        yield Found("applications", Severity.BLOCKING, sentence, TWO_APPLICATIONS_REMEDY)
    elif here is not None:
        yield from _application(here)


def _application(application: Application) -> Iterator[Found]:
    try:
        hosts.check(application.url)
    except hosts.Forbidden as problem:
        sentence = URL_REFUSED.format(application=application, problem=problem)
        yield Found("application_url", Severity.BLOCKING, sentence, URL_REMEDY)
    if not application.secrets.filter(enabled=True).exists():
        sentence = UNSIGNED.format(application=application)
        yield Found("application_secret", Severity.BLOCKING, sentence, UNSIGNED_REMEDY)
    if application.last_ok_at is None:
        sentence = NOT_TRIED.format(application=application)
        yield Found("not_tried", Severity.WARNING, sentence, NOT_TRIED_REMEDY)


def _door(workspace: Workspace, *, in_front: bool) -> Iterator[Found]:
    """Check that a workspace's webhooks come in here. The target's cannot be expected before its calendars are made."""
    endpoints = WebhookEndpoint.objects.filter(workspace=workspace, enabled=True)
    secrets = WebhookSecret.objects.filter(workspace=workspace, enabled=True)
    if not endpoints.exists() or not secrets.exists():
        sentence = NO_DOOR.format(workspace=workspace)
        yield Found("no_door", Severity.BLOCKING, sentence, NO_DOOR_REMEDY, subject=workspace.slug)
    elif in_front and not endpoints.filter(last_at__gte=clock.now() - LOOK_AHEAD).exists():
        sentence = NOT_IN_FRONT.format(workspace=workspace)
        yield Found("not_in_front", Severity.BLOCKING, sentence, NOT_IN_FRONT_REMEDY, subject=workspace.slug)


def _target(batch: Batch) -> Iterator[Found]:
    there = Connection.objects.live().filter(workspace=batch.target)
    if not there.exists():
        yield Found("target", Severity.INFO, EMPTY)
        return
    mine = inventory.chosen(batch)
    same = there.filter(calendar=OuterRef("calendar")).order_by()
    if equal := mine.filter(Exists(same)).count():
        yield Found("adopted", Severity.INFO, ADOPTED.format(count=equal))
    if others := there.filter(~Exists(mine.filter(calendar=OuterRef("calendar")))).count():
        yield Found("others", Severity.INFO, OTHERS.format(count=others))
    many = mine.annotate(there=Subquery(same.values("calendar").annotate(count=Count("pk")).values("count")))
    for one in many.filter(there__gt=1).defer(*Connection.SEALED).iterator(chunk_size=CHUNK):
        yield Found(
            "twice",
            Severity.WARNING,
            TWICE.format(calendar=one.calendar, count=one.there),
            TWICE_REMEDY,
            subject=one.remote_id,
        )


def _calendars(batch: Batch) -> Iterator[Found]:
    others = Item.objects.filter(open=True, connection=OuterRef("pk")).exclude(batch=batch)
    mine = inventory.chosen(batch).annotate(elsewhere=Subquery(others.values("batch__slug")[:1]))
    for one in mine.defer(*Connection.SEALED).iterator(chunk_size=CHUNK):
        if one.elsewhere:
            yield Found(
                "elsewhere",
                Severity.WARNING,
                ELSEWHERE.format(calendar=one.calendar, batch=one.elsewhere),
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
