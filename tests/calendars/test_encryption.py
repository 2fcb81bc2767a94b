"""Secrets at rest: sealed in the database, never shown, and re-encrypted when keys rotate."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from calendars.management.commands import reencrypt
from calendars.models import ApiKey, Bot, Calendar, Connection, Customer, OAuthClient, Region, Workspace
from recallops import clock
from recallops.encryption import UndecipherableSecretError, box

OLD, NEW, OTHER = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n", b"x"))
SECRET = "canary-7c1f-api-key-of-a-workspace"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def old_key(settings: Any) -> None:
    """An installation that has one key."""
    settings.ENCRYPTION_KEYS = [OLD]


@pytest.fixture
def workspace() -> Workspace:
    region, _ = Region.objects.get_or_create(
        provider="recall", code="us-west-2", defaults={"label": "US", "base_url": "https://us-west-2.recall.ai"}
    )
    return Workspace.objects.create(slug="us", name="US", region=region)


@pytest.fixture
def key(workspace: Workspace) -> ApiKey:
    return ApiKey.objects.create(workspace=workspace, secret=SECRET)


def stored(table: str = "calendars_apikey", column: str = "secret") -> list[str]:
    """What stands in the database, as somebody with a dump sees it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} ORDER BY id")  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


def reencrypted(*arguments: str) -> str:
    out = io.StringIO()
    call_command("reencrypt", *arguments, stdout=out)
    return out.getvalue()


# -- at rest


def test_the_database_holds_the_secret_sealed_only(key: ApiKey) -> None:
    (sealed,) = stored()
    assert SECRET not in sealed
    assert Fernet(OLD).decrypt(sealed).decode() == SECRET
    assert ApiKey.objects.get().secret == SECRET


def test_two_equal_secrets_look_different(key: ApiKey) -> None:
    ApiKey.objects.create(
        workspace=Workspace.objects.create(slug="eu", name="EU", region=key.workspace.region), secret=SECRET
    )
    first, second = stored()
    assert first != second


def test_no_secret_shows_in_repr_or_text(key: ApiKey) -> None:
    client = OAuthClient.objects.create(platform="google_calendar", client_id="id", client_secret=SECRET)
    held = Connection(
        calendar=Calendar(email="ann@example.com", customer=Customer()), workspace=key.workspace, refresh_token=SECRET
    )
    shown = [f(one) for one in (key, client, held) for f in (repr, str)]
    assert not [text for text in shown if SECRET in text]
    assert key.last4 == SECRET[-4:]  # what staff may see


def test_a_short_secret_shows_nothing_of_itself(workspace: Workspace) -> None:
    key = ApiKey.objects.create(workspace=workspace, secret="short-key")
    assert key.last4 == ""
    assert "-key" not in str(key)


def test_comparing_a_secret_in_the_database_is_refused(key: ApiKey) -> None:
    for lookup in ("secret", "secret__contains", "secret__startswith", "secret__in", "secret__regex"):
        value = [SECRET] if lookup.endswith("__in") else SECRET
        with pytest.raises(FieldError) as refused:
            ApiKey.objects.filter(**{lookup: value}).exists()
        assert SECRET not in str(refused.value)


def test_whether_there_is_a_secret_can_be_asked(key: ApiKey) -> None:
    OAuthClient.objects.create(platform="google_calendar", client_id="with", client_secret=SECRET)
    OAuthClient.objects.create(platform="google_calendar", client_id="without")
    assert [one.client_id for one in OAuthClient.objects.exclude(client_secret="")] == ["with"]
    assert stored("calendars_oauthclient", "certificate") == ["", ""]


def test_a_wrong_key_is_no_empty_secret(key: ApiKey, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OTHER]
    with pytest.raises(UndecipherableSecretError) as error:
        ApiKey.objects.get()
    assert "calendars.ApiKey.secret" in str(error.value)
    assert SECRET not in str(error.value)


def test_no_key_and_a_bad_key_are_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="ENCRYPTION_KEYS is empty"):
        box([])
    with pytest.raises(ImproperlyConfigured, match="not a Fernet key") as error:
        box(["no-key-at-all"])
    assert "no-key-at-all" not in str(error.value)


# -- rotation


def test_a_rotation_leaves_nothing_under_the_old_key(key: ApiKey, settings: Any) -> None:
    OAuthClient.objects.create(platform="google_calendar", client_id="id", client_secret=SECRET, private_key="pem")
    Bot.objects.create(
        workspace=key.workspace, remote_id="b", config={"url": "wss://x/?token=1"}, read_begun_at=clock.now()
    )
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert ApiKey.objects.get().secret == SECRET  # no stop: both keys open
    said = reencrypted()
    assert "calendars.ApiKey.secret: 1 encrypted anew, 0 under the first key already" in said
    assert "calendars.OAuthClient.certificate: 0 encrypted anew, 0 under" in said
    assert SECRET not in said
    settings.ENCRYPTION_KEYS = [NEW]
    assert ApiKey.objects.get().secret == SECRET
    client = OAuthClient.objects.get()
    assert (client.client_secret, client.certificate, client.private_key) == (SECRET, "", "pem")
    assert Bot.objects.get().config == {"url": "wss://x/?token=1"}
    assert "calendars.ApiKey.secret: 0 encrypted anew, 1 under the first key already" in reencrypted()


def test_every_encrypted_column_of_the_project_takes_part() -> None:
    found = {f"{model._meta.object_name}.{name}" for model, name in reencrypt.columns()}
    assert {
        "ApiKey.secret",
        "OAuthClient.client_secret",
        "OAuthClient.certificate",
        "OAuthClient.private_key",
        "Connection.oauth_client_secret",
        "Connection.refresh_token",
    } <= found


def test_a_dry_run_counts_and_changes_nothing(key: ApiKey, settings: Any) -> None:
    before = stored()
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert "calendars.ApiKey.secret: 1 under another key, 0 under the first key already" in reencrypted("--dry-run")
    assert stored() == before


def test_what_no_key_opens_is_named_and_all_others_are_done(workspace: Workspace, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OTHER]
    lost = ApiKey.objects.create(workspace=workspace, secret="under a key that is lost")
    settings.ENCRYPTION_KEYS = [OLD]
    ApiKey.objects.create(workspace=workspace, secret=SECRET)
    before = stored()[0]
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError) as error:
        reencrypted()
    assert f"opens 1 value(s): calendars.ApiKey.secret of row {lost.pk}." in str(error.value)
    assert stored()[0] == before
    assert Fernet(NEW).decrypt(stored()[1]).decode() == SECRET


def test_a_value_that_somebody_changes_meanwhile_is_not_overwritten(key: ApiKey, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    (stale,) = stored()
    ApiKey.objects.filter(pk=key.pk).update(secret="a newer secret")
    renewed = box().rotate(stale).decode()
    assert reencrypt._replace(ApiKey, "secret", [(key.pk, stale, renewed)]) == set()
    assert ApiKey.objects.get().secret == "a newer secret"


def test_a_value_changed_between_reading_and_writing_is_read_again(key: ApiKey, settings: Any) -> None:
    (stale,) = stored()
    ApiKey.objects.filter(pk=key.pk).update(secret="a newer secret")  # by a process that has the old key only
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    tally = reencrypt.Tally()
    reencrypt._renew_chunk(ApiKey, "secret", [(key.pk, stale)], tally, dry_run=False)
    assert (tally.renewed, tally.busy) == (1, 0)
    assert Fernet(NEW).decrypt(stored()[0]).decode() == "a newer secret"


def test_many_rows_are_renewed_in_chunks(workspace: Workspace, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencrypt, "CHUNK", 10)
    for number in range(35):
        ApiKey.objects.create(workspace=workspace, secret=f"{SECRET}-{number}")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert "calendars.ApiKey.secret: 35 encrypted anew" in reencrypted()
    settings.ENCRYPTION_KEYS = [NEW]
    assert [one.secret for one in ApiKey.objects.order_by("pk")] == [f"{SECRET}-{number}" for number in range(35)]
