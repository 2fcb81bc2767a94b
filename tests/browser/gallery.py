"""A company in the middle of a move, made up for pictures: the same rows each time, at a moment that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import Group, User
from django.urls import reverse

from calendars.models import (
    Assignment,
    AuditEntry,
    Calendar,
    ConnectionStatus,
    Customer,
    Delivery,
    Intent,
    OAuthClient,
    Verdict,
    Workspace,
)
from migrations_app import checks, control, drafts, selection
from migrations_app.admin.draft_pages import page_url
from migrations_app.calendar_file import open_file
from migrations_app.itineraries import Step
from migrations_app.models import (
    Approval,
    Batch,
    BatchStatus,
    Check,
    CoverageReading,
    ErrorKind,
    Item,
    ItemStatus,
    Milestone,
    Notice,
    Rehearsal,
    Severity,
)
from recallops import clock
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make
from tests.rehearsal.results import result

OPERATOR, APPROVER = "olga", "abel"
BY_APPROVAL = "harbour-pilot"
CUSTOMERS = ("Northwind Legal", "Harbour Clinics", "Pine & Partners", "Lumen Studios")
PEOPLE = (
    *("ada", "ben", "carla", "david", "elif", "farid", "greta", "hugo"),
    *("ines", "jonas", "kira", "lena", "marc", "nora", "otto", "pia"),
)
TITLES = ("Weekly sync", "Design review", "Client call", "1:1", "Board preparation", "Stand-up", "Retrospective")
STATES = (
    *[(Step.HAND_OVER, ItemStatus.WAITING, "Its last meeting in the source ends 2026-11-23 16:30 UTC.")] * 9,
    *[(Step.HAND_OVER, ItemStatus.READY, "")] * 3,
    (Step.VERIFY, ItemStatus.WAITING, "list events budget: 43 s"),
    (Step.VERIFY, ItemStatus.READY, ""),
    (Step.RECREATE, ItemStatus.USER, "The owner has to connect this calendar again: Google took the consent back."),
    (Step.EXPORT, ItemStatus.FAILED, "The provider answered 500 to “list events” five times; nothing was changed."),
)
CLIENT = {"platform": "google_calendar", "client_id": "client.apps.example"}
SECRET = "opens-the-client"
VERDICTS = (*[Verdict.TARGET] * 11, *[Verdict.SOURCE] * 7, Verdict.FROZEN, Verdict.MISSED)


def make_rows(staff: str, password: str) -> dict[str, str]:
    """Put the company in; return the addresses of the pages that are shown, by the names of their pictures."""
    chief = User.objects.create_superuser(staff, email=f"{staff}@acme.example", password=password)
    source = make.make_workspace("acme-us", region=make.make_region("us-west-2"), family="acme")
    target = make.make_workspace("acme-eu", region=make.make_region("eu-central-1"), family="acme")
    for workspace in (source, target):
        make.make_key(
            workspace,
            label="production",
            tested_at=clock.now(),
            test_passed=True,
            test_result="The key opens it.",
        )
        _webhooks(workspace)
    batch = make.make_batch(
        "acme-to-frankfurt",
        source=source,
        target=target,
        actor=chief,
        goal=Step.HAND_OVER,
        step=Step.HAND_OVER,
        status=BatchStatus.RUNNING,
        started_at=clock.now() - timedelta(hours=6),
    )
    control.set_cut_line(batch, _on_the_hour(timedelta(hours=20)), actor=chief)
    people = [(customer, name) for customer in _customers(batch) for name in PEOPLE]
    items = [_person(batch, number, customer, name) for number, (customer, name) in enumerate(people)]
    _findings(batch, items)
    OAuthClient.objects.create(**CLIENT, client_secret=SECRET, reconnects=True)
    _acts(batch, chief)
    make.make_reading(batch, CoverageReading.Moment.BEFORE, {Verdict.SOURCE: 192})
    WorkerHeartbeat.objects.create(host="demo", pid=1, beaten_at=datetime(2100, 1, 1, tzinfo=UTC))
    make.make_batch("lumen-pilot", source=source, target=target, actor=chief)
    _rehearse(batch, chief)
    olga, _abel = (_of_role(name, role, password) for name, role in ((OPERATOR, "operator"), (APPROVER, "approver")))
    _pilot(BY_APPROVAL, batch)
    return _pages(batch, items, source, _ask(_pilot("pine-pilot", batch), olga))


def _webhooks(workspace: Workspace) -> None:
    """A day of webhooks, signed with a secret that is stored."""
    endpoint = make.make_endpoint(workspace, label="main", last_at=clock.now() - timedelta(minutes=1))
    make.make_webhook_secret(workspace, endpoint=endpoint, last_used_at=clock.now())
    for number in range(96):
        sent = clock.now() - timedelta(minutes=1 + 15 * number)
        make.make_delivery(
            endpoint,
            event=("calendar.sync_events", "bot.done", "calendar.update")[number % 3],
            received_at=sent,
            sent_at=sent,
            handled_at=sent,
            state=Delivery.State.FAILED if number == 40 else Delivery.State.HANDLED,
        )


def _customers(batch: Batch) -> list[Customer]:
    customers = [make.make_customer(name, domain=f"{name.split()[0].lower()}.example") for name in CUSTOMERS]
    batch.customers.set(customers)
    return customers


def _person(batch: Batch, number: int, customer: Customer, name: str) -> Item:
    """A calendar on both sides with its meetings, and the item that moves it."""
    step, status, reason = STATES[number % len(STATES)]
    calendar = make.make_calendar(
        customer,
        email=f"{name}@{customer.name.split()[0].lower()}.example",
        family=batch.source.family,
        platform=("google_calendar", "microsoft_outlook")[number % 2],
    )
    needs_owner = status == ItemStatus.USER
    connection = make.make_connection(
        batch.source,
        calendar,
        status=ConnectionStatus.DISCONNECTED if needs_owner else ConnectionStatus.CONNECTED,
    )
    in_target = make.make_connection(batch.target, calendar) if step in (Step.HAND_OVER, Step.VERIFY) else None
    item = make.make_item(
        batch,
        connection=connection,
        step=step,
        status=status,
        reason=reason,
        error_kind={"failed": ErrorKind.TEMPORARY, "user": ErrorKind.CUSTOMER}.get(status, ErrorKind.NONE),
        due_at=clock.now() + timedelta(minutes=number % 50),
    )
    Item.objects.filter(pk=item.pk).update(target_connection=in_target)
    for meeting in range(3):
        _meeting(batch, calendar, connection, 3 * number + meeting)
    return item


def _meeting(batch: Batch, calendar: Calendar, connection: Any, number: int) -> None:
    verdict = VERDICTS[number % len(VERDICTS)]
    assignment: Assignment = make.make_assignment(
        batch.target if verdict == Verdict.TARGET else batch.source,
        calendars=(calendar,),
        start=_on_the_hour(timedelta(hours=1 + number % 70)),
        verdict=verdict,
        url=f"https://meet.example/{calendar.email.split('@')[0]}-{number}",
        family=batch.source.family,
    )
    make.make_event(
        connection,
        title=TITLES[number % len(TITLES)],
        start=assignment.start,
        url=assignment.url,
        occurrence=assignment.occurrences.get(),
    )
    make.make_bot(assignment.owner, join_at=assignment.start, meeting_url=assignment.url, status="ready")
    if number % 5 == 0:
        make.make_intent(
            batch.target, assignment=assignment, state=Intent.State.CONFIRMED, outcome="The bot is there.",
            answered_at=clock.now(),
        )  # fmt: skip


def _findings(batch: Batch, items: list[Item]) -> None:
    make.make_finding(
        batch,
        severity=Severity.BLOCKING,
        item=items[14],
        sentence="One calendar is disconnected in the source: its owner took the consent back.",
        remedy="Ask the owner to connect it again, or waive this: the calendar then stays where it is.",
    )
    make.make_finding(
        batch,
        severity=Severity.WARNING,
        sentence="Two meetings start within 30 minutes of the cut line.",
        remedy="Choose a cut line in a quieter hour: the batch page proposes some.",
    )
    make.make_finding(batch, severity=Severity.INFO, sentence="38 of 64 calendars are Google's, 26 are Microsoft's.")


def _acts(batch: Batch, chief: User) -> None:
    for step in (Step.PREFLIGHT, Step.EXPORT, Step.RECREATE, Step.VERIFY, Step.HAND_OVER):
        AuditEntry.objects.record(actor=chief, action="batch.goal", subject=batch, before="", after=step.value)


def _draft(batch: Batch) -> Batch:
    """A batch that is put together: a file, of which a line names nobody."""
    source, target = (
        make.make_workspace(f"globex-{side}", region=there.region)
        for side, there in (("us", batch.source), ("eu", batch.target))
    )
    draft = drafts.begin(slug="globex", source=source, target=target, actor=batch.created_by)
    people = [f"person-{number:02}@globex.example" for number in range(24)]
    for number, email in enumerate(people):
        connection = make.make_connection(source, make.make_calendar(email=email, family=source.family))
        for day in range(3):
            start = _on_the_hour(timedelta(days=day, hours=2 + (number * (number + day)) % 9))
            make.make_event(connection, start=start)
    file = "\n".join([*people, "nobody@globex.example"])
    selection.choose_by_file(draft, open_file(file.encode()), name="people.csv")
    checks.looked_at(draft, *Check)
    found = {
        "code": "not_movable",
        "sentence": "person-07@globex.example (Globex): The provider shows no refresh token for it.",
    }
    make.make_finding(draft, severity=Severity.WARNING, remedy="Its user must connect it again in the target.", **found)
    return draft


def _of_role(name: str, role: str, password: str) -> User:
    person = User.objects.create_user(name, email=f"{name}@acme.example", password=password, is_staff=True)
    person.groups.set(Group.objects.filter(name=role))
    return person


def _pilot(slug: str, batch: Batch) -> Batch:
    """A small batch that rests before the delete, in a workspace where a second person approves that."""
    source, target = (
        make.make_workspace(f"{slug}-{side}", region=there.region, family=slug, second_person=side == "us")
        for side, there in (("us", batch.source), ("eu", batch.target))
    )
    pilot = make.make_batch(
        slug,
        source=source,
        target=target,
        actor=batch.created_by,
        goal=Step.HAND_OVER,
        step=Step.DELETE_OLD,
        status=BatchStatus.WAITING,
        reached=Step.HAND_OVER,
        started_at=clock.now() - timedelta(days=2),
    )
    for _ in range(3):
        make.make_item(pilot, step=Step.DELETE_OLD, status=ItemStatus.READY)
    checks.looked_at(pilot, *Check)
    return pilot


def _ask(batch: Batch, person: User) -> Approval:
    return make.make_approval(
        batch,
        asked_by=person,
        reason="Agreed with Pine & Partners this morning.",
        sentences=[
            f"Deletes 3 calendars in {batch.source.slug}.",
            "Each is looked at again before: one that still has a meeting there is left.",
        ],
    )


def _rehearse(batch: Batch, chief: User) -> None:
    """A rehearsal that shows something to think about."""
    hours = [
        {"source": 180 - 12 * hour, "target": 40 + 20 * hour, "calendars": 5 * hour, "meetings": 16 * hour}
        for hour in range(10)
    ]
    shown = result(
        hours=hours,
        held={"wanted": 192, "held": 192},
        reasons=[["user", "The owner has to connect this calendar again.", 4]],
        items={"done": 60, "user": 4},
        cut={"near": 2},
    )
    asked = clock.now() - timedelta(hours=8)
    Rehearsal.objects.create(batch=batch, asked_at=asked, asked_by=chief, state="done", result=shown)


def link_of(customer: Customer) -> str:
    """Return a private link to what a customer sees."""
    return reverse("status:page", args=[make.make_status_link(customer)[1]])


def _share(batch: Batch) -> str:
    """Let one customer see its move; return the link."""
    customer = batch.customers.get(name=CUSTOMERS[0])
    Notice.objects.create(
        batch=batch, customer=customer, milestone=Milestone.NEEDS_YOU, found_at=clock.now() - timedelta(hours=2)
    )
    return link_of(customer)


def _record(batch: Batch, item: Item) -> None:
    """What a timeline tells: calls, a failure, and that it waits for its owner."""
    assert item.connection is not None
    begun = clock.now() - timedelta(hours=5)
    calls = (
        ("GET /api/v2/calendars/{id}/", 200, ""),
        ("GET /api/v2/calendar-events/", 200, ""),
        ("POST /api/v2/calendars/", 400, "invalid_grant"),
    )
    for number, (endpoint, status, error) in enumerate(calls):
        make.make_call(
            batch.target if endpoint.startswith("POST") else batch.source,
            at=begun + timedelta(minutes=7 * number),
            subject=item.connection.remote_id,
            endpoint=endpoint,
            status=status,
            error=error,
            took_ms=140 + 35 * number,
        )
    make.make_step(item, at=begun, step=Step.EXPORT, status=ItemStatus.READY)
    make.make_step(item, at=begun + timedelta(minutes=15), reason=item.reason, attempt=1)


def _on_the_hour(ahead: timedelta) -> datetime:
    return (clock.now() + ahead).replace(minute=0, second=0, microsecond=0)


def _pages(batch: Batch, items: list[Item], source: Workspace, asked: Approval) -> dict[str, str]:
    """The pictures; a page that is to be shown is a line more."""
    draft = _draft(batch)
    _record(batch, items[14])
    of_batch = f"?batch__id__exact={batch.pk}"
    return {
        "dashboard": reverse("admin:index"),
        "search": f"{reverse('search')}?{urlencode({'q': items[14].title})}",
        "help": reverse("help"),
        "batches": reverse("admin:migrations_app_batch_changelist"),
        "batch": reverse("admin:migrations_app_batch_change", args=[batch.pk]),
        "new-batch": reverse("admin:migrations_app_batchdraft_add"),
        **{f"new-batch-{page}": page_url(page, draft) for page in ("calendars", "cut_line", "checks", "summary")},
        "items": reverse("admin:migrations_app_item_changelist") + of_batch,
        "item": reverse("admin:migrations_app_item_change", args=[items[14].pk]),
        "timeline": reverse("admin:migrations_app_item_timeline", args=[items[14].pk]),
        "approvals": reverse("admin:migrations_app_approval_changelist"),
        "approval": reverse("admin:migrations_app_approval_change", args=[asked.pk]),
        "rehearsal": reverse("admin:migrations_app_rehearsal_change", args=[Rehearsal.objects.get(batch=batch).pk]),
        "findings": reverse("admin:migrations_app_finding_changelist") + of_batch,
        "meetings": reverse("admin:calendars_assignment_upcoming"),
        "status": _share(batch),
        "workspace": reverse("admin:calendars_workspace_change", args=[source.pk]),
        "audit": reverse("admin:calendars_auditentry_changelist"),
        "report": reverse("admin:migrations_app_batch_report", args=[batch.pk]),
    }
