"""The coming meetings as a picture: a bar an hour, the freeze, and where the cut line may lie. Pure geometry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
LEFT, TOP, HEIGHT, FOOT = 40, 26, 150, 26  # room for the scale, the names of the lines, the bars and the days
WIDTH = 960
NAME_WIDTH = 14  # of the name of a line


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour. Places are texts, so that no language puts a comma into them."""

    at: datetime
    count: int
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the picture, or the beginning of a day."""

    at: datetime
    x: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the template draws."""

    bars: list[Bar]
    days: list[Mark]
    lines: list[Mark]
    highest: int
    near_x: str
    near_width: str
    line_x: str
    line_at: datetime | None
    width: int = WIDTH
    height: int = TOP + HEIGHT + FOOT
    left: int = LEFT
    top: int = TOP
    floor: int = TOP + HEIGHT

    @property
    def busy(self) -> list[Bar]:
        """The hours with meetings, for the table."""
        return [bar for bar in self.bars if bar.count]


def draw(
    starts: Iterable[datetime],
    *,
    now: datetime,
    days: int,
    near: timedelta,
    line: datetime | None = None,
    proposals: Sequence[datetime] = (),
) -> Picture:
    """Draw the meetings of the coming days. `near`: what starts sooner cannot change sides any more."""
    first = now.replace(minute=0, second=0, microsecond=0)
    hours = days * 24 + 1
    counted = Counter((start - first) // HOUR for start in starts if start >= first)
    highest = max((counted[hour] for hour in range(hours)), default=0)
    step = (WIDTH - LEFT) / hours

    def place(at: datetime) -> float:
        return LEFT + step * ((at - first) / HOUR)

    bars = []
    for hour in range(hours):
        tall = HEIGHT * counted[hour] / highest if highest else 0.0
        at, x = first + hour * HOUR, LEFT + step * hour
        bars.append(
            Bar(at, counted[hour], f"{x:.1f}", f"{TOP + HEIGHT - tall:.1f}", f"{max(step - 1, 1):.1f}", f"{tall:.1f}")
        )
    midnight = first.replace(hour=0) + timedelta(days=1)
    end = first + hours * HOUR
    inside = line is not None and first <= line < end
    return Picture(
        bars=bars,
        days=[
            Mark(midnight + timedelta(days=day), f"{place(midnight + timedelta(days=day)):.1f}")
            for day in range(days + 1)
            if midnight + timedelta(days=day) < end
        ],
        lines=_named(
            [(place(at), at, str(number)) for number, at in enumerate(proposals, start=1) if first <= at < end]
        ),
        highest=highest,
        near_x=f"{place(now):.1f}",
        near_width=f"{step * (near / HOUR):.1f}",
        line_x=f"{place(line):.1f}" if inside and line is not None else "",
        line_at=line,
    )


def _named(lines: list[tuple[float, datetime, str]]) -> list[Mark]:
    """Return the lines with their names; names that would overlap stand together at the first of them."""
    groups: list[list[tuple[float, datetime, str]]] = []
    for line in sorted(lines):
        if groups and line[0] - groups[-1][-1][0] < NAME_WIDTH:
            groups[-1].append(line)
        else:
            groups.append([line])
    return [
        Mark(at, f"{x:.1f}", "" if number else " ".join(sorted(name for _x, _at, name in group)))
        for group in groups
        for number, (x, at, _name) in enumerate(group)
    ]
