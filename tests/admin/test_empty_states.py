"""Lists without rows: none yet, and what to do first; or none of those that were asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from recallops.admin_base import ModelAdmin
from tests.admin import builders as make

pytestmark = pytest.mark.django_db
LISTS = sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry)
FILLED = {
    "auth_group",
    "auth_user",
    "calendars_auditentry",
    "calendars_endpointlimit",
    "calendars_region",
    "migrations_app_mailtemplate",
}
"""Lists that an installation never has empty: those who look, their roles, and what comes with the product."""


def options_of(name: str) -> Any:
    return next(
        options
        for model, options in admin.site._registry.items()
        if f"{model._meta.app_label}_{model._meta.model_name}" == name
    )


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_of_itself_what_to_do_first(name: str) -> None:
    assert options_of(name).empty_help != ModelAdmin.empty_help, "give its ModelAdmin an `empty_help`"
    sentence, where, label = options_of(name).empty_help
    assert str(sentence).endswith(".")
    assert bool(where) == bool(str(label))
    if where:
        assert reverse(where)


@pytest.mark.parametrize("name", [name for name in LISTS if name not in FILLED])
def test_a_list_without_rows_says_what_to_do_first(name: str, chief: Client) -> None:
    address = reverse(f"admin:{name}_changelist")
    sentence, where, label = options_of(name).empty_help
    page = text_of(chief, address)
    assert "yet</strong>" in page
    assert re.sub(r"\s+", " ", str(sentence)).replace("'", "&#x27;") in page
    if where:
        assert f'href="{reverse(where)}">{label}</a>' in page
        assert chief.get(reverse(where), follow=True).status_code == 200
    assert "Clear the filters" not in page


@pytest.mark.parametrize("query", ["?q=nobody", "?email__exact=nobody", "?platform__exact=google_calendar"])
def test_a_list_none_of_whose_rows_match_says_that(query: str, chief: Client) -> None:
    make.make_calendar(email="ann@acme.example", platform="microsoft_outlook")
    page = text_of(chief, reverse("admin:calendars_calendar_changelist") + query)
    assert "None of the calendars matches what you asked for." in page
    assert '<a class="ro-button" href="?">Clear the filters</a>' in page
    assert "yet</strong>" not in page


def test_ordering_is_no_filter(chief: Client) -> None:
    assert "No calendars yet" in text_of(chief, reverse("admin:calendars_calendar_changelist") + "?o=1")


def test_who_may_not_open_what_it_leads_to_gets_no_link(looker: Client) -> None:
    page = text_of(looker, reverse("admin:calendars_calendar_changelist"))
    assert "No calendars yet" in page
    assert reverse("admin:migrations_app_batch_add") not in page
    assert 'href="/admin/calendars/webhookendpoint/">Look at the endpoints' in text_of(
        looker, reverse("admin:calendars_delivery_changelist")
    )


def test_a_list_with_rows_says_nothing_of_it(chief: Client) -> None:
    make.make_calendar()
    page = text_of(chief, reverse("admin:calendars_calendar_changelist"))
    assert "yet</strong>" not in page
    assert "ro-empty" not in page
