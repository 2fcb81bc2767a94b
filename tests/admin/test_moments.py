"""Moments are read in the zone of who reads, with UTC to point at; what is typed is UTC for everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten
from django.db.models import DateTimeField
from django.test import Client, RequestFactory
from django.urls import reverse

from calendars.models import ApiToken, AuditEntry
from migrations_app.models import Batch
from recallops import clock, viewer_zone
from recallops.admin_base import ModelAdmin
from tests.admin import builders as make
from tests.admin.pressing import press

pytestmark = pytest.mark.django_db

WINTER, SUMMER = datetime(2026, 12, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)


def shown(moment: datetime, local: str) -> str:
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" title="{moment:%Y-%m-%d %H:%M:%S} UTC">{local}</time>'


def act_at(moment: datetime) -> AuditEntry:
    batch = make.make_batch()
    with clock.use(clock.ManualClock(moment)):
        return make.make_act(batch)


def page(client: Client, url: str, zone: str = "") -> str:
    if zone:
        client.cookies["tz"] = zone
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


ACTS = "admin:calendars_auditentry_changelist"


def test_moments_are_shown_in_the_zone_of_who_reads_with_utc_to_point_at(chief: Client) -> None:
    act_at(WINTER)
    act_at(SUMMER)
    text = page(chief, reverse(ACTS), "Europe/Berlin")
    assert shown(WINTER, "2026-12-01 13:00:00") in text
    assert shown(SUMMER, "2026-07-01 14:00:00") in text
    assert "Times are those of Europe/Berlin" in text


def test_without_a_zone_moments_are_utc_and_the_page_says_so(chief: Client) -> None:
    act_at(WINTER)
    text = page(chief, reverse(ACTS))
    assert shown(WINTER, "2026-12-01 12:00:00") in text
    assert "Times are UTC." in text


def test_the_hour_that_comes_twice_can_be_told_apart_by_its_utc(chief: Client) -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    act_at(first)
    act_at(second)
    text = page(chief, reverse(ACTS), "Europe/Berlin")
    assert shown(first, "2026-10-25 02:30:00") in text
    assert shown(second, "2026-10-25 02:30:00") in text


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        "europe/berlin ",
        "<script>alert(1)</script>",
        "x" * 4000,
        "\x00",
        "Europe/Berlin\r\nSet-Cookie: a=b",
        "'; DROP TABLE calendars_region; --",
    ],
)
def test_whatever_is_no_zone_is_utc(chief: Client, zone: str) -> None:
    act_at(WINTER)
    assert viewer_zone.named(zone) is UTC
    text = page(chief, reverse(ACTS), zone)
    assert shown(WINTER, "2026-12-01 12:00:00") in text
    assert zone not in text


def test_a_page_leaves_its_zone_to_nobody(chief: Client) -> None:
    page(chief, reverse(ACTS), "Asia/Tokyo")
    assert viewer_zone.current() is UTC


def test_a_moment_that_is_only_looked_at_on_an_objects_page_is_shown_alike(chief: Client) -> None:
    act = act_at(SUMMER)
    text = page(chief, reverse("admin:calendars_auditentry_change", args=[act.pk]), "America/New_York")
    assert shown(SUMMER, "2026-07-01 08:00:00") in text


def test_a_cut_line_is_typed_in_utc_in_every_zone(chief: Client) -> None:
    batch = make.make_batch()
    address = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    chief.cookies["tz"] = "Pacific/Auckland"
    wanted = (make.NOON + timedelta(days=3)).replace(minute=0, second=0)
    press(chief, batch, "cut_line", at=f"{wanted:%Y-%m-%d %H:%M}")
    batch = Batch.objects.select_related("handover").get(pk=batch.pk)
    assert batch.handover.cut_line == wanted
    text = page(chief, address, "Pacific/Auckland")
    assert shown(wanted, f"{wanted.astimezone(ZoneInfo('Pacific/Auckland')):%Y-%m-%d %H:%M:%S}") in text
    assert f'value="{wanted:%Y-%m-%d %H:%M}"' in text
    assert "(UTC)" in text


def test_an_end_of_a_token_is_typed_in_utc_and_its_field_says_so(chief: Client) -> None:
    add = reverse("admin:calendars_apitoken_add")
    assert "In UTC." in page(chief, add, "Asia/Kolkata")
    form = {"label": "crm", "scopes": ["calendars:read"], "expires_at_0": "2027-03-28", "expires_at_1": "02:30:00"}
    chief.post(add, form)
    assert ApiToken.objects.get().expires_at == datetime(2027, 3, 28, 2, 30, tzinfo=UTC)


def test_no_list_shows_a_moment_as_it_stands_in_the_row() -> None:
    request = RequestFactory().get("/")
    request.user = make.make_staff("chief", superuser=True)
    raw = [
        f"{model.__name__}.{name}"
        for model, options in admin.site._registry.items()
        if isinstance(options, ModelAdmin)
        for name in flatten(options.get_list_display(request))
        if isinstance(name, str)
        and any(field.name == name and isinstance(field, DateTimeField) for field in model._meta.fields)
    ]
    assert raw == []
