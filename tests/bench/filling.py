"""Rows by the million, written by the database itself: a batch half way, as its steps leave it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Field, Model
from django.db.models.fields import NOT_PROVIDED

from calendars.models import (
    Assignment,
    Bot,
    Calendar,
    Connection,
    Customer,
    EndpointLimit,
    Event,
    Handover,
    Occurrence,
    Provider,
    RateBudget,
    Region,
    Workspace,
)
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, ItemStatus
from recallops import clock

MEMBERS = 2  # of a meeting
CUSTOMERS = 100
STAFF = "bench"
SPREAD = timedelta(days=27)


def fill(calendars: int, *, events: int = 20) -> Batch:
    """Replace all rows by a batch of so many calendars with so many events each, ready to be handed over."""
    empty()
    batch = _batch()
    source, target, now = batch.source_id, batch.target_id, clock.now()
    _insert(Customer, CUSTOMERS, slug="'customer-' || n", name="'Customer ' || n", created_at="now()")
    _insert(
        Calendar,
        calendars,
        customer=f"{_least(Customer)} + n % {CUSTOMERS}",
        family="'us'",
        platform="CASE n % 2 WHEN 0 THEN 'google_calendar' ELSE 'microsoft_outlook' END",
        email="'person' || n || '@customer' || n % 100 || '.example'",
        handover=str(batch.handover_id),
    )
    zero = _least(Calendar)
    for workspace, letter in ((source, "s"), (target, "t")):
        _insert(
            Connection,
            calendars,
            calendar=f"{zero} + n - 1",
            workspace=str(workspace),
            remote_id=f"'{letter}-cal-' || n",
            status="'connected'",
            platform_email="'person' || n || '@customer' || n % 100 || '.example'",
            oauth_client_id="'client-' || n % 2",
            has_secret="true",
            has_token="true",
            read_begun_at="now()",
        )
    meetings = calendars * events // MEMBERS
    apart = (SPREAD / meetings).total_seconds()
    start = f"'{now.isoformat()}'::timestamptz + interval '1 hour' + n * interval '{apart} s'"
    _insert(
        Assignment,
        meetings,
        family="'us'",
        start=start,
        end=f"{start} + interval '30 min'",
        url="'https://meet.example/' || n",
        identity="md5(n::text)",
        owner=str(source),
        verdict="'source'",
        due_at=f"'{(now + timedelta(days=30)).isoformat()}'::timestamptz",
    )
    first = _least(Assignment)
    # member m of meeting n is a copy in calendar (n * MEMBERS + m) % calendars
    _insert(
        Occurrence,
        calendars * events,
        calendar=f"{zero} + n % {calendars}",
        platform_id="'event-' || n",
        ical_uid="'uid-' || (n - 1) / 2",
        wanted="true",
        found="true",
        assignment=f"{first} + (n - 1) / {MEMBERS}",
    )
    _events(source, target, calendars, events)
    _insert(
        Bot,
        meetings,
        workspace=str(source),
        remote_id="'bot-' || n",
        status="'ready'",
        join_at=start,
        meeting_url="'https://meet.example/' || n",
        read_begun_at="now()",
    )
    _insert(
        Item,
        calendars,
        batch=str(batch.pk),
        kind="'connection'",
        source_id="'s-cal-' || n",
        title="'person' || n",
        connection=f"{_least(Connection)} + n - 1",
        target_connection=f"{_least(Connection)} + {calendars} + n - 1",
        step=f"'{Step.HAND_OVER.value}'",
        status=f"'{ItemStatus.WAITING.value}'",
        due_at="now() + interval '30 days'",
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return batch


def empty() -> None:
    """Remove all rows but those that migrations bring: regions and stated limits."""
    models = [*apps.get_app_config("calendars").get_models(), *apps.get_app_config("migrations_app").get_models()]
    tables = [f'"{model._meta.db_table}"' for model in models if model not in (Region, EndpointLimit)]
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    get_user_model().objects.filter(username=STAFF).delete()


def _batch() -> Batch:
    staff = get_user_model().objects.create_superuser(username=STAFF, email="bench@acme.example", password=None)
    made = []
    for slug, code in (("us", "us-west-2"), ("eu", "eu-central-1")):
        region = Region.objects.get(provider=Provider.RECALL, code=code)
        workspace = Workspace.objects.create(slug=slug, name=slug, region=region, family="us", watched=True)
        RateBudget.objects.fill(workspace)
        made.append(workspace)
    now = clock.now()
    handover = Handover.objects.create(source=made[0], target=made[1], allowed=True, cut_line=now)
    return Batch.objects.create(
        slug="bench",
        source=made[0],
        target=made[1],
        handover=handover,
        created_by=staff,
        goal=Step.HAND_OVER,
        step=Step.HAND_OVER,
        status="running",
        started_at=now,
    )


def _events(source: int, target: int, calendars: int, events: int) -> None:
    zero = _least(Connection)
    occurrence, meeting = _least(Occurrence), _least(Assignment)
    for workspace, letter, shift in ((source, "s", 0), (target, "t", calendars)):
        bot = (
            "jsonb_build_array(jsonb_build_object('bot_id', 'bot-' || (n + 1) / 2, 'start', a.start, 'key', 'k', "
            "'url', a.url))"
        )
        _insert(
            Event,
            calendars * events,
            join=f"JOIN calendars_assignment AS a ON a.id = {meeting} + (n - 1) / {MEMBERS}",
            workspace=str(workspace),
            connection=f"{zero} + {shift} + n % {calendars}",
            occurrence=f"{occurrence} + n - 1",
            remote_id=f"'{letter}-event-' || n",
            start="a.start",
            end="a.end",
            url="a.url",
            bots=bot if letter == "s" else "'[]'::jsonb",
            raw="jsonb_build_object('summary', 'Meeting ' || n, 'description', repeat('x', 600))",
            digest="md5(n::text)",
            remote_updated_at="now()",
            read_begun_at="now()",
        )


def _insert(model: type[Model], rows: int, *, join: str = "", **given: str) -> None:
    """Insert rows numbered n = 1, 2, ...; fields that are not given get their default."""
    columns, values, parameters = [], [], []
    for field in model._meta.concrete_fields:
        if field.primary_key:
            continue
        columns.append(f'"{field.column}"')
        if field.name in given:
            values.append(given.pop(field.name))
        else:
            values.append("%s")
            parameters.append(_default(field))
    if given:
        raise ValueError(f"{model.__name__} has no {', '.join(given)}")
    statement = (
        f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) '
        f"SELECT {', '.join(values)} FROM generate_series(1, {rows}) AS n {join} ORDER BY n"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.replace("% ", "%% ").replace("%%s", "%s"), parameters)


def _default(field: Field[Any, Any]) -> Any:
    value = None if field.null and field.default is NOT_PROVIDED else field.get_default()
    return field.get_db_prep_save(value, connection)


def _least(model: type[Model]) -> int:
    return int(model._default_manager.order_by("pk").values_list("pk", flat=True)[0])
