"""Cases that exploring the hand-over found, each with the answer that it asks for."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from calendars.scheduling.ownership import common_order
from calendars.scheduling.values import Act, External, Purpose
from tests.scheduling.worlds import *  # noqa: F403
from tests.scheduling.worlds import (
    END,
    FAR,
    INSTANT,
    MINUTE,
    NEAR,
    SOURCE,
    START,
    TARGET,
    F,
    L,
    Meeting,
    bot,
    minutes,
    order,
)

LATER = START + timedelta(hours=2)


# 1
def test_a_cancelled_meeting_is_not_over_while_the_other_side_has_a_bot_and_does_not_agree() -> None:
    action = Meeting(away=FAR, wanted=()).shows(SOURCE, deleted=True).shows(TARGET, bot("t")).decide()
    assert action.act is Act.WAIT
    assert action.until is not None
    assert START - NEAR < action.until <= START - F - MINUTE


def test_what_nobody_wants_any_more_is_removed_on_both_sides_though_the_event_stays() -> None:
    meeting = Meeting(wanted=()).shows(SOURCE, wanted=False).shows(TARGET, bot("t"), wanted=False)
    assert meeting.act() == (Act.REMOVE, TARGET)


# 2
@pytest.mark.parametrize("side", [SOURCE, TARGET])
def test_a_cancelled_meeting_is_not_over_while_an_add_may_still_be_carried_out(side: int) -> None:
    meeting = Meeting(wanted=()).shows(SOURCE, deleted=True).shows(TARGET, deleted=True).sent(side, Purpose.ADD)
    action = meeting.decide()
    assert (action.act, action.until) == (Act.WAIT, meeting.now - minutes(0.5) + L)


@pytest.mark.parametrize("changes", [{"wish": SOURCE}, {"wish": TARGET, "hold": "paused by staff"}])
def test_no_covered_meeting_rests_longer_than_a_lost_write_needs(changes: dict[str, object]) -> None:
    meeting = Meeting(**changes).shows(SOURCE, bot("s")).shows(TARGET).sent(TARGET, Purpose.ADD, ago=MINUTE)  # type: ignore[arg-type]
    action = meeting.decide()
    assert action.act is Act.WAIT
    assert action.until is not None
    assert action.until <= meeting.now - MINUTE + L


def test_no_owner_that_cannot_carry_it_waits_longer_than_the_open_removal_elsewhere() -> None:
    meeting = Meeting(away=minutes(15)).shows(SOURCE, connected=False).shows(TARGET)
    action = meeting.sent(TARGET, Purpose.REMOVE, ago=MINUTE).decide()
    assert (action.act, action.until) == (Act.WAIT, meeting.now - MINUTE + L)


# 3
def test_a_hand_over_without_agreement_is_given_up_while_the_bot_can_be_removed() -> None:
    """Two calendars, one of them disconnected in the source in the middle of the hand-over."""
    meeting = Meeting(away=NEAR - MINUTE, wish=TARGET, wanted={1, 2})
    meeting.shows(SOURCE, connected=False).shows(SOURCE, bot("s"), occurrence=2)
    meeting.shows(TARGET, bot("t")).shows(TARGET, bot("t"), occurrence=2)
    assert meeting.act() == (Act.REMOVE, TARGET)


# 4
@pytest.mark.parametrize("away", [NEAR - MINUTE, F - MINUTE])
def test_a_stale_bot_under_the_rows_own_key_goes_first_even_near_the_start(away: timedelta) -> None:
    """An add under that key finds the stale bot and changes nothing, for ever."""
    assert Meeting(away=away).shows(SOURCE, bot("old", start=LATER)).act() == (Act.REMOVE, SOURCE)
    only_other = Meeting(away=away).shows(SOURCE, bot("old", start=LATER)).shows(TARGET, bot("t"), start=LATER)
    assert only_other.act() == (Act.REMOVE, SOURCE)


# 5
def test_a_stale_bot_on_the_other_side_goes_when_its_own_event_shows_the_new_time() -> None:
    """One disconnected calendar forbids agreement for ever; the stale bot would join at the old time."""
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2)
    meeting.shows(TARGET, bot("old", start=LATER)).shows(TARGET, occurrence=2, connected=False)
    assert meeting.act() == (Act.REMOVE, TARGET)


def test_a_stale_bot_on_the_other_side_goes_also_within_freeze_and_margin() -> None:
    meeting = Meeting(away=minutes(20)).shows(SOURCE, bot("s")).shows(TARGET, bot("old", start=LATER))
    assert meeting.act() == (Act.REMOVE, TARGET)


# 6
def test_the_last_look_is_not_lost_when_one_looks_at_its_very_moment() -> None:
    action = Meeting(away=NEAR).shows(SOURCE, bot("s"), age=timedelta(hours=1)).decide()
    assert action.act is Act.READ or (action.until is not None and action.until < START)


# 7
def test_a_meeting_in_progress_does_not_wait_for_an_open_removal() -> None:
    assert Meeting(away=timedelta(0)).shows(SOURCE).sent(SOURCE, Purpose.REMOVE).act() == (Act.ADD, SOURCE)


# 8
EARLY = START - minutes(5)


def test_a_bot_that_came_a_little_early_and_has_left_is_not_sent_again() -> None:
    left = bot(start=EARLY, terminal=True, attended=True)
    assert Meeting(away=-minutes(20)).shows(SOURCE, left).act() == (Act.WAIT, 0)


def test_after_the_end_a_bot_that_came_a_little_early_is_looked_at() -> None:
    assert Meeting(away=START - END).shows(SOURCE, bot("s", start=EARLY, live=True)).decide().act is Act.LOOK


def test_after_the_end_a_bot_that_came_a_little_early_attended_it() -> None:
    there = bot(start=EARLY, terminal=True, attended=True)
    assert Meeting(away=START - END).shows(SOURCE, there).verdict()[0] == "attended"


# 9
def test_batches_in_opposite_directions_leave_no_double_behind() -> None:
    common = common_order([order(), order(backwards=True)])
    assert common is not None
    assert (common.source, common.target, common.allowed) == (SOURCE, TARGET, False)


# 10
def test_a_closing_calendar_does_not_keep_a_meeting_that_another_region_can_carry() -> None:
    assert Meeting().shows(SOURCE, bot("s"), closing=True).shows(TARGET).act() == (Act.FLIP, TARGET)


# 11
def test_a_bot_that_has_joined_is_left_alone_on_the_side_that_does_not_own_it() -> None:
    meeting = Meeting(owner=TARGET, wish=TARGET, away=MINUTE).shows(SOURCE, bot("s", live=True))
    assert meeting.shows(TARGET, bot("t")).decide().act is Act.WAIT


# 12
def test_at_exactly_freeze_and_margin_an_open_add_is_waited_for_too() -> None:
    meeting = Meeting(wish=TARGET, away=NEAR).shows(SOURCE, bot("s")).shows(TARGET).sent(TARGET, Purpose.ADD)
    assert meeting.decide().act is Act.WAIT


# 13
@pytest.mark.parametrize("closing", [SOURCE, TARGET, None])
@pytest.mark.parametrize("held", [(SOURCE,), (TARGET,), (SOURCE, TARGET), ()])
@pytest.mark.parametrize("away", [FAR, NEAR, NEAR - INSTANT, F, MINUTE, -MINUTE])
@pytest.mark.parametrize("unanswered", [None, SOURCE, TARGET])
def test_no_owner_goes_back_at_once_to_where_it_came_from(
    closing: int | None, held: tuple[int, ...], away: timedelta, unanswered: int | None
) -> None:
    backwards = closing == TARGET  # a calendar is closed where it leaves
    for owner, wished, external in product((SOURCE, TARGET), (SOURCE, TARGET), (None, SOURCE, TARGET)):

        def meeting(owner: int, wished: int = wished, external: int | None = external) -> Meeting:
            wish = SOURCE if backwards else TARGET if owner == TARGET else wished
            found = Meeting(owner=owner, away=away, wish=wish)
            found.external = External(SOURCE, frozenset({external})) if external else None
            for side in (SOURCE, TARGET):
                found.shows(side, *([bot(str(side))] if side in held else []), closing=side == closing)
            return found.sent(unanswered, Purpose.ADD, ago=MINUTE) if unanswered else found

        if meeting(owner).decide().act is Act.FLIP:
            back = meeting(TARGET if owner == SOURCE else SOURCE)
            assert back.decide().act is not Act.FLIP, f"{back}: {back.decide()}"


def test_near_its_start_a_meeting_stays_with_the_bot_that_a_closing_calendar_has() -> None:
    for away in (NEAR - MINUTE, F, MINUTE):
        left = Meeting(away=away).shows(SOURCE, bot("s"), closing=True).shows(TARGET)
        assert left.act() == (Act.WAIT, 0)
        lost = Meeting(away=away, owner=TARGET, wish=TARGET).shows(SOURCE, bot("s"), closing=True).shows(TARGET)
        assert lost.act() == (Act.FLIP, SOURCE)
