"""Bots of their own, and the life of every bot (reference 6.1, 6.2, 8)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.conftest import NOON, ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

BOTS = "/api/v1/bot/"


def make(stage: Stage, minutes: float = 60, **more: Any) -> str:
    join_at = (stage.world.now() + timedelta(minutes=minutes)).isoformat()
    answer = stage.call("POST", BOTS, {"meeting_url": ROOM, "join_at": join_at, **more})
    assert answer.status_code == 201, answer.text
    bot_id: str = answer.json()["id"]
    return bot_id


def test_a_bot_is_scheduled_as_ready(stage: Stage) -> None:
    bot = stage.get(f"{BOTS}{make(stage)}/")
    assert bot["join_at"] == "2026-01-05T13:00:00Z"
    assert [change["code"] for change in bot["status_changes"]] == ["ready"]
    assert (bot["recordings"], bot["calendar_meetings"], bot["metadata"]) == ([], [], {})


def test_a_missing_url_comes_as_a_field_map(stage: Stage) -> None:
    answer = stage.call("POST", BOTS, {})
    assert (answer.status_code, answer.json()) == (400, {"meeting_url": ["This field is required."]})
    assert stage.call("POST", BOTS, {"meeting_url": ROOM, "join_at": "soon"}).status_code == 400


def test_a_bot_walks_through_its_statuses_and_into_the_attendance_log(stage: Stage) -> None:
    meeting = stage.meeting(hours=1)
    bot_id = make(stage)
    stage.later(hours=1, seconds=11)
    assert stage.get(f"{BOTS}{bot_id}/")["join_at"] is None, "cleared once it has joined"
    stage.later(hours=1)
    codes = [change["code"] for change in stage.get(f"{BOTS}{bot_id}/")["status_changes"]]
    assert codes == [
        *("ready", "joining_call", "in_waiting_room", "in_call_not_recording", "in_call_recording"),
        *("call_ended", "done"),
    ]
    (came,) = stage.world.attendance
    assert (came.region, came.workspace, came.bot_id, came.meeting_url) == ("us-west-2", "acme", bot_id, ROOM)
    assert (came.meeting_id, came.meeting_start) == (meeting.id, meeting.start)
    assert (came.joined_at, came.left_at) == (NOON + timedelta(hours=1, seconds=10), meeting.end)


def test_the_log_names_the_accounts_whose_events_held_the_bot(stage: Stage) -> None:
    _, (first, second) = stage.ready(stage.alice, stage.olaf)
    stage.add_bot(first)
    stage.add_bot(second)
    stage.later(days=2)
    assert stage.world.attendance[0].accounts == (stage.alice.key, stage.olaf.key)
    assert stage.world.attendance[0].deduplication_key == "key"


def test_back_to_back_meetings_in_one_room_are_told_apart(stage: Stage) -> None:
    first, second = stage.meeting(hours=1, minutes=30), stage.meeting(hours=1.5, minutes=30)
    make(stage, 60)
    make(stage, 90)
    stage.later(hours=3)
    assert [came.meeting_id for came in stage.world.attendance] == [first.id, second.id]
    assert [came.left_at for came in stage.world.attendance] == [first.end, second.end]


def test_a_bot_stays_when_the_meeting_gets_longer(stage: Stage) -> None:
    meeting = stage.meeting(hours=1)
    make(stage)
    stage.later(hours=1, minutes=5)
    stage.world.move(meeting, meeting.start, meeting.end + timedelta(hours=1))
    stage.later(hours=3)
    assert stage.world.attendance[0].left_at == meeting.end


def test_a_bot_in_an_empty_call_gives_up(stage: Stage) -> None:
    bot_id = make(stage)
    stage.later(hours=2)
    (came,) = stage.world.attendance
    assert (came.meeting_id, came.left_at) == (None, NOON + timedelta(minutes=80, seconds=12))
    ended = stage.get(f"{BOTS}{bot_id}/")["status_changes"][-2]
    assert (ended["code"], ended["sub_code"]) == ("call_ended", "timeout_exceeded_waiting_room")


def test_a_scheduled_bot_can_be_deleted(stage: Stage) -> None:
    bot_id = make(stage)
    answer = stage.call("DELETE", f"{BOTS}{bot_id}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert stage.call("GET", f"{BOTS}{bot_id}/").status_code == 404
    stage.later(hours=2)
    assert stage.world.attendance == []


def test_deleting_a_calendars_bot_takes_it_off_its_events(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    (entry,) = stage.add_bot(event_id).json()["bots"]
    assert stage.call("DELETE", f"{BOTS}{entry['bot_id']}/").status_code == 204
    assert stage.get(f"/api/v2/calendar-events/{event_id}/")["bots"] == []


def test_a_bot_on_its_way_cannot_be_deleted(stage: Stage) -> None:
    bot_id = make(stage)
    stage.later(hours=1)
    answer = stage.call("DELETE", f"{BOTS}{bot_id}/")
    assert answer.status_code == 405
    assert answer.json() == {
        "code": "cannot_delete_bot",
        "detail": "Only scheduled bots which have not joined a call can be deleted.",
    }


@pytest.mark.parametrize(("applied", "status"), [(True, 204), (False, 405)])
def test_inside_ten_minutes_a_delete_is_a_matter_of_luck(stage: Stage, applied: bool, status: int) -> None:
    stage.world.switches.late_changes_applied = applied
    bot_id = make(stage)
    stage.later(minutes=51)
    assert stage.call("DELETE", f"{BOTS}{bot_id}/").status_code == status


def test_leave_call_sends_a_bot_home_only_when_it_has_started(stage: Stage) -> None:
    stage.meeting(hours=1)
    bot_id = make(stage)
    early = stage.call("POST", f"{BOTS}{bot_id}/leave_call/")
    assert (early.status_code, early.json()["code"]) == (400, "cannot_command_unstarted_bot")
    stage.later(hours=1, minutes=5)
    assert stage.call("POST", f"{BOTS}{bot_id}/leave_call/").status_code == 200
    assert stage.world.attendance[0].left_at == NOON + timedelta(hours=1, minutes=5)
    stage.later(minutes=5)
    late = stage.call("POST", f"{BOTS}{bot_id}/leave_call/")
    assert (late.status_code, late.json()["code"]) == (400, "cannot_command_completed_bot")


def test_leave_call_inside_ten_minutes_keeps_a_bot_from_joining(stage: Stage) -> None:
    bot_id = make(stage)
    stage.later(minutes=55)
    assert stage.call("POST", f"{BOTS}{bot_id}/leave_call/").status_code == 200
    stage.later(hours=1)
    assert stage.world.attendance == []


def test_a_patch_obeys_the_ten_minute_rule(stage: Stage) -> None:
    bot_id = make(stage)

    def patch(**body: Any) -> Any:
        return stage.call("PATCH", f"{BOTS}{bot_id}/", body)

    assert patch(join_at="2026-01-05T14:00:00Z", bot_name="Other").json()["bot_name"] == "Other"
    near = patch(join_at="2026-01-05T12:09:00Z")
    assert (near.status_code, near.json()["detail"]) == (400, "Not enough time to launch new bot")
    stage.later(hours=2)
    gone = patch(bot_name="Late")
    assert (gone.status_code, gone.json()["code"]) == (400, "update_bot_failed")


def test_a_calendars_bot_cannot_be_patched(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    (entry,) = stage.add_bot(event_id).json()["bots"]
    answer = stage.call("PATCH", f"{BOTS}{entry['bot_id']}/", {"bot_name": "Other"})
    assert (answer.status_code, answer.json()["code"]) == (400, "update_bot_failed")


def test_an_ad_hoc_bot_may_find_the_pool_empty(stage: Stage) -> None:
    stage.world.switches.adhoc_507 = 1.0
    assert stage.call("POST", BOTS, {"meeting_url": ROOM}).status_code == 507
    make(stage, 11)


def test_lists_come_in_pages_with_a_count(stage: Stage) -> None:
    stage.us.page_size = 2
    ids = [make(stage, 60 + number) for number in range(5)]
    first = stage.get(BOTS)
    assert (first["count"], first["previous"], len(first["results"])) == (5, None, 2)
    second = stage.call("GET", first["next"]).json()
    third = stage.call("GET", second["next"]).json()
    assert third["next"] is None
    listed = [bot["id"] for page in (first, second, third) for bot in page["results"]]
    assert listed == ids
    assert stage.call("GET", BOTS, params={"page": "4"}).status_code == 404
    assert stage.call("GET", BOTS, params={"page": "x"}).status_code == 404


def test_join_at_filters_include_after_and_exclude_before(stage: Stage) -> None:
    early, late = make(stage, 60), make(stage, 120)

    def ids(**params: Any) -> list[str]:
        return [bot["id"] for bot in stage.get(BOTS, **params)["results"]]

    assert ids(join_at_after="2026-01-05T13:00:00Z") == [early, late]
    assert ids(join_at_after="2026-01-05T13:00:01Z") == [late]
    assert ids(join_at_before="2026-01-05T14:00:00Z") == [early]
    stage.later(hours=1)
    assert ids(join_at_after="2026-01-05T00:00:00Z") == [late], "a bot that has joined has no join_at"
    assert set(ids()) == {early, late}


def test_other_filters_find_what_they_say(stage: Stage) -> None:
    zoom = "https://zoom.us/j/123?pwd=secret"
    tagged = make(stage, 60, metadata={"batch": "7", "side": "a"})
    other = make(stage, 90, meeting_url=zoom, metadata={"batch": "7", "side": "b"})
    stage.later(hours=1)

    def ids(**params: Any) -> list[str]:
        return [bot["id"] for bot in stage.get(BOTS, **params)["results"]]

    assert ids(status="ready") == [other]
    assert set(ids(status=["ready", "joining_call"])) == {tagged, other}
    assert ids(meeting_url=zoom) == [other]
    assert ids(platform="google_meet") == [tagged]
    assert ids(metadata__batch="7", metadata__side="a") == [tagged]
    assert ids(metadata__batch="8") == []
    shown = stage.get(f"{BOTS}{other}/")["meeting_url"]
    assert shown == {"meeting_id": "123", "meeting_password": "secret", "platform": "zoom"}


@pytest.mark.parametrize("shown", [True, False])
def test_a_dropped_bot_is_gone_without_a_trace(stage: Stage, shown: bool) -> None:
    stage.listen(stage.us)
    _, (event_id,) = stage.ready()
    event = stage.add_bot(event_id).json()
    stage.us.drop_bot(event["bots"][0]["bot_id"], shown=shown)
    after = stage.get(f"/api/v2/calendar-events/{event_id}/")
    assert after == (event if shown else {**event, "bots": []})
    assert stage.call("GET", f"{BOTS}{event['bots'][0]['bot_id']}/").status_code == 404
    stage.later(days=2)
    assert stage.world.attendance == []
    assert stage.heard() == []
    if shown:
        assert stage.remove_bot(event_id).json()["bots"] == []
