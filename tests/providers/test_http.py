"""The door to HTTP: what is sent again and what never is, what is counted and logged, and what stays secret."""

from __future__ import annotations

import copy
import logging
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from calendars.providers import errors, http
from calendars.providers.calls import CallRecord, NoBudget, Timeouts
from calendars.providers.errors import ErrorKind
from calendars.providers.recall import RecallClient
from recallops import clock
from tests.providers import socket_provider
from tests.providers.samples import (
    BASE,
    CLIENT_SECRET,
    KEY,
    REFRESH_TOKEN,
    Recorder,
    answering,
    client_of,
    event,
    listed,
)
from tests.providers.socket_provider import SocketProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = {"json": event()}
QUICK = Timeouts(connect=2, read=0.2, write=2, pool=2, total=2)


@pytest.fixture(autouse=True)
def _closed_pools() -> Iterator[None]:
    yield
    http.close_pools()


def connecting_to(base_url: str, **options: Any) -> RecallClient:
    """A client over real sockets."""
    options = {"api_key": KEY, "budget": NoBudget(), "sleep": lambda seconds: None, "timeouts": QUICK} | options
    return RecallClient(base_url=base_url, **options)


# -- what is sent again


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_is_sent_again_when_the_provider_is_under_load(status: int) -> None:
    recorder = Recorder(httpx.Response(status), httpx.Response(status), httpx.Response(200, **OK))
    assert client_of(recorder).get_event("e1").value.title == "Weekly"
    assert recorder.count == 3


@pytest.mark.parametrize(
    "trouble", [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.WriteError("x"), httpx.RemoteProtocolError("x")]
)
def test_a_read_is_sent_again_when_its_answer_was_lost(trouble: httpx.TransportError) -> None:
    recorder = Recorder(trouble, httpx.Response(200, **OK))
    assert client_of(recorder).get_event("e1").value.title == "Weekly"
    assert recorder.count == 2


def test_a_read_is_given_up_after_three_tries() -> None:
    recorder = Recorder(httpx.ReadTimeout("x"))
    with pytest.raises(errors.Unavailable) as caught:
        client_of(recorder).get_event("e1")
    assert recorder.count == 3
    assert not caught.value.may_have_happened


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 429, 500, 507])
def test_other_refusals_of_a_read_are_not_sent_again(status: int) -> None:
    recorder = answering(status, json={"detail": "no"})
    with pytest.raises(errors.ProviderError):
        client_of(recorder).get_event("e1")
    assert recorder.count == 1


@pytest.mark.parametrize("status", [502, 503, 504, 429, 409, 507, 500])
def test_a_write_is_never_sent_again_after_an_answer(status: int) -> None:
    recorder = answering(status)
    with pytest.raises(errors.ProviderError):
        client_of(recorder).remove_bot("e1")
    assert recorder.count == 1


@pytest.mark.parametrize(
    "trouble",
    [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.WriteTimeout("x"), httpx.RemoteProtocolError("x")],
)
def test_a_write_whose_answer_was_lost_is_unknown_and_not_sent_again(trouble: httpx.TransportError) -> None:
    recorder = Recorder(trouble)
    with pytest.raises(errors.OutcomeUnknown) as caught:
        client_of(recorder).remove_bot("e1")
    assert recorder.count == 1
    assert caught.value.may_have_happened
    assert "settled by reading" in caught.value.sentence


@pytest.mark.parametrize("trouble", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_a_write_that_found_no_connection_is_sent_again(trouble: httpx.TransportError) -> None:
    recorder = Recorder(trouble, trouble, httpx.Response(200, **OK))
    assert client_of(recorder).remove_bot("e1").id == event()["id"]
    assert recorder.count == 3


def test_a_host_that_cannot_be_reached_was_sent_nothing() -> None:
    client = connecting_to(f"http://127.0.0.1:{socket_provider.unused_port()}")
    with pytest.raises(errors.Unreachable) as caught:
        client.remove_bot("e1")
    assert "nothing was sent" in caught.value.sentence
    assert not caught.value.may_have_happened


def test_a_certificate_that_is_not_valid_is_a_matter_of_configuration() -> None:
    recorder = Recorder(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"))
    with pytest.raises(errors.Unreachable) as caught:
        client_of(recorder).get_event("e1")
    assert caught.value.kind == ErrorKind.CONFIGURATION
    assert recorder.count == 1


def test_waits_between_tries_are_short_and_long_ones_are_left_to_the_caller() -> None:
    slept: list[float] = []
    recorder = answering(503)
    with pytest.raises(errors.Unavailable):
        client_of(recorder, sleep=slept.append, jitter=lambda: 1.0).get_event("e1")
    assert slept == pytest.approx([0.3, 0.6])

    slept.clear()
    told = answering(503, headers={"Retry-After": "45"})
    with pytest.raises(errors.Unavailable) as caught:
        client_of(told, sleep=slept.append).get_event("e1")
    assert slept == []
    assert told.count == 1
    assert caught.value.retry_after == timedelta(seconds=45)


# -- bodies


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html><body>Maintenance</body></html>", "a web page"),
        (b"", "empty"),
        (b"   ", "empty"),
        (b'{"results": [', "unreadable"),
        (b"\xff\xfe\x00", "unreadable"),
        (b'{"id": NaN}', "unreadable"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"n": ' + b"9" * 5000 + b"}", "unreadable"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "larger than 1 KiB"),
    ],
)
def test_a_body_that_is_no_answer(content: bytes, why: str) -> None:
    recorder = answering(200, content=content)
    with pytest.raises(errors.BadAnswer, match=why):
        client_of(recorder, max_body=1024 if "larger" in why else 1 << 20).get_event("e1")
    assert recorder.count == 1
    with pytest.raises(errors.OutcomeUnknown):
        client_of(recorder, max_body=1024 if "larger" in why else 1 << 20).remove_bot("e1")


def test_html_instead_of_json_points_to_the_base_url() -> None:
    with pytest.raises(errors.BadAnswer) as caught:
        client_of(answering(200, html="<!doctype html><title>Login</title>")).get_event("e1")
    assert caught.value.kind == ErrorKind.CONFIGURATION
    assert "base URL" in caught.value.sentence


def test_a_delete_may_be_answered_without_a_body() -> None:
    client_of(answering(204)).delete_calendar("c1")
    client_of(answering(200)).leave_call("b1")


# -- budget


class FakeBudget:
    def __init__(self, *, busy_from: int = 99) -> None:
        self.taken: list[tuple[str, float]] = []
        self.pushed: list[tuple[str, float]] = []
        self._busy_from = busy_from

    def take(self, endpoint: str, max_wait: float) -> float:
        self.taken.append((endpoint, max_wait))
        if len(self.taken) >= self._busy_from:
            raise errors.BudgetBusy(9.0, endpoint=endpoint)
        return 0.25

    def push(self, endpoint: str, seconds: float) -> None:
        self.pushed.append((endpoint, seconds))


def test_each_try_takes_a_slot_of_its_endpoint() -> None:
    budget = FakeBudget()
    recorder = Recorder(httpx.Response(503), httpx.Response(200, **OK))
    client_of(recorder, budget=budget, max_wait=1.5).get_event("e1")
    assert budget.taken == [("GET /api/v2/calendar-events/{id}/", 1.5)] * 2


def test_nothing_is_sent_without_a_slot() -> None:
    recorder = answering(200, **OK)
    with pytest.raises(errors.BudgetBusy) as caught:
        client_of(recorder, budget=FakeBudget(busy_from=1)).get_event("e1")
    assert caught.value.wait == 9.0
    assert recorder.count == 0


def test_a_busy_budget_between_two_tries_ends_with_the_first_trouble() -> None:
    with pytest.raises(errors.Unavailable):
        client_of(answering(503), budget=FakeBudget(busy_from=2)).get_event("e1")


def test_a_429_moves_the_whole_budget_by_what_was_asked_in_machine_time() -> None:
    budget = FakeBudget()
    recorder = answering(429, headers={"Retry-After": "30"}, json={})

    class Fast(clock.ManualClock):
        def speed(self) -> float:
            return 60.0

    with clock.use(Fast(datetime(2026, 1, 1, tzinfo=UTC))), pytest.raises(errors.Throttled) as caught:
        client_of(recorder, budget=budget).get_event("e1")
    assert budget.pushed == [("GET /api/v2/calendar-events/{id}/", 0.5)]
    assert caught.value.retry_after == timedelta(seconds=30)


def test_another_patience_shares_everything_else() -> None:
    budget = FakeBudget()
    client = client_of(answering(200, **OK), budget=budget)
    client.with_options(max_wait=60).get_event("e1")
    client.get_event("e1")
    assert [wait for _, wait in budget.taken] == [60, 5.0]


# -- what is told about calls


def test_each_try_is_recorded_with_both_clocks() -> None:
    records: list[CallRecord] = []
    at = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    date = {"Date": "Mon, 05 Jan 2026 12:00:03 GMT", "x-request-id": "r-7"}
    recorder = Recorder(httpx.ReadTimeout("x"), httpx.Response(200, headers=date, **OK))
    with clock.use(clock.ManualClock(at)):
        reading = client_of(recorder, budget=FakeBudget(), on_call=records.append).get_event("e1")
    assert reading.begun_at == at
    assert reading.server_date == at + timedelta(seconds=3)
    assert [(r.attempt, r.status, r.error, r.request_id) for r in records] == [
        (1, None, "Unavailable", ""),
        (2, 200, "", "r-7"),
    ]
    assert records[1].server_date == at + timedelta(seconds=3)
    assert {r.waited_ms for r in records} == {250.0}
    assert {r.endpoint for r in records} == {"GET /api/v2/calendar-events/{id}/"}


def test_a_reading_is_as_old_as_the_start_of_the_request_that_was_answered() -> None:
    now = clock.ManualClock(datetime(2026, 1, 5, 12, 0, tzinfo=UTC))

    def slow(request: httpx.Request) -> httpx.Response:
        now.advance(timedelta(seconds=10))
        return httpx.Response(503 if now.at.second == 10 else 200, **OK)

    with clock.use(now):
        assert client_of(Recorder(slow)).get_event("e1").begun_at.second == 10


def test_the_log_has_one_line_for_each_try_and_no_query(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(httpx.Response(502), httpx.Response(200, json=listed()))
    with caplog.at_level(logging.DEBUG):
        client_of(recorder).calendars_page(email="alice@example.com")
    lines = [record.getMessage() for record in caplog.records]
    assert [record.name for record in caplog.records] == ["recallops.calls"] * 2
    assert lines[0].startswith("GET /api/v2/calendars/ 502 ")
    assert "Unavailable" in lines[0]
    assert lines[1].startswith("GET /api/v2/calendars/ 200 ")
    assert "alice" not in caplog.text


def test_no_secret_shows_in_logs_errors_or_representations(caplog: pytest.LogCaptureFixture) -> None:
    provider = SocketProvider(socket_provider.reset)
    shown: list[str] = []
    try:
        client = connecting_to(provider.base_url, on_call=lambda record: shown.append(repr(record)))
        with caplog.at_level(logging.DEBUG), pytest.raises(errors.OutcomeUnknown) as caught:
            client.create_calendar(
                platform="google_calendar",
                oauth_client_id="123.apps.googleusercontent.com",
                oauth_client_secret=CLIENT_SECRET,
                oauth_refresh_token=REFRESH_TOKEN,
                idempotency_key="k1",
            )
        error: BaseException | None = caught.value
        while error is not None:  # nothing of httpx's, which holds the request, hangs on to the error
            assert type(error).__module__ == "calendars.providers.errors"
            error = error.__cause__ or error.__context__
        shown += [repr(client), str(client), repr(client._http), repr(caught.value), caplog.text]
    finally:
        provider.close()
    for secret in (KEY, REFRESH_TOKEN, CLIENT_SECRET):
        assert not any(secret in text for text in shown)
        assert secret in provider.requests[0].decode()  # it did go where it should


def test_a_client_does_not_get_into_a_task_or_a_cache_by_pickling() -> None:
    client = client_of(answering(200))
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(client)


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "schlüssel", "k" * 501])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(errors.InvalidKey) as caught:
        client_of(answering(200), api_key=key)
    assert not key.strip() or key not in str(caught.value)


def test_blanks_around_a_pasted_key_do_no_harm() -> None:
    recorder = answering(200, **OK)
    client_of(recorder, api_key=f" {KEY}\n").get_event("e1")
    assert recorder.requests[0].headers["authorization"] == f"Token {KEY}"


def test_a_read_has_no_body_and_asks_for_json() -> None:
    recorder = answering(200, **OK)
    client_of(recorder).get_event("e1")
    request = recorder.requests[0]
    assert request.content == b""
    assert "content-type" not in request.headers
    assert "content-length" not in request.headers
    assert request.headers["accept"] == "application/json"
    assert str(request.url) == f"{BASE}/api/v2/calendar-events/e1/"


def test_the_longest_a_call_may_take_is_known() -> None:
    limits = Timeouts(connect=1, read=2, write=3, pool=1, total=10)
    assert limits.worst_write == pytest.approx(2 * 3 + 2 + 10)
    assert limits.worst_read == pytest.approx(3 * 13)
