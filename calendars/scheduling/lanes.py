"""Lanes: so many of a driver's threads, and no more, write at one endpoint of a workspace at the same time.

Threads that begin together would add together and then remove together, each time with the other budget lying idle.
So only as many add as fill that budget; the others remove meanwhile what those before them have added, or read.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from calendars.scheduling.values import Act, Action
from recallops import waits

WRITES = (Act.ADD, Act.REMOVE)
FEW = 10  # so many writes take no lane: they are over sooner than a lane is free
PATIENCE = 5.0  # seconds of the wall after which somebody who waits looks after its lease
GUESS = 0.25  # seconds that a write takes, until some were made
LATEST = 0.1  # how much the latest write weighs in their mean

Lane = tuple[int, Act]


class Lanes:
    """The lanes of one process, by workspace and kind of write."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: Counter[Lane] = Counter()
        self._waiting = 0
        self._seconds: defaultdict[Lane, float] = defaultdict(lambda: GUESS)

    @contextmanager
    def taken(self, lane: Lane | None, *, width: int, while_waiting: Callable[[], None]) -> Iterator[bool]:
        """Write in a lane of some width; yields whether there was a wait for it. None: no lane is needed."""
        if lane is None:
            yield False
            return
        waited = self._enter(lane, max(1, width), while_waiting)
        try:
            yield waited
        finally:
            with self._changed:
                self._taken[lane] -= 1
                self._changed.notify_all()

    def crowded(self) -> bool:
        """Tell whether somebody waits: more work of this kind would only wait, too."""
        return self._waiting > 0

    def took(self, lane: Lane, seconds: float) -> None:
        """Note how long a write took, the wait for its slot of the budget included."""
        with self._changed:
            self._seconds[lane] += LATEST * (seconds - self._seconds[lane])

    def width(self, lane: Lane, *, every: float) -> int:
        """Return how many threads fill a lane: there is a slot for this process every so many seconds.

        In a full lane a write takes as long as its threads have to wait for their slots, so it does not become wider.
        """
        with self._changed:
            return max(1, math.ceil(0.9 * self._seconds[lane] / every))

    def _enter(self, lane: Lane, width: int, while_waiting: Callable[[], None]) -> bool:
        waited = False
        while True:
            with self._changed:
                if self._taken[lane] < width:
                    self._taken[lane] += 1
                    return waited
                waited = True
                self._waiting += 1
                waits.until_told(self._changed, PATIENCE)
                self._waiting -= 1
            while_waiting()


def lane_of(actions: Collection[Action]) -> Lane | None:
    """Return the lane in which these actions belong: that of most of their writes; None where they are few."""
    writes = Counter((action.workspace, action.act) for action in actions if action.act in WRITES)
    if writes.total() <= FEW:
        return None
    return writes.most_common(1)[0][0]
