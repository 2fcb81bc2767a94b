"""The table of the hand-over, line by line: one next action for what is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from calendars.scheduling.values import Act, Member, Numbers, Purpose
from tests.scheduling.worlds import (
    END,
    FAR,
    INSTANT,
    KEY,
    MINUTE,
    NEAR,
    NUMBERS,
    OTHER_ROOM,
    SOURCE,
    START,
    TARGET,
    F,
    L,
    Meeting,
    bot,
    minutes,
)

LATER = START + timedelta(hours=2)  # where a stale bot waits
EARLIER = START - timedelta(hours=1)


def covered_by_source(**changes: object) -> Meeting:
    """The source has the bot, the target shows the meeting without one."""
    return Meeting(**changes).shows(SOURCE, bot("s")).shows(TARGET)  # type: ignore[arg-type]


def covered_by_target(**changes: object) -> Meeting:
    return Meeting(**changes).shows(SOURCE).shows(TARGET, bot("t"))  # type: ignore[arg-type]


def covered_by_both(**changes: object) -> Meeting:
    return Meeting(**changes).shows(SOURCE, bot("s")).shows(TARGET, bot("t"))  # type: ignore[arg-type]


# --- line 1: look before you act


def test_a_side_that_was_never_read_is_read_first() -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, age=None)
    assert meeting.act() == (Act.READ, TARGET)


def test_both_sides_are_read_when_neither_was() -> None:
    action = Meeting().shows(SOURCE, age=None).shows(TARGET, age=None).decide()
    assert (action.act, action.workspaces) == (Act.READ, (SOURCE, TARGET))


def test_one_unread_member_makes_its_whole_side_unread() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot()).shows(SOURCE, bot(), occurrence=2, age=None)
    assert meeting.act() == (Act.READ, SOURCE)


def test_a_webhook_after_the_start_of_a_reading_makes_it_stale() -> None:
    meeting = covered_by_source()
    meeting.shows(TARGET, occurrence=2, age=minutes(1), changed_at=meeting.now - minutes(0.5))
    assert meeting.act() == (Act.READ, TARGET)


def test_a_webhook_at_the_very_start_of_a_reading_makes_it_stale() -> None:
    meeting = Meeting()
    meeting.shows(SOURCE, bot(), age=MINUTE, changed_at=meeting.now - MINUTE)
    assert meeting.act() == (Act.READ, SOURCE)


def test_a_webhook_before_the_start_of_a_reading_does_not() -> None:
    meeting = Meeting()
    meeting.shows(SOURCE, bot(), age=MINUTE, changed_at=meeting.now - MINUTE - INSTANT)
    assert meeting.act() == (Act.WAIT, 0)


@pytest.mark.parametrize("purpose", Purpose)
def test_an_unanswered_write_is_read_back_once_it_is_due(purpose: Purpose) -> None:
    assert covered_by_source().sent(SOURCE, purpose, ago=L).act() == (Act.READ, SOURCE)


def test_an_unanswered_write_is_not_read_back_before_it_is_due() -> None:
    assert covered_by_both(wish=TARGET).sent(TARGET, Purpose.ADD, ago=L - INSTANT).act() == (Act.WAIT, 0)


def test_an_answered_write_is_read_back_at_once() -> None:
    meeting = covered_by_source(wish=TARGET).sent(TARGET, Purpose.ADD, ago=MINUTE, answered=INSTANT)
    assert meeting.act() == (Act.READ, TARGET)


@pytest.mark.parametrize(
    ("away", "age", "act"),
    [
        (FAR, NUMBERS.age_for_write, Act.ADD),
        (FAR, NUMBERS.age_for_write + INSTANT, Act.READ),
        (NEAR, NUMBERS.age_for_write, Act.ADD),
        (NEAR - INSTANT, NUMBERS.age_near_start, Act.ADD),
        (NEAR - INSTANT, NUMBERS.age_near_start + INSTANT, Act.READ),
        (MINUTE, NUMBERS.age_near_start + INSTANT, Act.READ),
        (-MINUTE, NUMBERS.age_for_write, Act.ADD),
        (-MINUTE, NUMBERS.age_for_write + INSTANT, Act.READ),
    ],
)
def test_a_write_needs_a_reading_of_two_minutes_and_of_one_near_the_start(
    away: timedelta, age: timedelta, act: Act
) -> None:
    assert Meeting(away=away).shows(SOURCE, age=age).decide().act is act


def test_the_age_of_the_other_side_counts_for_a_write_too() -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot(), age=NUMBERS.age_for_write + INSTANT).shows(TARGET)
    assert meeting.act() == (Act.READ, SOURCE)


@pytest.mark.parametrize(("more", "act"), [(timedelta(0), Act.WAIT), (INSTANT, Act.READ)])
def test_waiting_in_the_middle_of_a_hand_over_takes_readings_of_ten_minutes(more: timedelta, act: Act) -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s"), age=NUMBERS.age_for_wait + more)
    meeting.shows(TARGET, bot("t")).sent(TARGET, Purpose.ADD)
    assert meeting.decide().act is act


def test_a_covered_meeting_far_away_is_left_to_webhooks_and_sweeps() -> None:
    assert Meeting().shows(SOURCE, bot(), age=timedelta(hours=4)).act() == (Act.WAIT, 0)


# --- the last look


def test_a_covered_meeting_waits_for_its_last_look() -> None:
    assert covered_by_source(away=NEAR + MINUTE).decide().until == START - NEAR


def test_each_side_is_read_once_more_before_the_start_whatever_webhooks_say() -> None:
    meeting = Meeting(away=NEAR - MINUTE)
    meeting.shows(SOURCE, bot(), age=MINUTE + INSTANT).shows(TARGET, age=minutes(0.5))
    assert meeting.act() == (Act.READ, SOURCE)


def test_after_the_last_look_the_start_is_waited_for() -> None:
    action = Meeting(away=minutes(15)).shows(SOURCE, bot(), age=minutes(15)).decide()
    assert (action.act, action.until) == (Act.WAIT, START)


# --- line 2: the owner's calendar cannot carry it


@pytest.mark.parametrize("away", [FAR, NEAR, F, MINUTE, -MINUTE])
@pytest.mark.parametrize("trouble", [{"connected": False}, {"deleted": True}, {"url": ""}, {"start": LATER}])
def test_the_owner_goes_to_whoever_can_carry_it_also_within_the_freeze(
    away: timedelta, trouble: dict[str, object]
) -> None:
    meeting = Meeting(away=away).shows(SOURCE, **trouble).shows(TARGET)  # type: ignore[arg-type]
    assert meeting.act() == (Act.FLIP, TARGET)


def test_the_owner_goes_when_its_last_member_has_left() -> None:
    assert Meeting().shows(TARGET).act() == (Act.FLIP, TARGET)


def test_the_owner_stays_while_one_member_can_carry_it() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, connected=False).shows(SOURCE, bot(), occurrence=2).shows(TARGET)
    assert meeting.decide().act is not Act.FLIP


def test_after_the_owner_went_the_new_one_adds_at_once() -> None:
    assert Meeting(owner=TARGET, away=MINUTE).shows(SOURCE, connected=False).shows(TARGET).act() == (Act.ADD, TARGET)


def test_no_owner_goes_to_where_a_removal_may_still_be_carried_out() -> None:
    meeting = Meeting().shows(SOURCE, connected=False).shows(TARGET, bot("t")).sent(TARGET, Purpose.REMOVE)
    assert meeting.act() == (Act.WAIT, 0)


def test_with_nobody_able_it_waits_and_says_so() -> None:
    action = Meeting().shows(SOURCE, connected=False).shows(TARGET, connected=False).decide()
    assert (action.act, action.reason) == (Act.WAIT, "no connected calendar shows it")


def test_an_unwanted_member_carries_nothing() -> None:
    assert Meeting().shows(SOURCE, occurrence=2).shows(TARGET).act() == (Act.FLIP, TARGET)


# --- line 3: it has begun


@pytest.mark.parametrize("sides", [covered_by_source, covered_by_target, covered_by_both])
@pytest.mark.parametrize("wish", [SOURCE, TARGET])
def test_nothing_is_removed_from_a_meeting_that_has_begun(sides: object, wish: int) -> None:
    meeting = sides(away=timedelta(0), wish=wish)  # type: ignore[operator]
    assert meeting.act() == (Act.WAIT, 0)


def test_a_meeting_in_progress_is_looked_at_again_when_it_ends() -> None:
    assert covered_by_source(away=timedelta(0)).decide().until == END


@pytest.mark.parametrize("into", [timedelta(0), MINUTE, END - START - INSTANT])
def test_a_meeting_in_progress_without_a_bot_gets_one_until_it_ends(into: timedelta) -> None:
    assert Meeting(away=-into).shows(SOURCE).shows(TARGET).act() == (Act.ADD, SOURCE)


def test_a_bot_that_has_left_the_call_is_not_sent_again() -> None:
    gone = bot(terminal=True, attended=True)
    assert Meeting(away=-minutes(20)).shows(SOURCE, gone).act() == (Act.WAIT, 0)


def test_a_bot_in_the_call_that_came_early_is_enough() -> None:
    early = bot(start=START - NUMBERS.patience, live=True)
    assert Meeting(away=-MINUTE).shows(SOURCE, early).act() == (Act.WAIT, 0)


def test_after_the_end_the_bots_that_are_not_over_are_looked_at() -> None:
    action = covered_by_both(away=START - END).decide()
    assert (action.act, action.bots) == (Act.LOOK, ("s", "t"))


def test_it_is_over_when_it_has_ended_and_its_bots_have_too() -> None:
    meeting = Meeting(away=START - END).shows(SOURCE, bot("s", terminal=True)).shows(TARGET, age=None)
    assert meeting.act() == (Act.OVER, 0)


# --- line 4: nobody wants it


@pytest.mark.parametrize("away", [FAR, F + INSTANT])
def test_bots_of_a_cancelled_meeting_are_removed_on_the_owners_side_before_the_freeze(away: timedelta) -> None:
    meeting = Meeting(away=away, wanted=()).shows(SOURCE, bot("s"), deleted=True)
    action = meeting.decide()
    assert (action.act, action.workspace, action.bots, action.events) == (Act.REMOVE, SOURCE, ("s",), (11,))


@pytest.mark.parametrize("away", [F, MINUTE])
def test_in_the_freeze_it_is_too_late_to_remove_them(away: timedelta) -> None:
    action = Meeting(away=away, wanted=()).shows(SOURCE, bot("s"), deleted=True).decide()
    assert action.act is Act.WAIT
    assert "too late" in action.reason


def test_the_other_side_loses_its_bot_once_it_shows_the_cancellation_too() -> None:
    meeting = Meeting(wanted=()).shows(SOURCE, deleted=True).shows(TARGET, bot("t"), deleted=True)
    assert meeting.act() == (Act.REMOVE, TARGET)


@pytest.mark.parametrize("away", [NEAR - INSTANT, F + INSTANT])
def test_near_the_start_the_other_sides_word_is_not_waited_for(away: timedelta) -> None:
    meeting = Meeting(away=away, wanted=()).shows(SOURCE, deleted=True).shows(TARGET, bot("t"))
    assert meeting.act() == (Act.REMOVE, TARGET)


@pytest.mark.parametrize("away", [FAR, NEAR])
def test_before_that_the_other_sides_bot_is_not_touched_on_the_owners_word_alone(away: timedelta) -> None:
    meeting = Meeting(away=away, wanted=()).shows(SOURCE, deleted=True).shows(TARGET, bot("t"))
    assert meeting.decide().act is not Act.REMOVE


def test_every_bot_of_every_member_goes_when_nobody_wants_it() -> None:
    meeting = Meeting(wanted=()).shows(SOURCE, bot("a"), deleted=True)
    action = meeting.shows(SOURCE, bot("a"), bot("b", start=LATER), occurrence=2, deleted=True).decide()
    assert (action.act, action.bots, set(action.events)) == (Act.REMOVE, ("a", "b"), {11, 12})


def test_without_bots_an_unwanted_meeting_is_over() -> None:
    assert Meeting(wanted=()).shows(SOURCE, deleted=True).shows(TARGET).act() == (Act.OVER, 0)


def test_wanting_members_are_attached_before_others_are_detached() -> None:
    meeting = Meeting(wanted={1}).shows(SOURCE).shows(SOURCE, bot("s"), occurrence=2)
    action = meeting.decide()
    assert (action.act, action.workspace, action.events) == (Act.ADD, SOURCE, (11,))


def test_others_are_detached_when_a_wanting_member_holds_the_kept_bot() -> None:
    meeting = Meeting(wanted={1}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2)
    action = meeting.decide()
    assert (action.act, action.workspace, action.events, action.bots) == (Act.REMOVE, SOURCE, (12,), ("s",))


@pytest.mark.parametrize("away", [F, MINUTE])
def test_nobody_is_detached_within_the_freeze(away: timedelta) -> None:
    meeting = Meeting(away=away, wanted={1}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2)
    assert meeting.act() == (Act.WAIT, 0)


# --- line 5: two fitting bots in one workspace


@pytest.mark.parametrize("away", [FAR, NEAR - INSTANT, F + INSTANT])
def test_of_two_bots_in_one_workspace_the_one_without_the_rows_key_goes(away: timedelta) -> None:
    meeting = Meeting(away=away).shows(SOURCE, bot("a", key="foreign"), bot("b"))
    action = meeting.decide()
    assert (action.act, action.workspace, action.bots) == (Act.REMOVE, SOURCE, ("a",))


def test_two_bots_on_two_members_are_one_too_many_as_well() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("a")).shows(SOURCE, bot("b", key="foreign"), occurrence=2)
    action = meeting.decide()
    assert (action.act, action.events, action.bots) == (Act.REMOVE, (12,), ("b",))


def test_without_the_rows_key_the_bot_that_most_members_hold_stays() -> None:
    meeting = Meeting(wanted={1, 2, 3}).shows(SOURCE, bot("a", key="x"))
    for occurrence in (2, 3):
        meeting.shows(SOURCE, bot("b", key="y"), occurrence=occurrence)
    assert meeting.decide().bots == ("a",)


def test_an_extra_bot_on_the_other_side_goes_too() -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, bot("t"), bot("u", key="foreign"))
    action = meeting.decide()
    assert (action.act, action.workspace, action.bots) == (Act.REMOVE, TARGET, ("u",))


def test_a_terminal_bot_is_not_one_too_many() -> None:
    assert Meeting().shows(SOURCE, bot("a", terminal=True), bot("b")).act() == (Act.WAIT, 0)


def test_an_extra_bot_is_not_removed_within_the_freeze() -> None:
    assert Meeting(away=F).shows(SOURCE, bot("a"), bot("b", key="foreign")).act() == (Act.WAIT, 0)


# --- line 6: no fitting bot anywhere


@pytest.mark.parametrize("away", [FAR, NEAR, NEAR - INSTANT, F, MINUTE, INSTANT])
@pytest.mark.parametrize("owner", [SOURCE, TARGET])
def test_an_uncovered_meeting_gets_a_bot_on_the_owners_side_and_no_freeze_blocks_that(
    away: timedelta, owner: int
) -> None:
    meeting = Meeting(away=away, owner=owner, wish=TARGET, hold="paused").shows(SOURCE).shows(TARGET)
    assert meeting.act() == (Act.ADD, owner)


def test_every_wanting_member_that_can_carry_it_gets_the_bot() -> None:
    meeting = Meeting(wanted={1, 2, 3}).shows(SOURCE).shows(SOURCE, occurrence=2)
    meeting.shows(SOURCE, occurrence=3, connected=False).shows(SOURCE, occurrence=4)
    assert meeting.decide().events == (11, 12)


def test_bots_are_added_only_to_events_that_show_the_rows_start_and_link() -> None:
    meeting = Meeting(wanted={1, 2, 3}).shows(SOURCE)
    meeting.shows(SOURCE, occurrence=2, start=LATER).shows(SOURCE, occurrence=3, url=OTHER_ROOM)
    assert meeting.decide().events == (11,)


def test_a_stale_bot_goes_first_while_there_is_time() -> None:
    action = Meeting(away=NEAR + INSTANT).shows(SOURCE, bot("old", start=LATER)).decide()
    assert (action.act, action.workspace, action.bots) == (Act.REMOVE, SOURCE, ("old",))


def test_a_bot_at_another_link_is_stale() -> None:
    assert Meeting().shows(SOURCE, bot("old", url=OTHER_ROOM)).act() == (Act.REMOVE, SOURCE)


@pytest.mark.parametrize("away", [NEAR, NEAR - INSTANT, MINUTE])
def test_near_the_start_the_bot_comes_before_the_tidying(away: timedelta) -> None:
    stale = bot("old", start=LATER, key="key-of-the-row-it-left")
    assert Meeting(away=away).shows(SOURCE, stale).act() == (Act.ADD, SOURCE)


def test_a_bot_that_was_for_another_time_and_has_left_is_not_stale() -> None:
    assert Meeting().shows(SOURCE, bot("old", start=EARLIER, terminal=True)).act() == (Act.ADD, SOURCE)


def test_a_bot_in_a_call_of_another_time_is_not_removed() -> None:
    assert Meeting().shows(SOURCE, bot("old", start=EARLIER - FAR, live=True)).act() == (Act.ADD, SOURCE)


@pytest.mark.parametrize(
    ("away", "act"),
    [(FAR, Act.WAIT), (F + L + INSTANT, Act.WAIT), (F + L, Act.ADD), (F, Act.ADD), (MINUTE, Act.ADD)],
)
def test_an_add_waits_for_an_open_removal_only_while_there_is_time(away: timedelta, act: Act) -> None:
    assert Meeting(away=away).shows(SOURCE).sent(SOURCE, Purpose.REMOVE).decide().act is act


def test_waiting_for_an_open_removal_ends_when_it_can_be_read_back() -> None:
    meeting = Meeting().shows(SOURCE).sent(SOURCE, Purpose.REMOVE, ago=MINUTE)
    assert meeting.decide().until == meeting.now - MINUTE + L


def test_a_lost_add_is_waited_for_far_from_the_start_and_sent_again_near_it() -> None:
    assert Meeting(away=FAR).shows(SOURCE).sent(SOURCE, Purpose.ADD).act() == (Act.WAIT, 0)
    assert Meeting(away=NEAR - INSTANT).shows(SOURCE).sent(SOURCE, Purpose.ADD).act() == (Act.ADD, SOURCE)


# --- line 7: the hand-over begins


@pytest.mark.parametrize("away", [FAR, NEAR])
def test_a_meeting_that_should_be_in_the_target_gets_its_bot_there_first(away: timedelta) -> None:
    action = covered_by_source(wish=TARGET, away=away).decide()
    assert (action.act, action.workspace, action.events) == (Act.ADD, TARGET, (21,))


def test_in_a_reverse_the_source_gets_its_bot_first() -> None:
    assert covered_by_target(owner=TARGET, wish=SOURCE).act() == (Act.ADD, SOURCE)


def test_just_inside_freeze_and_margin_nothing_is_handed_over_any_more() -> None:
    meeting = Meeting(wish=TARGET, away=NEAR - MINUTE).shows(SOURCE, bot("s")).shows(TARGET)
    action = meeting.decide()
    assert (action.act, action.reason) == (Act.WAIT, "too near its start to be handed over")


def test_it_stays_where_it_should_be() -> None:
    assert covered_by_source(wish=SOURCE).act() == (Act.WAIT, 0)


@pytest.mark.parametrize("difference", [{"start": LATER}, {"url": OTHER_ROOM}, {"deleted": True}, {"connected": False}])
def test_nothing_is_handed_over_while_the_regions_do_not_agree(difference: dict[str, object]) -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, **difference)  # type: ignore[arg-type]
    assert meeting.act() == (Act.WAIT, 0)


def test_it_is_asked_again_soon_whether_the_regions_agree() -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, start=LATER)
    assert meeting.decide().until == meeting.now + NUMBERS.age_for_wait


def test_nothing_is_handed_over_until_every_wanting_member_is_in_the_target() -> None:
    meeting = Meeting(wish=TARGET, wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2)
    assert meeting.shows(TARGET).act() == (Act.WAIT, 0)
    assert meeting.shows(TARGET, occurrence=2).decide().events == (21, 22)


@pytest.mark.parametrize("side", [SOURCE, TARGET])
@pytest.mark.parametrize("purpose", Purpose)
def test_nothing_is_handed_over_while_a_write_is_open(side: int, purpose: Purpose) -> None:
    assert covered_by_source(wish=TARGET).sent(side, purpose).act() == (Act.WAIT, 0)


def test_nothing_is_handed_over_while_it_is_held() -> None:
    action = covered_by_source(wish=TARGET, hold="paused by staff").decide()
    assert (action.act, action.reason, action.until) == (Act.WAIT, "paused by staff", START - NEAR)


# --- line 8: wait, and tidy up


def test_a_stale_bot_beside_the_kept_one_is_removed() -> None:
    action = Meeting().shows(SOURCE, bot("s"), bot("old", start=LATER)).decide()
    assert (action.act, action.bots) == (Act.REMOVE, ("old",))


@pytest.mark.parametrize("away", [F, MINUTE, timedelta(0), -MINUTE])
@pytest.mark.parametrize("wanted", [(1, 2), ()])
def test_a_bot_that_waits_for_a_time_which_its_meeting_has_left_goes_even_in_the_freeze(
    away: timedelta, wanted: tuple[int, ...]
) -> None:
    meeting = Meeting(away=away, wanted=wanted, moving=False)
    meeting.shows(SOURCE, bot("s", live=True)).shows(SOURCE, bot("old", start=LATER), occurrence=2)
    action = meeting.decide()
    assert (action.act, action.bots, action.events) == (Act.REMOVE, ("old",), (12,))


def test_a_bot_that_is_frozen_at_a_time_which_its_meeting_has_left_is_too_late_to_remove() -> None:
    frozen = bot("old", start=START + F - INSTANT)
    assert Meeting(away=timedelta(0)).shows(SOURCE, bot("s"), frozen).act() == (Act.WAIT, 0)


def test_a_bot_whose_profile_has_changed_is_given_the_new_configuration_before_the_freeze() -> None:
    for away, act, events in ((F + INSTANT, Act.ADD, (11,)), (F, Act.WAIT, ())):
        meeting = Meeting(away=away, wanted={1, 2}, outdated=True).shows(SOURCE, bot("s"))
        action = meeting.shows(SOURCE, bot("s"), occurrence=2).decide()
        assert (action.act, action.events) == (act, events)


def test_a_stale_bot_on_the_other_side_goes_only_when_the_regions_agree() -> None:
    stale = bot("old", start=LATER)
    agreeing = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, stale)
    lagging = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, stale, start=LATER)
    assert agreeing.act() == (Act.REMOVE, TARGET)
    assert lagging.act() == (Act.WAIT, 0)


def test_without_another_side_a_covered_meeting_is_waited_for() -> None:
    assert Meeting(moving=False).shows(SOURCE, bot("s")).act() == (Act.WAIT, 0)


def test_a_wanting_member_without_the_bot_gets_it() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, occurrence=2)
    assert meeting.decide().events == (12,)


def test_a_late_member_that_is_only_in_the_source_gets_no_bot_there() -> None:
    meeting = Meeting(owner=TARGET, wish=TARGET, wanted={1, 2}).shows(TARGET, bot("t")).shows(SOURCE)
    assert meeting.shows(SOURCE, occurrence=2).act() == (Act.WAIT, 0)


def test_a_closing_member_is_detached_when_another_holds_the_bot() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2, closing=True)
    action = meeting.decide()
    assert (action.act, action.events) == (Act.REMOVE, (12,))


def test_a_closing_member_is_not_attached_again() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, occurrence=2, closing=True)
    assert meeting.act() == (Act.WAIT, 0)


def test_another_member_is_attached_before_the_closing_one_is_detached() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE).shows(SOURCE, bot("s"), occurrence=2, closing=True)
    action = meeting.decide()
    assert (action.act, action.events) == (Act.ADD, (11,))


def test_a_closing_member_keeps_the_bot_when_there_is_nobody_else() -> None:
    assert Meeting().shows(SOURCE, bot("s"), closing=True).act() == (Act.WAIT, 0)
    assert Meeting().shows(SOURCE, closing=True).act() == (Act.ADD, SOURCE)


# --- lines 9 to 11: a bot on both sides


@pytest.mark.parametrize("away", [FAR, NEAR, NEAR - INSTANT, F + INSTANT])
@pytest.mark.parametrize("hold", ["", "paused by staff"])
def test_once_read_back_in_the_target_the_owner_goes_there_and_no_pause_stops_that(away: timedelta, hold: str) -> None:
    assert covered_by_both(wish=TARGET, away=away, hold=hold).act() == (Act.FLIP, TARGET)


@pytest.mark.parametrize("side", [SOURCE, TARGET])
@pytest.mark.parametrize("purpose", Purpose)
def test_the_owner_does_not_go_while_a_write_is_open(side: int, purpose: Purpose) -> None:
    meeting = covered_by_both(wish=TARGET).sent(side, purpose, ago=MINUTE)
    action = meeting.decide()
    assert (action.act, action.until) == (Act.WAIT, meeting.now - MINUTE + L)


def test_the_owner_does_not_go_while_the_regions_do_not_agree() -> None:
    meeting = Meeting(wish=TARGET).shows(SOURCE, bot("s")).shows(TARGET, bot("t"), start=LATER)
    assert meeting.act() == (Act.WAIT, 0)


@pytest.mark.parametrize("away", [F, MINUTE, INSTANT])
def test_within_the_freeze_a_hand_over_is_given_up_and_the_owner_keeps_it(away: timedelta) -> None:
    action = covered_by_both(wish=TARGET, away=away).decide()
    assert (action.act, action.workspace, action.bots) == (Act.REMOVE, TARGET, ("t",))


def test_a_bot_that_has_joined_is_left_alone() -> None:
    meeting = Meeting(wish=TARGET, away=MINUTE).shows(SOURCE, bot("s")).shows(TARGET, bot("t", live=True))
    assert meeting.act() == (Act.WAIT, 0)


@pytest.mark.parametrize("away", [FAR, NEAR - INSTANT, F, MINUTE])
@pytest.mark.parametrize("hold", ["", "paused by staff"])
def test_the_side_that_does_not_own_it_loses_its_bot_and_no_pause_stops_that(away: timedelta, hold: str) -> None:
    action = covered_by_both(owner=TARGET, wish=TARGET, away=away, hold=hold).decide()
    assert (action.act, action.workspace, action.events, action.bots) == (Act.REMOVE, SOURCE, (11,), ("s",))


def test_the_removal_names_every_member_that_holds_the_bot() -> None:
    meeting = Meeting(owner=TARGET, wish=TARGET, wanted={1, 2}).shows(TARGET, bot("t")).shows(SOURCE, bot("s"))
    assert meeting.shows(SOURCE, bot("s"), occurrence=2).decide().events == (11, 12)


@pytest.mark.parametrize(("more", "act"), [(timedelta(0), Act.REMOVE), (INSTANT, Act.READ)])
def test_the_keeper_is_read_within_two_minutes_before_the_other_is_removed(more: timedelta, act: Act) -> None:
    meeting = Meeting(owner=TARGET, wish=TARGET).shows(SOURCE, bot("s"))
    meeting.shows(TARGET, bot("t"), age=NUMBERS.age_for_write + more)
    assert meeting.decide().act is act


def test_nothing_is_removed_while_a_removal_of_the_keeper_is_open() -> None:
    assert covered_by_both(owner=TARGET, wish=TARGET).sent(TARGET, Purpose.REMOVE).act() == (Act.WAIT, 0)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_removal_waits_for_the_open_writes_of_its_side(purpose: Purpose) -> None:
    assert covered_by_both(owner=TARGET, wish=TARGET).sent(SOURCE, purpose).act() == (Act.WAIT, 0)


# --- lines 12 and 13: only the other side has it


@pytest.mark.parametrize("hold", ["", "paused by staff"])
def test_the_owner_follows_a_bot_that_is_where_it_should_be(hold: str) -> None:
    assert covered_by_target(wish=TARGET, hold=hold).act() == (Act.FLIP, TARGET)


@pytest.mark.parametrize(("away", "expected"), [(NEAR, (Act.ADD, SOURCE)), (NEAR - INSTANT, (Act.FLIP, TARGET))])
def test_near_the_start_the_owner_follows_the_bot_wherever_it_should_be(
    away: timedelta, expected: tuple[Act, int]
) -> None:
    assert covered_by_target(wish=SOURCE, away=away).act() == expected


@pytest.mark.parametrize("purpose", Purpose)
def test_the_owner_follows_the_bot_when_a_write_on_its_own_side_is_open(purpose: Purpose) -> None:
    assert covered_by_target(wish=SOURCE).sent(SOURCE, purpose).act() == (Act.FLIP, TARGET)


def test_the_owner_does_not_follow_a_bot_that_may_still_be_removed() -> None:
    assert covered_by_target(wish=TARGET).sent(TARGET, Purpose.REMOVE).act() == (Act.ADD, SOURCE)


@pytest.mark.parametrize("away", [FAR, NEAR - INSTANT, MINUTE])
def test_the_owner_gets_a_bot_of_its_own_when_the_regions_do_not_agree(away: timedelta) -> None:
    meeting = Meeting(wish=TARGET, away=away).shows(SOURCE).shows(TARGET, bot("t"), start=LATER)
    assert meeting.act() == (Act.ADD, SOURCE)


# --- small moves within the freeze


def test_a_frozen_bot_that_comes_a_little_early_is_kept_and_no_second_one_is_sent() -> None:
    meeting = Meeting(away=F).shows(SOURCE, bot("early", start=START - minutes(5)))
    assert meeting.act() == (Act.WAIT, 0)


# --- no line is without an action


def test_what_nobody_can_carry_out_is_waited_for_with_a_time() -> None:
    for wish in (SOURCE, TARGET):
        for away in (FAR, NEAR, F, MINUTE, timedelta(0)):
            for sides in (covered_by_source, covered_by_target, covered_by_both):
                for change in ({}, {"start": LATER}, {"connected": False}, {"deleted": True}, {"url": ""}):
                    meeting = sides(wish=wish, away=away)
                    for workspace in (SOURCE, TARGET):
                        meeting.members[workspace] = [
                            replace(member, **change) for member in meeting.members[workspace]
                        ]
                    action = meeting.decide()
                    assert action.act is not Act.WAIT or (action.until is not None and action.until > meeting.now)


def test_a_decision_depends_on_nothing_but_what_it_is_given() -> None:
    meeting = covered_by_source(wish=TARGET)
    assert meeting.decide() == meeting.decide()


def test_other_numbers_move_every_edge() -> None:
    longer = Numbers(freeze=minutes(60), margin=minutes(60))
    assert covered_by_source(wish=TARGET, away=minutes(119)).act(longer) == (Act.WAIT, 0)
    assert covered_by_source(wish=TARGET, away=minutes(120)).act(longer) == (Act.ADD, TARGET)
    assert covered_by_both(wish=TARGET, away=minutes(60)).act(longer) == (Act.REMOVE, TARGET)


def test_a_member_that_was_never_read_counts_as_overtaken() -> None:
    assert Member(occurrence=1, event=1, start=START, url=KEY).overtaken
