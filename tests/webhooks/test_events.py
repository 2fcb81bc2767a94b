"""What a webhook tells, by the vendor's documented bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from calendars.webhooks.events import CATALOGUE, Told, parse
from tests.webhooks.senders import body_of

ID = "11111111-2222-4333-8444-555555555555"
TS = "2025-01-29T23:49:58.570998+00:00"
AT = datetime(2025, 1, 29, 23, 49, 58, 570998, tzinfo=UTC)
STATE = {"code": "done", "sub_code": None, "updated_at": TS}
BOT = {"id": ID, "metadata": {}}

SAID: list[tuple[str, dict[str, Any], Told]] = [
    ("calendar.update", {"calendar_id": ID}, Told("calendar.update", calendar_id=ID)),
    (
        "calendar.sync_events",
        {"calendar_id": ID, "last_updated_ts": TS},
        Told("calendar.sync_events", calendar_id=ID, last_updated_ts=AT),
    ),
    ("calendar.sync_events", {"calendar_id": ID}, Told("calendar.sync_events", calendar_id=ID)),
    ("bot.done", {"data": STATE, "bot": BOT}, Told("bot.done", bot_id=ID, code="done", updated_at=AT)),
    (
        "bot.status_change",
        {"bot_id": ID, "status": {"code": "in_waiting_room", "created_at": TS}},
        Told("bot.status_change", bot_id=ID, code="in_waiting_room", updated_at=AT),
    ),
    ("bot.log", {"bot_id": ID, "log": {"level": "info"}}, Told("bot.log", bot_id=ID)),
    (
        "recording.done",
        {"data": STATE, "recording": {"id": "r1"}, "bot": BOT},
        Told("recording.done", bot_id=ID, code="done", updated_at=AT),
    ),
    ("slack_team.active", {"data": {"code": "active"}}, Told("slack_team.active", code="active")),
    ("calendar.update", {}, Told("calendar.update", problem="It names no calendar.")),
    ("bot.done", {"data": STATE}, Told("bot.done", problem="It names no bot.")),
]


@pytest.mark.parametrize(("event", "data", "told"), SAID)
def test_what_is_documented_is_understood(event: str, data: dict[str, Any], told: Told) -> None:
    assert parse(body_of(event, **data)) == told


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T11:00:00+02:00", datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("2026-11-23T11:00:00", datetime(2026, 11, 23, 11, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("1899-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        (None, None),
        (1_700_000_000, None),
    ],
)
def test_times_are_utc_or_none(text: Any, moment: datetime | None) -> None:
    assert parse(body_of("calendar.sync_events", calendar_id=ID, last_updated_ts=text)).last_updated_ts == moment


@pytest.mark.parametrize(
    "name",
    [
        "calendar.update",
        "bot.fatal",
        "recording.paused",
        "video_separate.deleted",
        "realtime_endpoint.failed",
        "slack.huddle_state",
        "sdk_upload.uploading",
        "bot.output_log",
    ],
)
def test_the_catalogue_knows_the_documented_names(name: str) -> None:
    assert name in CATALOGUE


@pytest.mark.parametrize("name", ["calendar.event.created", "bot.dancing", "x", "recording."])
def test_the_catalogue_knows_no_others(name: str) -> None:
    assert name not in CATALOGUE
