"""What the queue wakes: drivers of assignments and sweeps."""

from __future__ import annotations


def pump() -> int:
    """Ring for assignments and sweeps that are due and have no driver; return how many doorbells were rung."""
    return 0


def last_progress() -> float | None:
    """Return machine seconds since a lease was last renewed, or None when none is held."""
    return None


def oldest_due() -> float | None:
    """Return for how many seconds the oldest due work has been waiting, or None."""
    return None
