"""What the queue wakes. A task carries ids and may be lost, doubled or late without harm."""

from __future__ import annotations


def ring() -> None:
    """Wake drivers for whatever is due."""


def look_again() -> None:
    """Wake drivers after a control column changed that assignments depend on."""


def pump() -> int:
    """Ring for batches and items that are due and have no driver; return how many doorbells were rung."""
    return 0
