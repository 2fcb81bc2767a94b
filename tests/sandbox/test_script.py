from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from recallops.clock import ManualClock
from recallops.sandbox import script
from recallops.sandbox.company import ask_for_bot, calendars_of
from recallops.sandbox.control import Control
from recallops.sandbox.extras import HANDLERS
from recallops.sandbox.fill import fill
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.messages import Request
from recallops.sandbox.script import WEIGHTS, Script
from recallops.sandbox.truth import run_out, truth
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from recallops.sandbox.meetings import Meeting
    from recallops.sandbox.workspaces import Workspace

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FAR = NOON + timedelta(days=28)


def a_world() -> World:
    world = World(ManualClock(NOON), seed=2)
    world.add_region("us-west-2").add_workspace("acme")
    world.add_region("eu-central-1").add_workspace("acme-eu")
    fill(world, region="us-west-2", workspace="acme", calendars=24, events=480)
    return world


def source(world: World) -> Workspace:
    return world.regions["us-west-2"].workspaces["acme"]


def begin(world: World, **more: Any) -> Script:
    return script.start(world, region="us-west-2", workspace="acme", **{"hours": 6, "changes": 40, "seed": 5, **more})


def played(world: World, **more: Any) -> Script:
    playing = begin(world, **more)
    run_out(world, NOON + timedelta(hours=8))
    return playing


def only(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts make one kind of change."""
    monkeypatch.setattr(script, "WEIGHTS", {kind: 1})


def changed(playing: Script, kind: str) -> list[Meeting]:
    return [playing.world.meetings[item.meeting] for item in playing.happened if item.kind == kind]


def test_every_kind_of_change_comes_and_all_are_made_within_the_hours() -> None:
    world = a_world()
    playing = played(world)
    state = playing.state()
    assert set(WEIGHTS) <= set(state["counts"])
    assert {"asked", "moved_back"} <= set(state["counts"])
    assert state["counts"].get("skipped", 0) <= 2
    assert (state["left"], state["next"], state["running"]) == (0, None, False)
    first = [item for item in playing.happened if item.kind in WEIGHTS]
    assert all(item.at is not None and item.at <= "2026-03-04T18:00:00.000001Z" for item in first)
    assert state["done"] == len(playing.happened) >= 40


@pytest.mark.parametrize("seed", range(8))
def test_a_meeting_that_starts_within_three_hours_is_never_changed_nor_moved_there(seed: int) -> None:
    world = a_world()
    before = {meeting.id: meeting.start for meeting in world.meetings.values()}
    played(world, seed=seed, changes=60)
    apart = timedelta(hours=3)
    seen = 0
    for meeting in world.meetings.values():
        start = before.get(meeting.id)
        for change in meeting.history:
            if change.at <= NOON or change.what == "wanted":
                continue
            seen += 1
            if start is not None:
                assert start - change.at >= apart, change
            if change.start is not None:
                start = change.start
                assert start - change.at >= apart, change
    assert seen >= 60


def test_the_distance_kept_is_a_setting() -> None:
    world = a_world()
    played(world, keep_away=timedelta(hours=30), changes=60)
    touched = [
        (meeting, change)
        for meeting in world.meetings.values()
        for change in meeting.history
        if change.at > NOON and change.what != "wanted"
    ]
    assert touched
    assert all(meeting.start - change.at >= timedelta(hours=30) for meeting, change in touched)


def test_meetings_move_in_both_directions_across_the_coming_day(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, sooner in (("moved_earlier", True), ("moved_later", False)):
        only(kind, monkeypatch)
        world = a_world()
        before = {meeting.id: meeting.start for meeting in world.meetings.values()}
        playing = played(world, changes=10, hours=1)
        crossed = 0
        for meeting in changed(playing, kind):
            assert (meeting.start < before[meeting.id]) is sooner
            early, late = sorted((meeting.start, before[meeting.id]))
            crossed += early < NOON + timedelta(hours=14) and late > NOON + timedelta(hours=20)
        assert crossed >= 5


def test_shared_meetings_and_instances_of_series_are_moved_too() -> None:
    world = a_world()
    playing = played(world, changes=60)
    moved = [
        meeting for kind in ("moved_later", "moved_earlier", "moved_a_little") for meeting in changed(playing, kind)
    ]
    assert any(meeting.series for meeting in moved)
    assert any(len(meeting.copies) > 1 for meeting in moved)


def test_a_meeting_moved_away_comes_back_to_its_old_time(monkeypatch: pytest.MonkeyPatch) -> None:
    only("moved_and_back", monkeypatch)
    world = a_world()
    before = {meeting.id: meeting.start for meeting in world.meetings.values()}
    playing = played(world, changes=5, hours=1)
    back = changed(playing, "moved_back")
    assert len(back) == 5
    for meeting in back:
        assert meeting.start == before[meeting.id]
        assert [change.what for change in meeting.history if change.at > NOON] == ["moved", "moved"]


def test_for_a_new_meeting_somebody_asks_for_a_bot_in_the_source_and_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only("made", monkeypatch)
    world = a_world()
    playing = played(world, changes=6, hours=1)
    made = changed(playing, "made")
    assert len(made) == len(changed(playing, "asked")) == 6
    for meeting in made:
        assert meeting.expected_scopes() == {""}
        for key in meeting.copies:
            (calendar_id,) = calendars_of(source(world), [world.accounts[key]])
            event = source(world).event_of(calendar_id, meeting.id)
            assert event is not None
            assert len(event.bots) == 1


def test_a_new_meeting_is_not_wanted_when_its_calendar_has_left_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    only("made", monkeypatch)
    world = a_world()
    playing = begin(world, changes=6, hours=1)
    target = world.regions["eu-central-1"].workspaces["acme-eu"]
    for calendar in list(source(world).calendars.values()):
        target.add_calendar(
            world.accounts[calendar.account],  # type: ignore[index]
            client_id=calendar.client_id,
            client_secret=calendar.client_secret,
            token=calendar.refresh_token,
        )
        source(world).delete_calendar(calendar.id)
    run_out(world, NOON + timedelta(hours=2))
    made = changed(playing, "made")
    assert len(made) == len(changed(playing, "not_asked")) == 6
    assert not any(meeting.expected_scopes() for meeting in made)
    assert not source(world).bots


def test_declining_changes_content_at_google_and_takes_the_copy_at_outlook() -> None:
    world = a_world()
    playing = played(world, changes=80)
    google, outlook = changed(playing, "declined_google"), changed(playing, "declined_outlook")
    assert google
    assert outlook
    for meeting in google:
        declined = [key for key in meeting.copies if meeting.attendees[key[1]] == "declined" and key[0] == GOOGLE]
        assert any(not meeting.copies[key].deleted or meeting.cancelled for key in declined)
    for meeting in outlook:
        declined = [key for key in meeting.copies if meeting.attendees[key[1]] == "declined" and key[0] == OUTLOOK]
        assert any(meeting.copies[key].deleted for key in declined)


def test_an_outlook_copy_that_was_declined_leaves_the_source_with_its_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    only("declined_outlook", monkeypatch)
    world = a_world()
    playing = played(world, changes=3, hours=1)
    for meeting in changed(playing, "declined_outlook"):
        for key, copy in meeting.copies.items():
            for calendar_id in calendars_of(source(world), [world.accounts[key]]):
                event = source(world).event_of(calendar_id, meeting.id)
                assert event is not None
                assert event.is_deleted == copy.deleted
                assert not (copy.deleted and event.bots)


def test_the_same_seed_makes_the_same_changes_and_another_one_others() -> None:
    def what(seed: int) -> list[script.Happened]:
        return played(a_world(), seed=seed).happened

    assert what(5) == what(5)
    assert what(5) != what(6)


def test_a_script_goes_on_after_the_world_was_saved_and_loaded() -> None:
    undisturbed = played(a_world()).happened
    world = a_world()
    begin(world)
    run_out(world, NOON + timedelta(hours=2))
    loaded: World = pickle.loads(pickle.dumps(world))  # noqa: S301
    loaded.clock = ManualClock(world.now())
    run_out(loaded, NOON + timedelta(hours=8))
    assert loaded.notes["script"].happened == undisturbed


def test_the_next_change_is_told_and_nothing_changes_before_it() -> None:
    world = a_world()
    assert script.next_change(world) is None
    playing = begin(world)
    due = script.next_change(world)
    assert due is not None
    run_out(world, due - timedelta(milliseconds=1))
    assert playing.happened == []
    run_out(world, due)
    assert len(playing.happened) == 1
    assert due < script.next_change(world)  # type: ignore[operator]


def test_a_stopped_script_changes_nothing_more_and_a_running_one_is_not_started_twice() -> None:
    world = a_world()
    playing = begin(world)
    with pytest.raises(ValueError, match="running already"):
        begin(world)
    playing.stop()
    run_out(world, NOON + timedelta(hours=8))
    assert playing.happened == []
    assert begin(world, hours=1) is world.notes["script"]


def test_without_anybody_reacting_the_proof_shows_what_the_changes_have_spoilt() -> None:
    world = a_world()
    playing = played(world, changes=60)
    run_out(world, FAR + timedelta(days=1))
    proof = truth(world, until=FAR)
    last_moved = {
        meeting.id
        for kind in ("moved_later", "moved_earlier", "moved_a_little", "relinked")
        for meeting in changed(playing, kind)
        if meeting.expected_scopes() and meeting not in changed(playing, "moved_back")
    }
    assert len(proof.missed) >= len(last_moved) // 2 > 5
    assert proof.stray
    assert len(proof.cancelled) >= len(changed(playing, "cancelled"))
    assert not proof.doubled
    assert not proof.proven


def follow(world: World) -> None:
    """Do what an application does: an event with a bot that has moved on gets its bot anew."""
    here = source(world)
    for event in list(here.events.values()):
        stale = [
            entry for entry in event.bots if (entry.start_time, entry.meeting_url) != (event.start, event.meeting_url)
        ]
        if stale and event.start > world.now():
            here.remove_bot(event.id)
            assert ask_for_bot(world, here, event.calendar_id, world.meetings[event.meeting_id])


def test_with_an_application_that_follows_the_changes_all_is_held() -> None:
    world = a_world()
    begin(world, changes=60)
    for hours in range(1, 9):
        run_out(world, NOON + timedelta(hours=hours))
        follow(world)
    run_out(world, FAR + timedelta(days=1))
    proof = truth(world, until=FAR)
    assert proof.proven, proof.missed[:1] + proof.doubled[:1]
    assert proof.wanted == proof.held > 150
    assert proof.stray == []


def test_the_control_commands_start_show_and_stop() -> None:
    world = a_world()
    control = Control(world, handlers=HANDLERS)

    def run(command: str, **body: Any) -> Any:
        answer = control.handle(Request("POST", f"/{command}", body=json.dumps(body).encode()))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    assert run("script/state") == {"running": False, "done": 0, "left": 0, "next": None}
    started = run("script/start", region="us-west-2", workspace="acme", hours=2, changes="12", seed=1, keep_away=4)
    assert (started["left"], started["running"], started["done"]) == (12, True, 0)
    assert run("script/state")["next"] == started["next"]
    run("run_out", to="2026-03-04T13:00:00Z")
    state = run("script/state")
    assert state["done"] == sum(state["counts"].values()) > 0
    assert run("script/stop")["left"] == 0
    refused = control.handle(Request("POST", "/script/start", body=b'{"region": "us-west-2", "workspace": "none"}'))
    assert "no workspace 'none'" in json.loads(refused.body)["error"]
