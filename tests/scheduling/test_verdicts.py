"""What the coverage ledger says: one verdict for each meeting, the first that applies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models.assignment import Verdict
from calendars.scheduling.values import Purpose
from calendars.scheduling.verdicts import STALE_AFTER, verdict
from tests.scheduling.worlds import (
    END,
    FAR,
    INSTANT,
    MINUTE,
    NEAR,
    NUMBERS,
    OTHER_ROOM,
    SOURCE,
    START,
    TARGET,
    F,
    Meeting,
    bot,
    minutes,
)

OVER = START - END  # the moment of the end, as a time before the start
TOO_OLD = STALE_AFTER * NUMBERS.sweep_every


def source_has_it(**changes: object) -> Meeting:
    return Meeting(**changes).shows(SOURCE, bot("s")).shows(TARGET)  # type: ignore[arg-type]


def target_has_it(**changes: object) -> Meeting:
    return Meeting(**changes).shows(SOURCE).shows(TARGET, bot("t"))  # type: ignore[arg-type]


def both_have_it(**changes: object) -> Meeting:
    return Meeting(**changes).shows(SOURCE, bot("s")).shows(TARGET, bot("t"))  # type: ignore[arg-type]


# --- stale


def test_a_meeting_that_was_not_read_on_one_side_is_stale() -> None:
    assert Meeting().shows(SOURCE, bot()).shows(TARGET, age=None).verdict() == ("stale", "never read")


def test_a_webhook_after_the_reading_makes_it_stale() -> None:
    meeting = Meeting()
    meeting.shows(SOURCE, bot(), age=MINUTE, changed_at=meeting.now)
    assert meeting.verdict() == ("stale", "a newer change came in after the reading")


@pytest.mark.parametrize("side", [SOURCE, TARGET])
@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("answered", [None, INSTANT])
def test_it_is_stale_until_our_own_writes_are_read_back(
    side: int, purpose: Purpose, answered: timedelta | None
) -> None:
    said = source_has_it().sent(side, purpose, answered=answered).verdict()
    assert said == ("stale", "a write is not read back yet")


@pytest.mark.parametrize(("age", "said"), [(TOO_OLD, "source"), (TOO_OLD + INSTANT, "stale")])
def test_a_reading_is_too_old_after_three_missed_sweeps(age: timedelta, said: str) -> None:
    assert Meeting().shows(SOURCE, bot(), age=age).shows(TARGET).verdict()[0] == said


def test_a_sweep_keeps_an_unchanged_reading_fresh() -> None:
    meeting = Meeting().shows(SOURCE, bot(), age=timedelta(days=3))
    meeting.swept[SOURCE] = meeting.now - MINUTE
    assert meeting.verdict()[0] == "source"


def test_stale_comes_before_everything_else() -> None:
    assert Meeting(wanted=()).shows(SOURCE, bot(), age=None).verdict()[0] == "stale"
    assert Meeting().shows(SOURCE, age=None).verdict()[0] == "stale"


# --- unwanted


@pytest.mark.parametrize("side", [SOURCE, TARGET])
def test_a_cancelled_meeting_with_a_scheduled_bot_is_unwanted(side: int) -> None:
    assert Meeting(wanted=()).shows(side, bot(), deleted=True).verdict() == ("unwanted", "")


def test_unwanted_comes_before_doubled() -> None:
    assert both_have_it(wanted=()).verdict()[0] == "unwanted"


def test_a_cancelled_meeting_without_a_bot_is_over() -> None:
    assert Meeting(wanted=()).shows(SOURCE, deleted=True).verdict() == ("over", "nobody wants it any more")
    assert Meeting(wanted=()).shows(SOURCE, bot(terminal=True), deleted=True).verdict()[0] == "over"


# --- missed


@pytest.mark.parametrize(
    ("away", "note"),
    [(FAR, "being added"), (NEAR, "being added"), (INSTANT, "being added"), (timedelta(0), ""), (-MINUTE, "")],
)
def test_without_a_fitting_bot_it_is_missed_and_being_added_until_it_starts(away: timedelta, note: str) -> None:
    assert Meeting(away=away).shows(SOURCE).shows(TARGET).verdict() == ("missed", note)


@pytest.mark.parametrize(
    "useless", [bot(start=START + FAR), bot(url=OTHER_ROOM), bot(terminal=True)], ids=["time", "link", "over"]
)
def test_a_bot_that_does_not_fit_covers_nothing(useless: object) -> None:
    assert Meeting().shows(SOURCE, useless).verdict()[0] == "missed"  # type: ignore[arg-type]


def test_a_bot_that_has_left_a_running_call_was_there() -> None:
    left = bot(terminal=True, attended=True)
    assert Meeting(away=-minutes(5)).shows(SOURCE, left).verdict()[0] == "attended"


# --- doubled


@pytest.mark.parametrize(
    ("away", "note"), [(FAR, "moving"), (NEAR, "moving"), (F + INSTANT, "moving"), (F, ""), (MINUTE, "")]
)
def test_a_bot_on_each_side_is_doubled_and_moving_until_the_freeze(away: timedelta, note: str) -> None:
    assert both_have_it(away=away, wish=TARGET).verdict() == ("doubled", note)


def test_two_bots_on_one_side_are_doubled_and_no_part_of_a_hand_over() -> None:
    assert Meeting().shows(SOURCE, bot("a"), bot("b", key="x")).shows(TARGET).verdict() == ("doubled", "")


def test_one_bot_on_two_members_is_one_bot() -> None:
    meeting = Meeting(wanted={1, 2}).shows(SOURCE, bot("s")).shows(SOURCE, bot("s"), occurrence=2).shows(TARGET)
    assert meeting.verdict() == ("source", "")


def test_back_to_back_meetings_in_one_room_are_no_double() -> None:
    assert Meeting().shows(SOURCE, bot("a"), bot("b", start=END)).shows(TARGET).verdict()[0] == "source"


def test_doubled_comes_before_frozen() -> None:
    assert both_have_it(away=F, wish=TARGET).verdict()[0] == "doubled"


# --- frozen, covered


@pytest.mark.parametrize(
    ("away", "said"), [(NEAR + INSTANT, "source"), (NEAR, "frozen"), (F, "frozen"), (MINUTE, "frozen")]
)
def test_what_should_be_elsewhere_is_frozen_within_freeze_and_margin(away: timedelta, said: str) -> None:
    assert source_has_it(away=away, wish=TARGET).verdict()[0] == said


def test_what_is_where_it_should_be_is_not_frozen() -> None:
    assert source_has_it(away=MINUTE).verdict() == ("source", "")
    assert target_has_it(away=MINUTE, owner=TARGET, wish=TARGET).verdict() == ("target", "")


def test_a_bot_on_the_side_that_does_not_own_it_lets_the_owner_follow() -> None:
    assert target_has_it(wish=TARGET).verdict() == ("target", "owner follows")
    assert source_has_it(owner=TARGET, wish=TARGET).verdict() == ("source", "owner follows")


def test_without_an_order_it_is_just_covered() -> None:
    meeting = Meeting(moving=False).shows(SOURCE, bot())
    assert verdict(meeting.row(), now=meeting.now, numbers=NUMBERS, order=None) == (Verdict.OWNER, "")


def test_a_frozen_bot_that_comes_a_little_early_covers_a_moved_meeting() -> None:
    assert Meeting(away=F).shows(SOURCE, bot(start=START - minutes(5))).shows(TARGET).verdict()[0] == "source"


def test_a_running_meeting_with_its_bot_is_covered() -> None:
    meeting = Meeting(away=-minutes(5)).shows(SOURCE, bot(live=True, attended=True)).shows(TARGET)
    assert meeting.verdict()[0] == "source"


# --- after the end


def test_after_the_end_it_was_attended_or_not() -> None:
    there, absent = bot(terminal=True, attended=True), bot(terminal=True)
    assert Meeting(away=OVER).shows(SOURCE, there).verdict() == ("attended", "")
    assert Meeting(away=OVER).shows(SOURCE).shows(TARGET, there).verdict() == ("attended", "")
    assert Meeting(away=OVER).shows(SOURCE, absent).verdict() == ("not_attended", "")
    assert Meeting(away=OVER).shows(SOURCE).verdict() == ("not_attended", "")


def test_an_instant_before_the_end_it_is_not_over() -> None:
    assert source_has_it(away=OVER + INSTANT).verdict()[0] == "source"


def test_after_the_end_what_was_noted_counts_when_the_bots_are_gone() -> None:
    assert Meeting(away=OVER, attended=True).shows(SOURCE).verdict()[0] == "attended"
    assert Meeting(away=OVER, attended=False).shows(SOURCE, bot()).verdict()[0] == "not_attended"


def test_after_the_end_a_bot_that_was_not_looked_at_is_no_proof_of_absence() -> None:
    assert Meeting(away=OVER).shows(SOURCE, bot()).verdict()[0] == "stale"


def test_after_the_end_a_cancelled_meeting_is_just_over() -> None:
    assert Meeting(away=OVER, wanted=()).shows(SOURCE, bot()).verdict() == ("over", "")


def test_after_the_end_old_readings_and_open_writes_do_not_matter() -> None:
    there = bot(terminal=True, attended=True)
    meeting = Meeting(away=OVER).shows(SOURCE, there, age=FAR).sent(SOURCE, Purpose.ADD)
    assert meeting.verdict()[0] == "attended"


def test_a_bot_that_was_removed_too_late_to_be_sure_makes_it_doubled() -> None:
    late = (bot("t"),)
    assert source_has_it(away=minutes(5), loose=late).verdict()[0] == "doubled"
    assert source_has_it(away=minutes(5), loose=(bot("t", terminal=True),)).verdict()[0] != "doubled"
    assert Meeting(away=minutes(5), loose=late).shows(SOURCE).shows(TARGET).verdict()[0] == "missed"
