"""What staff see and do about webhooks."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from calendars.models import AuditEntry, Delivery, WebhookEndpoint, WebhookRefusal, WebhookSecret
from calendars.webhooks.advice import WHAT_TO_DO
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press

pytestmark = pytest.mark.django_db

Cause = WebhookRefusal.Cause
SECRET = "whsec_d2ViaG9vay1zZWNyZXQtb2YtdGhpcy13b3Jrc3BhY2U="


def text_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def page_of(row: Any) -> str:
    return reverse(f"admin:calendars_{row._meta.model_name}_change", args=[row.pk])


# -- endpoints


def test_an_endpoint_is_made_and_shows_the_address_to_paste(chief: Client) -> None:
    workspace = make.make_workspace(region=make.make_region("eu-central-1"))
    data = {"workspace": workspace.pk, "label": "main", "enabled": "on"}
    assert chief.post(reverse("admin:calendars_webhookendpoint_add"), data).status_code == 302
    endpoint = WebhookEndpoint.objects.get()
    page = text_of(chief, page_of(endpoint))
    assert f"<code>http://testserver/webhooks/recall/{endpoint.token}/?region=eu-central-1</code>" in page
    assert "In the vendor&#x27;s dashboard of eu-central-1" in page
    assert "There is no secret yet" in page


def test_the_address_is_one_that_answers(chief: Client, client: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    found = re.search(r"<code>http://testserver([^<]+)</code>", text_of(chief, page_of(endpoint)))
    assert found is not None
    assert client.post(found.group(1)).status_code == 401, "it is there, and asks for a signature"


def test_an_endpoint_shows_the_refusals_of_a_week_and_what_to_do(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    for days in (0, 1, 6):
        detail = "It is signed with the secret of acme-eu."
        make.make_refusal(endpoint, days_ago=days, cause=Cause.OTHER_WORKSPACE, count=7, detail=detail)
    make.make_refusal(endpoint, days_ago=7, cause=Cause.ALTERED, count=90)
    make.make_refusal(make.make_endpoint(endpoint.workspace), cause=Cause.MIXED, count=90)
    page = text_of(chief, page_of(endpoint))
    assert "<td>21</td>" in page
    assert "It is signed with the secret of acme-eu." in page
    assert escape(WHAT_TO_DO[Cause.OTHER_WORKSPACE]) in page
    assert escape(WHAT_TO_DO[Cause.ALTERED]) not in page, "too long ago"
    assert escape(WHAT_TO_DO[Cause.MIXED]) not in page, "another endpoint"
    listed = text_of(chief, reverse("admin:calendars_webhookendpoint_changelist"))
    assert "21" in re.findall(r'ro-danger">([^<]*)<', listed)


def test_an_endpoint_shows_its_secrets_by_what_may_be_seen(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    secret = make.make_webhook_secret(endpoint.workspace, SECRET, last_used_at=make.NOON)
    other = make.make_webhook_secret(endpoint.workspace, endpoint=make.make_endpoint(endpoint.workspace))
    page = text_of(chief, page_of(endpoint))
    assert secret.last4 in page
    assert secret.fingerprint in page
    assert "2026-11-23 12:00:00" in page
    assert other.fingerprint not in page, "it opens another endpoint"


@pytest.mark.parametrize("cause", Cause)
def test_every_refusal_says_what_to_do(chief: Client, cause: Cause) -> None:
    refusal = make.make_refusal(make.make_endpoint(make.make_workspace()), cause=cause)
    assert escape(WHAT_TO_DO[cause]) in text_of(chief, page_of(refusal))


# -- secrets


def test_a_secret_is_added_with_its_last_four_and_its_fingerprint(chief: Client) -> None:
    workspace = make.make_workspace()
    data = {"workspace": workspace.pk, "label": "new", "new_secret": f" {SECRET} ", "enabled": "on"}
    chief.post(reverse("admin:calendars_webhooksecret_add"), data)
    row = WebhookSecret.objects.get()
    assert (row.secret, row.last4, row.enabled) == (SECRET, SECRET[-4:], True)
    assert AuditEntry.objects.get(action="webhooksecret.add").subject_id == row.pk


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "Give the secret."),
        ("whsec_", "This secret is empty"),
        ("whsec_short", "This is no signing secret"),
        ("whsec_c2hvcnQ=", "this one has 5"),
        ("sk_live_no_signing_secret", "This is no signing secret"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_with_a_sentence(chief: Client, secret: str, says: str) -> None:
    data = {"workspace": make.make_workspace().pk, "label": "new", "new_secret": secret}
    page = chief.post(reverse("admin:calendars_webhooksecret_add"), data).content.decode()
    assert says in page
    assert not WebhookSecret.objects.exists()


def test_the_same_secret_twice_is_refused_with_its_fingerprint(chief: Client) -> None:
    row = make.make_webhook_secret(make.make_workspace(), SECRET)
    data = {"workspace": row.workspace_id, "label": "again", "new_secret": SECRET}
    page = chief.post(reverse("admin:calendars_webhooksecret_add"), data).content.decode()
    assert f"has this secret already (fingerprint {row.fingerprint})" in page


def test_a_secret_belongs_to_an_endpoint_of_its_own_workspace(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    data = {"workspace": make.make_workspace().pk, "endpoint": endpoint.pk, "label": "new", "new_secret": SECRET}
    page = chief.post(reverse("admin:calendars_webhooksecret_add"), data).content.decode()
    assert "This endpoint belongs to another workspace." in page


def test_an_empty_field_keeps_the_secret_and_switches_it_off(chief: Client) -> None:
    row = make.make_webhook_secret(make.make_workspace(), SECRET, last_used_at=make.NOON)
    chief.post(page_of(row), {"workspace": row.workspace_id, "label": "old", "new_secret": ""})
    row.refresh_from_db()
    assert (row.label, row.secret, row.enabled, row.last_used_at) == ("old", SECRET, False, make.NOON)


# -- deliveries


def test_a_delivery_shows_its_body_with_what_cannot_be_seen_as_escapes(chief: Client) -> None:
    body = b'{"event":\n "\xff\x00\xe2\x80\xae"}' + b"x" * 30_000
    page = text_of(chief, page_of(make.make_delivery(make.make_endpoint(make.make_workspace()), body=body)))
    assert "{&quot;event&quot;: &quot;\\xff\\x00\\u202e&quot;}xxx" in page
    assert "bytes more" in page
    assert len(page) < 100_000


def test_a_delivery_from_an_address_with_another_region_says_so(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace(region=make.make_region("us-west-2")))
    page = text_of(chief, page_of(make.make_delivery(endpoint, region="eu-central-1")))
    assert "The workspace is in us-west-2." in page
    page = text_of(chief, page_of(make.make_delivery(endpoint, region="us-west-2")))
    assert "The workspace is in us-west-2." not in page


def test_try_again_lets_it_wait_again_and_is_on_record(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    row = make.make_delivery(endpoint, state=Delivery.State.FAILED, reason="broke", handled_at=make.NOON)
    for _ in range(2):
        assert press(chief, row, "try_again").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.reason, row.handled_at) == ("received", "", None)
    assert AuditEntry.objects.filter(action="delivery.again", subject_id=row.pk).count() == 1


def test_several_are_tried_again_at_once(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    rows = [make.make_delivery(endpoint, state=Delivery.State.FAILED) for _ in range(3)]
    data = {"action": "try_these_again", "_selected_action": [row.pk for row in rows[:2]]}
    chief.post(reverse("admin:calendars_delivery_changelist"), data)
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == ["received", "received", "failed"]


def test_who_may_only_look_tries_nothing_again(looker: Client) -> None:
    row = make.make_delivery(make.make_endpoint(make.make_workspace()), state=Delivery.State.FAILED)
    assert looker.post(reverse("admin:calendars_delivery_try_again", args=[row.pk])).status_code == 403
    data = {"action": "try_these_again", "_selected_action": [row.pk]}
    looker.post(reverse("admin:calendars_delivery_changelist"), data)
    assert Delivery.objects.get().state == "failed"
    assert "needs the permission to change deliveries" in text_of(looker, page_of(row))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=msg_abc", ["msg_abcdef"]),
        ("q=calendar-", ["msg_abcdef"]),
        ("q=abc", []),
        ("state__exact=failed", ["msg_abcdef"]),
        ("event=calendar.update", ["msg_abcdef"]),
        ("event=bot.", ["msg_other"]),
    ],
)
def test_deliveries_are_found_by_id_subject_state_and_event(chief: Client, query: str, found: list[str]) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    make.make_delivery(endpoint, delivery_id="msg_other")
    fields = {"event": "calendar.update", "subject": "calendar-1", "state": Delivery.State.FAILED}
    make.make_delivery(endpoint, delivery_id="msg_abcdef", **fields)
    response = chief.get(reverse("admin:calendars_delivery_changelist") + f"?{query}")
    assert [row.delivery_id for row in response.context["cl"].result_list] == found


def test_what_came_is_neither_added_nor_changed_nor_deleted(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    for row in (make.make_delivery(endpoint), make.make_refusal(endpoint)):
        name = row._meta.model_name
        assert chief.get(reverse(f"admin:calendars_{name}_add")).status_code == 403
        assert chief.post(page_of(row), {"reason": "x"}).status_code == 403
        assert chief.post(reverse(f"admin:calendars_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_refusals_are_listed_newest_day_first(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    for days in (2, 0, 1):
        make.make_refusal(endpoint, days_ago=days)
    response = chief.get(reverse("admin:calendars_webhookrefusal_changelist"))
    days = [row.day for row in response.context["cl"].result_list]
    assert days == [clock.now().date() - timedelta(days=number) for number in range(3)]
