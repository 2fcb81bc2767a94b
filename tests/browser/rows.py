"""A row of everything that has a page, with texts as long and as unbroken as providers send them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import RequestFactory
from django.urls import reverse
from django_q.models import OrmQ, Schedule, Task
from django_q.signing import SignedPackage

from calendars.models import (
    Application,
    Assignment,
    ConnectionStatus,
    Customer,
    Event,
    Intent,
    OAuthClient,
    Occurrence,
    Platform,
    Relayed,
    Verdict,
    Workspace,
)
from migrations_app import cuts, drafts, selection
from migrations_app.admin.draft_pages import PAGES, page_url
from migrations_app.calendar_file import open_file
from migrations_app.itineraries import FORWARD, Step
from migrations_app.models import (
    Alert,
    Batch,
    BatchStatus,
    CoverageReading,
    ErrorKind,
    Item,
    ItemStatus,
    MailTemplate,
    Message,
    Rehearsal,
    Severity,
    ShareGroup,
    StatusVisit,
)
from recallops import clock
from tests.admin import builders as make
from tests.rehearsal.results import result

SEVERAL = (Batch, Message, Relayed, ShareGroup)  # of which every row is looked at
UNBROKEN = "x" * 180
LONG_URL = f"https://teams.example/l/meetup-join/{'19%3ameeting_NzY0' * 40}"
SENTENCE = (
    f"The provider said {UNBROKEN[:120]} to a call. Nothing was changed; look at the calendar at the provider, then "
    "press “retry failed”."
)


@transaction.atomic
def make_rows(staff: str, password: str) -> None:
    """Put it all in."""
    chief = User.objects.create_superuser(staff, email=f"{staff}@acme.example", password=password)
    Group.objects.create(name="Support")
    make.make_failed_log_in(UNBROKEN)
    source = make.make_workspace("us", region=make.make_region("us-west-2"))
    target = make.make_workspace("eu", region=make.make_region("eu-central-1"))
    Workspace.objects.filter(pk=source.pk).update(trouble=SENTENCE)
    make.make_key(source, test_result=SENTENCE, tested_at=clock.now())
    make.make_token(label=UNBROKEN[:80])
    OAuthClient.objects.create(
        platform=Platform.GOOGLE, client_id=f"{UNBROKEN}.apps.example", client_secret="an-oauth-secret"
    )
    source.refresh_from_db()
    batch = make.make_batch(
        "a-batch-with-a-name-as-long-as-a-name-may-be-long",
        source=source,
        target=target,
        actor=chief,
        goal=Step.HAND_OVER,
        step=Step.HAND_OVER,
        status=BatchStatus.RUNNING,
        reason=SENTENCE,
        started_at=clock.now() - timedelta(hours=3),
    )
    customer = make.make_customer(f"Customer {UNBROKEN[:100]}", domain=f"{UNBROKEN[:60]}.example")
    batch.customers.add(customer)
    _fill(batch, customer)
    link, _secret = make.make_status_link(customer, label=UNBROKEN[:80], created_by=chief)
    make.make_inquiry(link, batch, text=SENTENCE, email=f"{UNBROKEN[:60]}@acme.example")
    StatusVisit.note(link, "2001:db8:1234:5678:9abc:def0:1234:5678")
    make.make_batch("stopped", actor=chief, goal=Step.EXPORT, step=Step.EXPORT, status=BatchStatus.STOPPED)
    make.make_batch("closed", goal=Step.CLEAN_UP, step=Step.CLEAN_UP, status=BatchStatus.CLOSED, closed_at=clock.now())
    make.make_batch("not-begun")
    draft = drafts.begin(slug="draft", source=source, target=target, actor=chief)
    selection.choose_by_file(draft, open_file(b"nobody@acme.example\nwhat is this"), name="people.csv")
    for state in ("success", "failure"):
        Task.objects.create(
            id=f"{state:0>32}",
            name=f"task-{state}",
            func="calendars.tasks.drive",
            args=("us", 0),
            result=SENTENCE,
            started=clock.now(),
            stopped=clock.now(),
            success=state == "success",
        )
    OrmQ.objects.create(
        key="recallops",
        payload=SignedPackage.dumps({"id": "1", "name": "waits", "func": "calendars.tasks.drive", "args": ("us", 0)}),
        lock=clock.now(),
    )
    Schedule.objects.create(name="none of ours", func="calendars.tasks.drive", next_run=clock.now())


def _fill(batch: Batch, customer: Customer) -> None:
    source, target = batch.source, batch.target
    statuses = list(ConnectionStatus.values)
    for number, status in enumerate(ItemStatus.values):
        calendar = make.make_calendar(
            customer,
            email=f"somebody-with-a-very-long-name-number-{number}@{UNBROKEN[:60]}.example",
            family=source.family,
            platform=Platform.values[number % len(Platform.values)],
        )
        connection = make.make_connection(
            source,
            calendar,
            status=statuses[number % len(statuses)],
            metadata={"note": UNBROKEN, "nested": {"list": [1, 2, 3]}},
        )
        make.make_connection(target, calendar)
        make.make_item(
            batch,
            connection=connection,
            status=status,
            step=FORWARD[number % len(FORWARD)],
            reason=SENTENCE,
            error_kind=ErrorKind.values[number % len(ErrorKind.values)],
            due_at=clock.now(),
        )
    make.make_item(batch, kind=Item.Kind.CHECKLIST, source_id="checklist-1", title=SENTENCE[:120])
    for verdict in Verdict.values:
        assignment = make.make_assignment(
            source,
            calendars=(calendar,),
            verdict=verdict,
            url=f"{LONG_URL}{verdict}",
            note=UNBROKEN[:120],
            reason=SENTENCE,
        )
        _write(assignment, source, calendar)
        seen = {"start": assignment.start, "url": assignment.url, "occurrence": assignment.occurrences.get()}
        make.make_event(connection, title=f"{verdict} {UNBROKEN}", **seen)
    event = make.make_event(connection, title=UNBROKEN, url=LONG_URL)
    _decide(event, customer)
    _receive(source, make.make_external(batch))
    _group(batch)
    _tell(batch, customer)
    make.make_bot(source, meeting_url=LONG_URL)
    make.make_call(source, status=None, error="timeout", request_id=UNBROKEN[:100])
    make.make_mapping(source, target)
    item = batch.items.filter(kind=Item.Kind.CONNECTION)[0]
    make.make_step(item, reason=SENTENCE, attempt=3)
    make.make_call(source, subject=item.source_id, status=502, error=UNBROKEN[:60], request_id=UNBROKEN[:64])
    for severity in Severity.values:
        make.make_finding(batch, severity=severity, sentence=SENTENCE, remedy=SENTENCE)
    make.make_finding(batch, sentence=SENTENCE, gone_at=clock.now())
    make.make_message(batch, customer, subject=UNBROKEN, text=SENTENCE)
    make.make_alert(batch, channel=make.make_channel(UNBROKEN[:60]))
    make.make_report_key(UNBROKEN[:60])
    make.make_approval(batch, sentences=[SENTENCE, SENTENCE], reason=SENTENCE[:400])
    for moment in CoverageReading.Moment.values:
        make.make_reading(batch, moment, dict.fromkeys(Verdict.values, 1234))
    for action in ("batch.create", "batch.goal", "batch.pause"):
        make.make_act(batch, action=action)


def _decide(event: Event, customer: Customer) -> None:
    """What people decided about an event of a series, its calendar and its customer."""
    Occurrence.objects.filter(pk=event.occurrence_id).update(reason=f"external: {UNBROKEN}", ical_uid=UNBROKEN * 5)
    Event.objects.filter(pk=event.pk).update(raw={"subject": UNBROKEN, "seriesMasterId": UNBROKEN * 4})
    profile = make.make_profile(
        "notes-for-everybody-with-a-long-name",
        config={"bot_name": "Notetaker", "chat": {"on_bot_join": {"message": SENTENCE}}, "metadata": {"a": UNBROKEN}},
    )
    make.make_policy(customer, which="external", confirmed_only=True, organizer_only=True, bot_profile=profile)
    make.make_policy(event.connection.calendar, which="manual")
    make.make_choice(customer, series=UNBROKEN * 5, reason=UNBROKEN, made_by=UNBROKEN)
    make.make_choice(event.occurrence, record=False, reason=SENTENCE[:200], made_by="dana")


def _receive(workspace: Workspace, application: Application) -> None:
    """What came in by webhook, what was passed on, and what was refused."""
    endpoint = make.make_endpoint(workspace, label=UNBROKEN[:80])
    make.make_webhook_secret(workspace, endpoint=endpoint)
    delivery = make.make_delivery(endpoint, body=SENTENCE.encode() * 20, reason=SENTENCE, subject=UNBROKEN[:120])
    make.make_refusal(endpoint, detail=SENTENCE)
    Application.objects.filter(pk=application.pk).update(
        name="The recorder of everybody's meetings",
        failing_since=clock.now() - timedelta(hours=2),
        last_problem=SENTENCE,
        tested_at=clock.now(),
        test_result=SENTENCE,
    )
    for enabled in (True, False):
        make.make_application_secret(application, label=UNBROKEN[:80], enabled=enabled)
    relayed = make.make_relayed(application, delivery, state=Relayed.State.DEAD, problem=SENTENCE)
    for status in (500, None, 301):
        make.make_try(relayed, status=status, problem=SENTENCE, answer=f"<h1>{UNBROKEN}</h1>" * 2)
    for state in Relayed.State:
        event = make.make_delivery(endpoint, event="calendar.sync_events", subject=f"{state}-{UNBROKEN[:60]}")
        make.make_relayed(application, event, state=state, problem=SENTENCE if state != "delivered" else "")


def _tell(batch: Batch, customer: Customer) -> None:
    """What customers and staff are told of, in every state."""
    for number in range(3):
        make.make_contact(customer, f"somebody-with-a-long-name-{number}@{UNBROKEN[:60]}.example")
    make.make_contact(customer, f"subscriber@{UNBROKEN[:60]}.example", by_staff=False, subscribed_at=clock.now())
    for state in Message.State.values:
        make.make_message(batch, make.make_customer(), state=state, subject=SENTENCE, problem=SENTENCE)
    failing = {"failing_since": clock.now(), "last_problem": SENTENCE, "test_result": SENTENCE}
    channel = make.make_channel(UNBROKEN[:80], tested_at=clock.now(), **failing)
    for state in ("waiting", "failed"):
        make.make_alert(batch, channel=channel, state=state)
    Alert.objects.update(sentence=SENTENCE)
    make.make_report_key(UNBROKEN[:80])
    make.make_report_key("in use")
    shown = result(stops=[SENTENCE], reasons=[["user", UNBROKEN, 3]], items={"user": 3}, held={"missed": 1})
    Rehearsal.objects.create(batch=batch, asked_at=clock.now(), state="done", result=shown)


def _group(batch: Batch) -> None:
    """Share groups of every state, the first with meetings in its way and exceptions."""
    items = tuple(batch.items.filter(kind=Item.Kind.CONNECTION)[:3])
    for state in ShareGroup.State:
        make.make_share_group(
            batch,
            items=items if state == "waiting" else (),
            name=f"somebody-with-a-very-long-name@{UNBROKEN[:60]}.example",
            calendars=3,
            meetings=41,
            state=state,
            reason=SENTENCE,
            planned_at=clock.now() + timedelta(hours=2),
            cut_at=clock.now() if state != "waiting" else None,
        )
    calendars = tuple(item.connection.calendar for item in items if item.connection)
    stays = make.make_calendar(family=batch.source.family, email=f"stays@{UNBROKEN[:60]}.example")
    make.make_assignment(batch.source, calendars=calendars, start=clock.now())
    make.make_assignment(batch.source, calendars=(*calendars, stays))
    meeting = make.make_assignment(batch.source, calendars=calendars)
    cuts.accept(meeting, batch, actor=batch.created_by, reason=SENTENCE)


def _write(assignment: Assignment, workspace: Workspace, calendar: Any) -> None:
    for state in Intent.State.values:
        make.make_intent(workspace, assignment=assignment, state=state, outcome=SENTENCE[:200], subject=UNBROKEN)


def pages(staff: str) -> list[tuple[str, str]]:
    """Return the names and addresses of all pages that this person of staff may open by GET."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(username=staff)
    found = [("index", reverse("admin:index")), ("password change", reverse("admin:password_change"))]
    for label in ("calendars", "migrations_app"):
        found.append((f"{label} index", reverse("admin:app_list", args=[label])))
    missing = []
    for model, options in admin.site._registry.items():
        kind = f"{model._meta.app_label}_{model._meta.model_name}"
        found.append((f"{kind} list", reverse(f"admin:{kind}_changelist")))
        if options.has_add_permission(request):
            found.append((f"{kind} add", reverse(f"admin:{kind}_add")))
        rows = list(
            options.get_queryset(request).order_by("pk")[
                : None if model in (Batch, Message, Relayed, ShareGroup) else 1
            ]
        )
        if not rows:
            missing.append(model.__name__)
            continue
        found += [(f"{kind} {row}", reverse(f"admin:{kind}_change", args=[row.pk])) for row in rows]
        if options.has_delete_permission(request, rows[0]):
            found.append((f"{kind} delete", reverse(f"admin:{kind}_delete", args=[rows[0].pk])))
    assert not missing, f"there is no row to look at of {missing}"
    item = Item.objects.filter(steps_taken__isnull=False)[0]
    found.append(("timeline", reverse("admin:migrations_app_item_timeline", args=[item.pk])))
    found += [(f"new batch, {page}", page_url(page, Batch.objects.get(draft=True))) for page in PAGES]
    found.append(("second factor", reverse("staff:factor")))
    for batch in Batch.objects.filter(status__in=(BatchStatus.RUNNING, BatchStatus.CLOSED)):
        page = reverse("admin:migrations_app_batch_change", args=[batch.pk])
        found.append((f"{batch} with proposals", f"{page}?propose=1"))
        found.append((f"customers of {batch}", reverse("admin:migrations_app_batch_customers", args=[batch.pk])))
        found.append((f"{batch} with what its buttons do", f"{page}?presses=1"))
        found.append((f"report of {batch}", reverse("admin:migrations_app_batch_report", args=[batch.pk])))
    template = MailTemplate.objects.order_by("pk")[0]
    found.append(("preview", reverse("admin:migrations_app_mailtemplate_preview", args=[template.pk])))
    upcoming = reverse("admin:calendars_assignment_upcoming")
    found += [(f"the coming {hours} hours", f"{upcoming}?hours={hours}") for hours in (6, 72)]
    found += [("help", reverse("help")), ("search", reverse("search"))]
    found += [
        (f"search for {text}", f"{reverse('search')}?q={text}") for text in ("bot-", "a", "https://meet.example/room")
    ]
    found.append(("nothing there", reverse("admin:migrations_app_batch_changelist") + "?q=nobody"))
    return [(name[:80], url) for name, url in found]
