"""Rate limits and Idempotency-Key (reference 1.4 to 1.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallops.sandbox.limits import Windows
from tests.sandbox.conftest import ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

BOTS = "/api/v1/bot/"


def test_one_call_too_many_in_a_minute_is_told_how_long_to_wait(stage: Stage) -> None:
    for _ in range(60):
        assert stage.call("GET", "/api/v2/calendars/").status_code == 200
        stage.later(seconds=0.5)
    answer = stage.call("GET", "/api/v2/calendars/")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "30"
    assert answer.json() == {
        "code": "throttled",
        "detail": "Request was throttled. Expected available in 30 seconds.",
    }
    stage.later(seconds=29)
    assert stage.call("GET", "/api/v2/calendars/").status_code == 429
    stage.later(seconds=1)
    assert stage.call("GET", "/api/v2/calendars/").status_code == 200


def test_limits_are_per_endpoint_and_workspace_not_per_key(stage: Stage) -> None:
    stage.us.limits["GET /api/v2/calendars/"] = 1
    second = stage.us.add_key()
    assert stage.call("GET", "/api/v2/calendars/").status_code == 200
    answer = stage.call("GET", "/api/v2/calendars/", headers={"Authorization": f"Token {second}"})
    assert answer.status_code == 429
    assert stage.call("GET", "/api/v2/calendar-events/").status_code == 200
    assert stage.call("GET", "/api/v2/calendars/", of=stage.eu).status_code == 200


def test_ids_share_the_limit_of_their_endpoint(stage: Stage) -> None:
    stage.us.limits["GET /api/v1/bot/{id}/"] = 1
    assert stage.call("GET", f"{BOTS}one/").status_code == 404
    assert stage.call("GET", f"{BOTS}two/").status_code == 429


def test_the_rate_factor_scales_all_limits(stage: Stage) -> None:
    stage.us.rate_factor = 0.05
    assert [stage.call("GET", "/api/v2/calendars/").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_lowered_limit_says_when_enough_calls_are_over() -> None:
    windows = Windows()
    assert [windows.wait("x", 5, second) for second in (0.0, 10.0, 20.0)] == [0, 0, 0]
    assert windows.wait("x", 1, 30.0) == 50
    assert windows.wait("x", 3, 30.2) == 30
    assert windows.used("x", 65.0) == 2


def post(stage: Stage, key: str, **more: Any) -> Any:
    return stage.call("POST", BOTS, {"meeting_url": ROOM}, headers={"Idempotency-Key": key}, **more)


def test_a_repeated_key_answers_the_first_answer_for_an_hour(stage: Stage) -> None:
    first = post(stage, "a")
    stage.later(minutes=59)
    assert post(stage, "a").json() == first.json()
    assert post(stage, "b").json()["id"] != first.json()["id"]
    stage.later(minutes=1)
    assert post(stage, "a").json()["id"] != first.json()["id"]


def test_a_key_holds_for_one_path_only(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    post(stage, "a")
    headers = {"Idempotency-Key": "a"}
    body = {"deduplication_key": "k", "bot_config": {}}
    answer = stage.call("POST", f"/api/v2/calendar-events/{event_id}/bot/", body, headers=headers)
    assert answer.json()["id"] == event_id


def test_a_507_is_kept_as_well(stage: Stage) -> None:
    stage.world.switches.adhoc_507 = 1.0
    assert post(stage, "a").status_code == 507
    stage.world.switches.adhoc_507 = 0.0
    kept = post(stage, "a")
    assert (kept.status_code, kept.headers["Retry-After"]) == (507, "30")
    assert post(stage, "b").status_code == 201


def test_a_planned_507_is_kept_as_well(stage: Stage) -> None:
    stage.world.faults.add("status", status=507)
    assert [post(stage, "a").status_code for _ in range(2)] == [507, 507]
    assert post(stage, "b").status_code == 201


def test_a_kept_200_lies_after_a_removal(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    path = f"/api/v2/calendar-events/{event_id}/bot/"
    body = {"deduplication_key": "k", "bot_config": {}}
    stage.call("POST", path, body, headers={"Idempotency-Key": "a"})
    stage.remove_bot(event_id)
    lie = stage.call("POST", path, body, headers={"Idempotency-Key": "a"})
    assert len(lie.json()["bots"]) == 1
    assert stage.get(f"/api/v2/calendar-events/{event_id}/")["bots"] == []


def test_a_duplicate_of_a_call_in_flight_is_a_409(stage: Stage) -> None:
    stage.world.faults.add("latency", seconds=10)
    assert post(stage, "a", timeout=60).status_code == 201
    assert post(stage, "a").status_code == 409
    stage.later(seconds=10)
    assert post(stage, "a").status_code == 201
    assert stage.get(BOTS)["count"] == 1
