"""What a stored webhook tells. Pure, and it never raises: a body is whatever bytes somebody with the secret signed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from calendars.storable import storable

CALENDAR_UPDATE = "calendar.update"
CALENDAR_SYNC = "calendar.sync_events"

BOT_STATES = frozenset(
    f"bot.{code}"
    for code in (
        "joining_call",
        "in_waiting_room",
        "in_call_not_recording",
        "recording_permission_allowed",
        "recording_permission_denied",
        "in_call_recording",
        "call_ended",
        "done",
        "fatal",
        "status_change",  # of older accounts: the state is in the body
    )
)
# Of a bot, but no state that it stays in.
BOT_NEWS = frozenset(
    {
        "bot.log",
        "bot.output_log",
        "bot.breakout_room_entered",
        "bot.breakout_room_left",
        "bot.breakout_room_opened",
        "bot.breakout_room_closed",
    }
)
MEDIA = (
    "transcript",
    "video_mixed",
    "video_separate",
    "audio_mixed",
    "audio_separate",
    "participant_events",
    "meeting_metadata",
)
CATALOGUE = (
    frozenset({CALENDAR_UPDATE, CALENDAR_SYNC, "slack.huddle_state"})
    | BOT_STATES
    | BOT_NEWS
    | {f"recording.{code}" for code in ("processing", "paused", "done", "failed", "deleted")}
    | {f"{medium}.{code}" for medium in MEDIA for code in ("processing", "done", "failed", "deleted")}
    | {f"realtime_endpoint.{code}" for code in ("running", "done", "failed")}
    | {f"slack_team.{code}" for code in ("invited", "active", "access_revoked")}
    | {f"sdk_upload.{code}" for code in ("uploading", "complete", "failed")}
)

NOT_JSON = "The body is not JSON."
NOT_AN_OBJECT = "The body is not a JSON object."
TOO_DEEP = "The body is nested too deeply."
NO_NAME = "The body names no event."
NO_CALENDAR = "It names no calendar."
NO_BOT = "It names no bot."

EVENT_CHARACTERS = 120
CODE_CHARACTERS = 60
_REMOTE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_YEARS = range(2000, 2200)  # further out sums and time zones overflow


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook says, as far as anything here depends on it. With a problem it can not be acted on."""

    event: str = ""
    calendar_id: str = ""
    last_updated_ts: datetime | None = None
    bot_id: str = ""
    code: str = ""
    updated_at: datetime | None = None
    problem: str = ""

    @property
    def subject(self) -> str:
        """The calendar or bot that it speaks of."""
        return self.calendar_id or self.bot_id

    @property
    def known(self) -> bool:
        """Tell whether the vendor's catalogue has the event."""
        return self.event in CATALOGUE

    @property
    def is_bot_state(self) -> bool:
        """Tell whether it says how a bot is. The vendor adds states: an unknown name of a bot counts as one."""
        return self.event.startswith("bot.") and self.event not in BOT_NEWS


def parse(body: bytes) -> Told:
    """Read a body."""
    try:
        # No number in it matters, and a long one would raise; neither does it matter that NaN is not JSON.
        value = json.loads(body.decode("utf-8-sig"), parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        return Told(problem=TOO_DEEP)
    except ValueError:
        return Told(problem=NOT_JSON)
    if not isinstance(value, dict):
        return Told(problem=NOT_AN_OBJECT)
    event = _text(value.get("event"), EVENT_CHARACTERS)
    if not event:
        return Told(problem=NO_NAME)
    return _read(event, _object(value.get("data")))


def _read(event: str, data: dict[str, Any]) -> Told:
    state = _object(data.get("data")) or _object(data.get("status"))
    told = Told(
        event=event,
        calendar_id=_id(data.get("calendar_id")),
        last_updated_ts=_time(data.get("last_updated_ts")),
        bot_id=_id(_object(data.get("bot")).get("id")) or _id(data.get("bot_id")),
        code=_text(state.get("code"), CODE_CHARACTERS),
        updated_at=_time(state.get("updated_at")) or _time(state.get("created_at")),
    )
    if event in {CALENDAR_UPDATE, CALENDAR_SYNC} and not told.calendar_id:
        return Told(event=event, problem=NO_CALENDAR)
    if told.is_bot_state and not told.bot_id:
        return Told(event=event, problem=NO_BOT)
    return told


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, longest: int) -> str:
    text: str = storable(value[:longest]) if isinstance(value, str) else ""
    return text


def _id(value: Any) -> str:
    return value if isinstance(value, str) and _REMOTE_ID.fullmatch(value) else ""


def _time(value: Any) -> datetime | None:
    try:
        moment = parse_datetime(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        return None
    if moment is None or moment.year not in _YEARS:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
