"""Accounts, timers, switches; the same seed gives the same world; a saved world goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recallops.clock import ManualClock
from recallops.sandbox.links import first_link, platform_of
from recallops.sandbox.switches import Switches
from recallops.sandbox.world import World
from tests.sandbox.conftest import NOON, ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage


def test_timers_run_in_order_each_at_its_own_time(stage: Stage) -> None:
    seen: list[Any] = []
    world = stage.world
    world.after(20, lambda: seen.append(("second", world.now())))
    world.after(10, lambda: (seen.append(("first", world.now())), world.after(5, seen.append, "nested")))
    world.timers.cancel(world.after(12, seen.append, "cancelled"))
    assert world.next_timer() == NOON + timedelta(seconds=10)
    stage.later(minutes=1)
    assert seen == [("first", NOON + timedelta(seconds=10)), "nested", ("second", NOON + timedelta(seconds=20))]
    assert world.now() == NOON + timedelta(minutes=1)
    assert (world.next_timer(), len(world.timers)) == (None, 0)


def test_expected_bots_are_the_scopes_of_wanted_copies(stage: Stage) -> None:
    meeting = stage.meeting(stage.alice, stage.olaf)
    assert meeting.expected_scopes() == {""}
    stage.world.want(meeting, stage.olaf, wanted=True, scope="acme.example")
    assert meeting.expected_scopes() == {"", "acme.example"}
    stage.world.want(meeting, stage.alice, wanted=False)
    assert meeting.expected_scopes() == {"acme.example"}
    stage.world.remove_copy(meeting, stage.olaf)
    assert meeting.expected_scopes() == set()
    stage.world.add_copy(meeting, stage.olaf)
    assert meeting.expected_scopes() == {""}
    stage.world.cancel(meeting)
    assert meeting.expected_scopes() == set()
    assert [change.what for change in meeting.history] == [
        *("made", "wanted", "wanted", "removed", "added", "cancelled"),
    ]


def test_deleting_a_calendar_revokes_the_grant_of_both_regions_only_by_switch(stage: Stage) -> None:
    for platforms, status in (((), "connected"), (("google_calendar",), "disconnected")):
        stage.world.switches.delete_revokes_grant = platforms
        source = stage.connect(stage.alice)
        target = stage.connect(stage.alice, stage.eu, token=source.refresh_token)
        stage.call("DELETE", f"/api/v2/calendars/{source.id}/")
        stage.later(minutes=1)
        assert target.status == status


def test_switches_are_set_by_name_and_kind() -> None:
    switches = Switches()
    switches.update({"remove_takes": "latest", "adhoc_507": 1, "sync_delay": [0, 1], "live_bots_spared": False})
    assert (switches.remove_takes, switches.adhoc_507, switches.sync_delay) == ("latest", 1.0, (0, 1))
    for bad in ({"colour": 1}, {"remove_takes": "some"}, {"adhoc_507": "often"}, {"live_bots_spared": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            switches.update({"late_commit": 5, **bad})
    assert switches.late_commit == 0.0, "all or nothing"


@pytest.mark.parametrize(
    ("url", "platform"),
    [
        (ROOM, "google_meet"),
        ("https://acme.zoom.us/j/123?pwd=x", "zoom"),
        ("https://teams.microsoft.com/l/meetup-join/19%3ax/0?context=%7b%7d", "microsoft_teams"),
        ("https://acme.webex.com/meet/room", "webex"),
        ("https://example.com/zoom.us/j/1", None),
        (None, None),
    ],
)
def test_links_belong_to_platforms(url: str | None, platform: str | None) -> None:
    assert platform_of(url) == platform


def test_of_several_links_zoom_comes_first() -> None:
    assert first_link(f"Join: <{ROOM}> or (https://zoom.us/j/99).") == "https://zoom.us/j/99"
    assert first_link("no link") is None


def play(stage: Stage) -> None:
    """Do a little of everything."""
    meeting, (first, second) = stage.ready(stage.alice, stage.olaf)
    stage.connect(stage.alice, stage.eu, connect=False)
    stage.world.faults.add("status", status=503, probability=0.3, times=None)
    for _ in range(10):
        stage.add_bot(first)
        stage.add_bot(second)
        stage.later(seconds=3)
    stage.world.move(meeting, NOON + timedelta(days=2))
    stage.later(days=3)


def test_the_same_calls_at_the_same_times_give_the_same_world(make_stage: Any) -> None:
    one, two, three = make_stage(5), make_stage(5), make_stage(6)
    for stage in (one, two, three):
        stage.listen(stage.us, stage.eu)
        play(stage)
    assert one.world.log.calls == two.world.log.calls
    assert one.world.attendance == two.world.attendance
    assert [sent.body for sent in one.webhooks] == [sent.body for sent in two.webhooks]
    assert one.world.attendance != three.world.attendance


def test_a_saved_world_goes_on_as_if_nothing_had_been(stage: Stage, make_stage: Any, tmp_path: Path) -> None:
    twin = make_stage(stage.world.seed)
    for each in (stage, twin):
        _, (event_id,) = each.ready()
        each.add_bot(event_id)
        each.connect(each.olaf, each.eu, connect=False)
    stage.world.save(tmp_path / "state")
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    loaded = World.load(tmp_path / "state", ManualClock(NOON))
    loaded.clock.advance(timedelta(days=2))  # type: ignore[attr-defined]
    loaded.advance()
    twin.later(days=2)
    assert loaded.attendance == twin.world.attendance
    assert len(loaded.attendance) == 1
    assert [one.status for one in loaded.regions["eu-central-1"].workspaces["acme-eu"].calendars.values()] == [
        "connected"
    ]
    assert loaded.new_id() == twin.world.new_id()


def test_a_webhook_in_the_air_when_the_world_was_saved_is_sent_again(stage: Stage, tmp_path: Path) -> None:
    stage.us.add_endpoint("https://hooks.example/")
    stage.us.disconnect(stage.connect(stage.alice).id)
    stage.later(seconds=0)
    before = stage.world.outbox.queue[0]
    stage.world.save(tmp_path / "state")
    loaded = World.load(tmp_path / "state", ManualClock(NOON))
    loaded.advance()
    assert [again.headers for again in loaded.outbox.queue] == [before.headers]


def test_a_big_world_can_be_saved(stage: Stage, tmp_path: Path) -> None:
    accounts = [stage.world.add_account("google_calendar", f"p{number}@acme.example") for number in range(50)]
    for number in range(400):
        start = NOON + timedelta(hours=1 + number)
        both = [accounts[number % 50], accounts[(number * 7 + 1) % 50]]
        stage.world.make_meeting(start=start, end=start + timedelta(minutes=30), accounts=both, url=ROOM)
    for account in accounts:
        calendar = stage.connect(account)
        for event_id in list(calendar.events.values()):
            stage.us.add_bot(event_id, f"{stage.us.events[event_id].start}", {}, quiet=True)
    stage.world.save(tmp_path / "state")
    loaded = World.load(tmp_path / "state", ManualClock(NOON))
    assert len(loaded.regions["us-west-2"].workspaces["acme"].bots) == 400
