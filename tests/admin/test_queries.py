"""At most twelve queries a page, the same for 10 rows and for 300, and no count of a whole table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection as database
from django.db.models import Count
from django.test import Client
from django.urls import reverse

from calendars.models import (
    Application,
    ApplicationSecret,
    BotProfile,
    Calendar,
    Connection,
    Customer,
    Delivery,
    Event,
    OAuthClient,
    RecordingChoice,
    RecordingPolicy,
    Relayed,
    WebhookEndpoint,
    WebhookRefusal,
    WebhookSecret,
)
from migrations_app.itineraries import Step
from migrations_app.models import (
    Alert,
    AlertChannel,
    Approval,
    Batch,
    Inquiry,
    Item,
    ItemStatus,
    MailTemplate,
    Message,
    Rehearsal,
    ReportKey,
    ShareGroup,
    StatusLink,
    StatusVisit,
)
from migrations_app.planner import Load
from recallops import clock
from recallops.admin_base import BoundedPaginator
from recallops.admin_display import change_url
from tests.admin import builders as make
from tests.rehearsal.results import result

pytestmark = pytest.mark.django_db
MOST = 12

LISTS = [
    "calendars_apikey",
    "calendars_apitoken",
    "calendars_application",
    "calendars_applicationsecret",
    "calendars_assignment",
    "calendars_auditentry",
    "calendars_bot",
    "calendars_botprofile",
    "calendars_calendar",
    "calendars_connection",
    "calendars_customer",
    "calendars_delivery",
    "calendars_endpointlimit",
    "calendars_event",
    "calendars_idmapping",
    "calendars_intent",
    "calendars_oauthclient",
    "calendars_providercall",
    "calendars_recordingchoice",
    "calendars_recordingpolicy",
    "calendars_region",
    "calendars_relayed",
    "calendars_webhookendpoint",
    "calendars_webhookrefusal",
    "calendars_webhooksecret",
    "calendars_workspace",
    "migrations_app_alert",
    "migrations_app_alertchannel",
    "migrations_app_approval",
    "migrations_app_batch",
    "migrations_app_batchdraft",
    "migrations_app_finding",
    "migrations_app_inquiry",
    "migrations_app_item",
    "migrations_app_mailtemplate",
    "migrations_app_message",
    "migrations_app_reportkey",
    "migrations_app_rehearsal",
    "migrations_app_sharegroup",
    "migrations_app_statuslink",
]


def fill(rows: int) -> Batch:
    """Fill every table with so many rows, all hanging on one batch where that is possible."""
    first = make.make_batch()
    source, target = first.source, first.target
    staff = make.make_staff()
    application = make.make_external(first)
    group = make.make_share_group(first)
    common = make.make_assignment(source, start=clock.now())
    stays = make.make_assignment(source, start=clock.now(), exception="It may be doubled.")
    for number in range(rows):
        customer = make.make_customer()
        calendar = make.make_calendar(customer, family=source.family)
        connection = make.make_connection(source, calendar)
        in_target = make.make_connection(target, calendar)
        assignment = make.make_assignment(source, calendars=(calendar,), reason=f"reason {number}")
        occurrence = assignment.occurrences.get()
        event = make.make_event(connection, occurrence=occurrence, start=assignment.start, url=assignment.url)
        make.make_bot(source, remote_id=event.bots[0]["bot_id"], terminal=True)
        make.make_policy(customer, bot_profile=make.make_profile())
        make.make_policy(calendar, which="external")
        make.make_choice(customer)
        make.make_choice(occurrence)
        make.make_bot(source)
        make.make_intent(source, assignment=assignment)
        make.make_mapping(source, target)
        make.make_key(source)
        make.make_token(created_by=staff)
        endpoint = make.make_endpoint(source)
        make.make_webhook_secret(source, endpoint=endpoint)
        delivery = make.make_delivery(endpoint, event="calendar.update", subject=connection.remote_id)
        make.make_try(make.make_relayed(application, delivery, state="held"))
        make.make_relayed(make.make_application(), make.make_delivery(endpoint))
        make.make_application_secret(application)
        make.make_refusal(endpoint)
        item = make.make_item(first, connection=connection, status=ItemStatus.WAITING, reason=f"reason {number}")
        Item.objects.filter(pk=item.pk).update(group=group, target_connection=in_target)
        for meeting in (common, stays):
            make.make_occurrence(calendar, assignment=meeting)
        make.make_contact(customer)
        make.make_message(first, customer)
        make.make_alert(first, channel=make.make_channel())
        make.make_report_key()
        link, _secret = make.make_status_link(customer, created_by=staff)
        make.make_inquiry(link, first, answered_by=staff if number % 2 else None)
        StatusVisit.note(link, f"2001:db8::{number:x}")
        make.make_share_group(first, items=(make.make_item(first, kind=Item.Kind.CHECKLIST),))
        make.make_finding(first, item=item)
        make.make_step(item)
        make.make_call(source, subject=connection.remote_id)
        make.make_call(source, subject=Item.objects.earliest("pk").source_id)
        make.make_step(Item.objects.earliest("pk"), reason=f"reason {number}")
        make.make_approval(first, asked_by=staff, state=Approval.State.WITHDRAWN)
        make.make_act(first)
        done = {"state": "done", "result": result(), "asked_by": staff}
        Rehearsal.objects.create(batch=first, asked_at=clock.now(), **done)
        OAuthClient.objects.create(platform="google_calendar", client_id=f"client-{item.pk}", client_secret="s3cret")
        make.make_region(f"region-{item.pk}")
        make.make_workspace()
        make.make_batch(source=source, target=target)
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")  # as the server does by itself where rows are committed
    return first


def queries_by_page(client: Client, get: Callable[..., Any], batch: Batch) -> dict[str, list[str]]:
    pages = {name: reverse(f"admin:{name}_changelist") for name in LISTS}
    pages["ledger of the batch"] = reverse("admin:calendars_assignment_changelist") + f"?batch={batch.pk}"
    pages["items of the batch"] = reverse("admin:migrations_app_item_changelist") + f"?batch__id__exact={batch.pk}"
    first_item = Item.objects.filter(batch=batch).order_by("pk")[0]
    pages["item page"] = reverse("admin:migrations_app_item_change", args=[first_item.pk])
    pages["timeline"] = reverse("admin:migrations_app_item_timeline", args=[first_item.pk])
    pages["findings of the batch"] = (
        reverse("admin:migrations_app_finding_changelist") + f"?batch__id__exact={batch.pk}&state=open"
    )
    pages["failed calls"] = reverse("admin:calendars_providercall_changelist") + "?outcome=failed"
    pages["batch page"] = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    rehearsal = Rehearsal.objects.order_by("pk")[0]
    pages["rehearsal"] = reverse("admin:migrations_app_rehearsal_change", args=[rehearsal.pk])
    pages["presses of the batch"] = reverse("admin:migrations_app_batch_presses", args=[batch.pk])
    approval = Approval.objects.order_by("pk")[0]
    pages["approval page"] = reverse("admin:migrations_app_approval_change", args=[approval.pk])
    pages["live part"] = reverse("admin:migrations_app_batch_live", args=[batch.pk])
    pages["workspace page"] = reverse("admin:calendars_workspace_change", args=[batch.source_id])
    connection = Connection.objects.order_by("pk").first()
    assert connection is not None
    pages["connection page"] = reverse("admin:calendars_connection_change", args=[connection.pk])
    pages["coming meetings"] = reverse("admin:calendars_assignment_upcoming") + "?hours=72"
    pages["customers of the batch"] = reverse("admin:migrations_app_batch_customers", args=[batch.pk])
    template = MailTemplate.objects.order_by("pk")[0]
    pages["preview"] = reverse("admin:migrations_app_mailtemplate_preview", args=[template.pk]) + f"?batch={batch.pk}"
    for model in (Alert, AlertChannel, MailTemplate, Message, ReportKey, StatusLink, Inquiry):
        pages[f"{model._meta.model_name} page"] = change_url(model._default_manager.order_by("pk")[0])
    pages["start"] = reverse("admin:index")
    pages["live part of the start"] = reverse("dashboard-live")
    pages["help"] = reverse("help")
    for text in ("person", "customer-", "https://meet.example/room-", "00000000-0000", "@customer"):
        pages[f"search for {text}"] = f"{reverse('search')}?{urlencode({'q': text})}"
    of_policy = (BotProfile, Calendar, Customer, Event, RecordingChoice, RecordingPolicy)
    of_relay = (Application, ApplicationSecret, Relayed)
    for model in (*of_policy, *of_relay, Delivery, WebhookEndpoint, WebhookRefusal, WebhookSecret):
        name = model._meta.model_name
        first = model._default_manager.order_by("pk").first()
        assert first is not None
        pages[f"{name} page"] = reverse(f"admin:calendars_{name}_change", args=[first.pk])
    group = ShareGroup.objects.annotate(size=Count("items")).order_by("-size", "pk")[0]
    application = Application.objects.annotate(size=Count("relayed")).order_by("-size", "pk")[0]
    pages["busy application's page"] = reverse("admin:calendars_application_change", args=[application.pk])
    pages["share group page"] = reverse("admin:migrations_app_sharegroup_change", args=[group.pk])
    found = {}
    for name, url in pages.items():
        response, queries = get(client, url)
        assert response.status_code == 200, f"{name}: {response.status_code}"
        found[name] = queries
        whole = [sql for sql in queries if 'COUNT(*) AS "__count" FROM "' in sql]
        assert not whole, f"{name} counts a whole table: {whole}"
    return found


def test_pages_take_the_same_few_queries_for_many_rows_as_for_few(looker: Client, get: Callable[..., Any]) -> None:
    batch = fill(10)
    few = queries_by_page(looker, get, batch)
    fill(290)
    many = queries_by_page(looker, get, batch)
    for name, queries in few.items():
        assert len(many[name]) == len(queries), f"{name}: " + "\n".join(["", *queries, "became", *many[name]])
        assert len(queries) <= MOST, "\n".join([name, *(q[-300:] for q in queries)])


def test_what_the_buttons_do_is_counted_in_few_queries_also_where_a_cut_line_is_proposed(
    looker: Client, get: Callable[..., Any]
) -> None:
    load = Load(calendars=2, events_source=2, meetings=2, adds=2, removes=2)
    batch = make.make_batch(goal=Step.VERIFY, planned=asdict(load))
    for _ in range(2):
        item = make.make_item(batch, step=Step.HAND_OVER)
        assert item.connection is not None
        meeting = make.make_assignment(
            batch.source, calendars=(item.connection.calendar,), start=clock.now() + timedelta(hours=30)
        )
        make.make_event(item.connection, occurrence=meeting.occurrences.get(), start=meeting.start, url=meeting.url)
    response, queries = get(looker, reverse("admin:migrations_app_batch_presses", args=[batch.pk]))
    assert "Hands 2 meetings over to" in response.content.decode()
    assert len(queries) <= MOST, "\n".join(sql[-300:] for sql in queries)


def test_a_list_says_when_there_are_more_rows_than_it_counted(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recallops.admin_base.MOST_COUNTED", 100)
    for _ in range(120):
        make.make_region(f"r{_}")
    page = chief.get(reverse("admin:calendars_region_changelist")).content.decode()
    assert "100+ regions" in page
    assert "filter or search" in page


def test_a_count_that_came_to_its_end_is_exact() -> None:
    for number in range(3):
        make.make_region(f"r{number}")
    from calendars.models import Region

    paginator = BoundedPaginator(Region.objects.all(), 2)
    assert paginator.count == Region.objects.count()
    assert not paginator.is_cut
