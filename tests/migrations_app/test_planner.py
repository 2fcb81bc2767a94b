from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations_app.itineraries import FORWARD
from migrations_app.planner import (
    PAGE,
    ROWS,
    SOURCE,
    STRETCHES,
    TARGET,
    CutChoice,
    Load,
    bound,
    bound_seconds,
    earliest_feasible_cut,
    necessary_calls,
    ordered_seconds,
    predicted_duration,
    propose_cut_lines,
    sentence,
    usable,
)

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FREEZE, MARGIN = 10 * MINUTE, 20 * MINUTE
REGIONS = {SOURCE: "us-west-2", TARGET: "eu-central-1"}
STATED = {
    "GET /api/v2/calendars/": 60,
    "POST /api/v2/calendars/": 300,
    "GET /api/v2/calendars/{id}/": 300,
    "DELETE /api/v2/calendars/{id}/": 300,
    "POST /api/v2/calendars/{id}/access-token/": 300,
    "GET /api/v2/calendar-events/": 60,
    "POST /api/v2/calendar-events/{id}/bot/": 600,
    "DELETE /api/v2/calendar-events/{id}/bot/": 600,
    "GET /api/v1/bot/": 60,
}
PAGE_OF_DOCS = (Path(__file__).parents[2] / "docs" / "bound.md").read_text()


def limits(reserve: float = 0) -> dict[str, dict[str, float]]:
    share = {endpoint: usable(stated, reserve_percent=reserve) for endpoint, stated in STATED.items()}
    return {SOURCE: share, TARGET: share}


def load(calendars: int = 2000, *, events: int = 20, **more: int) -> Load:
    """Meetings of two members each, all with a bot."""
    total = calendars * events
    return Load(
        calendars=calendars,
        events_source=total,
        meetings=total // 2,
        **({"adds": total, "removes": total} | more),
    )


# --- necessary calls and the bound


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of the page."""
    part = PAGE_OF_DOCS.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_shows_every_row_that_is_reckoned_with_and_no_other() -> None:
    shown = [tuple(row[:4]) for row in table("Necessary calls")]
    assert shown == [(row.step, row.role, row.endpoint, row.formula) for row in ROWS]


def test_the_pages_example_is_what_the_planner_says() -> None:
    calls = necessary_calls(load(), SOURCE) | necessary_calls(load(), TARGET)
    shown = {(side, endpoint): (int(n.replace(",", "")), float(m)) for side, endpoint, n, m in table("An example")}
    assert len(shown) == 10
    for place, (count, minutes) in shown.items():
        assert calls[place] == count
        assert count / limits()[place[0]][place[1]] == pytest.approx(minutes, abs=0.05)
    assert "The bound is 68 minutes" in PAGE_OF_DOCS
    assert round(bound_seconds(load(), limits()) / 60) == 68
    assert "it is 85" in PAGE_OF_DOCS
    assert round(bound_seconds(load(), limits(20)) / 60) == 85


def test_the_calls_of_a_small_batch_are_these() -> None:
    small = Load(calendars=3, events_source=250, meetings=120, adds=130, removes=110, adopted=1, canaries=2)
    assert necessary_calls(small, SOURCE) == {
        (SOURCE, "GET /api/v1/bot/"): 1 + 2 + 1 + 1,
        (SOURCE, "GET /api/v2/calendars/"): 1 + 1,
        (SOURCE, "GET /api/v2/calendar-events/"): 3 * 3 + 3,
        (SOURCE, "DELETE /api/v2/calendar-events/{id}/bot/"): 110,
        (SOURCE, "DELETE /api/v2/calendars/{id}/"): 3,
    }
    assert necessary_calls(small, TARGET) == {
        (TARGET, "GET /api/v1/bot/"): 1 + 2 + 2,
        (TARGET, "GET /api/v2/calendars/"): 1,
        (TARGET, "POST /api/v2/calendars/"): 2,
        (TARGET, "GET /api/v2/calendars/{id}/"): 2 + 2,
        (TARGET, "GET /api/v2/calendar-events/"): 3 * 3,
        (TARGET, "POST /api/v2/calendar-events/{id}/bot/"): 130,
        (TARGET, "POST /api/v2/calendars/{id}/access-token/"): 2,
    }


@pytest.mark.parametrize(("rows", "pages"), [(0, 1), (1, 1), (PAGE, 1), (PAGE + 1, 2)])
def test_a_list_has_at_least_one_page(rows: int, pages: int) -> None:
    many = load(1000, calendars_target=rows, calendars_source=10 * PAGE)
    assert necessary_calls(many, TARGET)[TARGET, "GET /api/v2/calendars/"] == pages


def test_a_few_calendars_of_a_large_workspace_are_read_one_by_one() -> None:
    few = Load(calendars=2, events_source=100_000, meetings=0, adds=0, removes=0)
    assert necessary_calls(few, SOURCE)[SOURCE, "GET /api/v2/calendar-events/"] == 3 * 2 + 2


def test_the_bound_is_the_slowest_endpoint_of_either_workspace() -> None:
    slow_target = limits() | {TARGET: {"POST /api/v2/calendars/": 10.0}}
    found = bound(load(), slow_target)
    assert found is not None
    assert (found.role, found.endpoint, found.calls) == (TARGET, "POST /api/v2/calendars/", 2000)
    assert found.seconds == bound_seconds(load(), slow_target) == 200 * 60
    assert bound_seconds(load(removes=400_000), limits()) == pytest.approx(10 * 60 * 40_000 / 588)


def test_what_has_no_limit_does_not_bound() -> None:
    assert bound(load(), {}) is None
    assert bound_seconds(load(), {}) == 0
    assert sentence(load(), {}, regions=REGIONS) == "no limit bounds it"


def test_the_reserve_is_left_to_the_live_product() -> None:
    assert usable(60, reserve_percent=0) == pytest.approx(58.8)
    assert usable(60, reserve_percent=20) == pytest.approx(47.04)


@pytest.mark.parametrize(
    ("per_minute", "words"),
    [
        (10_000.0, "about a minute"),
        (1000.0, "about 3 minutes"),
        (60.0, "about 36 minutes"),
        (24.0, "about 88 minutes"),
        (20.0, "about 1 hour 50 minutes"),
        (18.0, "about 2 hours"),
        (10.0, "about 3 hours 40 minutes"),
    ],
)
def test_the_sentence_says_how_long_and_what_bounds_it(per_minute: float, words: str) -> None:
    made = {TARGET: {"POST /api/v2/calendars/": per_minute}}
    assert sentence(load(), made, regions=REGIONS) == f"{words}, bound by POST /api/v2/calendars/ in eu-central-1"


def test_the_prediction_allows_for_what_the_engine_loses() -> None:
    least = ordered_seconds(load(), limits())
    assert predicted_duration(load(), limits()).total_seconds() == pytest.approx(least / 0.95)


def test_the_prediction_adds_up_what_cannot_overlap() -> None:
    """The export is before everything, and the soak time between the last removal and the first delete."""
    found = [bound(load(), limits(), steps=steps) for steps in STRETCHES]
    export, hand_over, delete = (one for one in found if one is not None)
    assert (export.endpoint, export.calls) == ("GET /api/v2/calendar-events/", 400)
    assert (hand_over.endpoint, hand_over.calls) == ("DELETE /api/v2/calendar-events/{id}/bot/", 40_000)
    assert (delete.endpoint, delete.calls) == ("GET /api/v2/calendar-events/", 2000)
    assert ordered_seconds(load(), limits()) == export.seconds + hand_over.seconds + delete.seconds
    assert "One after the other that takes 109 minutes" in PAGE_OF_DOCS
    assert round(ordered_seconds(load(), limits()) / 60) == 109


def test_every_step_of_the_way_there_is_in_one_stretch() -> None:
    assert sorted(step for steps in STRETCHES for step in steps) == sorted(FORWARD)


def test_what_needs_no_limited_call_adds_nothing() -> None:
    assert ordered_seconds(load(), {}) == 0


# --- the earliest feasible cut


def is_feasible(cut: datetime, starts: list[datetime], rate: float) -> bool:
    """The formula, at x = 0 and at every start: between two starts only its right side grows."""
    for x in [timedelta(0), *(start - cut for start in starts if start >= cut)]:
        adds = sum(cut <= start <= cut + x for start in starts)
        needed = Fraction(adds) / Fraction(rate) * 60_000_000
        if needed > (cut + x - NOW - FREEZE - MARGIN) // timedelta.resolution:
            return False
    return True


def first_feasible_minute(starts: list[datetime], rate: float) -> datetime:
    cut = NOW
    while not is_feasible(cut, starts, rate):
        cut += MINUTE
    return cut


def earliest(starts: list[datetime], rate: float) -> datetime:
    return earliest_feasible_cut(starts, now=NOW, adds_per_minute=rate, freeze=FREEZE, margin=MARGIN)


seconds = st.one_of(st.integers(-10, 90).map(lambda minute: 60 * minute), st.integers(-600, 5400))
some_starts = st.lists(seconds.map(lambda after: NOW + timedelta(seconds=after)), max_size=25)


@given(some_starts, st.sampled_from([0.2, 0.5, 1.0, 1.7, 3.0, 470.4]))
def test_the_earliest_cut_is_the_first_minute_that_the_formula_allows(starts: list[datetime], rate: float) -> None:
    assert earliest(starts, rate) == first_feasible_minute(starts, rate)


@given(some_starts, st.sampled_from([0.2, 1.0, 3.0]), st.integers(0, 200))
def test_every_cut_after_the_earliest_is_feasible_too(starts: list[datetime], rate: float, later: int) -> None:
    assert is_feasible(earliest(starts, rate) + timedelta(seconds=31 * later), starts, rate)


def test_with_nothing_to_move_the_freeze_and_the_margin_remain() -> None:
    assert earliest([], 1) == NOW + FREEZE + MARGIN
    assert (
        earliest_feasible_cut([], now=NOW + timedelta(seconds=1), adds_per_minute=1, freeze=FREEZE, margin=MARGIN)
        == NOW + 31 * MINUTE
    )


def test_a_crowded_hour_pushes_the_cut_behind_it() -> None:
    crowd, late = NOW + 60 * MINUTE, NOW + 120 * MINUTE
    assert earliest([crowd] * 30 + [late] * 30, 1) == NOW + FREEZE + MARGIN
    assert earliest([crowd] * 31 + [late] * 30, 1) == crowd + MINUTE
    assert earliest([crowd] * 30 + [late] * 61, 1) == crowd + MINUTE


def test_forty_thousand_starts_are_no_trouble() -> None:
    starts = [NOW + timedelta(seconds=30 * n) for n in range(40_000)]
    assert earliest(starts, 470.4) == NOW + FREEZE + MARGIN + MINUTE


def test_without_adds_no_cut_is_feasible() -> None:
    with pytest.raises(ValueError, match="feasible"):
        earliest([], 0)


# --- proposals


def brute(
    starts: list[datetime], busy: list[tuple[datetime, datetime]], *, earliest: datetime, horizon: timedelta
) -> list[CutChoice]:
    day = NOW.replace(hour=0)
    found = []
    for quarter in range(96):
        at = day + quarter * 15 * MINUTE
        if max(NOW, earliest) <= at <= NOW + horizon:
            near = len([start for start in starts if at <= start < at + FREEZE + MARGIN])
            live = len([1 for begin, end in busy if begin < at < end])
            found.append(CutChoice(at, near, live))
    return sorted(found, key=lambda choice: (choice.near_the_freeze + choice.live, choice.at))


@given(
    some_starts,
    st.lists(st.tuples(seconds, st.integers(0, 7200)), max_size=15),
    st.integers(-30, 120),
    st.integers(0, 300),
)
def test_proposals_equal_those_of_counting_one_by_one(
    starts: list[datetime], meetings: list[tuple[int, int]], after: int, horizon: int
) -> None:
    busy = [(NOW + timedelta(seconds=a), NOW + timedelta(seconds=a + length)) for a, length in meetings]
    proposed = propose_cut_lines(
        starts,
        now=NOW,
        earliest=NOW + after * MINUTE,
        horizon=horizon * MINUTE,
        near=FREEZE + MARGIN,
        busy=busy,
    )
    assert proposed == brute(starts, busy, earliest=NOW + after * MINUTE, horizon=horizon * MINUTE)


def test_the_quietest_moment_is_proposed_first_and_the_soonest_of_equals() -> None:
    starts = [NOW + 60 * MINUTE, NOW + 60 * MINUTE]
    busy = [(start, start + 30 * MINUTE) for start in starts]
    proposed = propose_cut_lines(
        starts, now=NOW, earliest=NOW + 30 * MINUTE, horizon=120 * MINUTE, near=FREEZE + MARGIN, busy=busy
    )
    assert [choice.at - NOW for choice in proposed] == [m * MINUTE for m in (30, 90, 105, 120, 45, 60, 75)]
    assert proposed[0] == CutChoice(NOW + 30 * MINUTE, 0, 0)
    assert proposed[-1] == CutChoice(NOW + 75 * MINUTE, 0, 2)


def test_proposals_lie_on_quarter_hours_whatever_the_zone() -> None:
    here = (NOW + timedelta(minutes=31, seconds=7)).astimezone(ZoneInfo("Asia/Kathmandu"))
    proposed = propose_cut_lines([], now=NOW, earliest=here, horizon=60 * MINUTE, near=MINUTE)
    assert [re.sub(r".*T", "", choice.at.isoformat()) for choice in proposed] == ["09:45:00+00:00", "10:00:00+00:00"]


def test_a_horizon_before_the_earliest_leaves_nothing_to_propose() -> None:
    assert propose_cut_lines([], now=NOW, earliest=NOW + 60 * MINUTE, horizon=30 * MINUTE, near=MINUTE) == []
