"""Every button: by POST only, with CSRF token and permission, once, and with a sentence when it may not be pressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from calendars.models import ApiKey, AuditEntry, Calendar, Delivery, Event, Handover, RecordingChoice
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Finding, Item, ItemStatus, Severity
from tests.admin.builders import (
    NOON,
    make_batch,
    make_choice,
    make_connection,
    make_delivery,
    make_endpoint,
    make_event,
    make_finding,
    make_item,
    make_key,
    make_staff,
    make_workspace,
)

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Act:
    """A button, what is posted, what it is pressed on, and a state in which it must refuse."""

    name: str
    build: Callable[[], Any]
    data: dict[str, str] = field(default_factory=dict)
    wrong: Callable[[Any], Any] = lambda subject: None
    refusal: str = ""

    def url(self, subject: Any) -> str:
        return reverse(f"admin:{self.name}", args=[subject.pk])


def _closed(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(closed_at=NOON)


def _paused(batch: Batch, paused: bool = True) -> None:
    Handover.objects.filter(pk=batch.handover_id).update(paused=paused)


def _batch_that_failed() -> Batch:
    batch = make_batch()
    make_item(batch, status=ItemStatus.FAILED, reason="The provider refused it.")
    return batch


def _paused_batch() -> Batch:
    batch = make_batch()
    _paused(batch)
    return batch


def _waived(finding: Finding) -> None:
    Finding.objects.filter(pk=finding.pk).update(waived_at=NOON, waived_reason="known")


def _event() -> Event:
    return make_event(make_connection(make_workspace()))


def _chosen_event() -> Event:
    event = _event()
    make_choice(event.occurrence)
    return event


BATCH = "migrations_app_batch_"
ACTS = [
    Act(BATCH + "goal", make_batch, {"step": "preflight"}, _closed, "closed"),
    Act(BATCH + "cut_line", make_batch, {"at": "2026-11-24 06:00"}, _closed, "closed"),
    Act(BATCH + "pause", make_batch, {"reason": "lunch"}, _paused, "changed this batch"),
    Act(BATCH + "resume", _paused_batch, {}, lambda batch: _paused(batch, False), "changed this batch"),
    Act(BATCH + "go_back", make_batch, {}, _closed, "closed"),
    Act(BATCH + "retry_failed", _batch_that_failed, {}, _closed, "closed"),
    Act(
        BATCH + "numbers",
        make_batch,
        {"soak": "2 00:00:00", "canary_wait": "00:30:00", "drivers": "2"},
        _closed,
        "closed",
    ),
    Act(
        "migrations_app_finding_waive",
        lambda: make_finding(make_batch(), severity=Severity.BLOCKING),
        {"reason": "agreed with the customer"},
        _waived,
        "already waived",
    ),
]
CHOICE = {"reason": "the client asked"}
ALL = [
    Act("calendars_event_record", _event, CHOICE),
    Act("calendars_event_do_not_record", _event, CHOICE),
    Act("calendars_event_as_the_policy_says", _chosen_event),
    *ACTS,
    Act("calendars_apikey_test_connection", lambda: make_key(make_workspace())),
    Act("calendars_delivery_try_again", lambda: make_delivery(make_endpoint(make_workspace()))),
]
each = pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
every = pytest.mark.parametrize("act", ALL, ids=lambda act: act.name)


def _rows() -> list[Any]:
    """Everything that an act could change."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (Batch, Handover, Item, Finding, AuditEntry, ApiKey, Delivery, RecordingChoice, Calendar)  # type: ignore[attr-defined]
    ]


def _said(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@every
@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_an_act_is_refused_by_any_other_method_than_post(act: Act, method: str, chief: Client) -> None:
    subject = act.build()
    before = _rows()
    response = getattr(chief, method)(act.url(subject), act.data)
    assert response.status_code == 405
    assert _rows() == before


@every
def test_an_act_without_a_csrf_token_changes_nothing(act: Act) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff(superuser=True))
    subject = act.build()
    before = _rows()
    response = client.post(act.url(subject), act.data)
    assert response.status_code == 403
    assert "Nothing was done" in response.content.decode()
    assert _rows() == before


@every
def test_an_act_needs_the_permission_and_says_so(act: Act, looker: Client) -> None:
    subject = act.build()
    before = _rows()
    response = looker.post(act.url(subject), act.data)
    assert response.status_code == 403
    assert "that needs the permission to" in response.content.decode()
    assert _rows() == before


@every
def test_an_act_needs_a_login(act: Act, client: Client) -> None:
    subject = act.build()
    before = _rows()
    response = client.post(act.url(subject), act.data)
    assert response.status_code == 302
    assert "/login/" in response["Location"]
    assert _rows() == before


@each
def test_an_act_in_the_wrong_state_is_refused_with_a_sentence(act: Act, driver: Client) -> None:
    subject = act.build()
    act.wrong(subject)
    before = _rows()
    response = driver.post(act.url(subject), act.data)
    assert response.status_code == 302
    assert act.refusal in _said(response)
    assert _rows() == before


@each
def test_an_act_that_is_allowed_is_done_and_said_and_on_record(act: Act, driver: Client) -> None:
    subject = act.build()
    before = _rows()
    acts = AuditEntry.objects.count()
    response = driver.post(act.url(subject), act.data)
    assert response.status_code == 302
    assert _said(response)
    assert _rows() != before
    entry = AuditEntry.objects.order_by("pk").last()
    assert AuditEntry.objects.count() == acts + 1
    assert entry is not None
    assert entry.actor_name == "driver"


@pytest.mark.parametrize("act", [act for act in ACTS if "cut_line" not in act.name], ids=lambda act: act.name)
def test_a_double_click_acts_once(act: Act, driver: Client) -> None:
    subject = act.build()
    acts = AuditEntry.objects.count()
    for _ in range(2):
        response = driver.post(act.url(subject), act.data)
    assert response.status_code == 302
    assert _said(response), "the second press is answered with a sentence"
    assert AuditEntry.objects.count() == acts + 1


def test_an_act_on_a_row_that_is_gone_goes_back_to_the_start(driver: Client) -> None:
    response = driver.post(reverse("admin:migrations_app_batch_pause", args=[10**6]))
    assert response.status_code == 302
    assert "exist" in _said(response)


def test_delete_old_needs_the_name_to_the_letter(driver: Client) -> None:
    batch = make_batch("acme", goal=Step.HAND_OVER, step=Step.HAND_OVER)
    url = reverse("admin:migrations_app_batch_goal", args=[batch.pk])
    for confirm in ("", "Acme", "acme-eu"):
        response = driver.post(url, {"step": "delete_old", "confirm": confirm})
        assert "typ" in _said(response)
        batch.refresh_from_db()
        assert batch.goal == Step.HAND_OVER
    driver.post(url, {"step": "delete_old", "confirm": "acme"})
    batch.refresh_from_db()
    assert batch.goal == Step.DELETE_OLD
    assert batch.delete_confirmed_by is not None


@pytest.mark.parametrize("step", ["", "everything", "delete old", "1"])
def test_a_step_that_does_not_exist_is_refused(step: str, driver: Client) -> None:
    batch = make_batch()
    response = driver.post(reverse("admin:migrations_app_batch_goal", args=[batch.pk]), {"step": step})
    assert "There is no such step" in _said(response)
    batch.refresh_from_db()
    assert batch.goal == ""


@pytest.mark.parametrize("at", ["", "tomorrow", "2026-13-01 00:00", "10:00"])
def test_a_cut_line_that_is_no_time_is_refused(at: str, driver: Client) -> None:
    batch = make_batch()
    response = driver.post(reverse("admin:migrations_app_batch_cut_line", args=[batch.pk]), {"at": at})
    assert "year-month-day" in _said(response)
    assert Handover.objects.get(pk=batch.handover_id).cut_line is None


@pytest.mark.parametrize(
    "wrong", [{"soak": "soon"}, {"soak": "-1 00:00:00"}, {"drivers": "0"}, {"drivers": "many"}, {"canary_wait": ""}]
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, str], driver: Client) -> None:
    batch = make_batch()
    data = {"soak": "2 00:00:00", "canary_wait": "00:30:00", "drivers": "2", **wrong}
    response = driver.post(reverse("admin:migrations_app_batch_numbers", args=[batch.pk]), data)
    assert _said(response)
    before, after = batch, Batch.objects.get(pk=batch.pk)
    assert (after.soak, after.canary_wait, after.drivers) == (before.soak, before.canary_wait, before.drivers)


def test_waiving_needs_a_reason(driver: Client) -> None:
    finding = make_finding(make_batch(), severity=Severity.BLOCKING)
    response = driver.post(reverse("admin:migrations_app_finding_waive", args=[finding.pk]), {"reason": "  "})
    assert "Say in a few words" in _said(response)
    finding.refresh_from_db()
    assert finding.waived_at is None


def test_the_way_back_stays_on_this_site(driver: Client) -> None:
    batch = make_batch()
    url = reverse("admin:migrations_app_batch_pause", args=[batch.pk])
    response = driver.post(url, {"next": "https://evil.example/"})
    assert response["Location"] == reverse("admin:migrations_app_batch_change", args=[batch.pk])


def test_retry_failed_of_the_items_list_walks_only_the_failed_ones_chosen(driver: Client) -> None:
    batch = make_batch()
    failed, other = (make_item(batch, status=ItemStatus.FAILED, reason="no") for _ in range(2))
    done = make_item(batch, status=ItemStatus.DONE)
    url = reverse("admin:migrations_app_item_changelist")
    response = driver.post(url, {"action": "retry_failed", "_selected_action": [failed.pk, done.pk]})
    assert "1 item(s) will be tried again" in _said(response)
    status = dict(Item.objects.values_list("pk", "status"))
    assert status == {failed.pk: ItemStatus.READY, other.pk: ItemStatus.FAILED, done.pk: ItemStatus.DONE}


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
