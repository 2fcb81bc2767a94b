"""Domain time: the time of meetings, freezes, cut lines, and of waits that providers ask for.

Normally it is the wall's. The demo and the rehearsal run it faster and jump it: all their processes read one small file
(base, wall origin, speed), so that a jump reaches the product and the sandbox in the same instant. Tests replace it.

Machine time (leases, rate budgets) is not here: it is the database's (`recallops_machine_now()`).
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock(Protocol):
    """What tells domain time."""

    def now(self) -> datetime:
        """Return the domain time, in UTC."""

    def speed(self) -> float:
        """Return how many domain seconds pass in one second of the wall."""


class WallClock:
    """Domain time is the wall's time: production."""

    def now(self) -> datetime:
        """Return the wall's time in UTC."""
        return datetime.now(UTC)

    def speed(self) -> float:
        """Return 1."""
        return 1.0


@dataclass(slots=True)
class ManualClock:
    """Stands still until it is told to move: tests and simulation."""

    at: datetime

    def now(self) -> datetime:
        """Return the time it was last set to."""
        return self.at

    def speed(self) -> float:
        """Return 1: waits asked for by providers are not shortened."""
        return 1.0

    def advance(self, by: timedelta) -> None:
        """Move forward by a span."""
        self.at += by


class FileClock:
    """A clock shared by processes through a file; may run fast, be jumped, or stand still (speed 0).

    The file is replaced as a whole, never written in place: a reader sees the old or the new time, nothing between.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def now(self) -> datetime:
        """Return base + (wall - origin) * speed."""
        base, origin, speed = self._read()
        return datetime.fromtimestamp(base + (time.time() - origin) * speed, UTC)

    def speed(self) -> float:
        """Return domain seconds per wall second; 0 while it stands still."""
        return self._read()[2]

    def set(self, *, at: datetime, speed: float) -> None:
        """Start the clock at a time with a speed. Creates the file."""
        text = json.dumps({"base": at.timestamp(), "origin": time.time(), "speed": speed})
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        draft.write_text(text)
        draft.replace(self.path)

    def jump(self, to: datetime) -> None:
        """Move forward to a time, keeping the speed; a time in the past changes nothing."""
        if to > self.now():
            self.set(at=to, speed=self.speed())

    def _read(self) -> tuple[float, float, float]:
        state = json.loads(self.path.read_text())
        return state["base"], state["origin"], state["speed"]


_clock: Clock = WallClock()


def now() -> datetime:
    """Return domain time in UTC."""
    return _clock.now()


def speed() -> float:
    """Return domain seconds per wall second; never 0, so that it can be divided by."""
    return _clock.speed() or 1.0


def is_wall() -> bool:
    """Tell whether domain time is simply the wall's time; pages say so when it is not."""
    return isinstance(_clock, WallClock)


def install(clock: Clock) -> None:
    """Make `clock` the domain clock of this process. Called once at start-up, from settings."""
    global _clock
    _clock = clock


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Use another clock for a while: tests."""
    before = _clock
    install(clock)
    try:
        yield clock
    finally:
        install(before)
