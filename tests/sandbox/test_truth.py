from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from recallops.clock import FileClock, ManualClock, WallClock
from recallops.sandbox.company import ask_for_bot
from recallops.sandbox.control import Control
from recallops.sandbox.extras import HANDLERS
from recallops.sandbox.fill import fill
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.messages import Request
from recallops.sandbox.truth import Truth, run_out, truth
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROOM = "https://meet.google.com/abc-defg-hij"


class Play:
    """Two regions, Ann and Bea, and a company that puts a bot on what is to be recorded."""

    def __init__(self) -> None:
        self.world = World(ManualClock(NOON), seed=3)
        self.us = self.world.add_region("us-west-2").add_workspace("acme")
        self.eu = self.world.add_region("eu-central-1").add_workspace("acme-eu")
        self.ann = self.world.add_account(GOOGLE, "ann@acme.example")
        self.bea = self.world.add_account(GOOGLE, "bea@zenith.example")

    def meeting(self, hours: float = 24, *accounts: Account, minutes: int = 60, url: str = ROOM) -> Meeting:
        start = NOON + timedelta(hours=hours)
        return self.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=minutes),
            accounts=accounts or (self.ann,),
            url=url,
            wanted=False,
        )

    def record(self, meeting: Meeting, *accounts: Account, where: Workspace | None = None, scope: str = "") -> Any:
        """Connect calendars if need be and put bots on their events; return the last one."""
        where = where or self.us
        bot = None
        for account in accounts or [self.world.accounts[key] for key in meeting.copies]:
            calendar = self.calendar(account, where)
            where.sync_copy(calendar.id, meeting.id)
            if scope:
                event = where.event_of(calendar.id, meeting.id)
                where.add_bot(event.id, f"{scope}-{meeting.start}", {"bot_name": "N"}, quiet=True)
                self.world.want(meeting, account, wanted=True, scope=scope)
            else:
                assert ask_for_bot(self.world, where, calendar.id, meeting)
            bot = where.bots[where.event_of(calendar.id, meeting.id).bots[0].bot_id]
        return bot

    def calendar(self, account: Account, where: Workspace) -> Calendar:
        for calendar in where.calendars.values():
            if calendar.account == account.key:
                return calendar
        return where.add_calendar(account, client_id="client")

    def at(self, hours: float) -> None:
        run_out(self.world, NOON + timedelta(hours=hours))

    def proof(self, hours: float = 100, **more: Any) -> Truth:
        self.at(hours)
        return truth(self.world, **more)


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def small() -> World:
    world = World(ManualClock(NOON), seed=3)
    world.add_region("us-west-2").add_workspace("acme")
    world.add_region("eu-central-1").add_workspace("acme-eu")
    fill(world, region="us-west-2", workspace="acme", calendars=30, events=400)
    return world


def all_over(world: World) -> Truth:
    run_out(world, NOON + timedelta(days=30))
    return truth(world, until=NOON + timedelta(days=28))


@pytest.mark.parametrize("seed", range(5))
def test_one_bot_taken_away_is_exactly_one_missed_meeting(small: World, seed: int) -> None:
    source = small.regions["us-west-2"].workspaces["acme"]
    bot = random.Random(seed).choice(list(source.bots.values()))
    url, start = bot.meeting_url, bot.join_at
    source.drop_bot(bot.id)
    proof = all_over(small)
    (missed,) = proof.missed
    assert (missed.url, missed.start) == (url, start.isoformat().replace("+00:00", "Z"))
    assert missed.reason == "no bot came"
    assert proof.held == proof.wanted - 1
    assert (proof.doubled, proof.unaccounted, proof.stray) == ([], 0, [])
    assert not proof.proven


@pytest.mark.parametrize("seed", range(5))
def test_a_second_bot_in_the_other_region_is_exactly_one_doubled_meeting(small: World, seed: int) -> None:
    source = small.regions["us-west-2"].workspaces["acme"]
    target = small.regions["eu-central-1"].workspaces["acme-eu"]
    bot = random.Random(seed).choice(list(source.bots.values()))
    event = source.events[next(iter(bot.events))]
    account = small.accounts[source.calendars[event.calendar_id].account]
    twin = target.add_calendar(account, client_id="another")
    target.add_bot(target.event_of(twin.id, event.meeting_id).id, "key", {"bot_name": "N"}, quiet=True)
    url, start = bot.meeting_url, bot.join_at
    proof = all_over(small)
    (doubled,) = proof.doubled
    assert (doubled.url, doubled.start) == (url, start.isoformat().replace("+00:00", "Z"))
    assert len([line for line in doubled.details if "joined" in line]) == 2
    assert proof.held == proof.wanted - 1
    assert (proof.missed, proof.unaccounted, proof.stray) == ([], 0, [])
    assert not proof.proven


def test_an_undisturbed_meeting_is_held_by_the_workspace_that_had_the_bot(play: Play) -> None:
    play.record(play.meeting())
    proof = play.proof()
    assert (proof.wanted, proof.held, proof.held_share, proof.proven) == (1, 1, 1.0, True)
    assert proof.by_place == {"us-west-2/acme": 1}
    assert proof.stray == []


def test_what_is_not_over_is_neither_held_nor_missed(play: Play) -> None:
    play.record(play.meeting(1))
    play.record(play.meeting(2, url="https://meet.google.com/aaa-bbbb-ccc"))
    proof = play.proof(2.5, until=NOON + timedelta(days=28))
    assert (proof.wanted, proof.held, proof.not_over, proof.unaccounted) == (2, 1, 1, 0)
    assert proof.proven


def test_meetings_beyond_the_time_asked_for_do_not_count_and_their_bots_are_no_strays(play: Play) -> None:
    play.record(play.meeting(1))
    play.record(play.meeting(50))
    proof = play.proof(until=NOON + timedelta(hours=10))
    assert (proof.wanted, proof.held, proof.stray) == (1, 1, [])


def test_two_bots_of_back_to_back_meetings_in_one_room_are_no_double(play: Play) -> None:
    for hours in (1, 1.5, 2):
        play.record(play.meeting(hours, minutes=30))
    proof = play.proof()
    assert (proof.wanted, proof.held, proof.doubled) == (3, 3, [])


def test_one_missing_bot_among_back_to_back_meetings_is_seen_though_the_room_had_bots(play: Play) -> None:
    bots = [play.record(play.meeting(hours, minutes=30)) for hours in (1, 1.5, 2)]
    play.us.drop_bot(bots[1].id)
    proof = play.proof()
    assert [case.start for case in proof.missed] == ["2026-01-05T13:30:00Z"]
    assert proof.held == 2


def test_only_the_final_start_of_a_moved_meeting_counts_and_the_bot_left_behind_is_a_stray(play: Play) -> None:
    meeting = play.meeting(24)
    play.record(meeting)
    play.world.move(meeting, NOON + timedelta(hours=48))
    proof = play.proof()
    assert (proof.wanted, proof.held) == (1, 0)
    assert [case.start for case in proof.missed] == ["2026-01-07T12:00:00Z"]
    assert [case.reason for case in proof.stray] == ["nobody met at this link then"]


def test_a_moved_meeting_is_held_when_its_bot_was_moved_too(play: Play) -> None:
    meeting = play.meeting(24)
    play.record(meeting)
    play.world.move(meeting, NOON + timedelta(hours=48))
    play.record(meeting)
    assert play.proof().proven


def test_a_meeting_with_a_new_link_needs_its_bot_there(play: Play) -> None:
    meeting = play.meeting()
    play.record(meeting)
    play.world.change_url(meeting, "https://meet.google.com/new-link-abc")
    proof = play.proof()
    assert [case.url for case in proof.missed] == ["https://meet.google.com/new-link-abc"]
    assert [case.url for case in proof.stray] == [ROOM]


def test_a_meeting_cancelled_before_its_start_is_listed_and_not_wanted(play: Play) -> None:
    meeting = play.meeting()
    play.record(meeting)
    play.world.cancel(meeting)
    proof = play.proof()
    assert (proof.wanted, proof.missed, proof.proven) == (0, [], True)
    assert [case.reason for case in proof.cancelled] == ["cancelled"]


def test_a_meeting_cancelled_after_its_start_was_wanted(play: Play) -> None:
    meeting = play.meeting(1)
    bot = play.record(meeting)
    play.us.drop_bot(bot.id)
    play.at(1.5)
    play.world.cancel(meeting)
    proof = play.proof()
    assert len(proof.missed) == 1
    assert proof.cancelled == []


def test_a_link_changed_after_the_start_does_not_matter(play: Play) -> None:
    meeting = play.meeting(1)
    play.record(meeting)
    play.at(1.5)
    play.world.change_url(meeting, "https://meet.google.com/new-link-abc")
    assert play.proof().held == 1


def test_a_copy_that_left_a_calendar_is_not_wanted_there_but_by_the_others(play: Play) -> None:
    meeting = play.meeting(24, play.ann, play.bea)
    play.record(meeting)
    play.world.remove_copy(meeting, play.bea)
    assert play.proof().by_customer == {"acme.example": {"held": 1, "wanted": 1}}


def test_a_copy_deleted_after_the_start_was_wanted(play: Play) -> None:
    meeting = play.meeting(1)
    play.record(meeting)
    play.at(1.5)
    play.world.remove_copy(meeting, play.ann)
    proof = play.proof()
    assert (proof.wanted, proof.held, proof.stray) == (1, 1, [])


def test_a_bot_in_a_meeting_that_nobody_wants_is_a_stray(play: Play) -> None:
    meeting = play.meeting()
    play.record(meeting)
    play.world.want(meeting, play.ann, wanted=False)
    proof = play.proof()
    assert proof.wanted == 0
    assert [case.reason for case in proof.stray] == ["nobody wanted a bot in this meeting"]


def test_each_scope_wants_a_bot_of_its_own(play: Play) -> None:
    meeting = play.meeting(24, play.ann, play.bea)
    play.record(meeting, play.ann, scope="acme.example")
    bot = play.record(meeting, play.bea, scope="zenith.example")
    assert play.us.bots[bot.id].key == "zenith.example-2026-01-06 12:00:00+00:00"
    play.us.drop_bot(bot.id)
    proof = play.proof()
    assert (proof.wanted, proof.held, proof.doubled) == (2, 1, [])
    assert [case.accounts for case in proof.missed] == [["bea@zenith.example"]]


def test_two_scopes_with_a_bot_each_are_no_double(play: Play) -> None:
    meeting = play.meeting(24, play.ann, play.bea)
    play.record(meeting, play.ann, scope="acme.example")
    play.record(meeting, play.bea, scope="zenith.example")
    proof = play.proof()
    assert (proof.wanted, proof.held, proof.proven) == (2, 2, True)


def test_a_meeting_shared_across_customers_is_one_assignment_and_counts_for_both(play: Play) -> None:
    play.record(play.meeting(24, play.ann, play.bea))
    proof = play.proof()
    assert proof.wanted == 1
    assert proof.by_customer == {
        "acme.example": {"held": 1, "wanted": 1},
        "zenith.example": {"held": 1, "wanted": 1},
    }


def test_a_bot_that_comes_late_has_missed_the_meeting(play: Play) -> None:
    meeting = play.meeting(1)
    bot = play.record(meeting)
    play.us.drop_bot(bot.id)
    play.at(1.25)
    play.record(meeting)
    (missed,) = play.proof().missed
    assert missed.reason == "its bot came 15 minutes late"


def test_a_bot_that_leaves_early_has_missed_the_meeting(play: Play) -> None:
    bot = play.record(play.meeting(1))
    play.at(1.5)
    play.us.leave_call(bot.id)
    (missed,) = play.proof().missed
    assert missed.reason == "its bot left 30 minutes before the end"


def test_a_bot_that_takes_over_when_the_first_has_left_makes_no_double(play: Play) -> None:
    meeting = play.meeting(1)
    bot = play.record(meeting)
    play.at(1.5)
    play.us.leave_call(bot.id)
    play.at(1.51)
    play.record(meeting, where=play.eu)
    proof = play.proof()
    assert (proof.held, proof.doubled, proof.missed) == (1, [], [])


def test_a_bot_that_waits_in_the_room_when_the_meeting_begins_attends_it(play: Play) -> None:
    meeting = play.meeting(1)
    play.record(meeting)
    play.at(0.95)
    play.world.move(meeting, NOON + timedelta(hours=1, minutes=5), NOON + timedelta(hours=1, minutes=20))
    assert play.proof().held == 1


def test_a_meeting_that_was_on_when_the_world_was_filled_needs_its_bot_from_then(play: Play) -> None:
    play.record(play.meeting(-0.5))
    assert play.proof().held == 1


def test_meetings_held_during_the_move_are_counted_apart(play: Play) -> None:
    for number, hours in enumerate((1, 2, 3, 4)):
        play.record(play.meeting(hours, url=f"https://meet.google.com/aaa-bbbb-cc{'abcd'[number]}"))
    proof = play.proof(move_from=NOON + timedelta(hours=1.5), move_to=NOON + timedelta(hours=3.5))
    assert (proof.held, proof.during_move) == (4, 2)


def test_a_world_runs_out_with_a_clock_in_a_file_and_not_with_the_wall_clock(tmp_path: Path) -> None:
    clock = FileClock(tmp_path / "clock")
    clock.set(at=NOON, speed=0)
    world = World(clock)
    assert run_out(world, NOON + timedelta(days=3)) == NOON + timedelta(days=3)
    assert clock.now() == NOON + timedelta(days=3)
    with pytest.raises(ValueError, match="start the sandbox with a clock file"):
        run_out(World(WallClock()), NOON)


def test_the_control_commands_run_out_and_prove(play: Play) -> None:
    play.record(play.meeting())
    control = Control(play.world, handlers=HANDLERS)
    answer = control.handle(Request("POST", "/run_out", body=b'{"to": "2026-01-08T00:00:00Z"}'))
    assert json.loads(answer.body) == {"now": "2026-01-08T00:00:00Z", "attended": 1}
    answer = control.handle(
        Request("GET", "/truth", query="move_from=2026-01-06T00:00:00Z&move_to=2026-01-07T00:00:00Z")
    )
    told = json.loads(answer.body)
    assert answer.status == 200
    assert (told["wanted"], told["held"], told["during_move"], told["missed_count"], told["proven"]) == (
        1,
        1,
        1,
        0,
        True,
    )
