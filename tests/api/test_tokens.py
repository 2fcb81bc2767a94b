"""Who is let in, and what stays of a token."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from calendars.models import ApiToken, AuditEntry, Scope
from recallops import clock
from recallops.redaction import redact
from tests.admin import builders as make
from tests.admin.pressing import press
from tests.api.conftest import client_of

pytestmark = pytest.mark.django_db

ADDRESSES = {
    Scope.IDS: "/api/v1/ids/",
    Scope.OWNERSHIP: "/api/v1/ownership/?event=x",
    Scope.CALENDARS: "/api/v1/calendars/",
    Scope.BATCHES: "/api/v1/batches/",
}


@pytest.fixture
def moment() -> Iterator[clock.ManualClock]:
    found = clock.ManualClock(make.NOON)
    with clock.use(found):
        yield found


@pytest.fixture
def chief() -> Client:
    client = Client()
    client.force_login(make.make_staff("chief", superuser=True))
    return client


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic dXNlcjpwYXNz", "Token rops_" + "a" * 43, "Bearer rops_" + "a" * 43],
)
def test_without_a_good_token_nothing_is_told(header: str) -> None:
    response = Client(headers={"Authorization": header} if header else {}).get("/api/v1/ids/")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="RecallOps"'
    assert response.json()["detail"]


def test_what_cannot_be_a_token_costs_no_query_and_an_unknown_one_costs_one() -> None:
    for header, queries in (("", 0), ("Bearer nonsense", 0), ("Bearer rops_" + "a" * 43, 1)):
        with CaptureQueriesContext(connection) as captured:
            Client(headers={"Authorization": header}).get("/api/v1/ids/")
        assert len(captured) == queries


def test_a_login_to_the_admin_opens_nothing(chief: Client) -> None:
    assert chief.get("/api/v1/ids/").status_code == 401


def test_a_revoked_token_is_refused_at_once(app: Client) -> None:
    assert app.get("/api/v1/ids/").status_code == 200
    assert ApiToken.objects.get().revoke()
    response = app.get("/api/v1/ids/")
    assert (response.status_code, response.json()["code"]) == (401, "token_revoked")


def test_a_token_is_refused_once_its_time_is_over(moment: clock.ManualClock) -> None:
    _, secret = make.make_token(expires_at=moment.now() + timedelta(hours=1))
    assert client_of(secret).get("/api/v1/ids/").status_code == 200
    moment.advance(timedelta(hours=1))
    response = client_of(secret).get("/api/v1/ids/")
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")


@pytest.mark.parametrize("scope", Scope.values)
def test_each_address_wants_its_scope_and_names_it(scope: str, app_that_reads: Callable[..., Client]) -> None:
    others = app_that_reads(*(one for one in Scope.values if one != scope))
    response = others.get(ADDRESSES[Scope(scope)])
    assert response.status_code == 403
    assert scope in response.json()["detail"]
    assert app_that_reads(scope).get(ADDRESSES[Scope(scope)]).status_code in (200, 404)


def test_only_a_digest_of_a_token_is_stored() -> None:
    token, secret = make.make_token()
    assert re.fullmatch("rops_[A-Za-z0-9_-]{43}", secret)
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert token.prefix == secret[:11]
    with connection.cursor() as cursor:
        cursor.execute("SELECT calendars_apitoken::text FROM calendars_apitoken")
        row = cursor.fetchone()[0]
    assert secret not in row
    assert secret not in f"{token} {token!r} {redact(f'asked with {secret} just now')}"


def test_the_last_use_is_noted_once_a_minute(moment: clock.ManualClock) -> None:
    token, secret = make.make_token()
    app = client_of(secret)
    begun = moment.now()
    seen = []
    for seconds in (0, 59, 61):
        moment.at = begun + timedelta(seconds=seconds)
        app.get("/api/v1/ids/")
        token.refresh_from_db()
        seen.append(token.last_used_at)
    assert seen == [begun, begun, begun + timedelta(seconds=61)]


def test_a_token_is_shown_once_when_it_is_made(chief: Client) -> None:
    data = {"label": "billing", "scopes": ["ids:read", "batches:read"], "expires_at_0": "", "expires_at_1": ""}
    response = chief.post(reverse("admin:calendars_apitoken_add"), data)
    secret = re.search(r"rops_[\w-]{43}", response.content.decode())
    assert secret is not None
    assert "no-store" in response["Cache-Control"]
    token = ApiToken.objects.get()
    assert (token.label, token.scopes, token.prefix) == ("billing", data["scopes"], secret[0][:11])
    assert token.created_by is not None
    assert token.created_by.username == "chief"
    assert client_of(secret[0]).get("/api/v1/ids/").status_code == 200
    pages = [reverse("admin:calendars_apitoken_changelist"), reverse("admin:index")]
    pages += [reverse(f"admin:calendars_apitoken_{page}", args=[token.pk]) for page in ("change", "history")]
    for page in pages:
        text = chief.get(page).content.decode()
        assert secret[0] not in text
        assert token.digest not in text
    traces = [str(vars(row)) for row in (*AuditEntry.objects.all(), *LogEntry.objects.all())]
    assert [entry.action for entry in AuditEntry.objects.all()] == ["apitoken.add"]
    assert not any(secret[0] in trace or token.digest in trace for trace in traces)


def test_the_form_offers_the_scopes_to_whoever_may_add_tokens(chief: Client) -> None:
    url = reverse("admin:calendars_apitoken_add")
    page = chief.get(url).content.decode()
    assert re.findall(r'name="scopes" value="([^"]+)"', page) == Scope.values
    looker = Client()
    looker.force_login(make.make_staff(permissions=("calendars.view_apitoken", "calendars.change_apitoken")))
    assert looker.get(url).status_code == 403
    assert looker.post(url, {"label": "x", "scopes": ["ids:read"]}).status_code == 403
    assert not ApiToken.objects.exists()


def test_a_token_that_would_be_over_or_read_nothing_is_not_made(chief: Client) -> None:
    url = reverse("admin:calendars_apitoken_add")
    over = {"label": "x", "scopes": ["ids:read"], "expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}
    assert "This moment is over" in chief.post(url, over).content.decode()
    assert chief.post(url, {"label": "x"}).status_code == 200
    assert not ApiToken.objects.exists()


def test_revoking_is_a_post_by_whoever_may_and_stays_on_record(chief: Client) -> None:
    token, _ = make.make_token()
    url = reverse("admin:calendars_apitoken_revoke", args=[token.pk])
    looker = Client()
    looker.force_login(make.make_staff(permissions=("calendars.view_apitoken",)))
    page = reverse("admin:calendars_apitoken_change", args=[token.pk])
    assert url not in looker.get(page).content.decode()
    assert url in chief.get(page).content.decode()
    assert chief.get(url).status_code == 405
    assert looker.post(url).status_code == 403
    assert not AuditEntry.objects.exists()
    for _ in range(2):
        press(chief, token, "revoke")
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert [entry.action for entry in AuditEntry.objects.all()] == ["apitoken.revoke"]


def test_nobody_changes_or_deletes_a_token(chief: Client) -> None:
    token, _ = make.make_token()
    for page in ("change", "delete"):
        assert (
            chief.post(reverse(f"admin:calendars_apitoken_{page}", args=[token.pk]), {"label": "y"}).status_code == 403
        )
    token.refresh_from_db()
    assert token.label == "app"
