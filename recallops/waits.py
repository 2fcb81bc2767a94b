"""How a process of ours waits, and how it measures what something took.

Normally by `time`. A rehearsal plays a move of days in minutes: there a wait passes virtual time, and lets others
go on. What is measured on a real network (a body that must come in time) does not ask here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading


class Waits(Protocol):
    """What waits and measures."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""

    def until_told(self, condition: threading.Condition, seconds: float) -> None:
        """Wait for a condition that is held, at most so long."""


class _Real:
    """The wall's seconds."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def monotonic(self) -> float:
        """Return the machine's own count."""
        return time.monotonic()

    def until_told(self, condition: threading.Condition, seconds: float) -> None:
        """Wait."""
        condition.wait(seconds)


_waits: Waits = _Real()


def sleep(seconds: float) -> None:
    """Let so many seconds pass."""
    _waits.sleep(seconds)


def monotonic() -> float:
    """Return seconds since some moment."""
    return _waits.monotonic()


def until_told(condition: threading.Condition, seconds: float) -> None:
    """Wait for a condition that is held, at most so long."""
    _waits.until_told(condition, seconds)


def install(waits: Waits | None) -> None:
    """Wait in another way from now on; None: as usual."""
    global _waits
    _waits = waits or _Real()
