"""Secrets go in and never come out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calendars.models import ApiKey, AuditEntry, OAuthClient
from recallops.encryption import fingerprint
from tests.admin import builders as make

pytestmark = pytest.mark.django_db

KEY = "sk-recall-do-not-show-me-7421"
SECRETS = {
    "api key": KEY,
    "oauth secret of a calendar": "calendar-oauth-secret-8812",
    "refresh token": "refresh-token-9937",
    "client secret": "client-secret-1043",
    "certificate": "-----BEGIN CERTIFICATE----- 5521",
    "private key": "-----BEGIN PRIVATE KEY----- 6630",
    "token in a webhook's address": "webhook-token-7788",
    "token in a bot's configuration": "realtime-token-3344",
    "webhook secret": "d2ViaG9vay1zZWNyZXQtb2YtdGhpcy13b3Jrc3BhY2U",
    "secret of the application": "YXBwbGljYXRpb24tc2VjcmV0LW9mLWl0cy1vd24tMDE",
    "token in the application's address": "relay-token-4451",
    "token in a chat tool's address": "chat-token-5562",
}


@pytest.fixture
def sealed() -> dict[str, Any]:
    batch = make.make_batch()
    key = make.make_key(batch.source, KEY)
    connection = make.make_connection(
        batch.source,
        oauth_client_secret=SECRETS["oauth secret of a calendar"],
        refresh_token=SECRETS["refresh token"],
        webhook_url="https://hooks.example/in?token=webhook-token-7788",
    )
    config = {"bot_name": "Recorder", "realtime": {"url": "wss://x.example/?token=realtime-token-3344"}}
    assignment = make.make_assignment(batch.source, calendars=(connection.calendar,), bot_config=config)
    bot = make.make_bot(batch.source, config=config)
    client = OAuthClient.objects.create(
        platform="google_calendar",
        client_id="client",
        client_secret=SECRETS["client secret"],
        certificate=SECRETS["certificate"],
        private_key=SECRETS["private key"],
    )
    event = make.make_event(connection)
    item = make.make_item(batch, connection=connection)
    intent = make.make_intent(batch.source, connection=connection)
    endpoint = make.make_endpoint(batch.source)
    signing = make.make_webhook_secret(batch.source, "whsec_" + SECRETS["webhook secret"], endpoint=endpoint)
    delivery, refusal = make.make_delivery(endpoint), make.make_refusal(endpoint)
    rows = [batch, batch.source, key, connection, connection.calendar, client, event, item, intent, assignment, bot]
    token = SECRETS["token in the application's address"]
    application = make.make_application(url=f"https://hooks.example/in?k={token}", workspaces=(batch.source,))
    passing = make.make_application_secret(application, "whsec_" + SECRETS["secret of the application"])
    relayed = make.make_relayed(application, delivery)
    make.make_try(relayed, answer="There is nothing at /in?k=relay-token-4451 (relay-token-4451)")
    rows += [application, passing, relayed, make.make_share_group(batch, items=(item,))]
    profile = make.make_profile(
        config={
            **config,
            "zoom": {"zak_token": SECRETS["refresh token"]},
            "recording_config": {"realtime_endpoints": [{"url": "https://u:client-secret-1043@x.example/in"}]},
        }
    )
    policy = make.make_policy(connection.calendar, bot_profile=profile)
    rows += [endpoint, signing, delivery, refusal, profile, policy, make.make_choice(event.occurrence)]
    channel = make.make_channel(url="https://hooks.example/services/T1/chat-token-5562")
    make.make_alert(batch, channel=channel)
    rows += [channel, make.make_message(batch), make.make_report_key()]
    return {f"{row._meta.app_label}_{row._meta.model_name}": row for row in rows}


def test_no_page_holds_a_secret(sealed: dict[str, Any], chief: Client) -> None:
    for name, row in sealed.items():
        for url in (
            reverse(f"admin:{name}_changelist"),
            reverse(f"admin:{name}_change", args=[row.pk]),
            reverse(f"admin:{name}_history", args=[row.pk]),
        ):
            page = chief.get(url).content.decode()
            assert page
            shown = [what for what, secret in SECRETS.items() if secret in page]
            assert shown == [], f"{url} shows {shown}"


def test_the_report_and_its_file_hold_no_secret(sealed: dict[str, Any], chief: Client) -> None:
    batch = sealed["migrations_app_batch"]
    page = chief.get(reverse("admin:migrations_app_batch_report", args=[batch.pk])).content.decode()
    file = chief.get(reverse("admin:migrations_app_batch_report_json", args=[batch.pk]))
    text = page + b"".join(file.streaming_content).decode()  # type: ignore[attr-defined]
    assert [what for what, secret in SECRETS.items() if secret in text] == []


def test_a_rejected_form_does_not_send_the_secret_back(chief: Client) -> None:
    url = reverse("admin:calendars_apikey_add")
    response = chief.post(url, {"workspace": "", "label": "", "new_secret": KEY})
    assert response.status_code == 200
    assert KEY not in response.content.decode()
    url = reverse("admin:calendars_oauthclient_add")
    response = chief.post(url, {"platform": "", "client_id": "", "new_private_key": SECRETS["private key"]})
    assert response.status_code == 200
    assert SECRETS["private key"] not in response.content.decode()
    url = reverse("admin:calendars_webhooksecret_add")
    response = chief.post(url, {"workspace": "", "label": "", "new_secret": SECRETS["webhook secret"]})
    assert response.status_code == 200
    assert SECRETS["webhook secret"] not in response.content.decode()
    url = reverse("admin:calendars_applicationsecret_add")
    response = chief.post(url, {"application": "", "label": "", "new_secret": SECRETS["secret of the application"]})
    assert response.status_code == 200
    assert SECRETS["secret of the application"] not in response.content.decode()
    token = SECRETS["token in the application's address"]
    url = reverse("admin:calendars_application_add")
    response = chief.post(url, {"slug": "", "new_url": f"https://hooks.example/in?k={token}"})
    assert response.status_code == 200
    assert token not in response.content.decode()


def test_people_connect_again_only_by_a_client_whose_secret_is_stored(chief: Client, settings: Any) -> None:
    settings.SITE_URL = "https://recallops.example.com"
    url = reverse("admin:calendars_oauthclient_add")
    data = {"platform": "microsoft_outlook", "client_id": "ours", "reconnects": "on"}
    assert "Give the client&#x27;s secret first" in chief.post(url, data).content.decode()
    half = {**data, "new_certificate": "a certificate, and no key"}
    assert "Give the client&#x27;s secret first" in chief.post(url, half).content.decode()
    assert not OAuthClient.objects.exists()
    chief.post(url, {**half, "new_private_key": "the key"})
    client = OAuthClient.objects.get()
    assert client.reconnects
    page = chief.get(reverse("admin:calendars_oauthclient_change", args=[client.pk])).content.decode()
    assert "https://recallops.example.com/status/back/" in page


def test_a_key_is_added_with_its_last_four_and_its_fingerprint(chief: Client) -> None:
    workspace = make.make_workspace()
    data = {"workspace": workspace.pk, "label": "new", "new_secret": f" {KEY} ", "enabled": "on"}
    chief.post(reverse("admin:calendars_apikey_add"), data)
    key = ApiKey.objects.get(workspace=workspace)
    assert (key.secret, key.last4, key.fingerprint) == (KEY, "7421", fingerprint(KEY))


def test_a_key_without_a_secret_is_refused(chief: Client) -> None:
    workspace = make.make_workspace()
    page = chief.post(reverse("admin:calendars_apikey_add"), {"workspace": workspace.pk, "label": "new"})
    assert "Give the key." in page.content.decode()
    assert not ApiKey.objects.exists()


def test_the_same_key_twice_is_refused_with_its_fingerprint(chief: Client) -> None:
    key = make.make_key(make.make_workspace(), KEY)
    data = {"workspace": key.workspace_id, "label": "again", "new_secret": KEY}
    page = chief.post(reverse("admin:calendars_apikey_add"), data).content.decode()
    assert f"has this key already (fingerprint {key.fingerprint})" in page
    assert ApiKey.objects.count() == 1


def test_an_empty_field_keeps_the_key_and_its_test(chief: Client) -> None:
    key = make.make_key(make.make_workspace(), KEY)
    ApiKey.objects.filter(pk=key.pk).update(tested_at=make.NOON, test_result="The key opens it.")
    url = reverse("admin:calendars_apikey_change", args=[key.pk])
    chief.post(url, {"workspace": key.workspace_id, "label": "renamed", "new_secret": ""})
    key.refresh_from_db()
    assert (key.label, key.secret, key.test_result, key.enabled) == ("renamed", KEY, "The key opens it.", False)


def test_a_new_secret_forgets_the_test_of_the_old_one(chief: Client) -> None:
    key = make.make_key(make.make_workspace(), KEY)
    ApiKey.objects.filter(pk=key.pk).update(tested_at=make.NOON, test_result="The key opens it.")
    url = reverse("admin:calendars_apikey_change", args=[key.pk])
    chief.post(url, {"workspace": key.workspace_id, "label": "key", "new_secret": "another-key-of-recall-5555"})
    key.refresh_from_db()
    assert (key.secret, key.last4, key.test_result) == ("another-key-of-recall-5555", "5555", "")


def test_an_oauth_client_keeps_the_secrets_that_are_left_empty(sealed: dict[str, Any], chief: Client) -> None:
    client = sealed["calendars_oauthclient"]
    url = reverse("admin:calendars_oauthclient_change", args=[client.pk])
    data = {"platform": "google_calendar", "client_id": "client", "new_client_secret": "fresh"}
    assert chief.post(url, data).status_code == 302
    client.refresh_from_db()
    assert client.client_secret == "fresh"
    assert client.private_key == SECRETS["private key"]


def test_the_record_of_a_change_names_fields_and_no_values(chief: Client) -> None:
    key = make.make_key(make.make_workspace(), KEY)
    url = reverse("admin:calendars_apikey_change", args=[key.pk])
    chief.post(url, {"workspace": key.workspace_id, "label": "renamed", "new_secret": "another-key-of-recall-5555"})
    entry = AuditEntry.objects.get(action="apikey.change")
    assert entry.actor_name == "chief"
    assert "another-key" not in str(entry.data)
    assert "fields" in entry.data
