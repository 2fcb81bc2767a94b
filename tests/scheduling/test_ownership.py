"""Who owns a meeting, where it should be, which bots attend it, and who can carry one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from calendars.scheduling.ownership import (
    Order,
    able_members,
    agree,
    birth_owner,
    common_order,
    fits,
    present,
    wish,
)
from calendars.scheduling.values import BotEntry
from tests.scheduling.worlds import (
    FAR,
    INSTANT,
    MINUTE,
    NUMBERS,
    OTHER_ROOM,
    SOURCE,
    START,
    TARGET,
    F,
    Meeting,
    bot,
    minutes,
    order,
)

ELSEWHERE = 3
P = NUMBERS.patience
CUT = START - timedelta(days=1)


# --- the standing order


def test_without_orders_there_is_none() -> None:
    assert common_order([]) is None
    assert common_order([None, None]) is None


def test_one_calendars_order_is_the_meetings() -> None:
    assert common_order([None, order()]) == order()


def test_members_of_two_batches_move_when_both_allow_it_from_the_later_cut_line() -> None:
    later = order(cut_line=START)
    assert common_order([order(), later]) == later
    common = common_order([order(), order(allowed=False)])
    assert common is not None
    assert not common.allowed


def test_a_batch_without_a_cut_line_yet_holds_the_meeting() -> None:
    common = common_order([order(), order(cut_line=None)])
    assert common is not None
    assert common.cut_line is None


def test_one_paused_batch_pauses_the_shared_meeting() -> None:
    common = common_order([order(), order(paused=True)])
    assert common is not None
    assert common.paused


def test_members_that_go_to_different_places_have_no_common_order() -> None:
    assert common_order([order(), order(target=ELSEWHERE)]) is None


# --- birth


def born(*, given: Order | None = None, start: datetime = START, left: int | None = None, there: bool = True) -> int:
    return birth_owner(left=left, start=start, order=given, seen_in=ELSEWHERE, all_in_target=there)


def test_a_meeting_without_an_order_belongs_to_where_it_was_seen() -> None:
    assert born() == ELSEWHERE


@pytest.mark.parametrize("left", [SOURCE, TARGET])
def test_a_moved_meeting_keeps_the_owner_of_the_one_it_left(left: int) -> None:
    assert born(given=order(), left=left) == left
    assert born(given=order(), left=left, start=CUT - MINUTE) == left


@pytest.mark.parametrize(
    ("start", "owner"), [(CUT - INSTANT, SOURCE), (CUT, TARGET), (CUT + timedelta(days=9), TARGET)]
)
def test_a_new_meeting_belongs_to_the_target_from_the_cut_line_on(start: datetime, owner: int) -> None:
    assert born(given=order(), start=start) == owner


@pytest.mark.parametrize("given", [order(allowed=False), order(cut_line=None), order(backwards=True)])
def test_a_new_meeting_belongs_to_the_source_while_handing_over_is_not_allowed(given: Order) -> None:
    assert born(given=given) == SOURCE


def test_a_new_meeting_belongs_to_the_source_until_all_its_members_are_in_the_target() -> None:
    assert born(given=order(), there=False) == SOURCE


# --- wish


def wished(
    given: Order | None, *, owner: int = SOURCE, start: datetime = START, source: bool = True, target: bool = True
) -> int:
    return wish(owner=owner, start=start, order=given, in_source=source, in_target=target)


@pytest.mark.parametrize("owner", [SOURCE, TARGET])
def test_without_an_order_it_should_stay(owner: int) -> None:
    assert wished(None, owner=owner) == owner


def test_a_meeting_of_a_third_region_should_stay() -> None:
    assert wished(order(), owner=ELSEWHERE) == ELSEWHERE


@pytest.mark.parametrize(("start", "place"), [(CUT - INSTANT, SOURCE), (CUT, TARGET), (START, TARGET)])
def test_from_the_cut_line_on_it_should_be_in_the_target(start: datetime, place: int) -> None:
    assert wished(order(), start=start) == place


def test_a_meeting_of_the_target_that_moves_back_over_the_cut_line_stays() -> None:
    assert wished(order(), owner=TARGET, start=CUT - timedelta(days=3)) == TARGET


@pytest.mark.parametrize("given", [order(allowed=False), order(cut_line=None)])
def test_nothing_should_move_before_it_is_allowed(given: Order) -> None:
    assert wished(given) == SOURCE
    assert wished(given, owner=TARGET) == TARGET


def test_it_stays_in_the_source_until_every_wanting_member_is_in_the_target() -> None:
    assert wished(order(), target=False) == SOURCE


def test_a_pause_changes_nothing_about_where_it_should_be() -> None:
    assert wished(order(paused=True)) == TARGET


@pytest.mark.parametrize("owner", [SOURCE, TARGET])
def test_in_a_reverse_it_should_be_in_the_source_whatever_the_cut_line_says(owner: int) -> None:
    for cut_line in (None, CUT, START + timedelta(days=9)):
        assert wished(order(backwards=True, cut_line=cut_line, allowed=False), owner=owner) == SOURCE


def test_in_a_reverse_it_stays_in_the_target_until_every_member_is_back_in_the_source() -> None:
    assert wished(order(backwards=True), owner=TARGET, source=False) == TARGET


# --- who can carry the bot


def able(meeting: Meeting) -> set[int]:
    row = meeting.row()
    return {member.occurrence for member in able_members(row.owner, row)}


def test_a_wanting_connected_member_with_this_start_and_link_can_carry_it() -> None:
    assert able(Meeting().shows(SOURCE)) == {1}


@pytest.mark.parametrize(
    "trouble",
    [{"connected": False}, {"deleted": True}, {"url": ""}, {"url": OTHER_ROOM}, {"start": START + MINUTE}],
)
def test_who_does_not_show_it_cannot(trouble: dict[str, object]) -> None:
    assert able(Meeting(wanted={1, 2}).shows(SOURCE, **trouble).shows(SOURCE, occurrence=2)) == {2}  # type: ignore[arg-type]


def test_a_member_that_nobody_wants_cannot() -> None:
    assert able(Meeting(wanted={1}).shows(SOURCE).shows(SOURCE, occurrence=2)) == {1}


def test_a_closing_member_can_only_when_there_is_nobody_else() -> None:
    assert able(Meeting(wanted={1, 2}).shows(SOURCE, closing=True).shows(SOURCE, occurrence=2)) == {2}
    assert able(Meeting(wanted={1, 2}).shows(SOURCE, closing=True)) == {1}
    disconnected = Meeting(wanted={1, 2}).shows(SOURCE, closing=True).shows(SOURCE, occurrence=2, connected=False)
    assert able(disconnected) == {1}


# --- present, agree


def test_present_means_every_wanting_member_connected_and_not_deleted() -> None:
    def there(meeting: Meeting) -> bool:
        row = meeting.row()
        return present(row.owner, row.wanted)

    assert there(Meeting(wanted={1, 2}).shows(SOURCE).shows(SOURCE, occurrence=2))
    assert not there(Meeting(wanted={1, 2}).shows(SOURCE))
    assert not there(Meeting().shows(SOURCE, connected=False))
    assert not there(Meeting().shows(SOURCE, deleted=True))


def test_a_meeting_that_nobody_wants_is_present_nowhere() -> None:
    row = Meeting(wanted=()).shows(SOURCE).row()
    assert not present(row.owner, row.wanted)


def test_a_member_may_be_present_with_another_start() -> None:
    row = Meeting().shows(SOURCE, start=START + FAR).row()
    assert present(row.owner, row.wanted)


def test_the_regions_agree_when_both_show_every_wanting_member_alike() -> None:
    meeting = Meeting(wanted={1, 2})
    for workspace in (SOURCE, TARGET):
        meeting.shows(workspace).shows(workspace, occurrence=2)
    assert agree(meeting.row())


@pytest.mark.parametrize("workspace", [SOURCE, TARGET])
@pytest.mark.parametrize(
    "difference",
    [{"connected": False}, {"deleted": True}, {"url": ""}, {"url": OTHER_ROOM}, {"start": START + MINUTE}],
)
def test_one_difference_on_either_side_is_no_agreement(workspace: int, difference: dict[str, object]) -> None:
    meeting = Meeting().shows(SOURCE).shows(TARGET)
    meeting.members[workspace] = [replace(meeting.members[workspace][0], **difference)]  # type: ignore[arg-type]
    assert not agree(meeting.row())


def test_a_missing_member_on_one_side_is_no_agreement() -> None:
    assert not agree(Meeting(wanted={1, 2}).shows(SOURCE).shows(SOURCE, occurrence=2).shows(TARGET).row())


def test_what_an_unwanted_member_shows_does_not_matter() -> None:
    meeting = Meeting(wanted={1}).shows(SOURCE).shows(SOURCE, occurrence=2, connected=False).shows(TARGET)
    assert agree(meeting.row())


def gone(meeting: Meeting, workspace: int, *, again: bool = False) -> Meeting:
    """Let the second member's calendar be deleted in a workspace; `again`: it is there once more, with the old time."""
    meeting.shows(workspace, occurrence=2, gone=True, connected=False, deleted=True)
    return meeting.shows(workspace, occurrence=2, start=START - MINUTE) if again else meeting


def test_the_owner_is_not_asked_about_a_calendar_that_moved_before_while_another_speaks_for_it() -> None:
    both = Meeting(wanted={1, 2}).shows(TARGET).shows(TARGET, occurrence=2)
    assert agree(gone(both.shows(SOURCE), SOURCE).row())
    alone = Meeting(wanted={2}).shows(TARGET, occurrence=2)
    assert not agree(gone(alone, SOURCE).row()), "nobody is left who could speak for it"


def test_a_calendar_that_is_gone_in_the_other_region_or_came_back_is_no_agreement() -> None:
    other = Meeting(wanted={1, 2}).shows(SOURCE).shows(SOURCE, occurrence=2).shows(TARGET)
    assert not agree(gone(other, TARGET).row())
    back = Meeting(wanted={1, 2}).shows(TARGET).shows(TARGET, occurrence=2).shows(SOURCE)
    assert not agree(gone(back, SOURCE, again=True).row())


def test_there_is_no_agreement_without_another_side_or_without_anybody_who_wants_it() -> None:
    assert not agree(Meeting(moving=False).shows(SOURCE).row())
    assert not agree(Meeting(wanted=()).shows(SOURCE).shows(TARGET).row())


# --- which bots fit


def fitting(entry: BotEntry, *, away: timedelta = FAR) -> bool:
    meeting = Meeting(away=away)
    return fits(entry, meeting.row(), now=meeting.now, freeze=F, patience=P)


def test_a_bot_fits_with_this_start_and_this_link() -> None:
    assert fitting(bot())
    assert not fitting(bot(start=START + INSTANT))
    assert not fitting(bot(url=OTHER_ROOM))


def test_the_key_proves_nothing() -> None:
    assert fitting(bot(key="another"))
    assert not fitting(bot(start=START + FAR))


def test_a_bot_that_is_over_does_not_fit() -> None:
    assert not fitting(bot(terminal=True))
    assert not fitting(bot(start=START - MINUTE, terminal=True, live=False), away=MINUTE)


@pytest.mark.parametrize(
    ("early", "does"), [(INSTANT, True), (P, True), (P + INSTANT, False), (-INSTANT, False), (-P, False)]
)
def test_a_bot_in_the_call_fits_when_it_came_a_little_early(early: timedelta, does: bool) -> None:
    assert fitting(bot(start=START - early, live=True), away=timedelta(0)) is does


@pytest.mark.parametrize(("until_bot", "does"), [(F, True), (F + INSTANT, False), (minutes(1), True)])
def test_a_bot_that_comes_early_fits_once_it_is_frozen(until_bot: timedelta, does: bool) -> None:
    early = minutes(5)
    assert fitting(bot(start=START - early), away=until_bot + early) is does


def test_patience_is_for_the_same_link_only() -> None:
    assert not fitting(bot(start=START - MINUTE, url=OTHER_ROOM, live=True), away=timedelta(0))
