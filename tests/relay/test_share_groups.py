"""Which calendars go over together, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from migrations_app.share_groups import Common, components, in_the_way, quiet_moment

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NEAR = timedelta(minutes=45)
minutes = st.integers(min_value=-300, max_value=2000)


def meeting(number: int, start: int, length: int, *calendars: int) -> Common:
    begin = NOON + timedelta(minutes=start)
    return Common(number, begin, begin + timedelta(minutes=length), frozenset(calendars or (1,)))


meetings = st.lists(
    st.builds(
        meeting,
        st.integers(1, 10**6),
        minutes,
        st.integers(1, 200),
        st.integers(1, 8),
        st.integers(1, 8),
    ),
    max_size=25,
)


def test_calendars_with_a_common_meeting_go_together_also_by_way_of_others() -> None:
    common = [meeting(1, 0, 30, 1, 2), meeting(2, 60, 30, 2, 3), meeting(3, 0, 30, 5), meeting(4, 0, 30, 6, 9)]
    assert components([1, 2, 3, 4, 5, 6], common) == [
        frozenset({1, 2, 3}),
        frozenset({4}),
        frozenset({5}),
        frozenset({6, 9}),
    ]


@given(asked=st.sets(st.integers(1, 8)), common=meetings)
def test_groups_hold_every_asked_calendar_once_and_no_meeting_crosses_two(
    asked: set[int], common: list[Common]
) -> None:
    groups = components(sorted(asked), common)
    held = [calendar for group in groups for calendar in group]
    assert len(held) == len(set(held))
    assert asked <= set(held)
    for one in common:
        assert sum(bool(one.calendars & group) for group in groups) <= 1


@given(common=meetings)
def test_a_quiet_moment_is_quiet_and_none_before_it_is(common: list[Common]) -> None:
    until = NOON + timedelta(days=3)
    moment = quiet_moment(common, now=NOON, until=until, before=NEAR)
    assert moment is not None, "all meetings end in time"
    assert in_the_way(common, at=moment, before=NEAR) == []
    earlier = [NOON, *(one.end for one in common if NOON <= one.end < moment)]
    assert all(in_the_way(common, at=at, before=NEAR) for at in earlier if at < moment)


def test_a_meeting_that_ended_just_now_may_still_be_on_by_the_providers_clock() -> None:
    over = [meeting(1, -30, 30, 1)]
    assert in_the_way(over, at=NOON + timedelta(seconds=59), before=NEAR) == over
    assert quiet_moment(over, now=NOON, until=NOON + timedelta(days=1), before=NEAR) == NOON + timedelta(minutes=2)


def test_without_a_gap_there_is_no_quiet_moment() -> None:
    hourly = [meeting(hour, 60 * hour, 57, 1) for hour in range(-1, 48)]
    assert quiet_moment(hourly, now=NOON, until=NOON + timedelta(days=1), before=NEAR) is None
    assert [one.meeting for one in in_the_way(hourly, at=NOON, before=NEAR)] == [0]
    assert [one.meeting for one in in_the_way(hourly, at=NOON + timedelta(minutes=30), before=NEAR)] == [0, 1]
