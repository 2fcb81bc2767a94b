"""Planned trouble and lies (reference 10.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.sandbox.conftest import ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

BOTS = "/api/v1/bot/"


def count(stage: Stage) -> int:
    return len(stage.us.bots)


def post(stage: Stage) -> Any:
    return stage.call("POST", BOTS, {"meeting_url": ROOM})


def test_a_connection_lost_before_commit_leaves_nothing(stage: Stage) -> None:
    stage.world.faults.add("drop", when="before")
    with pytest.raises(httpx.RemoteProtocolError):
        post(stage)
    assert count(stage) == 0
    assert post(stage).status_code == 201


def test_a_connection_lost_after_commit_leaves_the_bot(stage: Stage) -> None:
    stage.world.faults.add("drop", when="after")
    with pytest.raises(httpx.RemoteProtocolError):
        post(stage)
    assert count(stage) == 1


def test_a_lost_write_may_commit_late(stage: Stage) -> None:
    stage.world.faults.add("drop", when="late", seconds=90)
    with pytest.raises(httpx.RemoteProtocolError):
        post(stage)
    stage.later(seconds=89)
    assert count(stage) == 0
    stage.later(seconds=1)
    assert count(stage) == 1


def test_a_switch_makes_every_lost_write_commit_late(stage: Stage) -> None:
    stage.world.switches.late_commit = 30
    stage.world.faults.add("drop", when="before")
    with pytest.raises(httpx.RemoteProtocolError):
        post(stage)
    stage.later(seconds=30)
    assert count(stage) == 1


def test_a_late_write_that_is_refused_by_then_changes_nothing(stage: Stage) -> None:
    _, (event_id,) = stage.ready(hours=1)
    stage.world.faults.add("drop", when="late", seconds=7_200)
    with pytest.raises(httpx.RemoteProtocolError):
        stage.add_bot(event_id)
    stage.later(hours=3)
    assert count(stage) == 0


def test_a_connection_may_not_open_at_all(stage: Stage) -> None:
    stage.world.faults.add("drop", when="connect")
    with pytest.raises(httpx.ConnectError):
        post(stage)
    assert count(stage) == 0


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 507, 409])
def test_each_planned_status_comes_without_a_commit(stage: Stage, status: int) -> None:
    stage.world.faults.add("status", status=status, retry_after=7)
    answer = post(stage)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert count(stage) == 0


def test_a_gateway_may_fail_after_the_commit(stage: Stage) -> None:
    stage.world.faults.add("status", status=504, commit=True)
    answer = post(stage)
    assert (answer.status_code, count(stage)) == (504, 1)
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("status", "carried_out"), [(None, 1), (502, 1), (403, 0)])
def test_a_web_page_comes_after_the_call_but_a_firewalls_in_its_place(
    stage: Stage, status: int | None, carried_out: int
) -> None:
    stage.world.faults.add("html", status=status)
    assert post(stage).text.startswith("<html>")
    assert count(stage) == carried_out


def test_bodies_can_be_html_truncated_or_oversized(stage: Stage) -> None:
    stage.world.faults.add("html")
    page = stage.call("GET", BOTS)
    assert (page.status_code, page.text[:6]) == (200, "<html>")
    stage.world.faults.add("truncated")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        stage.call("GET", BOTS).json()
    stage.world.faults.add("oversized", size=3_000_000)
    big = stage.call("GET", BOTS)
    assert len(big.content) == 3_000_000
    assert big.json()["count"] == 0


def test_latency_beyond_the_clients_patience_is_a_timeout_after_the_commit(stage: Stage) -> None:
    stage.world.faults.add("latency", seconds=20, times=None)
    with pytest.raises(httpx.ReadTimeout):
        post(stage)
    assert count(stage) == 1
    assert stage.call("GET", BOTS, timeout=30).status_code == 200


def test_a_fault_strikes_the_nth_matching_call_so_many_times(stage: Stage) -> None:
    stage.world.faults.add("status", status=500, endpoint="GET /api/v2/calendars/", nth=2, times=2)
    assert stage.call("GET", BOTS).status_code == 200
    assert [stage.call("GET", "/api/v2/calendars/").status_code for _ in range(4)] == [200, 500, 500, 200]


def test_a_fault_matches_region_workspace_and_method(stage: Stage) -> None:
    stage.world.faults.add("status", status=500, region="eu-central-1", times=None)
    stage.world.faults.add("status", status=502, workspace="acme", method="POST", times=None)
    assert stage.call("GET", BOTS).status_code == 200
    assert post(stage).status_code == 502
    assert stage.call("GET", BOTS, of=stage.eu).status_code == 500


def test_chance_comes_from_the_seed(make_stage: Any) -> None:
    def outcome(seed: int) -> list[int]:
        stage = make_stage(seed)
        stage.world.faults.add("status", status=500, probability=0.5, times=None)
        return [stage.call("GET", BOTS).status_code for _ in range(30)]

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)
    assert set(outcome(1)) == {200, 500}


def test_a_region_may_hide_a_calendar(stage: Stage) -> None:
    hidden, shown = stage.connect(stage.alice), stage.connect(stage.bob)
    number = stage.world.faults.add("hide_calendar", calendar_id=hidden.id)
    assert [one["id"] for one in stage.get("/api/v2/calendars/")["results"]] == [shown.id]
    assert stage.call("GET", f"/api/v2/calendars/{hidden.id}/").status_code == 404
    stage.world.faults.clear(number)
    assert len(stage.get("/api/v2/calendars/")["results"]) == 2


@pytest.mark.parametrize("path", ["/api/v2/calendar-events/", "/api/v2/calendars/", BOTS])
def test_a_region_may_leave_out_a_page(stage: Stage, path: str) -> None:
    stage.us.page_size = 2
    for account in (stage.alice, stage.bob, stage.olaf):
        stage.ready(account)
    for event_id in list(stage.us.events):
        stage.us.add_bot(event_id, event_id, {})
    whole = stage.get(path)
    rest = stage.call("GET", whole["next"]).json()
    stage.world.faults.add("drop_page", endpoint=f"GET {path}")
    lie = stage.get(path)
    assert [one["id"] for one in lie["results"]] == [one["id"] for one in rest["results"]]
    assert lie["next"] is None


@pytest.mark.parametrize(
    "fault", [{"kind": "flood"}, {"kind": "drop", "when": "soon"}, {"kind": "status", "status": 418}]
)
def test_an_unknown_fault_is_refused(stage: Stage, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no such fault|a drop is|status is"):
        stage.world.faults.add(**fault)
    with pytest.raises(ValueError, match="has no colour"):
        stage.world.faults.add("html", colour="red")


def test_the_log_knows_every_call_and_what_became_of_it(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id)
    stage.world.faults.add("drop", when="after")
    with pytest.raises(httpx.RemoteProtocolError):
        stage.remove_bot(event_id)
    stage.call("GET", "/nowhere/")
    assert [(call.endpoint, call.status) for call in stage.world.log.calls] == [
        ("POST /api/v2/calendar-events/{id}/bot/", 200),
        ("DELETE /api/v2/calendar-events/{id}/bot/", 0),
        ("GET *", 404),
    ]
    assert stage.world.log.by_endpoint("us-west-2", "acme")["POST /api/v2/calendar-events/{id}/bot/"] == 1
    assert stage.world.log.by_status() == {0: 1, 200: 1, 404: 1}
    assert [call.status for call in stage.world.log.since(1)] == [0, 404]
