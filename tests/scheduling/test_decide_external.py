"""Where the company's own application schedules: what of the table is ours, and what we wait for."""

from __future__ import annotations

import pytest

from calendars.scheduling.decide import APPLICATION_ADDS, APPLICATION_REMOVES, MOST_REMOVED, PUT_BACK
from calendars.scheduling.values import Act, External
from tests.scheduling.worlds import FAR, NEAR, SOURCE, START, TARGET, F, Meeting, bot, minutes

LATER = START + minutes(120)


def before_the_cut(**more: object) -> Meeting:
    """The source's webhooks reach the application; everything is the source's."""
    return Meeting(wish=SOURCE, external=External(SOURCE, frozenset({SOURCE})), **more)  # type: ignore[arg-type]


def after_the_cut(**more: object) -> Meeting:
    """The target's reach it; everything is to be the target's."""
    more.setdefault("wish", TARGET)
    return Meeting(external=External(SOURCE, frozenset({TARGET})), **more)  # type: ignore[arg-type]


def test_before_the_cut_nothing_is_written_in_the_source() -> None:
    assert before_the_cut().shows(SOURCE).shows(TARGET).decide().reason == APPLICATION_ADDS
    moved = before_the_cut().shows(SOURCE, bot("s", start=LATER)).shows(TARGET)
    assert (moved.decide().act, moved.decide().reason) == (Act.WAIT, APPLICATION_REMOVES)
    gone = before_the_cut(wanted=set()).shows(SOURCE, bot("s"), deleted=True).shows(TARGET, deleted=True)
    assert (gone.decide().act, gone.decide().reason) == (Act.WAIT, APPLICATION_REMOVES)


def test_a_bot_that_the_application_puts_into_the_target_too_early_is_taken_away_while_the_source_has_one() -> None:
    assert before_the_cut().shows(SOURCE, bot("s")).shows(TARGET, bot("t")).act() == (Act.REMOVE, TARGET)


def test_after_the_cut_we_wait_for_the_applications_bot_and_look_again_soon() -> None:
    meeting = after_the_cut().shows(SOURCE, bot("s")).shows(TARGET)
    action = meeting.decide()
    assert (action.act, action.reason, action.moving) == (Act.WAIT, APPLICATION_ADDS, True)
    assert action.until is not None
    assert action.until <= meeting.now + minutes(2)


def test_once_it_is_read_back_the_owner_goes_over_and_the_sources_bot_is_taken_away() -> None:
    assert after_the_cut().shows(SOURCE, bot("s")).shows(TARGET, bot("t")).act() == (Act.FLIP, TARGET)
    handed = after_the_cut(owner=TARGET).shows(SOURCE, bot("s")).shows(TARGET, bot("t"))
    assert handed.act() == (Act.REMOVE, SOURCE)


def test_the_source_keeps_its_bot_as_long_as_the_target_has_none() -> None:
    for away in (FAR, NEAR, F, minutes(-1)):
        assert after_the_cut(away=away).shows(SOURCE, bot("s")).shows(TARGET).decide().act in (Act.WAIT, Act.READ)
        lost = after_the_cut(away=away, owner=TARGET).shows(SOURCE, bot("s")).shows(TARGET)
        assert lost.decide().act in (Act.WAIT, Act.READ, Act.FLIP)


def test_a_meeting_that_moved_after_the_cut_loses_the_bot_that_the_source_has_for_its_old_start() -> None:
    moved = after_the_cut().shows(SOURCE, bot("s", start=LATER)).shows(TARGET, bot("t"))
    assert moved.act() == (Act.FLIP, TARGET)
    followed = after_the_cut(owner=TARGET).shows(SOURCE, bot("s", start=LATER)).shows(TARGET, bot("t"))
    assert followed.act() == (Act.REMOVE, SOURCE)


def test_a_meeting_that_is_cancelled_after_the_cut_loses_the_sources_bot_of_which_it_hears_nothing() -> None:
    gone = after_the_cut(wanted=set()).shows(SOURCE, bot("s"), deleted=True).shows(TARGET, deleted=True)
    assert gone.act() == (Act.REMOVE, SOURCE)
    theirs = after_the_cut(wanted=set(), owner=TARGET).shows(SOURCE, deleted=True).shows(TARGET, bot("t"), deleted=True)
    assert (theirs.decide().act, theirs.decide().reason) == (Act.WAIT, APPLICATION_REMOVES)


def test_no_bot_is_ever_added_where_there_is_none_and_none_in_the_target() -> None:
    for meeting in (before_the_cut(), after_the_cut(), after_the_cut(owner=TARGET)):
        assert meeting.shows(SOURCE).shows(TARGET).decide().act is Act.WAIT


def test_after_a_fall_back_what_went_over_is_brought_back_target_last() -> None:
    fallen = before_the_cut(owner=TARGET)
    assert fallen.shows(SOURCE).shows(TARGET, bot("t")).act() == (Act.ADD, SOURCE)
    both = before_the_cut(owner=TARGET).shows(SOURCE, bot("s")).shows(TARGET, bot("t"))
    assert both.act() == (Act.FLIP, SOURCE)
    home = before_the_cut().shows(SOURCE, bot("s")).shows(TARGET, bot("t"))
    assert home.act() == (Act.REMOVE, TARGET)


@pytest.mark.parametrize(("times", "act"), [(0, Act.REMOVE), (MOST_REMOVED - 1, Act.REMOVE), (MOST_REMOVED, Act.WAIT)])
def test_a_bot_that_is_put_back_again_and_again_is_left_alone_in_the_end(times: int, act: Act) -> None:
    external = External(SOURCE, frozenset({TARGET}), {SOURCE: times})
    meeting = Meeting(wish=TARGET, owner=TARGET, external=external).shows(SOURCE, bot("s")).shows(TARGET, bot("t"))
    assert meeting.decide().act is act
    assert (meeting.decide().reason == PUT_BACK) == (act is Act.WAIT)
