"""Each way in which the provider says no becomes one error with a sentence that staff can act on."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calendars.providers import errors
from calendars.providers.errors import ErrorKind
from calendars.providers.refusals import LONGEST_WAIT, parse_retry_after
from recallops import clock
from tests.providers.samples import (
    CLIENT_SECRET,
    KEY,
    REFRESH_TOKEN,
    UNROUTED_PAGE,
    WAF_PAGE,
    WRONG_REGION,
    answering,
    client_of,
)

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def refused(status: int, *, call: str = "get_event", arguments: tuple[Any, ...] = ("e1",), **content: Any) -> Any:
    recorder = answering(status, **content)
    with pytest.raises(errors.ProviderError) as caught:
        getattr(client_of(recorder), call)(*arguments)
    return caught.value


def test_a_key_of_another_region_is_explained_in_words() -> None:
    error = refused(401, json=WRONG_REGION)
    assert isinstance(error, errors.InvalidKey)
    assert error.kind == ErrorKind.CONFIGURATION
    assert "belongs to another region" in error.sentence
    assert "may have been revoked" in error.sentence
    assert "The API token provided might be for another Recall region" in error.sentence


@pytest.mark.parametrize(
    ("status", "content", "expected", "kind"),
    [
        (401, {"json": {"code": "not_authenticated", "detail": "None."}}, errors.InvalidKey, ErrorKind.CONFIGURATION),
        (401, {"html": "<h1>Gateway</h1>"}, errors.InvalidKey, ErrorKind.CONFIGURATION),
        (402, {"json": {"detail": "Insufficient credit."}}, errors.PaymentRequired, ErrorKind.CONFIGURATION),
        (403, {"html": WAF_PAGE}, errors.Blocked, ErrorKind.CONFIGURATION),
        (404, {"json": {"code": "not_found", "detail": "Not found."}}, errors.NotFound, ErrorKind.PERMANENT),
        (404, {"json": {"detail": "Not found."}}, errors.NotFound, ErrorKind.PERMANENT),
        (404, {"html": UNROUTED_PAGE}, errors.BadAnswer, ErrorKind.CONFIGURATION),
        (404, {}, errors.BadAnswer, ErrorKind.CONFIGURATION),
        (405, {"json": {"detail": 'Method "PUT" not allowed.'}}, errors.MethodRefused, ErrorKind.PERMANENT),
        (409, {"json": {"detail": "Conflict."}}, errors.Conflict, ErrorKind.TEMPORARY),
        (429, {"json": {"code": "throttled"}}, errors.Throttled, ErrorKind.TEMPORARY),
        (507, {"json": {"detail": "No bots."}}, errors.NoBotsAvailable, ErrorKind.TEMPORARY),
        (400, {"json": {"meeting_url": ["This field is required."]}}, errors.InvalidRequest, ErrorKind.PERMANENT),
        (415, {"text": "no"}, errors.InvalidRequest, ErrorKind.PERMANENT),
        (500, {"html": "<h1>Server Error (500)</h1>"}, errors.Unavailable, ErrorKind.TEMPORARY),
        (502, {}, errors.Unavailable, ErrorKind.TEMPORARY),
        (503, {"json": {}}, errors.Unavailable, ErrorKind.TEMPORARY),
        (504, {"json": []}, errors.Unavailable, ErrorKind.TEMPORARY),
        (301, {"headers": {"Location": "https://evil.example/"}}, errors.BadAnswer, ErrorKind.CONFIGURATION),
        (302, {"headers": {"Location": "/elsewhere/"}}, errors.BadAnswer, ErrorKind.CONFIGURATION),
    ],
)
def test_each_status_has_its_error(
    status: int, content: dict[str, Any], expected: type[errors.ProviderError], kind: ErrorKind
) -> None:
    error = refused(status, **content)
    assert type(error) is expected
    assert error.kind == kind
    assert error.status == status
    assert error.endpoint == "GET /api/v2/calendar-events/{id}/"
    assert len(error.sentence) > 40
    assert KEY not in error.sentence


def test_a_404_page_of_the_web_server_is_never_taken_for_a_deleted_thing() -> None:
    error = refused(404, html=UNROUTED_PAGE)
    assert not isinstance(error, errors.NotFound)
    assert "Nothing follows" in error.sentence


@pytest.mark.parametrize("status", [400, 405])
def test_a_bot_that_is_already_joining_is_told_apart_from_other_refusals(status: int) -> None:
    body = {"code": "cannot_delete_bot", "detail": "Only scheduled bots which have not joined a call can be deleted."}
    error = refused(status, call="delete_bot", arguments=("b1",), json=body)
    assert isinstance(error, errors.BotAlreadyJoined)
    assert isinstance(error, errors.MethodRefused)
    assert error.code == "cannot_delete_bot"


def test_any_405_to_deleting_a_bot_means_that_it_has_joined() -> None:
    assert isinstance(refused(405, call="delete_bot", arguments=("b1",), html="<h1>no</h1>"), errors.BotAlreadyJoined)


def test_an_ended_event_is_recognised_in_the_envelope() -> None:
    body = {
        "code": "invalid_request_data",
        "message": "Unable to process request because invalid data was submitted. Check `errors` field.",
        "errors": {"non_field_errors": ["Cannot schedule bot as calendar event has ended."]},
    }
    error = refused(400, json=body)
    assert type(error) is errors.EventEnded
    assert error.code == "invalid_request_data"
    assert error.fields == {"non_field_errors": ("Cannot schedule bot as calendar event has ended.",)}


@pytest.mark.parametrize("code", ["bad_refresh_token", "no_oauth_credentials"])
def test_a_grant_that_does_not_work_needs_the_customer(code: str) -> None:
    error = refused(400, call="access_token", arguments=("c1",), json={"code": code, "message": "invalid_grant"})
    assert type(error) is errors.CredentialRefused
    assert error.kind == ErrorKind.CUSTOMER


def test_errors_by_field_are_kept_and_quoted() -> None:
    error = refused(400, json={"bot_config": ["Not a valid object."], "deduplication_key": ["Too long.", "Bad."]})
    assert error.fields == {"bot_config": ("Not a valid object.",), "deduplication_key": ("Too long.", "Bad.")}
    assert "deduplication_key: Too long. Bad." in error.sentence


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", timedelta(seconds=7)),
        (" 12 ", timedelta(seconds=12)),
        ("0", timedelta(0)),
        ("1.5", timedelta(seconds=1.5)),
        ("Mon, 05 Jan 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Monday, 05-Jan-26 12:01:00 GMT", timedelta(seconds=60)),
        ("Mon, 05 Jan 2026 11:00:00 GMT", timedelta(0)),
        ("999999999", LONGEST_WAIT),
        ("Mon, 05 Jan 2099 12:00:00 GMT", LONGEST_WAIT),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("1e9", None),
        ("9" * 400, None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_bounded(header: str | None, expected: timedelta | None) -> None:
    assert parse_retry_after(header, now=NOW) == expected


def test_a_throttled_call_says_how_long_to_wait() -> None:
    error = refused(429, headers={"Retry-After": "17"}, json={})
    assert (error.retry_after, error.told) == (timedelta(seconds=17), True)


def test_a_throttled_call_without_retry_after_has_a_usual_wait() -> None:
    error = refused(429, json={})
    assert (error.retry_after, error.told) == (timedelta(seconds=10), False)


def test_a_retry_after_date_is_judged_by_the_providers_own_clock() -> None:
    with clock.use(clock.ManualClock(NOW - timedelta(minutes=9))):
        headers = {"Retry-After": "Mon, 05 Jan 2026 12:00:20 GMT", "Date": "Mon, 05 Jan 2026 12:00:00 GMT"}
        assert refused(429, headers=headers).retry_after == timedelta(seconds=20)


def test_no_free_bot_is_tried_again_as_told_or_after_half_a_minute() -> None:
    assert refused(507, headers={"Retry-After": "12"}).retry_after == timedelta(seconds=12)
    assert refused(507).retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_write_that_met_a_server_error_may_have_happened(status: int) -> None:
    assert refused(status, call="remove_bot").may_have_happened
    assert not refused(status, call="get_event").may_have_happened


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 429, 507])
def test_a_write_that_was_refused_has_not_happened(status: int) -> None:
    assert not refused(status, call="remove_bot", json={"detail": "no"}).may_have_happened


def test_a_refusal_that_quotes_our_secrets_is_shown_without_them() -> None:
    recorder = answering(
        400,
        json={
            "oauth_refresh_token": [f'"{REFRESH_TOKEN}" is not valid for {CLIENT_SECRET[:14]}...'],
            "detail": f"Token {KEY} may not do this",
        },
    )
    with pytest.raises(errors.InvalidRequest) as caught:
        client_of(recorder).create_calendar(
            platform="google_calendar",
            oauth_client_id="123.apps.googleusercontent.com",
            oauth_client_secret=CLIENT_SECRET,
            oauth_refresh_token=REFRESH_TOKEN,
            idempotency_key="k1",
        )
    everything = f"{caught.value!r} {caught.value} {caught.value.fields} {vars(caught.value)}"
    for secret in (REFRESH_TOKEN, CLIENT_SECRET[:14], KEY):
        assert secret not in everything
    assert "is not valid" in everything


def test_hostile_words_are_shortened_and_stay_on_one_line() -> None:
    error = refused(400, json={"detail": "a\r\nERROR forged line \x1b[31m\u202ered\u2028" + "x " * 5000})
    assert "\n" not in error.sentence
    assert not any(mark in error.sentence for mark in "\r\x1b\u202e\u2028")
    assert len(error.sentence) < 500


def test_the_request_id_is_kept_for_the_providers_support() -> None:
    error = refused(500, headers={"X-Request-Id": "req-1\tx"})
    assert error.request_id == "req-1 x"


def test_an_error_survives_being_pickled_with_what_it_knows() -> None:
    error = pickle.loads(pickle.dumps(refused(429, headers={"Retry-After": "3"})))  # noqa: S301
    assert type(error) is errors.Throttled
    assert error.retry_after == timedelta(seconds=3)
    busy = pickle.loads(pickle.dumps(errors.BudgetBusy(4.0, endpoint="GET /x/")))  # noqa: S301
    assert (busy.wait, str(busy)) == (4.0, "The rate budget of GET /x/ is taken for 4 s.")
