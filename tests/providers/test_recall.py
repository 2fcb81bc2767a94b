"""The Recall client calls what the reference describes and reads what it shows: leniently where it may be lenient."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from calendars.providers import errors
from calendars.providers.errors import ErrorKind
from calendars.providers.recall_endpoints import ENDPOINTS
from calendars.providers.recall_values import parse_bot, parse_calendar, parse_event
from tests.providers.samples import (
    BASE,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    Recorder,
    answering,
    bot,
    calendar,
    client_of,
    event,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from calendars.providers.recall import RecallClient

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
TOKEN = {"token": "ya29.short-lived", "expires_at": "2026-01-05T13:00:00Z"}

# What is called, what goes out (method, path with query, body, Idempotency-Key), what comes back, the endpoint's name.
CALLS: list[tuple[str, Callable[[RecallClient], Any], str, Any, str | None, Any, str]] = [
    ("list calendars", lambda c: c.calendars_page(), "GET /api/v2/calendars/", None, None,
     listed(calendar()), "GET /api/v2/calendars/"),
    ("list calendars, filtered",
     lambda c: c.calendars_page(created_at__gte=NOON, email="a+b@example.com", platform="google_calendar",
                                status="connected"),
     "GET /api/v2/calendars/?created_at__gte=2026-01-05T12%3A00%3A00Z&email=a%2Bb%40example.com"
     "&platform=google_calendar&status=connected", None, None, listed(), "GET /api/v2/calendars/"),
    ("get calendar", lambda c: c.get_calendar("c1"), "GET /api/v2/calendars/c1/", None, None,
     calendar(), "GET /api/v2/calendars/{id}/"),
    ("create calendar",
     lambda c: c.create_calendar(platform="microsoft_outlook", oauth_client_id="i", oauth_client_secret="s",
                                 oauth_refresh_token="r", oauth_email="a@example.com", webhook_url="https://x.example/",
                                 metadata={"k": "v"}, idempotency_key="key-1"),
     "POST /api/v2/calendars/",
     {"platform": "microsoft_outlook", "oauth_client_id": "i", "oauth_client_secret": "s", "oauth_refresh_token": "r",
      "oauth_email": "a@example.com", "webhook_url": "https://x.example/", "metadata": {"k": "v"}},
     "key-1", calendar(), "POST /api/v2/calendars/"),
    ("create calendar, certificate",
     lambda c: c.create_calendar(platform="microsoft_outlook", oauth_client_id="i", oauth_client_certificate="pem",
                                 oauth_client_private_key="key", oauth_refresh_token="r", idempotency_key="key-1"),
     "POST /api/v2/calendars/",
     {"platform": "microsoft_outlook", "oauth_client_id": "i", "oauth_refresh_token": "r",
      "oauth_client_certificate": "pem", "oauth_client_private_key": "key"},
     "key-1", calendar(), "POST /api/v2/calendars/"),
    ("update calendar", lambda c: c.update_calendar("c1", fields={"oauth_email": "b@example.com"}, idempotency_key="k"),
     "PATCH /api/v2/calendars/c1/", {"oauth_email": "b@example.com"}, "k", calendar(), "PATCH /api/v2/calendars/{id}/"),
    ("reconnect calendar", lambda c: c.update_calendar("c1", fields={}),
     "PATCH /api/v2/calendars/c1/", {}, None, calendar(), "PATCH /api/v2/calendars/{id}/"),
    ("delete calendar", lambda c: c.delete_calendar("c1"), "DELETE /api/v2/calendars/c1/", None, None,
     None, "DELETE /api/v2/calendars/{id}/"),
    ("access token", lambda c: c.access_token("c1"), "POST /api/v2/calendars/c1/access-token/", None, None,
     TOKEN, "POST /api/v2/calendars/{id}/access-token/"),
    ("list events", lambda c: c.events_page(calendar_id="c1", is_deleted=False, start_time__gte=NOON,
                                            start_time__lte=NOON, updated_at__gte=NOON, ical_uid="u"),
     "GET /api/v2/calendar-events/?calendar_id=c1&ical_uid=u&is_deleted=false"
     "&start_time__gte=2026-01-05T12%3A00%3A00Z&start_time__lte=2026-01-05T12%3A00%3A00Z&updated_at__gte"
     "=2026-01-05T12%3A00%3A00Z", None, None,
     listed(event()), "GET /api/v2/calendar-events/"),
    ("get event", lambda c: c.get_event("e1"), "GET /api/v2/calendar-events/e1/", None, None,
     event(), "GET /api/v2/calendar-events/{id}/"),
    ("add bot", lambda c: c.add_bot("e1", deduplication_key="d", bot_config={"bot_name": "N"}, idempotency_key="i"),
     "POST /api/v2/calendar-events/e1/bot/", {"deduplication_key": "d", "bot_config": {"bot_name": "N"}}, "i",
     event(), "POST /api/v2/calendar-events/{id}/bot/"),
    ("remove bot", lambda c: c.remove_bot("e1"), "DELETE /api/v2/calendar-events/e1/bot/", None, None,
     event(bots=[]), "DELETE /api/v2/calendar-events/{id}/bot/"),
    ("list bots", lambda c: c.bots_page(join_at_after=NOON, join_at_before=NOON, meeting_url="https://x.example/",
                                        platform=["zoom", "webex"], status=["ready"], metadata={"intent": "7"}),
     "GET /api/v1/bot/?join_at_after=2026-01-05T12%3A00%3A00Z&join_at_before=2026-01-05T12%3A00%3A00Z"
     "&meeting_url=https%3A%2F%2Fx.example%2F&platform=zoom&platform=webex&status=ready&metadata__intent=7", None, None,
     listed(bot()), "GET /api/v1/bot/"),
    ("create bot", lambda c: c.create_bot(meeting_url="https://x.example/", join_at=NOON, bot_config={"bot_name": "N"},
                                          idempotency_key="i"),
     "POST /api/v1/bot/", {"bot_name": "N", "meeting_url": "https://x.example/", "join_at": "2026-01-05T12:00:00Z"},
     "i", bot(), "POST /api/v1/bot/"),
    ("get bot", lambda c: c.get_bot("b1"), "GET /api/v1/bot/b1/", None, None, bot(), "GET /api/v1/bot/{id}/"),
    ("update bot", lambda c: c.update_bot("b1", fields={"bot_name": "M"}), "PATCH /api/v1/bot/b1/", {"bot_name": "M"},
     None, bot(), "PATCH /api/v1/bot/{id}/"),
    ("delete bot", lambda c: c.delete_bot("b1"), "DELETE /api/v1/bot/b1/", None, None,
     None, "DELETE /api/v1/bot/{id}/"),
    ("leave call", lambda c: c.leave_call("b1"), "POST /api/v1/bot/b1/leave_call/", None, None,
     None, "POST /api/v1/bot/{id}/leave_call/"),
    ("delete media", lambda c: c.delete_media("b1"), "POST /api/v1/bot/b1/delete_media/", None, None,
     bot(), "POST /api/v1/bot/{id}/delete_media/"),
    ("screenshots", lambda c: c.screenshots_page("b1"), "GET /api/v1/bot/b1/screenshots/", None, None,
     listed({"id": "s1"}), "GET /api/v1/bot/{id}/screenshots/"),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLS, ids=[case[0] for case in CALLS])
def test_each_endpoint_is_called_as_the_reference_says(case: Any) -> None:
    _, call, sent, body, idempotency_key, answer, endpoint = case
    recorder = answering(204) if answer is None else answering(200, json=answer)
    records: list[Any] = []
    call(client_of(recorder, on_call=records.append))
    request = recorder.requests[0]
    assert f"{request.method} {str(request.url).removeprefix(BASE)}" == sent
    assert (recorder.body() if request.content else None) == body
    assert request.headers.get("idempotency-key") == idempotency_key
    assert [record.endpoint for record in records] == [endpoint]


def test_every_endpoint_that_has_a_name_is_called_by_some_method() -> None:
    assert {case[6] for case in CALLS} == set(ENDPOINTS)


# -- reading


def test_a_calendar_is_read_with_its_secrets_and_shows_none_of_them() -> None:
    found = parse_calendar(calendar(webhook_url="https://x.example/?token=hush", metadata={"tenant": "acme"}))
    assert found.oauth_refresh_token == REFRESH_TOKEN
    assert found.oauth_client_secret == CLIENT_SECRET
    assert found.metadata == {"tenant": "acme"}
    assert found.created_at == datetime(2025, 6, 10, 18, 56, 10, 974000, tzinfo=UTC)
    assert found.status_changes[0].code == "connecting"
    for secret in (REFRESH_TOKEN, CLIENT_SECRET, "hush"):
        assert secret not in repr(found)


def test_a_calendar_may_lack_what_the_reference_calls_nullable() -> None:
    sparse = calendar(oauth_refresh_token=None, oauth_client_secret=None, status_changes=None)
    for name in ("webhook_url", "oauth_email", "platform_email"):
        del sparse[name]
    found = parse_calendar(sparse)
    assert (found.oauth_refresh_token, found.webhook_url, found.platform_email, found.metadata) == (None,) * 4
    assert found.status_changes == ()


def test_unknown_fields_are_kept_but_not_those_that_sound_secret() -> None:
    found = parse_calendar(calendar(colour="blue", new_token="tok", nested={"password": "pw", "size": 3}))
    assert found.extra == {"colour": "blue", "nested": {"size": 3}}
    assert parse_event(event(novelty=1)).extra == {"novelty": 1}
    assert parse_event(event()).extra == {}


def test_an_event_is_read_with_the_bots_as_they_were_scheduled() -> None:
    found = parse_event(event())
    (entry,) = found.bots
    assert entry.deduplication_key == "2026-01-05T15:00:00Z-https://meet.google.com/abc-defg-hij"
    assert entry.start_time == found.start_time == datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
    assert found.title == "Weekly"
    assert parse_event(event(raw={"subject": "Woche"})).title == "Woche"
    assert parse_event(event(raw={"subject": 3})).title == ""
    assert parse_event(event(meeting_url=None, meeting_platform=None)).meeting_url is None


def test_times_are_turned_into_utc() -> None:
    assert parse_event(event(start_time="2026-01-05T16:00:00.5+01:00")).start_time == datetime(
        2026, 1, 5, 15, 0, 0, 500000, tzinfo=UTC
    )


PLANTED = {"planted": "value-we-must-not-see"}
NO_TEXT = [None, 7, PLANTED]
WRONG = [
    *[(name, value) for name in ("ical_uid", "platform_id", "platform") for value in NO_TEXT],
    *[(name, value) for name in ("id", "calendar_id") for value in [*NO_TEXT, ""]],
    *[(name, value) for name in ("start_time", "end_time", "created_at", "updated_at") for value in [*NO_TEXT, ""]],
    *[("is_deleted", value) for value in [*NO_TEXT, "false"]],
    *[("bots", value) for value in NO_TEXT],
    *[("raw", value) for value in (None, 7, "value-we-must-not-see")],
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_field_is_named_and_its_value_is_not(name: str, value: Any) -> None:
    with pytest.raises(errors.BadAnswer, match=f"“{name}”") as caught:
        parse_event(event(**{name: value}))
    assert "value-we-must-not-see" not in caught.value.sentence
    assert caught.value.kind == ErrorKind.OURS


def test_an_event_without_its_list_of_bots_is_not_taken_for_one_without_bots() -> None:
    broken = event()
    del broken["bots"]
    with pytest.raises(errors.BadAnswer, match="“bots” is missing"):
        parse_event(broken)


@pytest.mark.parametrize(
    "when", ["2026-01-05T15:00:00", "yesterday", "0001-01-01T00:00:00+23:00", "2026-01-05", 1767625200]
)
def test_a_time_without_a_zone_is_no_time(when: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="“start_time” is no time with a zone"):
        parse_event(event(start_time=when))


@pytest.mark.parametrize("remote_id", ["../../v1/bot", "a/b", "a?x=1", "", "x" * 65, "a b", "ü", "a\n"])
def test_an_id_that_could_lead_a_path_elsewhere_is_refused_both_ways(remote_id: str) -> None:
    with pytest.raises(errors.BadAnswer, match="“id” is no id"):
        parse_event(event(id=remote_id))
    recorder = answering(200, json=event())
    with pytest.raises(errors.ProviderError):
        client_of(recorder).get_event(remote_id)
    assert recorder.count == 0


def test_a_bad_element_in_a_list_stops_the_page() -> None:
    recorder = answering(200, json=listed(event(), {"id": "e2"}))
    with pytest.raises(errors.BadAnswer, match="calendar event"):
        client_of(recorder).events_page()


@pytest.mark.parametrize("answer", [[], {}, {"results": None}, {"results": {}}, "x", 5])
def test_a_list_without_results_is_a_bad_answer(answer: Any) -> None:
    with pytest.raises(errors.BadAnswer):
        client_of(answering(200, json=answer)).events_page()
    with pytest.raises(errors.BadAnswer):
        client_of(answering(200, json=answer)).probe()


def test_an_unreadable_answer_to_a_write_does_not_look_like_a_failed_write() -> None:
    with pytest.raises(errors.BadAnswer) as caught:
        client_of(answering(200, json={"id": "e1"})).remove_bot("e1")
    assert caught.value.may_have_happened


def test_a_bots_state_is_its_latest_change_whatever_the_order() -> None:
    changes = [
        {"code": "joining_call", "created_at": "2026-01-05T15:00:00Z"},
        {"code": "ready", "created_at": "2026-01-01T08:00:00Z", "message": None, "sub_code": "x", "novel": 1},
        {"something": "else"},
    ]
    found = parse_bot(bot(status_changes=changes))
    assert found.status == "joining_call"
    assert [change.code for change in found.status_changes] == ["joining_call", "ready"]
    assert parse_bot(bot(status_changes=[])).status == "ready"
    assert parse_bot(bot(status_changes=list(reversed(changes)))).status == "joining_call"


def test_a_bot_shows_its_meeting_as_text_as_parts_or_not_at_all() -> None:
    assert parse_bot(bot()).meeting == {"meeting_id": "abc-defg-hij", "platform": "google_meet"}
    assert parse_bot(bot(meeting_url="https://x.example/")).meeting_url == "https://x.example/"
    assert parse_bot(bot(meeting_url=None, join_at=None, metadata=None)).join_at is None
    with pytest.raises(errors.BadAnswer, match="“meeting_url”"):
        parse_bot(bot(meeting_url=7))
    secret = parse_bot(bot(meeting_url={"meeting_id": "1", "meeting_password": "hush", "platform": "zoom"}))
    assert "hush" not in repr(secret)


def test_an_access_token_does_not_show_itself() -> None:
    token = client_of(answering(200, json=TOKEN)).access_token("c1")
    assert token.token == "ya29.short-lived"
    assert token.expires_at == datetime(2026, 1, 5, 13, 0, tzinfo=UTC)
    assert "short-lived" not in repr(token)


# -- pages


def page_url(cursor: str, path: str = "/api/v2/calendar-events/") -> str:
    return f"{BASE}{path}?cursor={cursor}"


def test_a_list_is_read_to_its_end_page_after_page() -> None:
    recorder = Recorder(
        httpx.Response(200, json=listed(event(id="e1"), event(id="e2"), next=page_url("a"))),
        httpx.Response(200, json=listed(next=page_url("b"))),
        httpx.Response(200, json=listed(event(id="e3"))),
    )
    assert [found.id for found in client_of(recorder).iter_events(calendar_id="c1")] == ["e1", "e2", "e3"]
    assert [request.url.query.decode() for request in recorder.requests] == ["calendar_id=c1", "cursor=a", "cursor=b"]


def test_reading_may_stop_at_a_page_and_go_on_from_its_cursor() -> None:
    recorder = Recorder(
        httpx.Response(200, json=listed(event(), next=page_url("a"))), httpx.Response(200, json=listed())
    )
    page = client_of(recorder).events_page()
    assert page.next == page_url("a")
    assert client_of(recorder).events_page(page.next).next is None


def test_numbered_pages_are_read_to_their_end() -> None:
    recorder = Recorder(
        httpx.Response(200, json={"count": 2, **listed(bot(id="b1"), next=f"{BASE}/api/v1/bot/?page=2")}),
        httpx.Response(200, json={"count": 2, **listed(bot(id="b2"))}),
    )
    assert [found.id for found in client_of(recorder).iter_bots()] == ["b1", "b2"]


def test_a_list_that_goes_round_in_a_circle_ends() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        other = "b" if b"cursor=a" in request.url.query else "a"
        return httpx.Response(200, json=listed(event(), next=page_url(other)))

    recorder = Recorder(answer)
    with pytest.raises(errors.BadAnswer, match="circle"):
        list(client_of(recorder).iter_events())
    assert recorder.count == 3
    with pytest.raises(errors.BadAnswer, match="same page again"):
        client_of(answering(200, json=listed(event(), next=page_url("a")))).events_page(page_url("a"))


@pytest.mark.parametrize("following", [7, {}, [], True])
def test_a_next_that_is_no_address_is_a_bad_answer(following: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="no address"):
        client_of(answering(200, json=listed(next=following))).events_page()


# -- probe


def test_a_probe_asks_for_one_page_of_bots() -> None:
    recorder = answering(200, json=listed(), headers={"Date": "Mon, 05 Jan 2026 12:00:03 GMT"})
    probe = client_of(recorder).probe()
    assert str(recorder.requests[0].url) == f"{BASE}/api/v1/bot/?page=1"
    assert (probe.out_of_credit, probe.server_date) == (False, NOON.replace(second=3))


def test_a_workspace_without_credit_still_knows_its_key() -> None:
    assert client_of(answering(402, json={"detail": "no credit"})).probe().out_of_credit


def test_a_probe_with_the_wrong_key_says_so() -> None:
    with pytest.raises(errors.InvalidKey):
        client_of(answering(401, json={"code": "authentication_failed"})).probe()


def test_a_time_without_a_zone_is_not_sent() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        client_of(answering(200, json=listed())).events_page(start_time__gte=datetime(2026, 1, 5))  # noqa: DTZ001
