"""The Recall client: Calendar V2, calendar events and bots, one method for each endpoint.

Reads return a `Reading` or a `Page`: what was read, and when the read began; iterators stand on top of the page-wise
methods. Writes return what the provider answered, which is no read-back. All raise ProviderError and its family.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

from calendars.providers import errors
from calendars.providers.cursor import next_query
from calendars.providers.http import Http
from calendars.providers.recall_endpoints import (
    ACCESS_TOKEN,
    ADD_BOT,
    CREATE_BOT,
    CREATE_CALENDAR,
    DELETE_BOT,
    DELETE_CALENDAR,
    DELETE_MEDIA,
    GET_BOT,
    GET_CALENDAR,
    GET_EVENT,
    LEAVE_CALL,
    LIST_BOTS,
    LIST_CALENDARS,
    LIST_EVENTS,
    LIST_SCREENSHOTS,
    REMOVE_BOT,
    UPDATE_BOT,
    UPDATE_CALENDAR,
)
from calendars.providers.recall_paths import bot_path, calendar_path, event_path, query_of, text_of
from calendars.providers.recall_values import (
    AccessToken,
    BotEntry,
    Page,
    Probe,
    Reading,
    RecallBot,
    RecallCalendar,
    RecallEvent,
    StatusChange,
    bad_answer,
    parse_access_token,
    parse_bot,
    parse_calendar,
    parse_event,
)
from recallops import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from calendars.providers.calls import Answer, CallRecord, RateBudget, Timeouts
    from calendars.providers.http import Transport

__all__ = [
    "AccessToken",
    "BotEntry",
    "Page",
    "Probe",
    "Reading",
    "RecallBot",
    "RecallCalendar",
    "RecallClient",
    "RecallEvent",
    "StatusChange",
]

T = TypeVar("T")

_KEY = re.compile(r"[!-~]{1,500}")


class RecallClient:
    """Calls one Recall workspace. Cheap to make, safe to share between threads; its key shows nowhere."""

    __slots__ = ("_http",)

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        budget: RateBudget,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        max_wait: float = 5.0,
        on_call: Callable[[CallRecord], None] | None = None,
        **more: Any,
    ) -> None:
        """`max_wait`: seconds to wait for the rate budget before BudgetBusy. `more`: sleep, jitter, max_body."""
        key = api_key.strip()
        if not _KEY.fullmatch(key):
            raise errors.InvalidKey(
                "The API key is empty or has characters that no Recall key has (spaces, line breaks). Copy it again "
                "from the region's dashboard."
            )
        self._http = Http(
            base_url=base_url,
            authorization=f"Token {key}",
            secret=key,
            provider="Recall",
            budget=budget,
            transport=transport,
            timeouts=timeouts,
            max_wait=max_wait,
            on_call=on_call,
            **more,
        )

    def __repr__(self) -> str:
        return f"<RecallClient {self._http.base_url}>"

    @property
    def base_url(self) -> str:
        """Return the region's base URL in its normal form."""
        return self._http.base_url

    @property
    def timeouts(self) -> Timeouts:
        """Return the time-outs; leases and freezes are reckoned with them."""
        return self._http.timeouts

    def with_options(
        self, *, max_wait: float | None = None, on_call: Callable[[CallRecord], None] | None = None
    ) -> RecallClient:
        """Return the same client with another patience for the rate budget, or another collector of calls."""
        other = object.__new__(RecallClient)
        other._http = self._http.with_options(max_wait=max_wait, on_call=on_call)
        return other

    def probe(self) -> Probe:
        """Tell whether the key opens this region, by the cheapest call. InvalidKey and the others as ever.

        A workspace without credit knows its key, too.
        """
        begun_at, started = clock.now(), time.monotonic()
        server_date, out_of_credit = None, False
        try:
            answer = self._http.call("GET", "/api/v1/bot/", endpoint=LIST_BOTS, query="page=1")
            _results(answer)
            begun_at, server_date = answer.begun_at, answer.server_date
        except errors.PaymentRequired:
            out_of_credit = True
        took_ms = (time.monotonic() - started) * 1000
        return Probe(begun_at=begun_at, server_date=server_date, took_ms=took_ms, out_of_credit=out_of_credit)

    # -- calendars

    def calendars_page(
        self,
        next: str | None = None,
        *,
        created_at__gte: datetime | None = None,
        email: str | None = None,
        platform: str | None = None,
        status: str | None = None,
    ) -> Page[RecallCalendar]:
        """Read one page of the calendars. With `next` from a page before, the filters are in it already."""
        filters = {"created_at__gte": created_at__gte, "email": email, "platform": platform, "status": status}
        return self._page(LIST_CALENDARS, "/api/v2/calendars/", next, filters, parse_calendar)

    def iter_calendars(self, **filters: Any) -> Iterator[RecallCalendar]:
        """Read all calendars, page after page."""
        return self._iterate(self.calendars_page, filters)

    def get_calendar(self, calendar_id: str) -> Reading[RecallCalendar]:
        """Read one calendar."""
        return _reading(self._http.call("GET", calendar_path(calendar_id), endpoint=GET_CALENDAR), parse_calendar)

    def create_calendar(
        self,
        *,
        platform: str,
        oauth_client_id: str,
        oauth_refresh_token: str,
        idempotency_key: str,
        oauth_client_secret: str | None = None,
        oauth_client_certificate: str | None = None,
        oauth_client_private_key: str | None = None,
        oauth_email: str | None = None,
        webhook_url: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> RecallCalendar:
        """Connect a calendar. It comes back as `connecting`; whether the grant works shows later."""
        fields = {
            "platform": platform,
            "oauth_client_id": oauth_client_id,
            "oauth_refresh_token": oauth_refresh_token,
            "oauth_client_secret": oauth_client_secret,
            "oauth_client_certificate": oauth_client_certificate,
            "oauth_client_private_key": oauth_client_private_key,
            "oauth_email": oauth_email,
            "webhook_url": webhook_url,
            "metadata": dict(metadata) if metadata is not None else None,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        answer = self._http.call(
            "POST", "/api/v2/calendars/", endpoint=CREATE_CALENDAR, body=body, idempotency_key=idempotency_key
        )
        return _written(answer, parse_calendar)

    def update_calendar(
        self, calendar_id: str, *, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> RecallCalendar:
        """Change fields of a calendar. With no fields at all, Recall tries to connect a disconnected calendar again."""
        answer = self._http.call(
            "PATCH", calendar_path(calendar_id), endpoint=UPDATE_CALENDAR, body=fields, idempotency_key=idempotency_key
        )
        return _written(answer, parse_calendar)

    def delete_calendar(self, calendar_id: str) -> None:
        """Delete a calendar, its events and all its future bots, at once."""
        self._http.call("DELETE", calendar_path(calendar_id), endpoint=DELETE_CALENDAR, empty_ok=True)

    def access_token(self, calendar_id: str) -> AccessToken:
        """Have Recall mint an access token: proof that the grant works. CredentialRefused: they must reconnect."""
        answer = self._http.call("POST", f"{calendar_path(calendar_id)}access-token/", endpoint=ACCESS_TOKEN)
        return _written(answer, parse_access_token)

    # -- calendar events

    def events_page(
        self,
        next: str | None = None,
        *,
        calendar_id: str | None = None,
        ical_uid: str | None = None,
        is_deleted: bool | None = None,
        start_time: datetime | None = None,
        start_time__gte: datetime | None = None,
        start_time__lte: datetime | None = None,
        updated_at__gte: datetime | None = None,
    ) -> Page[RecallEvent]:
        """Read one page (at most 100) of the events of a calendar or of the workspace. `ical_uid` is a prefix."""
        filters = {
            "calendar_id": calendar_id,
            "ical_uid": ical_uid,
            "is_deleted": is_deleted,
            "start_time": start_time,
            "start_time__gte": start_time__gte,
            "start_time__lte": start_time__lte,
            "updated_at__gte": updated_at__gte,
        }
        return self._page(LIST_EVENTS, "/api/v2/calendar-events/", next, filters, parse_event)

    def iter_events(self, **filters: Any) -> Iterator[RecallEvent]:
        """Read all events, page after page."""
        return self._iterate(self.events_page, filters)

    def get_event(self, event_id: str) -> Reading[RecallEvent]:
        """Read one event with its bots."""
        return _reading(self._http.call("GET", event_path(event_id), endpoint=GET_EVENT), parse_event)

    def add_bot(
        self, event_id: str, *, deduplication_key: str, bot_config: Mapping[str, Any], idempotency_key: str
    ) -> RecallEvent:
        """Schedule a bot for an event, or replace the whole configuration of the one it has. Returns the event."""
        answer = self._http.call(
            "POST",
            f"{event_path(event_id)}bot/",
            endpoint=ADD_BOT,
            body={"deduplication_key": deduplication_key, "bot_config": bot_config},
            idempotency_key=idempotency_key,
        )
        return _written(answer, parse_event)

    def remove_bot(self, event_id: str) -> RecallEvent:
        """Take the bot off an event; it is deleted when no other event has it. May be repeated. Returns the event."""
        return _written(self._http.call("DELETE", f"{event_path(event_id)}bot/", endpoint=REMOVE_BOT), parse_event)

    # -- bots

    def bots_page(
        self,
        next: str | None = None,
        *,
        join_at_after: datetime | None = None,
        join_at_before: datetime | None = None,
        meeting_url: str | None = None,
        platform: Sequence[str] = (),
        status: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> Page[RecallBot]:
        """Read one page of the bots. The pages are numbered: they shift while bots are deleted.

        `join_at_after` includes its bound, `join_at_before` does not; bots that joined have no `join_at`.
        """
        filters: dict[str, Any] = {
            "join_at_after": join_at_after,
            "join_at_before": join_at_before,
            "meeting_url": meeting_url,
            "platform": platform,
            "status": status,
        }
        filters |= {f"metadata__{name}": value for name, value in (metadata or {}).items()}
        return self._page(LIST_BOTS, "/api/v1/bot/", next, filters, parse_bot)

    def iter_bots(self, **filters: Any) -> Iterator[RecallBot]:
        """Read all bots, page after page."""
        return self._iterate(self.bots_page, filters)

    def get_bot(self, bot_id: str) -> Reading[RecallBot]:
        """Read one bot."""
        return _reading(self._http.call("GET", bot_path(bot_id), endpoint=GET_BOT), parse_bot)

    def create_bot(
        self,
        *,
        meeting_url: str,
        idempotency_key: str,
        join_at: datetime | None = None,
        bot_config: Mapping[str, Any] | None = None,
    ) -> RecallBot:
        """Make a stand-alone bot, without a calendar event."""
        body = {**(bot_config or {}), "meeting_url": meeting_url}
        if join_at is not None:
            body["join_at"] = text_of(join_at)
        answer = self._http.call(
            "POST", "/api/v1/bot/", endpoint=CREATE_BOT, body=body, idempotency_key=idempotency_key
        )
        return _written(answer, parse_bot)

    def update_bot(self, bot_id: str, *, fields: Mapping[str, Any], idempotency_key: str | None = None) -> RecallBot:
        """Change a stand-alone scheduled bot. A bot of a calendar event is changed by `add_bot` only."""
        answer = self._http.call(
            "PATCH", bot_path(bot_id), endpoint=UPDATE_BOT, body=fields, idempotency_key=idempotency_key
        )
        return _written(answer, parse_bot)

    def delete_bot(self, bot_id: str) -> None:
        """Delete a scheduled bot. BotAlreadyJoined when it is too late for that."""
        self._http.call("DELETE", bot_path(bot_id), endpoint=DELETE_BOT, empty_ok=True)

    def leave_call(self, bot_id: str) -> None:
        """Ask a bot to leave its meeting. What it recorded stays."""
        self._http.call("POST", f"{bot_path(bot_id)}leave_call/", endpoint=LEAVE_CALL, empty_ok=True)

    def delete_media(self, bot_id: str) -> RecallBot:
        """Delete what a bot recorded. Cannot be undone."""
        return _written(self._http.call("POST", f"{bot_path(bot_id)}delete_media/", endpoint=DELETE_MEDIA), parse_bot)

    def screenshots_page(self, bot_id: str, next: str | None = None) -> Page[dict[str, Any]]:
        """Read one page of a bot's screenshots, as they come."""
        return self._page(LIST_SCREENSHOTS, f"{bot_path(bot_id)}screenshots/", next, {}, _as_it_is)

    # -- pages

    def _page(
        self, endpoint: str, path: str, next: str | None, filters: Mapping[str, Any], parse: Callable[[Any], T]
    ) -> Page[T]:
        if next is None:
            query = query_of(filters)
        else:
            query = next_query(next, base_url=self._http.base_url, path=path, endpoint=endpoint)
        about = str(filters.get("calendar_id") or "")
        answer = self._http.call("GET", path, endpoint=endpoint, query=query, subject=about)
        items = tuple(parse(element) for element in _results(answer))
        following = answer.data.get("next")
        if following is not None:
            if not isinstance(following, str):
                raise bad_answer(f"to {endpoint} has a “next” that is no address")
            following_query = next_query(following, base_url=self._http.base_url, path=path, endpoint=endpoint)
            if following_query == query:
                raise bad_answer(f"to {endpoint} has a “next” that leads to the same page again")
            following = f"{self._http.base_url}{path}?{following_query}"
        return Page(items=items, next=following, begun_at=answer.begun_at, server_date=answer.server_date)

    def _iterate(self, read_page: Callable[..., Page[T]], filters: Mapping[str, Any]) -> Iterator[T]:
        page = read_page(None, **filters)
        seen = set()
        while True:
            yield from page.items
            if page.next is None:
                return
            if page.next in seen:
                raise bad_answer("is a list that goes round in a circle")
            seen.add(page.next)
            page = read_page(page.next, **filters)


def _results(answer: Answer) -> list[Any]:
    """The elements of a list's page."""
    results = answer.data.get("results") if isinstance(answer.data, dict) else None
    if not isinstance(results, list):
        raise bad_answer("to a list has no “results”")
    return results


def _reading(answer: Answer, parse: Callable[[Any], T]) -> Reading[T]:
    return Reading(value=parse(answer.data), begun_at=answer.begun_at, server_date=answer.server_date)


def _written(answer: Answer, parse: Callable[[Any], T]) -> T:
    """The answer of a write; that it cannot be read must not look as if the write had failed."""
    try:
        return parse(answer.data)
    except errors.BadAnswer as error:
        error.may_have_happened = True
        raise


def _as_it_is(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise bad_answer("has something else in place of an object")
    return data
