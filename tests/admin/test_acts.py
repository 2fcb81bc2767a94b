"""Every button: by POST only, with CSRF token and permission, on the state that was seen, once, with a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from calendars.models import (
    ApiKey,
    ApiToken,
    Application,
    Assignment,
    AuditEntry,
    Calendar,
    Delivery,
    Event,
    Handover,
    RecordingChoice,
    Relayed,
)
from calendars.providers.recall import RecallClient
from calendars.relay import post
from migrations_app.itineraries import Step
from migrations_app.models import (
    AlertChannel,
    AlertPost,
    Approval,
    Batch,
    Finding,
    Inquiry,
    Item,
    ItemStatus,
    Message,
    Rehearsal,
    ReportKey,
    Severity,
    ShareGroup,
    StatusLink,
)
from recallops.admin_base import ModelAdmin
from tests.admin.acts import ACTS, Act
from tests.admin.builders import allow, make_batch, make_finding, make_item, make_staff
from tests.admin.pressing import address, press, said, shown

pytestmark = pytest.mark.django_db
each = pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)


@pytest.fixture(autouse=True)
def doors(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What acts reach outside answers: the company's application, and the provider."""
    settings.RELAY_PRIVATE = True
    post.use_transport(httpx.MockTransport(lambda request: httpx.Response(204)))
    monkeypatch.setattr(RecallClient, "probe", lambda self: SimpleNamespace(out_of_credit=False))
    yield
    post.use_transport(None)


def _rows() -> list[Any]:
    """Everything that an act could change."""
    return [
        list(model._default_manager.order_by("pk").values())  # type: ignore[attr-defined]
        for model in (
            *(Approval, Batch, Handover, Item, Finding, ShareGroup, Assignment, Calendar),
            *(AlertChannel, AlertPost, Message, Rehearsal, ReportKey, StatusLink, Inquiry),
            *(ApiKey, ApiToken, Application, AuditEntry, Delivery, Event, RecordingChoice, Relayed),
        )
    ]


def _presser(act: Act, subject: Any) -> Client:
    """Somebody who may do this and look at it, and nothing else."""
    client = Client()
    view = f"{subject._meta.app_label}.view_{subject._meta.concrete_model._meta.model_name}"
    client.force_login(allow(act.person(subject), act.needs, view))
    return client


def _method(act: Act) -> str:
    return act.name.partition("_")[2]


def test_every_act_is_in_the_table() -> None:
    found = {
        f"{model._meta.model_name}_{action.name}"
        for model, pages in admin.site._registry.items()
        if isinstance(pages, ModelAdmin)
        for action in pages.post_actions()
    }
    assert found == {act.name for act in ACTS}
    assert len(found) == len(ACTS)


@each
def test_an_act_is_refused_by_any_other_method_than_post(act: Act, chief: Client) -> None:
    subject = act.build()
    before = _rows()
    data = {"shown": shown(subject), **act.posted(subject)}
    for method in ("get", "head", "put", "patch", "delete"):
        response = getattr(chief, method)(address(subject, _method(act)), data)
        assert response.status_code == 405, method
    assert _rows() == before


@each
def test_an_act_without_a_csrf_token_changes_nothing(act: Act) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff(superuser=True))
    subject = act.build()
    before = _rows()
    response = press(client, subject, _method(act), **act.posted(subject))
    assert response.status_code == 403
    assert "Nothing was done" in response.content.decode()
    assert _rows() == before


@each
def test_an_act_needs_the_permission_and_says_so(act: Act, looker: Client) -> None:
    subject = act.build()
    before = _rows()
    response = press(looker, subject, _method(act), **act.posted(subject))
    assert response.status_code == 403
    assert "that needs the permission to" in response.content.decode()
    assert _rows() == before


@each
def test_an_act_needs_a_login(act: Act, client: Client) -> None:
    subject = act.build()
    before = _rows()
    response = press(client, subject, _method(act), **act.posted(subject))
    assert response.status_code == 302
    assert "/login/" in response["Location"]
    assert _rows() == before


@each
def test_an_act_in_the_wrong_state_is_refused_with_a_sentence(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    posted = act.posted(subject)
    act.wrong(subject)
    before = _rows()
    response = press(client, subject, _method(act), **posted)
    assert response.status_code == 302
    assert said(response)
    assert act.refusal in said(response)
    assert _rows() == before


@each
def test_an_act_that_is_allowed_is_done_and_said_and_on_record(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    before = _rows()
    acts = AuditEntry.objects.count()
    response = press(client, subject, _method(act), **act.posted(subject))
    assert response.status_code == 302
    assert said(response)
    assert _rows() != before
    entry = AuditEntry.objects.order_by("pk").last()
    assert AuditEntry.objects.count() == acts + act.entries
    assert entry is not None
    assert entry.actor_name.startswith("staff-")


@each
def test_a_double_click_acts_once_and_the_second_press_is_answered_with_a_sentence(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    posted = {"shown": shown(subject), **act.posted(subject)}
    client.post(address(subject, _method(act)), posted)
    once = _rows()
    response = client.post(address(subject, _method(act)), posted)
    assert response.status_code == 302
    assert len(said(response)) > 0
    assert _rows() == once


@each
def test_what_changed_after_the_page_was_shown_is_looked_at_again_first(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    posted = {"shown": shown(subject), **act.posted(subject)}
    act.press_by_another(subject)
    before = _rows()
    response = client.post(address(subject, _method(act)), posted)
    assert response.status_code == 302
    assert "exist" in said(response) or "changed meanwhile" in said(response)
    assert _rows() == before


@each
def test_a_press_that_does_not_say_what_was_shown_is_refused(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    before = _rows()
    for sent in ({}, {"shown": ""}, {"shown": "0123456789abcdef"}):
        response = client.post(address(subject, _method(act)), {**act.posted(subject), **sent})
        assert "changed meanwhile" in said(response), sent
    assert _rows() == before


@each
def test_the_page_has_the_form_and_it_carries_what_is_shown(act: Act) -> None:
    subject = act.build()
    client = _presser(act, subject)
    kind = f"{subject._meta.app_label}_{subject._meta.model_name}"
    page = client.get(reverse(f"admin:{kind}_change", args=[subject.pk])).content.decode()
    assert f'action="{address(subject, _method(act))}"' in page
    forms = re.findall(r'<form[^>]*method="post"[^>]*action="/admin/[^"]*/\d+/[^"]+/"[^>]*>.*?</form>', page, re.DOTALL)
    assert forms
    assert all(f'name="shown" value="{shown(subject)}"' in form for form in forms)


def test_an_act_on_a_row_that_is_gone_goes_back_to_the_start(driver: Client) -> None:
    response = driver.post(reverse("admin:migrations_app_batch_pause", args=[10**6]))
    assert response.status_code == 302
    assert "exist" in said(response)


def test_delete_old_needs_the_name_to_the_letter(driver: Client) -> None:
    batch = make_batch("acme", goal=Step.HAND_OVER, step=Step.HAND_OVER)
    for confirm in ("", "Acme", "acme-eu"):
        response = press(driver, batch, "goal", step="delete_old", confirm=confirm)
        assert "typ" in said(response)
        batch.refresh_from_db()
        assert batch.goal == Step.HAND_OVER
    press(driver, batch, "goal", step="delete_old", confirm="acme")
    batch.refresh_from_db()
    assert batch.goal == Step.DELETE_OLD
    assert batch.delete_confirmed_by is not None


@pytest.mark.parametrize("step", ["", "everything", "delete old", "1"])
def test_a_step_that_does_not_exist_is_refused(step: str, driver: Client) -> None:
    batch = make_batch()
    response = press(driver, batch, "goal", step=step)
    assert "There is no such step" in said(response)
    batch.refresh_from_db()
    assert batch.goal == ""


@pytest.mark.parametrize("at", ["", "tomorrow", "2026-13-01 00:00", "10:00"])
def test_a_cut_line_that_is_no_time_is_refused(at: str, driver: Client) -> None:
    batch = make_batch()
    response = press(driver, batch, "cut_line", at=at)
    assert "year-month-day" in said(response)
    assert Handover.objects.get(pk=batch.handover_id).cut_line is None


@pytest.mark.parametrize(
    "wrong", [{"soak": "soon"}, {"soak": "-1 00:00:00"}, {"drivers": "0"}, {"drivers": "many"}, {"canary_wait": ""}]
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, str], driver: Client) -> None:
    batch = make_batch()
    data = {"soak": "2 00:00:00", "canary_wait": "00:30:00", "drivers": "2", **wrong}
    response = press(driver, batch, "numbers", **data)
    assert said(response)
    before, after = batch, Batch.objects.get(pk=batch.pk)
    assert (after.soak, after.canary_wait, after.drivers) == (before.soak, before.canary_wait, before.drivers)


def test_waiving_needs_a_reason(driver: Client) -> None:
    finding = make_finding(make_batch(), severity=Severity.BLOCKING)
    response = press(driver, finding, "waive", reason="  ")
    assert "Say in a few words" in said(response)
    finding.refresh_from_db()
    assert finding.waived_at is None


def test_the_way_back_stays_on_this_site(driver: Client) -> None:
    batch = make_batch()
    response = press(driver, batch, "pause", next="https://evil.example/")
    assert response["Location"] == reverse("admin:migrations_app_batch_change", args=[batch.pk])


def test_retry_failed_of_the_items_list_needs_the_permission(looker: Client) -> None:
    failed = make_item(make_batch(), status=ItemStatus.FAILED)
    url = reverse("admin:migrations_app_item_changelist")
    looker.post(url, {"action": "retry_failed", "_selected_action": [failed.pk]})
    failed.refresh_from_db()
    assert failed.status == ItemStatus.FAILED


def test_retry_failed_of_the_items_list_is_no_get(driver: Client) -> None:
    failed = make_item(make_batch(), status=ItemStatus.FAILED)
    url = reverse("admin:migrations_app_item_changelist")
    driver.get(url, {"action": "retry_failed", "_selected_action": [failed.pk]})
    failed.refresh_from_db()
    assert failed.status == ItemStatus.FAILED


def test_read_only_rows_take_no_form(chief: Client) -> None:
    item = make_item(make_batch())
    response = chief.post(reverse("admin:migrations_app_item_change", args=[item.pk]), {"status": "done"})
    assert response.status_code == 403
    response = chief.post(reverse("admin:migrations_app_item_delete", args=[item.pk]), {"post": "yes"})
    assert response.status_code == 403
    item.refresh_from_db()
    assert item.status == ItemStatus.READY
