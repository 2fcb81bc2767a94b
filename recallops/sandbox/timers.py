"""What has to happen later: a heap of timers in domain time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class Timers:
    """A heap of (when, number, callback, arguments).

    Callbacks are bound methods of the world's own objects and arguments are ids: both survive a pickle.
    Equal times run in the order in which they were set.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._pending: set[int] = set()
        self._count = 0

    def set(self, when: datetime, callback: Callable[..., Any], *args: Any) -> int:
        """Plan a call; the number returned can cancel it."""
        self._count += 1
        self._pending.add(self._count)
        heapq.heappush(self._heap, (when, self._count, callback, args))
        return self._count

    def cancel(self, number: int | None) -> None:
        """Forget a planned call; one that has run already, or None, is no matter."""
        if number is not None:
            self._pending.discard(number)

    def next_due(self) -> datetime | None:
        """Return when the next call is due, or None."""
        while self._heap and self._heap[0][1] not in self._pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self) -> tuple[datetime, Callable[..., Any], tuple[Any, ...]]:
        """Take the next call off the heap; `next_due()` has just said that there is one."""
        when, number, callback, args = heapq.heappop(self._heap)
        self._pending.discard(number)
        return when, callback, args

    def __len__(self) -> int:
        return len(self._pending)
