"""Rows by the million, written by the database itself: a batch half way, as its steps leave it.

For looking at pages and for measuring (`manage.py seed_scale`, `make bench`). It replaces what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from django.db.models.fields import NOT_PROVIDED

from calendars.models import (
    Application,
    Assignment,
    Bot,
    Calendar,
    Connection,
    Customer,
    Delivery,
    Driver,
    Event,
    Handover,
    Occurrence,
    Provider,
    RateBudget,
    Region,
    WebhookEndpoint,
    Workspace,
)
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Item, ItemStatus, Severity
from recallops import clock

MEMBERS = 2  # of a meeting
CUSTOMERS = 100
EVENTS = 20  # of a calendar, in each of the two workspaces
DELIVERIES = 4  # of a calendar
SPREAD = timedelta(days=27)
# What everything else hangs on: with these all rows of work go, and what migrations bring stays.
ROOTS = (Workspace, Customer, Calendar, Batch, Handover, Application, Driver)

_Say = Callable[[str], object]


def is_empty() -> bool:
    """Tell whether there is nothing that filling would replace."""
    return not any(model._default_manager.exists() for model in ROOTS)


def empty() -> None:
    """Remove all rows of work. Regions, stated limits and staff stay."""
    tables = ", ".join(f'"{model._meta.db_table}"' for model in ROOTS)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")


def fill(calendars: int, *, events: int = EVENTS, by: Any = None, say: _Say = str) -> Batch:
    """Replace all rows of work by a batch of so many calendars with so many events each, ready to be handed over."""
    empty()
    insert = _told(say)
    batch = _batch(by)
    source, target, now = batch.source_id, batch.target_id, clock.now()
    insert(Customer, CUSTOMERS, slug="'customer-' || n", name="'Customer ' || n", created_at="now()")
    insert(
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
        insert(
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
    insert(
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
    insert(
        Occurrence,
        calendars * events,
        calendar=f"{zero} + n % {calendars}",
        platform_id="'event-' || n",
        ical_uid="'uid-' || (n - 1) / 2",
        wanted="true",
        found="true",
        assignment=f"{first} + (n - 1) / {MEMBERS}",
    )
    for workspace, letter, shift in ((source, "s", 0), (target, "t", calendars)):
        insert(Event, calendars * events, **_event(workspace, letter, shift, calendars))
    insert(
        Bot,
        meetings,
        workspace=str(source),
        remote_id="'bot-' || n",
        status="'ready'",
        join_at=start,
        meeting_url="'https://meet.example/' || n",
        read_begun_at="now()",
    )
    insert(
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
    _tell(source, batch, calendars, insert)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return batch


def _tell(source: int, batch: Batch, calendars: int, insert: Callable[..., None]) -> None:
    """What came in by webhook, and what checks found."""
    endpoint = WebhookEndpoint.objects.create(workspace_id=source, label="main")
    insert(
        Delivery,
        calendars * DELIVERIES,
        workspace=str(source),
        endpoint=str(endpoint.pk),
        delivery_id="'msg_' || n",
        received_at="now() - n * interval '1 second'",
        sent_at="now() - n * interval '1 second'",
        handled_at="now() - n * interval '1 second'",
        region="'us-west-2'",
        body="convert_to('{\"event\": \"calendar.sync_events\"}', 'UTF8')",
        state=f"'{Delivery.State.HANDLED.value}'",
        event="'calendar.sync_events'",
        subject=f"'s-cal-' || 1 + n % {calendars}",
    )
    insert(
        Finding,
        calendars // 10,
        batch=str(batch.pk),
        item=f"{_least(Item)} + n - 1",
        step=f"'{Step.VERIFY.value}'",
        code="'differs'",
        subject="'s-cal-' || n",
        severity=f"'{Severity.WARNING.value}'",
        sentence="'One event of calendar ' || n || ' differs on the two sides.'",
        remedy="'Look at it at the provider.'",
        found_at="now()",
    )


def _batch(by: Any) -> Batch:
    made = []
    for slug, code in (("us", "us-west-2"), ("eu", "eu-central-1")):
        region = Region.objects.get(provider=Provider.RECALL, code=code)
        workspace = Workspace.objects.create(slug=slug, name=slug, region=region, family="us", watched=True)
        RateBudget.objects.fill(workspace)
        made.append(workspace)
    now = clock.now()
    handover = Handover.objects.create(source=made[0], target=made[1], allowed=True, cut_line=now)
    return Batch.objects.create(
        slug="scale",
        source=made[0],
        target=made[1],
        handover=handover,
        created_by=by,
        goal=Step.HAND_OVER,
        step=Step.HAND_OVER,
        status=BatchStatus.RUNNING,
        started_at=now,
    )


def _event(workspace: int, letter: str, shift: int, calendars: int) -> dict[str, str]:
    """Return the columns of one side's events; the source's have their bot."""
    bot = (
        "jsonb_build_array(jsonb_build_object('bot_id', 'bot-' || (n + 1) / 2, 'start', a.start, 'key', 'k', "
        "'url', a.url))"
    )
    return {
        "join": f"JOIN calendars_assignment AS a ON a.id = {_least(Assignment)} + (n - 1) / {MEMBERS}",
        "workspace": str(workspace),
        "connection": f"{_least(Connection)} + {shift} + n % {calendars}",
        "occurrence": f"{_least(Occurrence)} + n - 1",
        "remote_id": f"'{letter}-event-' || n",
        "start": "a.start",
        "end": "a.end",
        "url": "a.url",
        "bots": bot if letter == "s" else "'[]'::jsonb",
        "raw": "jsonb_build_object('summary', 'Meeting ' || n, 'description', repeat('x', 600))",
        "digest": "md5(n::text)",
        "remote_updated_at": "now()",
        "read_begun_at": "now()",
    }


def _told(say: _Say) -> Callable[..., None]:
    """Return `_insert`, which says after each table how many rows it took how long to write."""

    def insert(model: type[Model], rows: int, **given: str) -> None:
        begun = time.monotonic()
        _insert(model, rows, **given)
        say(f"{rows:>9,} {model._meta.verbose_name_plural} in {time.monotonic() - begun:.1f} s")

    return insert


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
