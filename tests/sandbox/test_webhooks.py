"""Webhooks: what is sent, how it is signed, how it is retried (reference 4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from recallops.sandbox.webhooks import sign
from tests.sandbox.conftest import CLIENT, NOON

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage


def test_the_signature_agrees_with_the_public_vector() -> None:
    body = b'{"test": 2432232314}'
    signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("svix", "family"), [(False, "webhook"), (True, "svix")])
def test_a_webhook_is_signed_under_either_family_of_headers(stage: Stage, svix: bool, family: str) -> None:
    stage.us.svix = svix
    stage.listen(stage.us)
    calendar = stage.connect(stage.alice)
    stage.us.disconnect(calendar.id)
    stage.later(seconds=0)
    (sent,) = stage.webhooks
    assert set(sent.headers) == {"content-type", f"{family}-id", f"{family}-timestamp", f"{family}-signature"}
    assert sent.headers[f"{family}-id"].startswith("msg_")
    assert sent.headers[f"{family}-timestamp"] == str(int(NOON.timestamp())), "domain time"
    secret = base64.b64decode(stage.us.webhook_secret.removeprefix("whsec_"))
    signed = f"{sent.headers[f'{family}-id']}.{sent.headers[f'{family}-timestamp']}.".encode() + sent.body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert sent.headers[f"{family}-signature"] == f"v1,{expected}"
    assert json.loads(sent.body) == {"event": "calendar.update", "data": {"calendar_id": calendar.id}}


def test_a_connection_tells_of_the_update_then_of_the_events(stage: Stage) -> None:
    stage.listen(stage.us)
    stage.meeting()
    calendar = stage.connect(stage.alice, connect=False)
    stage.later(seconds=30)
    update, sync = stage.heard()
    assert update == {"event": "calendar.update", "data": {"calendar_id": calendar.id}}
    assert (sync["event"], sync["data"]["calendar_id"]) == ("calendar.sync_events", calendar.id)
    found = stage.get("/api/v2/calendar-events/", updated_at__gte=sync["data"]["last_updated_ts"])
    assert len(found["results"]) == 1


def test_changes_close_together_share_one_sync_whose_mark_finds_them_all(stage: Stage) -> None:
    stage.world.switches.sync_delay = (1.0, 1.5)
    first, second = stage.meeting(), stage.meeting(hours=30)
    stage.connect(stage.alice)
    stage.listen(stage.us)
    stage.world.retitle(first, "One")
    stage.world.retitle(second, "Two")
    stage.later(seconds=5)
    (sync,) = stage.heard()
    mark = datetime.fromisoformat(sync["data"]["last_updated_ts"])
    assert mark.tzinfo == UTC
    found = stage.get("/api/v2/calendar-events/", updated_at__gte=sync["data"]["last_updated_ts"])
    assert {event["raw"]["summary"] for event in found["results"]} == {"One", "Two"}


def test_deleting_a_calendar_by_the_api_tells_nothing(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id)
    stage.listen(stage.us)
    stage.call("DELETE", f"/api/v2/calendars/{stage.us.events[event_id].calendar_id}/")
    stage.later(minutes=5)
    assert stage.heard() == []


def test_a_revoked_grant_is_told_by_calendar_update_to_every_region(stage: Stage) -> None:
    source = stage.connect(stage.alice)
    stage.connect(stage.alice, stage.eu, token=source.refresh_token)
    stage.listen(stage.us, stage.eu)
    stage.world.revoke_account(stage.alice)
    stage.later(minutes=1)
    assert [body["event"] for body in stage.heard()] == ["calendar.update", "calendar.update"]


def test_a_bots_statuses_are_told(stage: Stage) -> None:
    stage.listen(stage.us)
    stage.meeting(hours=1)
    body = {
        "meeting_url": "https://meet.google.com/abc-defg-hij",
        "join_at": "2026-01-05T13:00:00Z",
        "metadata": {"a": "b"},
    }
    bot_id = stage.call("POST", "/api/v1/bot/", body).json()["id"]
    stage.later(hours=3)
    assert [body["event"] for body in stage.heard()] == [
        *("bot.joining_call", "bot.in_waiting_room", "bot.in_call_not_recording", "bot.in_call_recording"),
        *("bot.call_ended", "bot.done"),
    ]
    data = stage.heard("bot.done")[0]["data"]
    assert data["bot"] == {"id": bot_id, "metadata": {"a": "b"}}
    assert set(data["data"]) == {"code", "sub_code", "updated_at"}


def test_an_endpoint_gets_only_what_it_asked_for_under_its_own_secret(stage: Stage) -> None:
    stage.listen(stage.us)
    secret = "whsec_" + base64.b64encode(b"another secret of this endpoint.").decode()
    stage.us.add_endpoint("https://other.example/", ["calendar.sync_events"], secret)
    stage.meeting()
    stage.connect(stage.alice, connect=False)
    stage.later(seconds=30)
    (other,) = [sent for sent in stage.webhooks if sent.url == "https://other.example/"]
    assert json.loads(other.body)["event"] == "calendar.sync_events"
    headers = other.headers
    timestamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == sign(secret, headers["webhook-id"], timestamp, other.body)


@pytest.mark.parametrize("answer", [None, 301, 400, 500])
def test_a_failed_webhook_is_retried_on_the_ladder_under_its_id(stage: Stage, answer: int | None) -> None:
    stage.listen(stage.us)
    stage.receiver_answers = answer
    calendar = stage.connect(stage.alice)
    stage.us.disconnect(calendar.id)
    stage.later(days=3)
    assert len({sent.headers["webhook-id"] for sent in stage.webhooks}) == 1
    times = [int(sent.headers["webhook-timestamp"]) for sent in stage.webhooks]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
    assert (stage.world.outbox.given_up, stage.world.outbox.messages) == (1, {})


def test_a_retry_that_succeeds_is_the_last(stage: Stage) -> None:
    stage.listen(stage.us)
    stage.receiver_answers = 503
    calendar = stage.connect(stage.alice)
    stage.us.disconnect(calendar.id)
    stage.later(seconds=1)
    stage.receiver_answers = 204
    stage.later(days=1)
    assert len(stage.webhooks) == 2
    assert stage.world.outbox.delivered == 1


def test_an_endpoint_that_only_fails_for_five_days_is_disabled(stage: Stage) -> None:
    stage.listen(stage.us)
    stage.receiver_answers = 500
    calendar = stage.connect(stage.alice)
    for _ in range(6):
        stage.us.disconnect(calendar.id)
        stage.later(days=1)
    assert stage.us.endpoints[0].disabled
    before = len(stage.webhooks)
    stage.us.disconnect(calendar.id)
    stage.later(days=1)
    assert len(stage.webhooks) == before


def test_one_success_starts_the_five_days_anew(stage: Stage) -> None:
    stage.listen(stage.us)
    calendar = stage.connect(stage.alice)
    for day in range(8):
        stage.receiver_answers = 200 if day == 4 else 500
        stage.us.disconnect(calendar.id)
        stage.later(days=1)
    assert not stage.us.endpoints[0].disabled


def test_webhooks_can_be_lost_doubled_and_late(stage: Stage) -> None:
    stage.listen(stage.us)
    calendar = stage.connect(stage.alice)
    for kind in ("webhook_lost", "webhook_doubled", "webhook_late"):
        stage.world.faults.add(kind, event="calendar.update", seconds=60 if kind == "webhook_late" else 0)
        stage.us.disconnect(calendar.id)
        stage.later(seconds=1)
        stage.world.faults.clear()
    ids = [sent.headers["webhook-id"] for sent in stage.webhooks]
    assert len(ids) == 2
    assert ids[0] == ids[1]
    stage.later(minutes=1)
    assert len(stage.webhooks) == 3


def test_without_a_carrier_webhooks_queue_until_reported(stage: Stage) -> None:
    stage.us.add_endpoint("https://hooks.example/")
    calendar = stage.us.add_calendar(stage.alice, client_id=CLIENT, client_secret="google-secret")
    stage.us.disconnect(calendar.id)
    stage.later(seconds=0)
    outgoing = stage.world.outbox.queue.popleft()
    stage.world.outbox.report(outgoing.number, 500)
    stage.clock.advance(timedelta(seconds=5))
    stage.world.advance()
    again = stage.world.outbox.queue.popleft()
    stage.world.outbox.report(again.number, 200)
    assert stage.world.outbox.messages == {}
