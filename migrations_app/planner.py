"""How long a move takes, what bounds it, and where the cut line may and should lie.

`ROWS` names every call that a move cannot do without; `docs/bound.md` shows it as a table with the reasons. Time spent
in calls is at least the largest, over workspaces and endpoints, of necessary calls / calls a minute that we may use.

Pure: no ORM, no HTTP, no clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil

from calendars.providers.recall_endpoints import (
    ACCESS_TOKEN,
    ADD_BOT,
    CREATE_CALENDAR,
    DELETE_CALENDAR,
    GET_CALENDAR,
    LIST_BOTS,
    LIST_CALENDARS,
    LIST_EVENTS,
    REMOVE_BOT,
)
from migrations_app.itineraries import Step

SOURCE, TARGET = "source", "target"
PAGE = 100  # rows of a list page: documented for events; calendars and bots are taken to be alike
SAFETY = 0.98  # of a stated limit; the distance between two calls is reckoned with it, too
# What cannot overlap: meetings are formed from the whole export, and the soak time lies before the delete.
STRETCHES = (
    frozenset({Step.PREFLIGHT, Step.EXPORT}),
    frozenset({Step.RECREATE, Step.VERIFY, Step.HAND_OVER}),
    frozenset({Step.DELETE_OLD, Step.CLEAN_UP}),
)
EFFICIENCY = 0.95  # the share of the bound that the engine is built to reach

Limits = Mapping[str, float]
"""Calls a minute that we may use, by endpoint; an endpoint that is not in it has no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be moved."""

    calendars: int  # made in the target unless adopted, deleted in the source
    events_source: int  # what a sweep of the source reads, moved or not
    meetings: int  # assignments that change sides
    adds: int  # member events that get a bot in the target
    removes: int  # member events whose bot goes in the source
    adopted: int = 0  # calendars that are in the target already
    calendars_source: int = 0  # all that the source lists, when there are more than those moved
    calendars_target: int = 0  # all that the target lists before
    events_target: int = 0  # what a sweep of the target reads, when there are more than in the source
    bots_source: int = 0  # scheduled there, when there are more than those moved
    canaries: int = 1  # one for each platform and OAuth client


@dataclass(frozen=True, slots=True)
class Row:
    """One reason for calls: who needs them, how many, in words and in numbers."""

    step: Step
    role: str
    endpoint: str
    formula: str
    calls: Callable[[Load], int]


def _pages(rows: int) -> int:
    return max(1, ceil(rows / PAGE))


def _sweep_source(load: Load) -> int:
    return min(_pages(load.events_source), max(1, load.calendars))


def _sweep_target(load: Load) -> int:
    return min(_pages(max(load.events_target, load.events_source)), max(1, load.calendars))


def _made(load: Load) -> int:
    return load.calendars - load.adopted


# A sweep reads the workspace a page of events at a time, or the calendars of the batch one by one if that is less.
ROWS: tuple[Row, ...] = (
    Row(Step.PREFLIGHT, SOURCE, LIST_BOTS, "1", lambda load: 1),
    Row(Step.PREFLIGHT, TARGET, LIST_BOTS, "1", lambda load: 1),
    Row(Step.PREFLIGHT, TARGET, LIST_CALENDARS, "pages of calendars", lambda load: _pages(load.calendars_target)),
    Row(
        Step.EXPORT,
        SOURCE,
        LIST_CALENDARS,
        "pages of calendars",
        lambda load: _pages(max(load.calendars, load.calendars_source)),
    ),
    Row(Step.EXPORT, SOURCE, LIST_EVENTS, "one sweep", _sweep_source),
    Row(
        Step.EXPORT,
        SOURCE,
        LIST_BOTS,
        "pages of bots",
        lambda load: _pages(max(load.meetings, load.bots_source)),
    ),
    Row(Step.RECREATE, TARGET, CREATE_CALENDAR, "1 a calendar not adopted", _made),
    Row(Step.RECREATE, TARGET, GET_CALENDAR, "1 a calendar not adopted", _made),
    Row(Step.VERIFY, TARGET, LIST_EVENTS, "one sweep", _sweep_target),
    Row(Step.HAND_OVER, SOURCE, LIST_EVENTS, "one sweep before the writes", _sweep_source),
    Row(Step.HAND_OVER, TARGET, ADD_BOT, "1 a member event", lambda load: load.adds),
    Row(Step.HAND_OVER, TARGET, LIST_EVENTS, "one sweep after the adds", _sweep_target),
    Row(Step.HAND_OVER, SOURCE, REMOVE_BOT, "1 a member event", lambda load: load.removes),
    Row(Step.HAND_OVER, SOURCE, LIST_EVENTS, "one sweep after the removals", _sweep_source),
    Row(Step.DELETE_OLD, TARGET, LIST_EVENTS, "one sweep", _sweep_target),
    Row(Step.DELETE_OLD, TARGET, LIST_BOTS, "pages of bots", lambda load: _pages(load.meetings)),
    Row(Step.DELETE_OLD, SOURCE, LIST_BOTS, "1", lambda load: 1),
    Row(Step.DELETE_OLD, SOURCE, LIST_EVENTS, "1 a calendar", lambda load: load.calendars),
    Row(Step.DELETE_OLD, SOURCE, DELETE_CALENDAR, "1 a calendar", lambda load: load.calendars),
    Row(Step.DELETE_OLD, TARGET, GET_CALENDAR, "1 a canary", lambda load: load.canaries),
    Row(Step.DELETE_OLD, TARGET, ACCESS_TOKEN, "1 a canary", lambda load: load.canaries),
    Row(Step.CLEAN_UP, SOURCE, LIST_CALENDARS, "1", lambda load: 1),
    Row(Step.CLEAN_UP, SOURCE, LIST_BOTS, "1", lambda load: 1),
    Row(Step.CLEAN_UP, TARGET, LIST_BOTS, "pages of bots", lambda load: _pages(load.meetings)),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """The endpoint that takes longest, and how long."""

    role: str
    endpoint: str
    calls: int
    seconds: float


def usable(per_minute: float, *, reserve_percent: float) -> float:
    """Return how many calls a minute we may use of a limit, less the reserve of the live product."""
    return per_minute * SAFETY * (1 - reserve_percent / 100)


def necessary_calls(load: Load, role: str, *, steps: Collection[Step] = tuple(Step)) -> dict[tuple[str, str], int]:
    """Return how often each endpoint of one workspace ("source" or "target") must be called, by (role, endpoint)."""
    calls: Counter[tuple[str, str]] = Counter()
    for row in ROWS:
        if row.role == role and row.step in steps:
            calls[row.role, row.endpoint] += row.calls(load)
    return dict(calls)


def calls(load: Load, *, steps: Collection[Step]) -> dict[tuple[str, str], int]:
    """Return how often each endpoint of both workspaces must be called for some steps, by (role, endpoint)."""
    return {**necessary_calls(load, SOURCE, steps=steps), **necessary_calls(load, TARGET, steps=steps)}


def bound(load: Load, limits: Mapping[str, Limits], *, steps: Collection[Step] = tuple(Step)) -> Bound | None:
    """Return what bounds a move, or some steps of it: `limits` by role. None when nothing is limited."""
    bounds = [
        Bound(role, endpoint, count, 60 * count / limits[role][endpoint])
        for (role, endpoint), count in calls(load, steps=steps).items()
        if endpoint in limits.get(role, {})
    ]
    return max(bounds, key=lambda bound: bound.seconds, default=None)


def bound_seconds(load: Load, limits: Mapping[str, Limits]) -> float:
    """Return the shortest time in which all necessary calls can be made; waits for meetings are left out."""
    found = bound(load, limits)
    return found.seconds if found else 0.0


def ordered_seconds(load: Load, limits: Mapping[str, Limits], *, steps: Collection[Step] = tuple(Step)) -> float:
    """Return the shortest time for some steps when what cannot overlap is done one after the other."""
    bounds = (bound(load, limits, steps=stretch.intersection(steps)) for stretch in STRETCHES)
    return sum(found.seconds for found in bounds if found)


def predicted_duration(load: Load, limits: Mapping[str, Limits], *, steps: Collection[Step] = tuple(Step)) -> timedelta:
    """Return the time to expect for the calls: the shortest one, as near as the engine comes to it."""
    return timedelta(seconds=ordered_seconds(load, limits, steps=steps) / EFFICIENCY)


def sentence(load: Load, limits: Mapping[str, Limits], *, regions: Mapping[str, str]) -> str:
    """Say it to staff: "about 35 minutes, bound by GET /api/v2/calendar-events/ in us-west-2"."""
    found = bound(load, limits)
    if found is None:
        return "no limit bounds it"
    return f"{about(predicted_duration(load, limits))}, bound by {found.endpoint} in {regions[found.role]}"


def about(duration: timedelta) -> str:
    """Return a duration in words, as exact as a prediction is."""
    minutes = ceil(duration / timedelta(minutes=1))
    if minutes <= 1:
        return "about a minute"
    if minutes < 90:
        return f"about {minutes} minutes"
    hours, rest = divmod(10 * ceil(minutes / 10), 60)
    return f"about {hours} hour{'s' * (hours > 1)}" + (f" {rest} minutes" if rest else "")


# --- the cut line


@dataclass(frozen=True, slots=True)
class CutChoice:
    """A cut line, and what makes it better or worse than another.

    Meetings that start before `at` stay with the source to their end; those from `at` on are to go to the target.
    """

    at: datetime
    near_the_freeze: int  # start at the line or so soon after it that little time is left for them
    live: int  # begun before the line and not over at it: until then both sides are at work


def earliest_feasible_cut(
    starts: Sequence[datetime], *, now: datetime, adds_per_minute: float, freeze: timedelta, margin: timedelta
) -> datetime:
    """Return the first whole minute T from which every meeting can be handed over in time.

    For every x >= 0: (starts in [T, T + x]) / (adds a minute) + freeze + margin <= T + x - now. Give a start once for
    each add that its meeting needs.

    The formula binds at x = 0 and at the starts. A start s leaves room for `room` adds before its own deadline
    s - freeze - margin; with the first moved start at index i, the one at j is the (j - i + 1)th add. So i will do
    when j + 1 - room(j) <= i for all j >= i; and if i will do, so will i + 1. Walk from the end while it holds.
    """
    if adds_per_minute <= 0:
        raise ValueError("Without adds no cut line is feasible.")
    starts = sorted(starts)  # in order already, as a rule: then this is one pass
    per_microsecond = Fraction(adds_per_minute) / 60_000_000
    latest = 0
    first = len(starts)
    while first:
        j = first - 1
        room = ((starts[j] - now - freeze - margin) // timedelta.resolution) * per_microsecond // 1
        latest = max(latest, j + 1 - room)
        if latest > j:
            break
        first = j
    earliest = _grid(now + freeze + margin, timedelta(minutes=1))
    if first:
        after = _grid(starts[first - 1] + timedelta.resolution, timedelta(minutes=1))
        earliest = max(earliest, after)
    return earliest


def propose_cut_lines(
    starts: Sequence[datetime],
    *,
    now: datetime,
    earliest: datetime,
    horizon: timedelta,
    near: timedelta,
    step: timedelta = timedelta(minutes=15),
    busy: Sequence[tuple[datetime, datetime]] = (),
) -> list[CutChoice]:
    """Return the cut lines on the grid of `step` between `earliest` and `now + horizon`, best first.

    Best: the fewest meetings that start in [T, T + near) or are live at T, then the earliest. `near` is freeze plus
    margin; `busy` are the meetings with their ends.
    """
    starts = sorted(starts)
    begins = sorted(begin for begin, end in busy if begin < end)
    ends = sorted(end for begin, end in busy if begin < end)
    choices = []
    at = _grid(max(now, earliest), step)
    while at <= now + horizon:
        near_the_freeze = bisect_left(starts, at + near) - bisect_left(starts, at)
        live = bisect_left(begins, at) - bisect_right(ends, at)
        choices.append(CutChoice(at, near_the_freeze, live))
        at += step
    return sorted(choices, key=lambda choice: (choice.near_the_freeze + choice.live, choice.at))


def _grid(moment: datetime, step: timedelta) -> datetime:
    """Return the first multiple of `step` that is not before a moment, in UTC."""
    zero = datetime(1970, 1, 1, tzinfo=UTC)
    return zero - (zero - moment) // step * step
