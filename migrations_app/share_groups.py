"""Which calendars must go over together, and when nobody meets. Pure: no ORM, no HTTP, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

AFTER = timedelta(minutes=2)  # after a meeting's end: the provider's clock may be a minute behind ours


@dataclass(frozen=True, slots=True)
class Common:
    """A coming meeting, and the calendars that take part in it."""

    meeting: int
    start: datetime
    end: datetime
    calendars: frozenset[int]


def components(calendars: Collection[int], meetings: Iterable[Common]) -> list[frozenset[int]]:
    """Return the groups of calendars that are joined by common meetings, in the order of their smallest calendar.

    A group also holds calendars that were not asked for, when a meeting joins them; one of its calendars was asked for.
    """
    parent: dict[int, int] = {calendar: calendar for calendar in calendars}

    def root(one: int) -> int:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for meeting in meetings:
        first, *others = sorted(meeting.calendars)
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    groups: dict[int, set[int]] = defaultdict(set)
    for calendar in list(parent):
        groups[root(calendar)].add(calendar)
    asked = set(calendars)
    return [frozenset(group) for _, group in sorted(groups.items()) if group & asked]


def in_the_way(meetings: Iterable[Common], *, at: datetime, before: timedelta) -> list[Common]:
    """Return the meetings that are live at a moment or start within `before` of it, the next one first."""
    return sorted((m for m in meetings if m.start - before < at < m.end + AFTER), key=lambda m: (m.start, m.meeting))


def quiet_moment(meetings: Iterable[Common], *, now: datetime, until: datetime, before: timedelta) -> datetime | None:
    """Return the first moment from now on at which no meeting is live or starts within `before`; None: not by then."""
    moment = now
    for meeting in sorted(meetings, key=lambda m: m.start):
        if meeting.start - before >= moment:
            break
        moment = max(moment, meeting.end + AFTER)
    return moment if moment <= until else None
