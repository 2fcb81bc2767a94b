"""A database filled for looking at pages at size, and never one that somebody uses."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from calendars.models import Assignment, Calendar, Connection, Delivery, Event, Region
from migrations_app.models import Batch, Finding, Item
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


def seed(*arguments: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the test's own rows are in the same transaction
    said = StringIO()
    call_command("seed_scale", "--events", "1000", *arguments, stdout=said)
    return said.getvalue()


def test_an_empty_database_gets_as_many_events_as_asked_for_and_all_that_hangs_on_them() -> None:
    said = seed()
    assert Event.objects.count() == 1000
    assert (Calendar.objects.count(), Connection.objects.count()) == (25, 50)
    assert Assignment.objects.filter(occurrences__events__isnull=False).distinct().count() == 250
    assert (Item.objects.count(), Delivery.objects.count(), Finding.objects.count()) == (25, 100, 2)
    assert "500 events in" in said
    assert "There are 1,000 events of 25 calendars now. Batch: scale." in said


def test_its_pages_open(admin_client: Client) -> None:
    seed()
    for kind in ("calendars_event", "calendars_delivery", "migrations_app_item", "migrations_app_finding"):
        assert admin_client.get(reverse(f"admin:{kind}_changelist")).status_code == 200
    assert (
        admin_client.get(reverse("admin:migrations_app_batch_change", args=[Batch.objects.get().pk])).status_code == 200
    )


def test_a_database_with_rows_is_left_alone() -> None:
    make.make_calendar()
    with pytest.raises(CommandError, match=r"has rows.* name it: manage.py seed_scale --erase"):
        seed()
    assert Calendar.objects.count() == 1


def test_a_database_that_is_not_for_development_is_left_alone(settings: pytest.FixtureRequest) -> None:
    settings.DEVELOPMENT = False  # type: ignore[attr-defined]
    with pytest.raises(CommandError, match="is not one for development"):
        seed()
    assert Event.objects.count() == 0


def test_a_database_that_is_named_wrongly_is_left_alone() -> None:
    make.make_calendar()
    with pytest.raises(CommandError, match="Nothing was removed"):
        seed("--erase", "somebody-elses")
    assert Calendar.objects.count() == 1


def test_a_database_that_is_named_is_replaced_and_keeps_what_migrations_brought() -> None:
    regions = Region.objects.count()
    stranger = make.make_calendar()
    seed("--erase", connection.settings_dict["NAME"])
    assert not Calendar.objects.filter(email=stranger.email).exists()
    assert Event.objects.count() == 1000
    assert Region.objects.count() == regions > 0
