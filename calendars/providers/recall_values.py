"""What Recall's answers say, as values.

Lenient: unknown fields are kept in `extra` (but not those whose names speak of secrets), and what the reference calls
nullable may be missing. Strict where a wrong value would mislead a decision: ids, times, flags. The error for a bad
element names its field, never its value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from calendars.providers.errors import BadAnswer, ErrorKind
from calendars.providers.redaction import is_secret_name, quote, without_secrets

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One thing as it was read. `begun_at`: domain time when the read began; `server_date`: the provider's clock."""

    value: T
    begun_at: datetime
    server_date: datetime | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A piece of a list. `next` is opaque: hand it back to the same method; None at the end."""

    items: tuple[T, ...]
    next: str | None
    begun_at: datetime
    server_date: datetime | None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An entry of a history of states, of a calendar or of a bot."""

    code: str
    created_at: datetime | None
    sub_code: str | None
    message: str | None
    extra: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecallCalendar:
    """A V2 calendar. Recall sends its OAuth secrets in clear in every answer."""

    id: str
    platform: str
    status: str
    platform_email: str | None
    oauth_email: str | None
    oauth_client_id: str | None
    oauth_client_secret: str | None = field(repr=False)
    oauth_refresh_token: str | None = field(repr=False)
    oauth_client_certificate: str | None = field(repr=False)
    oauth_client_private_key: str | None = field(repr=False)
    webhook_url: str | None = field(repr=False)  # may hold a token in its query
    metadata: dict[str, str] | None
    status_changes: tuple[StatusChange, ...] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    extra: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BotEntry:
    """A bot as the event shows it: the start and URL for which it was scheduled, which may lag behind the event's."""

    bot_id: str
    start_time: datetime
    deduplication_key: str | None
    meeting_url: str | None
    extra: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecallEvent:
    """A calendar event. `raw` is Google's or Microsoft's own JSON."""

    id: str
    calendar_id: str
    platform: str
    platform_id: str
    ical_uid: str
    start_time: datetime
    end_time: datetime
    meeting_platform: str | None
    meeting_url: str | None = field(repr=False)
    is_deleted: bool
    bots: tuple[BotEntry, ...] = field(repr=False)
    raw: dict[str, Any] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    extra: dict[str, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """Return the title, which only `raw` has: `summary` at Google, `subject` at Microsoft."""
        title = self.raw.get("summary") or self.raw.get("subject")
        return title if isinstance(title, str) else ""


@dataclass(frozen=True, slots=True)
class RecallBot:
    """A bot. `status` is the code of its latest state, "ready" means scheduled; `body` is all that came."""

    id: str
    status: str
    join_at: datetime | None
    bot_name: str | None
    meeting_url: str | None = field(repr=False)  # only when it came as text
    meeting: dict[str, Any] | None = field(repr=False)  # on reading Recall takes the URL apart; may hold a password
    metadata: dict[str, Any]
    status_changes: tuple[StatusChange, ...] = field(repr=False)
    recordings: tuple[dict[str, Any], ...] = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    extra: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A short-lived token at Google or Microsoft, minted by Recall: proof that the grant works."""

    token: str = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Probe:
    """What the cheapest call showed: the key opens this region."""

    begun_at: datetime
    server_date: datetime | None
    took_ms: float
    out_of_credit: bool


class Fields:
    """Reads one JSON object, field by field, and knows afterwards what was left over."""

    __slots__ = ("_data", "_known", "_what")

    def __init__(self, data: Any, what: str) -> None:
        if not isinstance(data, dict):
            raise bad_answer(f"has something else in place of {what}")
        self._data: dict[str, Any] = data
        self._what = what
        self._known: set[str] = set()

    def wrong(self, name: str, why: str) -> BadAnswer:
        """Return the error for a field; its value is never shown."""
        return bad_answer(f"has {self._what} whose “{name}” {why}")

    def id(self, name: str) -> str:
        """Return an id, fit to be put into a path."""
        value = self._get(name)
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise self.wrong(name, "is no id")
        return value

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        value = self._get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "is missing or no text")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a text, or None when it is null or absent."""
        value = self._get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "is no text")
        return value

    def flag(self, name: str) -> bool:
        """Return true or false, which must be there."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return value

    def when(self, name: str) -> datetime:
        """Return a time that must be there, in UTC."""
        found = self.when_or_none(name)
        if found is None:
            raise self.wrong(name, "is missing")
        return found

    def when_or_none(self, name: str) -> datetime | None:
        """Return a time in UTC, or None when it is null or absent."""
        value = self._get(name)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is None:
                raise ValueError(value)
            return found.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            raise self.wrong(name, "is no time with a zone") from None

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object that must be there."""
        found = self.mapping_or_none(name)
        if found is None:
            raise self.wrong(name, "is missing")
        return found

    def mapping_or_none(self, name: str) -> dict[str, Any] | None:
        """Return an object, or None when it is null or absent."""
        value = self._get(name)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(name, "is no object")
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list that must be there: an absent list of bots must not look like "no bots"."""
        value = self._get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "is missing or no list")
        return value

    def any(self, name: str) -> Any:
        """Return whatever stands there."""
        return self._get(name)

    def rest(self) -> dict[str, Any]:
        """Return what nobody asked for, without what may be secret."""
        unknown = self._data.keys() - self._known
        return (
            {name: without_secrets(self._data[name]) for name in unknown if not is_secret_name(name)} if unknown else {}
        )

    def _get(self, name: str) -> Any:
        self._known.add(name)
        return self._data.get(name)


def bad_answer(why: str) -> BadAnswer:
    """Return the error for an answer that is JSON, but not what the reference says."""
    return BadAnswer(
        f"Recall's answer {quote(why)}. RecallOps does not guess: report it, the provider may have changed its API.",
        kind=ErrorKind.OURS,
    )


def parse_calendar(data: Any) -> RecallCalendar:
    """Read a calendar."""
    fields = Fields(data, "a calendar")
    metadata = fields.mapping_or_none("metadata")
    if metadata is not None and not all(isinstance(value, str) for value in metadata.values()):
        raise fields.wrong("metadata", "has something else than texts")
    return RecallCalendar(
        id=fields.id("id"),
        platform=fields.text("platform"),
        status=fields.text("status"),
        platform_email=fields.text_or_none("platform_email"),
        oauth_email=fields.text_or_none("oauth_email"),
        oauth_client_id=fields.text_or_none("oauth_client_id"),
        oauth_client_secret=fields.text_or_none("oauth_client_secret"),
        oauth_refresh_token=fields.text_or_none("oauth_refresh_token"),
        oauth_client_certificate=fields.text_or_none("oauth_client_certificate"),
        oauth_client_private_key=fields.text_or_none("oauth_client_private_key"),
        webhook_url=fields.text_or_none("webhook_url"),
        metadata=metadata,
        status_changes=_status_changes(fields.any("status_changes"), code="status"),
        created_at=fields.when("created_at"),
        updated_at=fields.when("updated_at"),
        extra=fields.rest(),
    )


def parse_event(data: Any) -> RecallEvent:
    """Read a calendar event."""
    fields = Fields(data, "a calendar event")
    return RecallEvent(
        id=fields.id("id"),
        calendar_id=fields.id("calendar_id"),
        platform=fields.text("platform"),
        platform_id=fields.text("platform_id"),
        ical_uid=fields.text("ical_uid"),
        start_time=fields.when("start_time"),
        end_time=fields.when("end_time"),
        meeting_platform=fields.text_or_none("meeting_platform"),
        meeting_url=fields.text_or_none("meeting_url"),
        is_deleted=fields.flag("is_deleted"),
        bots=tuple(_parse_bot_entry(entry) for entry in fields.items("bots")),
        raw=fields.mapping("raw"),
        created_at=fields.when("created_at"),
        updated_at=fields.when("updated_at"),
        extra=fields.rest(),
    )


def _parse_bot_entry(data: Any) -> BotEntry:
    fields = Fields(data, "an event's bot")
    return BotEntry(
        bot_id=fields.id("bot_id"),
        start_time=fields.when("start_time"),
        deduplication_key=fields.text_or_none("deduplication_key"),
        meeting_url=fields.text_or_none("meeting_url"),
        extra=fields.rest(),
    )


def parse_bot(data: Any) -> RecallBot:
    """Read a bot."""
    fields = Fields(data, "a bot")
    url = fields.any("meeting_url")
    if url is not None and not isinstance(url, str | dict):
        raise fields.wrong("meeting_url", "is neither a text nor an object")
    changes = _status_changes(fields.any("status_changes"), code="code")
    recordings = fields.any("recordings")
    return RecallBot(
        id=fields.id("id"),
        status=_latest(changes),
        join_at=fields.when_or_none("join_at"),
        bot_name=fields.text_or_none("bot_name"),
        meeting_url=url if isinstance(url, str) else None,
        meeting=url if isinstance(url, dict) else None,
        metadata=fields.mapping_or_none("metadata") or {},
        status_changes=changes,
        recordings=tuple(entry for entry in recordings or () if isinstance(entry, dict)),
        body=data,
        extra=fields.rest(),
    )


def parse_access_token(data: Any) -> AccessToken:
    """Read an access token."""
    fields = Fields(data, "an access token")
    return AccessToken(token=fields.text("token"), expires_at=fields.when_or_none("expires_at"))


def _status_changes(found: Any, *, code: str) -> tuple[StatusChange, ...]:
    """Read a history; its form is hardly documented, so entries without a code are left out rather than refused."""
    changes = []
    for entry in found if isinstance(found, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get(code), str):
            fields = Fields(entry, "a change of status")
            changes.append(
                StatusChange(
                    code=fields.text(code),
                    created_at=fields.when_or_none("created_at"),
                    sub_code=fields.text_or_none("sub_code"),
                    message=fields.text_or_none("message"),
                    extra=fields.rest(),
                )
            )
    return tuple(changes)


def _latest(changes: tuple[StatusChange, ...]) -> str:
    """Return the code of the latest change; the order of the list is not relied on. "ready" when there is none yet."""
    if not changes:
        return "ready"
    never = datetime.min.replace(tzinfo=UTC)
    # among equal times the later in the list counts
    return max(enumerate(changes), key=lambda pair: (pair[1].created_at or never, pair[0]))[1].code
