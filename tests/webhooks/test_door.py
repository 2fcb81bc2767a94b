"""The address: what is answered, what is stored before that, and what a request costs."""

from __future__ import annotations

import logging
from datetime import timedelta
from io import BytesIO
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from calendars.models import Delivery, WebhookEndpoint, WebhookRefusal, WebhookSecret
from recallops import clock
from tests.webhooks.senders import Place, add_secret, ask, body_of, secret_of, signed

Cause = WebhookRefusal.Cause
UPDATE = body_of("calendar.update", calendar_id="11111111-2222-4333-8444-555555555555")


def refusals(endpoint: WebhookEndpoint) -> dict[str, int]:
    return dict(WebhookRefusal.objects.filter(endpoint=endpoint).values_list("cause", "count"))


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_a_good_webhook_is_stored_as_it_came_and_answered_200(us: Place, family: str) -> None:
    answer = us.post(UPDATE, family=family)
    assert (answer.status_code, answer.content) == (200, b"{}")
    row = Delivery.objects.get()
    assert (row.workspace, row.endpoint, row.delivery_id) == (us.workspace, us.endpoint, "msg_1")
    assert (bytes(row.body), row.region, row.times) == (UPDATE, "us-west-2", 1)
    assert (row.state, row.event, row.subject) == ("received", "", ""), "nothing was parsed"
    assert row.received_at == row.sent_at == clock.now()


def test_the_same_webhook_again_is_one_row_that_counts(us: Place, time: clock.ManualClock) -> None:
    for _ in range(2):
        assert us.post(UPDATE).status_code == 200
        time.advance(timedelta(minutes=2))
    assert Delivery.objects.get().times == 2


def test_a_duplicate_changes_nothing_of_what_became_of_the_first(us: Place) -> None:
    us.post(UPDATE)
    Delivery.objects.update(state=Delivery.State.HANDLED, event="calendar.update")
    other = body_of("calendar.update", calendar_id="another")
    assert us.post(other, delivery_id="msg_1").status_code == 200
    row = Delivery.objects.get()
    assert (row.state, bytes(row.body), row.times) == ("handled", UPDATE, 2)


def test_two_workspaces_may_have_the_same_delivery_id(us: Place, eu: Place) -> None:
    assert us.post(UPDATE).status_code == eu.post(UPDATE).status_code == 200
    assert set(Delivery.objects.values_list("workspace__slug", "times")) == {("acme-us", 1), ("acme-eu", 1)}


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-300, 200), (-299, 200), (300, 200), (301, 401)])
def test_a_replay_is_let_in_for_five_minutes(us: Place, seconds: int, status: int) -> None:
    stamp = int(clock.now().timestamp()) + seconds
    assert us.post(UPDATE, timestamp=stamp).status_code == status
    assert Delivery.objects.count() == (status == 200)


def test_a_faster_clock_makes_nothing_older(us: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a demo an hour passes in seconds; the way of a webhook takes no longer for that."""
    monkeypatch.setattr(clock.ManualClock, "speed", lambda self: 600.0)
    assert us.post(UPDATE, timestamp=int(clock.now().timestamp()) - 3_600).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "/webhooks/recall/{token}",
        "/webhooks/recall/{token}/",
        "/webhooks/recall/{token}/?region=eu-central-1",
        "/webhooks/recall/{token}/?region=a%00b",
        "/webhooks/recall/{token}/?region=%ff%fe",
        "/webhooks/recall/{token}/?region=%ED%A0%80",
        "/webhooks/recall/{token}/?region=" + "x" * 500,
        "/webhooks/recall/{token}/?region=a&region=b",
        "/webhooks/recall/{token}/?" + "&".join(["a=b"] * 1_500),
        "/webhooks/recall/{token}/?region",
        "/webhooks/recall/{token}/?%",
        "/webhooks/recall/{token}/?format=xml&_method=GET",
    ],
)
def test_whatever_the_query_says_a_good_webhook_is_stored(us: Place, url: str) -> None:
    assert us.post(UPDATE, url=url.format(token=us.endpoint.token)).status_code == 200
    row = Delivery.objects.get()
    assert row.workspace == us.workspace, "the signature says whose it is"
    assert len(row.region) <= 40
    assert "\x00" not in row.region


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "text/html"},
        {"Accept": "nonsense"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "text/plain; charset=rot13"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Encoding": "gzip"},
        {"Authorization": "Basic !!!"},
        {"Cookie": "sessionid=forged; csrftoken=x"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Host": "elsewhere.example"},
    ],
)
def test_other_headers_do_not_matter(us: Place, headers: dict[str, str]) -> None:
    environ = RequestFactory().post(us.url, UPDATE, "application/json", headers=signed(us.secret, UPDATE)).environ
    for name, value in headers.items():
        environ["CONTENT_TYPE" if name == "Content-Type" else "HTTP_" + name.upper().replace("-", "_")] = value
    assert ask(environ) == 200
    assert bytes(Delivery.objects.get().body) == UPDATE


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_only_post_is_allowed(us: Place, method: str) -> None:
    assert getattr(Client(), method)(us.url).status_code == 405
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/recall/nobody/",
        "/webhooks/recall/" + "x" * 65 + "/",
        "/webhooks/recall/a%00b/",
        "/webhooks/recall/é/",
        "/webhooks/recall/a%0A/",
        "/webhooks/recall/a/b/",
        "/webhooks/recall/",
        "/webhooks/",
        "/webhooks/nylas/nobody/",
    ],
)
def test_an_address_that_is_none_is_a_404_and_leaves_no_row(us: Place, path: str) -> None:
    assert us.post(UPDATE, url=path).status_code == 404
    assert not Delivery.objects.exists()
    assert not WebhookRefusal.objects.exists()


# -- size


@override_settings(WEBHOOK_MAX_BYTES=2_000)
@pytest.mark.parametrize(("size", "status"), [(1_999, 200), (2_000, 200), (2_001, 413), (20_000_000, 413)])
def test_a_body_over_the_limit_is_refused(us: Place, size: int, status: int) -> None:
    assert us.post(b"x" * size).status_code == status
    assert refusals(us.endpoint) == ({Cause.TOO_LARGE: 1} if status == 413 else {})


class Unread(BytesIO):
    """A body that nobody may read."""

    def read(self, *args: Any) -> bytes:
        raise AssertionError("the body was read")


def test_a_body_over_the_limit_is_not_read(us: Place) -> None:
    environ = RequestFactory().post(us.url).environ
    environ |= {"CONTENT_LENGTH": str(2**40), "wsgi.input": Unread()}
    assert ask(environ) == 413


@pytest.mark.parametrize("length", ["", "-1", "x", "1e3", "0"])
def test_a_length_that_is_none_is_an_empty_body(us: Place, length: str) -> None:
    environ = RequestFactory().post(us.url, headers=signed(us.secret, b"")).environ
    environ |= {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    assert ask(environ) == 200


class Broken(BytesIO):
    """A sender that goes away in the middle."""

    def read(self, *args: Any) -> bytes:
        raise OSError("connection reset")


def test_a_sender_that_goes_away_is_no_error_of_ours(us: Place) -> None:
    environ = RequestFactory().post(us.url, headers=signed(us.secret, UPDATE)).environ
    environ |= {"CONTENT_LENGTH": "100", "wsgi.input": Broken()}
    assert ask(environ) == 400
    assert not Delivery.objects.exists()


# -- what it costs, and what stays out


def test_a_good_webhook_takes_two_statements_and_no_session(us: Place) -> None:
    us.post(UPDATE)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = us.post(UPDATE, delivery_id="msg_2")
    assert len(captured.captured_queries) == 2, [one["sql"] for one in captured.captured_queries]
    assert not answer.cookies
    assert not hasattr(answer.wsgi_request, "session"), "its middleware was not asked"


def test_last_used_is_written_at_most_once_a_minute(us: Place, time: clock.ManualClock) -> None:
    seen = []
    for number in range(5):
        us.post(UPDATE, delivery_id=f"msg_{number}")
        used = WebhookSecret.objects.get().last_used_at
        assert used == WebhookEndpoint.objects.get().last_at
        seen.append(used)
        time.advance(timedelta(seconds=25))
    assert len(set(seen)) == 2


def test_everything_else_goes_its_usual_way() -> None:
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/webhooksomething").status_code == 404


def test_an_error_of_ours_is_a_clean_500_that_says_nothing(
    us: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError(f"Failing row contains ({UPDATE.decode()})")

    monkeypatch.setattr("calendars.webhooks.intake.store", broken)
    client = Client(raise_request_exception=False)
    answer = client.post(us.url, UPDATE, content_type="application/json", headers=signed(us.secret, UPDATE))
    assert (answer.status_code, answer.content) == (500, b"")
    assert "DatabaseError" in caplog.text
    assert "calendar" not in "".join(record.getMessage() for record in caplog.records).replace("calendars", "")
    assert us.endpoint.token not in caplog.text


def test_no_secret_no_token_and_no_body_is_logged_or_answered(us: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    word = b"the-body-says-this"
    said = b""
    for headers in (
        signed(us.secret, word),
        signed(secret_of("nobody"), word),
        signed(us.secret, word, timestamp=1),
        signed(us.secret, word) | signed(us.secret, word, family="svix"),
        {},
    ):
        said += us.post(word, headers).content
    said += us.post(word, url="/webhooks/recall/nobody/").content
    WebhookEndpoint.objects.update(enabled=False)
    said += us.post(word).content
    logged = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("django.db"))
    for text in (us.secret[6:], us.endpoint.token, word.decode(), signed(us.secret, word)["webhook-signature"]):
        assert text not in logged
        assert text.encode() not in said
    details = " ".join(WebhookRefusal.objects.values_list("detail", flat=True))
    assert us.secret[6:] not in details
    assert word.decode() not in details


def test_a_refusal_tells_its_sender_nothing_of_the_cause(us: Place, eu: Place) -> None:
    answers = {
        us.post(UPDATE, headers).content
        for headers in ({}, signed(eu.secret, UPDATE), signed(us.secret, UPDATE, timestamp=1))
    }
    assert len(answers) == 1


# -- rotation


def test_old_and_new_secret_are_both_good_while_they_rotate(us: Place) -> None:
    new = secret_of("new")
    add_secret(us.workspace, new, label="new")
    assert us.post(UPDATE, delivery_id="msg_1").status_code == 200
    assert us.post(UPDATE, signed(new, UPDATE, delivery_id="msg_2")).status_code == 200
    assert WebhookSecret.objects.filter(last_used_at=clock.now()).count() == 2


def test_the_secret_of_one_endpoint_opens_no_other(us: Place) -> None:
    other = WebhookEndpoint.objects.create(workspace=us.workspace, label="other")
    text = secret_of("only here")
    add_secret(us.workspace, text, endpoint=us.endpoint)
    assert us.post(UPDATE, signed(text, UPDATE)).status_code == 200
    answer = us.post(UPDATE, signed(text, UPDATE), url=f"/webhooks/recall/{other.token}/")
    assert answer.status_code == 401
    refused = WebhookRefusal.objects.get()
    assert (refused.cause, us.endpoint.label in refused.detail) == (Cause.UNKNOWN, True)


# -- the database


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_finds_its_connection_gone_is_taken_on_a_new_one(us: Place) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with psycopg.connect(**plain_parameters(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    assert us.post(UPDATE).status_code == 200
    assert Delivery.objects.count() == 1


def plain_parameters() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {name: parameters[name] for name in ("dbname", "host", "user", "port") if name in parameters}
