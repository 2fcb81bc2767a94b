"""The identity provider: a person allows a client on a page, the client gets tokens, nobody else gets anything."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from recallops.clock import ManualClock
from recallops.sandbox.control import Control
from recallops.sandbox.identity_tokens import CODE_LIFETIME, TOKEN_LIFETIME
from recallops.sandbox.meetings import GOOGLE, OUTLOOK, OAuthClient
from recallops.sandbox.messages import Request
from recallops.sandbox.server import Doors
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.world import World
from tests.sandbox.conftest import CLIENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox.conftest import Stage

BACK = "https://ops.example/reconnect/done"
VERIFIER = "v" * 20 + "-._~" + "0" * 20
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
HOSTILE = '"><script>alert(1)</script>&amp;\r\nSet-Cookie: a=b {x} %0d é'
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
EVENTS = "https://www.googleapis.com/auth/calendar.events.readonly"
BOTH = pytest.mark.parametrize("service", ["google", "microsoft"])


class Visit:
    """A client that sends people to the provider, and the people who press its buttons."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http = httpx.Client(transport=SandboxTransport(world), base_url=world.identity.base_url)

    def asked(self, service: str, **more: str | None) -> dict[str, str]:
        google = service == "google"
        asked: dict[str, str | None] = {
            "client_id": CLIENT if google else "outlook-client",
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": f"openid email {EVENTS}" if google else "offline_access Calendars.Read",
            "state": "s1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **({"access_type": "offline", "prompt": "consent"} if google else {}),
            **more,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def page(self, service: str, **more: str | None) -> httpx.Response:
        return self.http.get(f"/{service}/authorize", params=self.asked(service, **more))

    def press(self, service: str, decision: str = "allow", email: str = "", **more: str | None) -> httpx.Response:
        email = email or ("alice@acme.example" if service == "google" else "olaf@acme.example")
        form = {"decision": decision, "email": email}
        return self.http.post(f"/{service}/authorize", params=self.asked(service, **more), data=form)

    def code(self, service: str, **more: str | None) -> str:
        return told(self.press(service, **more))["code"]

    def token(self, service: str, code: str, **more: str | None) -> httpx.Response:
        google = service == "google"
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": CLIENT if google else "outlook-client",
            "client_secret": "google-secret" if google else "outlook-secret",
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            **more,
        }
        sent = {name: value for name, value in form.items() if value is not None}
        return self.http.post(f"/{service}/token", data=sent)

    def allow(self, service: str, **more: str | None) -> dict[str, Any]:
        """Go the whole way; return the tokens."""
        answer = self.token(service, self.code(service, **more))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def account(self, service: str, token: str) -> httpx.Response:
        return self.http.get(f"/{service}/account", headers={"Authorization": f"Bearer {token}"})

    def revoke(self, token: str) -> httpx.Response:
        return self.http.post("/google/revoke", data={"token": token})


@pytest.fixture
def visit(stage: Stage) -> Visit:
    stage.world.add_redirect(BACK)
    return Visit(stage.world)


def told(answer: httpx.Response, back: str = BACK) -> dict[str, str]:
    """Return what the browser carries back to the client."""
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(back)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True))


def refused(answer: httpx.Response, status: int, error: str, number: int | None = None) -> None:
    """Check a refused token, in Google's shape or, with a number, in Microsoft's."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error)
    if number is not None:
        assert body["error_codes"] == [number]
        assert body["error_description"].startswith(f"AADSTS{number}: ")
        assert {"timestamp", "trace_id", "correlation_id"} <= set(body)


# --- the page ---------------------------------------------------------------------------------------------------------


@BOTH
def test_the_page_says_that_it_is_a_simulation_and_who_asks_for_what(visit: Visit, service: str) -> None:
    page = visit.page(service, login_hint="alice@acme.example")
    assert page.status_code == 200
    assert "simulation" in page.text
    for word in (visit.asked(service)["client_id"], *visit.asked(service)["scope"].split()):
        assert f"<code>{word}</code>" in page.text
    assert 'value="alice@acme.example"' in page.text
    assert '<label for="email">' in page.text


def test_the_page_can_run_no_script_and_is_not_kept(visit: Visit) -> None:
    page = visit.page("google")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy
    assert page.headers["Cache-Control"] == "no-store"


@BOTH
@pytest.mark.parametrize("place", ["login_hint", "state", "scope", "made_up"])
def test_what_strangers_write_into_the_address_is_shown_as_text(visit: Visit, service: str, place: str) -> None:
    page = visit.page(service, **{place: HOSTILE})
    assert "<script" not in page.text
    form = re.search('<form method="post" action="([^"]*)">', page.text)
    assert form is not None
    assert dict(parse_qsl(html.unescape(form[1]).lstrip("?"))) == visit.asked(service, **{place: HOSTILE})


@BOTH
def test_what_strangers_write_into_the_form_is_shown_as_text(visit: Visit, service: str) -> None:
    page = visit.press(service, email=HOSTILE)
    assert page.status_code == 200
    assert "<script" not in page.text


def test_a_hostile_state_comes_back_to_the_byte_and_forges_no_header(visit: Visit) -> None:
    answer = visit.press("google", state=HOSTILE)
    assert told(answer)["state"] == HOSTILE
    assert "set-cookie" not in answer.headers


@BOTH
def test_asking_changes_nothing(visit: Visit, service: str) -> None:
    visit.page(service)
    assert not visit.world.identity.tokens.codes
    assert not visit.world.grants


@pytest.mark.parametrize(("service", "word"), [("google", "redirect_uri_mismatch"), ("microsoft", "AADSTS50011")])
@pytest.mark.parametrize("uri", ["https://evil.example/", BACK + "/", BACK + "?x", "", None])
def test_nobody_is_led_to_an_address_that_the_client_has_not_registered(
    visit: Visit, service: str, word: str, uri: str | None
) -> None:
    for answer in (visit.page(service, redirect_uri=uri), visit.press(service, redirect_uri=uri)):
        assert (answer.status_code, word in answer.text) == (400, True)
        assert "Location" not in answer.headers


@pytest.mark.parametrize(("service", "word"), [("google", "invalid_client"), ("microsoft", "AADSTS700016")])
def test_an_unknown_client_gets_a_page_and_nobody_is_led_anywhere(visit: Visit, service: str, word: str) -> None:
    other = "outlook-client" if service == "google" else CLIENT  # of the other platform
    for client_id in (other, HOSTILE, None):
        answer = visit.page(service, client_id=client_id)
        assert (answer.status_code, word in answer.text) == (400, True)
        assert "Location" not in answer.headers
        assert "<script" not in answer.text


@BOTH
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_a_faulty_request_is_told_to_the_client_with_its_state(
    visit: Visit, service: str, change: dict[str, str | None], error: str
) -> None:
    for answer in (visit.page(service, **change), visit.press(service, **change)):
        said = told(answer)
        assert (said["error"], said["state"]) == (error, "s1")
        assert "code" not in said


def test_a_parameter_that_is_there_twice_is_a_fault(visit: Visit) -> None:
    pairs = [*visit.asked("google").items(), ("scope", "email")]
    assert told(visit.http.get("/google/authorize", params=pairs))["error"] == "invalid_request"


@BOTH
def test_cancel_tells_the_client_that_access_was_denied(visit: Visit, service: str) -> None:
    said = told(visit.press(service, "cancel", email="nobody"))
    assert (said["error"], said["state"]) == ("access_denied", "s1")
    assert not visit.world.identity.tokens.codes


def test_a_client_that_sent_no_state_gets_none_back(visit: Visit) -> None:
    assert set(told(visit.press("google", state=None))) == {"code"}


def test_a_redirect_uri_with_a_query_keeps_it(visit: Visit) -> None:
    back = BACK + "?tenant=1"
    visit.world.add_redirect(back)
    said = told(visit.press("google", redirect_uri=back), back)
    assert (said["tenant"], said["state"]) == ("1", "s1")


@BOTH
def test_an_account_that_does_not_exist_brings_the_page_again(visit: Visit, service: str) -> None:
    elsewhere = "olaf@acme.example" if service == "google" else "alice@acme.example"  # an account of the other's
    for email in ("nobody@acme.example", elsewhere):
        page = visit.press(service, email=email, login_hint="hint@acme.example")
        assert page.status_code == 200
        assert 'role="alert"' in page.text
        assert f'value="{email}"' in page.text


def test_an_address_is_found_however_it_is_written(visit: Visit) -> None:
    tokens = visit.token("google", told(visit.press("google", email=" Alice@ACME.example "))["code"]).json()
    assert visit.account("google", tokens["access_token"]).json()["email"] == "alice@acme.example"


def test_a_form_without_a_decision_brings_the_page_again(visit: Visit) -> None:
    assert 'role="alert"' in visit.press("google", "").text


def test_the_request_may_travel_in_hidden_fields_too(visit: Visit) -> None:
    form = {**visit.asked("google"), "decision": "allow", "email": "alice@acme.example"}
    assert "code" in told(visit.http.post("/google/authorize", data=form))


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "platform", "scope"),
    [("google", GOOGLE, f"openid {EMAIL} {EVENTS}"), ("microsoft", OUTLOOK, "Calendars.Read")],
)
def test_a_code_becomes_tokens_that_open_the_account(
    visit: Visit, stage: Stage, service: str, platform: str, scope: str
) -> None:
    tokens = visit.allow(service)
    assert set(tokens) == {"access_token", "expires_in", "refresh_token", "scope", "token_type"}
    assert (tokens["expires_in"], tokens["scope"], tokens["token_type"]) == (3600, scope, "Bearer")
    client_id = visit.asked(service)["client_id"]
    calendar = stage.call(
        "POST",
        "/api/v2/calendars/",
        {
            "platform": platform,
            "oauth_client_id": client_id,
            "oauth_client_secret": f"{service.replace('microsoft', 'outlook')}-secret",
            "oauth_refresh_token": tokens["refresh_token"],
        },
    ).json()
    stage.later(minutes=1)
    assert stage.get(f"/api/v2/calendars/{calendar['id']}/")["status"] == "connected"


@pytest.mark.parametrize(("service", "number"), [("google", None), ("microsoft", 54005)])
def test_a_code_is_good_once_and_used_twice_takes_back_what_came_of_it(
    visit: Visit, service: str, number: int | None
) -> None:
    code = visit.code(service)
    tokens = visit.token(service, code).json()
    refused(visit.token(service, code), 400, "invalid_grant", number)
    assert visit.world.grants[tokens["refresh_token"]].revoked_at is not None
    assert visit.account(service, tokens["access_token"]).status_code == 401


def test_a_code_used_twice_ends_an_access_token_that_has_no_grant(visit: Visit) -> None:
    code = visit.code("google", access_type=None)
    token = visit.token("google", code).json()["access_token"]
    refused(visit.token("google", code), 400, "invalid_grant")
    assert visit.account("google", token).status_code == 401


@pytest.mark.parametrize(("service", "number"), [("google", None), ("microsoft", 70008)])
def test_a_code_ends(visit: Visit, stage: Stage, service: str, number: int | None) -> None:
    code = visit.code(service)
    stage.later(seconds=CODE_LIFETIME.total_seconds())
    refused(visit.token(service, code), 400, "invalid_grant", number)
    assert not visit.world.grants


@pytest.mark.parametrize(
    ("change", "google", "number"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant", 501481),
        ({"code_verifier": CHALLENGE}, "invalid_grant", 501481),
        ({"code_verifier": None}, "invalid_grant", 501481),
        ({"redirect_uri": BACK + "/"}, "redirect_uri_mismatch", 50011),
        ({"code": "made up"}, "invalid_grant", 70000),
    ],
)
@BOTH
def test_a_code_is_good_only_for_whom_it_was_made(
    visit: Visit, service: str, change: dict[str, str | None], google: str, number: int
) -> None:
    answer = visit.token(service, **{"code": visit.code(service), **change})  # type: ignore[arg-type]
    if service == "google":
        refused(answer, 400, google)
    else:
        refused(answer, 400, "invalid_grant", number)
    assert not visit.world.grants


@pytest.mark.parametrize(("platform", "service"), [(GOOGLE, "google"), (OUTLOOK, "microsoft")])
def test_a_code_is_good_for_its_client_only(visit: Visit, platform: str, service: str) -> None:
    visit.world.add_client(platform, "other", secret="other-secret")
    answer = visit.token(service, visit.code(service), client_id="other", client_secret="other-secret")
    refused(answer, 400, "invalid_grant", None if service == "google" else 70000)


def test_a_verifier_too_many_is_refused_as_a_challenge_was_taken_out(visit: Visit) -> None:
    code = visit.code("google", code_challenge=None, code_challenge_method=None)
    refused(visit.token("google", code), 400, "invalid_grant")
    assert visit.token("google", code, code_verifier=None).status_code == 200


@pytest.mark.parametrize(
    ("change", "google", "microsoft"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client"), (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (400, "invalid_request"), (401, "invalid_client", 7000218)),
        ({"client_id": "nobody"}, (401, "invalid_client"), (400, "unauthorized_client", 700016)),
        ({"client_id": None}, (400, "invalid_request"), (400, "invalid_request", 900144)),
        ({"code_verifier": "short"}, (400, "invalid_grant"), (400, "invalid_grant", 501481)),
        ({"redirect_uri": None}, (400, "invalid_request"), (400, "invalid_request", 900144)),
        ({"grant_type": None}, (400, "invalid_request"), (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type"), (400, "unsupported_grant_type", 70003)),
    ],
)
def test_each_platform_refuses_in_its_own_words(
    visit: Visit, change: dict[str, str | None], google: tuple[int, str], microsoft: tuple[int, str, int]
) -> None:
    refused(visit.token("google", visit.code("google"), **change), *google)
    refused(visit.token("microsoft", visit.code("microsoft"), **change), *microsoft)


@BOTH
def test_a_client_may_prove_itself_by_http_basic(visit: Visit, service: str) -> None:
    name, secret = visit.asked(service)["client_id"], f"{service.replace('microsoft', 'outlook')}-secret"
    form = {
        "grant_type": "authorization_code",
        "code": visit.code(service),
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    for wrong in ((name, "wrong"), ("nobody", secret)):
        assert visit.http.post(f"/{service}/token", data=form, auth=wrong).status_code in (400, 401)
    nonsense = {"Authorization": "Basic %"}
    assert visit.http.post(f"/{service}/token", data=form, headers=nonsense).status_code == 401
    assert visit.http.post(f"/{service}/token", data=form, auth=(name, secret)).status_code == 200


# --- refresh tokens ---------------------------------------------------------------------------------------------------


def test_a_refresh_token_is_given_only_where_it_was_asked_for(visit: Visit) -> None:
    assert "refresh_token" not in visit.allow("google", access_type=None)
    assert "refresh_token" not in visit.allow("microsoft", scope="Calendars.Read")
    assert not visit.world.grants


def test_google_gives_a_second_refresh_token_only_to_who_consents_again(visit: Visit) -> None:
    assert "refresh_token" in visit.allow("google", prompt=None)
    assert "refresh_token" not in visit.allow("google", prompt=None)
    assert "refresh_token" in visit.allow("google", prompt="select_account consent")
    visit.world.revoke_account(visit.world.accounts[GOOGLE, "alice@acme.example"])
    assert "refresh_token" in visit.allow("google", prompt=None)


def refresh(visit: Visit, service: str, token: str) -> httpx.Response:
    return visit.token(service, "", grant_type="refresh_token", refresh_token=token)


@BOTH
def test_a_refresh_token_gives_new_access_tokens_until_it_is_revoked(visit: Visit, stage: Stage, service: str) -> None:
    first = visit.allow(service)
    stage.later(hours=2)
    again = refresh(visit, service, first["refresh_token"]).json()
    assert again["scope"] == first["scope"]
    assert visit.account(service, again["access_token"]).status_code == 200
    assert ("refresh_token" in again) is (service == "microsoft")
    visit.world.revoke(first["refresh_token"])
    refused(
        refresh(visit, service, first["refresh_token"]), 400, "invalid_grant", None if service == "google" else 50173
    )


@BOTH
def test_a_grant_made_without_the_page_can_be_refreshed_too(visit: Visit, stage: Stage, service: str) -> None:
    account = stage.alice if service == "google" else stage.olaf
    token = stage.world.grant(account, visit.asked(service)["client_id"])
    access = refresh(visit, service, token).json()["access_token"]
    assert account.email in visit.account(service, access).text


def test_a_refresh_token_is_good_for_its_own_client_only(visit: Visit, stage: Stage) -> None:
    refused(refresh(visit, "google", stage.world.grant(stage.alice, "other")), 400, "invalid_grant")
    refused(refresh(visit, "google", stage.world.grant(stage.olaf, CLIENT)), 400, "invalid_grant")


# --- the account ------------------------------------------------------------------------------------------------------


def test_a_token_tells_whose_it_is(visit: Visit) -> None:
    google = visit.account("google", visit.allow("google")["access_token"]).json()
    assert re.fullmatch("[0-9]{21}", google.pop("sub"))
    assert google == {"email": "alice@acme.example", "email_verified": True, "name": "Alice"}
    outlook = visit.account("microsoft", visit.allow("microsoft")["access_token"]).json()
    assert outlook.pop("id")
    assert outlook == {"name": "Calendar", "owner": {"name": "Olaf", "address": "olaf@acme.example"}}


def test_an_account_keeps_its_id(visit: Visit) -> None:
    first, again = (visit.account("google", visit.allow("google")["access_token"]).json() for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("service", "scope", "status"),
    [
        ("google", EVENTS, 403),
        ("google", EMAIL, 200),
        ("microsoft", "User.Read", 403),
        ("microsoft", "https://graph.microsoft.com/calendars.read", 200),
        ("microsoft", "Calendars.ReadWrite", 200),
    ],
)
def test_a_token_tells_no_more_than_its_scopes_allow(visit: Visit, service: str, scope: str, status: int) -> None:
    assert visit.account(service, visit.allow(service, scope=scope)["access_token"]).status_code == status


@BOTH
def test_a_token_that_is_unknown_expired_or_the_other_platforms_opens_nothing(
    visit: Visit, stage: Stage, service: str
) -> None:
    token = visit.allow(service)["access_token"]
    other = "microsoft" if service == "google" else "google"
    assert visit.http.get(f"/{service}/account").status_code == 401
    assert visit.account(service, "made up").status_code == 401
    assert visit.account(other, token).status_code == 401
    stage.later(seconds=TOKEN_LIFETIME.total_seconds() - 1)
    assert visit.account(service, token).status_code == 200
    stage.later(seconds=1)
    assert visit.account(service, token).status_code == 401


# --- taking it back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_revoking_one_token_takes_all_of_that_client_and_account_back(visit: Visit, stage: Stage, which: str) -> None:
    standing = stage.world.grant(stage.alice, CLIENT)  # such as the one that a calendar lives on
    others = [stage.world.grant(stage.alice, "other"), stage.world.grant(stage.bob, CLIENT)]
    first, second = visit.allow("google"), visit.allow("google")
    assert visit.revoke(first[which]).status_code == 200
    for token in (standing, first["refresh_token"], second["refresh_token"]):
        assert stage.world.grants[token].revoked_at is not None
    for tokens in (first, second):
        assert visit.account("google", tokens["access_token"]).status_code == 401
    assert [stage.world.grants[token].revoked_at for token in others] == [None, None]


def test_what_is_unknown_or_revoked_already_cannot_be_revoked(visit: Visit, stage: Stage) -> None:
    token = visit.allow("google")["refresh_token"]
    visit.revoke(token)
    outlook = stage.world.grant(stage.olaf, "outlook-client")
    for none in ("", "made up", token, outlook):
        answer = visit.revoke(none)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_token")
    assert stage.world.grants[outlook].revoked_at is None


# --- where it stands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/google", 404),
        ("GET", "/apple/authorize", 404),
        ("POST", "/microsoft/revoke", 404),
        ("GET", "/google/token", 405),
        ("GET", "/google/revoke", 405),
        ("POST", "/google/account", 405),
        ("PUT", "/microsoft/authorize", 405),
    ],
)
def test_there_is_nothing_else(visit: Visit, method: str, path: str, status: int) -> None:
    assert visit.http.request(method, path).status_code == status


def test_clients_and_redirect_uris_are_registered_by_control(stage: Stage) -> None:
    control = Control(stage.world)

    def send(command: str, body: bytes) -> int:
        return control.handle(Request("POST", f"/{command}", body=body)).status

    made = b'{"platform": "google_calendar", "client_id": "new", "redirect_uris": ["https://a.example/x"]}'
    assert send("client", made) == 200
    assert send("redirect", b'{"uri": "http://127.0.0.1:8000/done"}') == 200
    assert send("redirect", b'{"uri": "http://127.0.0.1:8000/done"}') == 200
    found = {name: client.redirect_uris for (_, name), client in stage.world.clients.items()}
    everywhere = "http://127.0.0.1:8000/done"
    assert found == {CLIENT: (everywhere,), "outlook-client": (everywhere,), "new": ("https://a.example/x", everywhere)}
    for wrong in ('"/done"', '"https://a.example/#x"', '"https://a.example/ x"', '"https://a.example/\\r\\nX: y"', "7"):
        assert send("redirect", f'{{"uri": {wrong}}}'.encode()) == 400


def test_codes_and_tokens_outlive_a_restart(visit: Visit, stage: Stage, tmp_path: Path) -> None:
    code, tokens = visit.code("google"), visit.allow("google")
    stage.world.save(tmp_path / "state")
    later = Visit(World.load(tmp_path / "state", ManualClock(stage.world.now())))
    assert later.account("google", tokens["access_token"]).status_code == 200
    assert later.token("google", code).status_code == 200
    assert "code" in told(later.press("microsoft"))


def test_a_world_saved_before_there_was_a_provider_gets_one(stage: Stage) -> None:
    client = object.__new__(OAuthClient)
    client.__setstate__([GOOGLE, CLIENT, "google-secret", "", ""])  # type: ignore[attr-defined]
    state = {**stage.world.__getstate__(), "clients": {(GOOGLE, CLIENT): client}}
    del state["identity"]
    world = World.__new__(World)
    world.__setstate__(state)
    world.clock = stage.clock
    world.add_redirect(BACK)
    assert "code" in told(Visit(world).press("google"))


def test_the_same_calls_give_the_same_codes(make_stage: Any) -> None:
    codes = set()
    for _ in range(2):
        stage = make_stage(3)
        stage.world.add_redirect(BACK)
        codes.add(Visit(stage.world).code("google"))
    assert len(codes) == 1


def test_it_has_a_port_of_its_own(stage: Stage) -> None:
    stage.world.add_redirect(BACK)
    doors = Doors(stage.world, Control(stage.world))
    doors.start()
    try:
        assert stage.world.identity.base_url == doors.identity_url
        with httpx.Client(base_url=doors.identity_url, timeout=10) as client:
            asked = Visit(stage.world).asked("google")
            assert client.get("/google/authorize", params=asked).status_code == 200
            form = {"decision": "allow", "email": "alice@acme.example"}
            answer = client.post("/google/authorize", params=asked, data=form)
            assert set(parse_qs(urlsplit(answer.headers["Location"]).query)) == {"code", "state"}
    finally:
        doors.stop()
