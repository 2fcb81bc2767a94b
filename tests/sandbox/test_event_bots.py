"""Bots on calendar events: adding, sharing, removing (reference 3.3, 3.4)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.conftest import NOON, ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

EVENTS = "/api/v2/calendar-events/"


def test_add_bot_answers_200_with_the_event(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    answer = stage.add_bot(event_id, "the key")
    assert answer.status_code == 200
    (entry,) = answer.json()["bots"]
    assert answer.json()["id"] == event_id
    assert entry == {
        "bot_id": entry["bot_id"],
        "start_time": "2026-01-06T12:00:00Z",
        "deduplication_key": "the key",
        "meeting_url": ROOM,
    }
    bot = stage.get(f"/api/v1/bot/{entry['bot_id']}/")
    assert (bot["join_at"], bot["bot_name"]) == ("2026-01-06T12:00:00Z", "Notes")
    assert bot["meeting_url"] == {"meeting_id": "abc-defg-hij", "platform": "google_meet"}


def test_one_key_shares_one_bot_among_events(stage: Stage) -> None:
    _, (first, second) = stage.ready(stage.alice, stage.bob)
    one, two = stage.add_bot(first).json()["bots"], stage.add_bot(second).json()["bots"]
    assert one[0]["bot_id"] == two[0]["bot_id"]
    assert stage.get("/api/v1/bot/")["count"] == 1


def test_the_same_key_in_another_workspace_makes_another_bot(stage: Stage) -> None:
    meeting, (us,) = stage.ready()
    eu = stage.event(stage.connect(stage.alice, stage.eu), meeting, stage.eu)
    stage.add_bot(us)
    stage.add_bot(eu, of=stage.eu)
    stage.later(days=2)
    assert [one.region for one in stage.world.attendance] == ["us-west-2", "eu-central-1"]
    assert {one.meeting_id for one in stage.world.attendance} == {meeting.id}


def test_adding_again_replaces_the_whole_configuration(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id, metadata={"a": "b"})
    (entry,) = stage.add_bot(event_id, bot_name="Other").json()["bots"]
    bot = stage.get(f"/api/v1/bot/{entry['bot_id']}/")
    assert (bot["bot_name"], bot["metadata"]) == ("Other", {})


def test_a_new_key_replaces_the_bot_by_default(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    (old,) = stage.add_bot(event_id, "one").json()["bots"]
    (new,) = stage.add_bot(event_id, "two").json()["bots"]
    assert new["bot_id"] != old["bot_id"]
    assert stage.call("GET", f"/api/v1/bot/{old['bot_id']}/").status_code == 404


def test_a_new_key_may_add_a_second_bot(stage: Stage) -> None:
    stage.world.switches.new_key = "adds"
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id, "one")
    assert len(stage.add_bot(event_id, "two").json()["bots"]) == 2
    stage.later(days=2)
    assert len(stage.world.attendance) == 2


def test_a_moved_event_keeps_its_entry_and_the_bot_joins_at_its_own_time(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.add_bot(event_id)
    stage.world.move(meeting, NOON + timedelta(days=2))
    stage.later(seconds=10)
    event = stage.get(f"{EVENTS}{event_id}/")
    assert event["start_time"] == "2026-01-07T12:00:00Z"
    assert event["bots"][0]["start_time"] == "2026-01-06T12:00:00Z"
    stage.later(days=3)
    (came,) = stage.world.attendance
    assert came.join_at == NOON + timedelta(days=1)
    assert (came.meeting_id, came.meeting_start) == (None, None)


def test_adding_again_under_the_same_key_moves_the_bot_with_the_event(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    (old,) = stage.add_bot(event_id).json()["bots"]
    stage.world.move(meeting, NOON + timedelta(days=2))
    stage.later(seconds=10)
    (entry,) = stage.add_bot(event_id).json()["bots"]
    assert (entry["bot_id"], entry["start_time"]) == (old["bot_id"], "2026-01-07T12:00:00Z")
    stage.later(days=3)
    assert [one.meeting_start for one in stage.world.attendance] == [NOON + timedelta(days=2)]


def test_a_perpetual_event_keeps_one_entry_for_each_recorded_occurrence(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.add_bot(event_id, "first")
    stage.later(days=1, hours=1)
    stage.world.move(meeting, NOON + timedelta(days=8))
    stage.later(seconds=10)
    entries = stage.add_bot(event_id, "second").json()["bots"]
    assert [entry["deduplication_key"] for entry in entries] == ["first", "second"]


def test_a_deleted_event_loses_its_bot(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    (entry,) = stage.add_bot(event_id).json()["bots"]
    stage.world.cancel(meeting)
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{event_id}/")["bots"] == []
    assert stage.call("GET", f"/api/v1/bot/{entry['bot_id']}/").status_code == 404


def test_an_event_that_has_ended_is_refused_in_the_envelope(stage: Stage) -> None:
    _, (event_id,) = stage.ready(hours=-2)
    answer = stage.add_bot(event_id)
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "invalid_request_data",
        "message": "Unable to process request because invalid data was submitted. "
        "Check `errors` field for more details.",
        "errors": {"non_field_errors": ["Cannot schedule bot as calendar event has ended."]},
    }


def test_events_without_link_or_deleted_are_refused(stage: Stage) -> None:
    _, (silent,) = stage.ready(url=None)
    assert stage.add_bot(silent).status_code == 400
    assert stage.add_bot(silent, meeting_url="https://zoom.us/j/5").status_code == 200
    meeting, (gone,) = stage.ready(stage.bob)
    stage.world.cancel(meeting)
    stage.later(seconds=10)
    assert stage.add_bot(gone).status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"deduplication_key": "x"}, {"deduplication_key": "x" * 2001, "bot_config": {}}, {"bot_config": {}}]
)
def test_key_and_config_are_required(stage: Stage, body: dict[str, object]) -> None:
    _, (event_id,) = stage.ready()
    answer = stage.call("POST", f"{EVENTS}{event_id}/bot/", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request_data")


def test_remove_answers_200_with_the_event_and_may_be_repeated(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    (entry,) = stage.add_bot(event_id).json()["bots"]
    for _ in range(2):
        answer = stage.remove_bot(event_id)
        assert (answer.status_code, answer.json()["bots"]) == (200, [])
    assert stage.call("GET", f"/api/v1/bot/{entry['bot_id']}/").status_code == 404


def test_remove_only_detaches_a_shared_bot(stage: Stage) -> None:
    _, (first, second) = stage.ready(stage.alice, stage.bob)
    stage.add_bot(first)
    (entry,) = stage.add_bot(second).json()["bots"]
    assert stage.remove_bot(first).json()["bots"] == []
    assert stage.get(f"/api/v1/bot/{entry['bot_id']}/")["id"] == entry["bot_id"]
    stage.remove_bot(second)
    assert stage.call("GET", f"/api/v1/bot/{entry['bot_id']}/").status_code == 404


@pytest.mark.parametrize(("takes", "left"), [("all", 0), ("latest", 1)])
def test_remove_takes_all_bots_or_only_the_latest(stage: Stage, takes: str, left: int) -> None:
    stage.world.switches.new_key = "adds"
    stage.world.switches.remove_takes = takes
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id, "one")
    stage.add_bot(event_id, "two")
    entries = stage.remove_bot(event_id).json()["bots"]
    assert [entry["deduplication_key"] for entry in entries] == ["one"][:left]


@pytest.mark.parametrize("spares", [True, False])
def test_deleting_a_calendar_spares_a_shared_bot_or_takes_it(stage: Stage, spares: bool) -> None:
    stage.world.switches.delete_spares_shared = spares
    _, (first, second) = stage.ready(stage.alice, stage.bob)
    stage.add_bot(first)
    stage.add_bot(second)
    stage.call("DELETE", f"/api/v2/calendars/{stage.us.events[first].calendar_id}/")
    assert len(stage.get(f"{EVENTS}{second}/")["bots"]) == int(spares)
    stage.later(days=2)
    assert len(stage.world.attendance) == int(spares)


@pytest.mark.parametrize("spared", [True, False])
@pytest.mark.parametrize("how", ["remove", "delete"])
def test_a_live_bot_is_spared_or_leaves(stage: Stage, spared: bool, how: str) -> None:
    stage.world.switches.live_bots_spared = spared
    meeting, (event_id,) = stage.ready(minutes=60)
    stage.add_bot(event_id)
    stage.later(days=1, minutes=5)
    if how == "remove":
        stage.remove_bot(event_id)
    else:
        stage.call("DELETE", f"/api/v2/calendars/{stage.us.events[event_id].calendar_id}/")
    stage.later(hours=2)
    (came,) = stage.world.attendance
    assert came.left_at == (meeting.end if spared else meeting.start + timedelta(minutes=5))


@pytest.mark.parametrize("applied", [True, False])
def test_inside_ten_minutes_a_removal_works_or_the_bot_joins_all_the_same(stage: Stage, applied: bool) -> None:
    stage.world.switches.late_changes_applied = applied
    _, (event_id,) = stage.ready()
    (entry,) = stage.add_bot(event_id).json()["bots"]
    stage.later(hours=23, minutes=51)
    assert stage.remove_bot(event_id).json()["bots"] == []
    assert stage.call("GET", f"/api/v1/bot/{entry['bot_id']}/").status_code == (404 if applied else 200)
    stage.later(hours=1)
    assert len(stage.world.attendance) == (0 if applied else 1)


@pytest.mark.parametrize("touches", [True, False])
def test_a_bot_change_touches_updated_at_or_not(stage: Stage, touches: bool) -> None:
    stage.world.switches.bot_change_touches_event = touches
    _, (event_id,) = stage.ready()
    stage.later(minutes=5)
    stage.add_bot(event_id)
    found = stage.get(EVENTS, updated_at__gte="2026-01-05T12:05:00Z")["results"]
    assert [event["id"] for event in found] == ([event_id] if touches else [])
    stage.later(minutes=5)
    stage.remove_bot(event_id)
    found = stage.get(EVENTS, updated_at__gte="2026-01-05T12:10:00Z")["results"]
    assert [event["id"] for event in found] == ([event_id] if touches else [])


def test_parallel_writes_under_one_key_get_a_409_for_a_moment(stage: Stage) -> None:
    _, (first, second) = stage.ready(stage.alice, stage.bob)
    stage.world.switches.conflict_window = 0.5
    assert stage.add_bot(first).status_code == 200
    assert stage.add_bot(second).status_code == 409
    assert stage.add_bot(first).status_code == 200, "one event's own writes do not conflict"
    stage.later(seconds=1)
    assert stage.add_bot(second).status_code == 200
    assert stage.remove_bot(first).status_code == 409
    stage.world.switches.conflict_probability = 0.0
    assert stage.remove_bot(first).status_code == 200


def test_inside_ten_minutes_an_add_may_find_the_pool_empty(stage: Stage) -> None:
    stage.world.switches.adhoc_507 = 1.0
    _, (event_id,) = stage.ready()
    stage.later(hours=23, minutes=51)
    answer = stage.add_bot(event_id)
    assert (answer.status_code, answer.headers["Retry-After"]) == (507, "30")
    stage.world.switches.adhoc_507 = 0.0
    assert stage.add_bot(event_id).status_code == 200


def test_a_scheduled_bot_is_never_refused_for_an_empty_pool(stage: Stage) -> None:
    stage.world.switches.adhoc_507 = 1.0
    _, (first, second) = stage.ready(stage.alice, stage.bob)
    assert stage.add_bot(first).status_code == 200
    stage.later(hours=23, minutes=51)
    assert stage.add_bot(second).status_code == 200, "it is there already: sharing it takes none from the pool"


def test_a_preponed_event_needs_a_bot_of_the_pool(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.add_bot(event_id)
    stage.world.switches.adhoc_507 = 1.0
    stage.world.move(meeting, NOON + timedelta(minutes=4))
    stage.later(seconds=10)
    assert stage.add_bot(event_id).status_code == 507


def test_a_meeting_that_has_begun_gets_its_bot_at_once(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready(minutes=60)
    stage.later(days=1, minutes=20)
    stage.add_bot(event_id)
    stage.later(minutes=1)
    (came,) = stage.world.attendance
    assert came.meeting_id == meeting.id
    assert came.joined_at == meeting.start + timedelta(minutes=20, seconds=10)
