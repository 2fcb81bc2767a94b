"""Virtual time, and hands that work in it: threads of which one runs at a time, until it waits.

Where a hand waits (for its slot of a budget, for an answer, for a lane), virtual time passes for it alone, and the hand
whose wait is over first goes on. So what takes hours with many threads takes minutes with one, and comes to the same
moments: waits that run side by side are not added up. Nothing of ours waits inside a transaction, so that all hands
can share one connection to the database.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, connections

from calendars.providers import limits
from recallops.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("recallops.rehearsal")

TICK = timedelta(microseconds=1)
GLANCE = 0.5  # virtual seconds between two looks at something that is held by another hand


class VirtualClock(ManualClock):
    """Stands still but for a microsecond at each look: what is read later is later."""

    def now(self) -> datetime:
        """Return the time, a tick after the last look."""
        self.at += TICK
        return self.at


@dataclass(slots=True)
class _Hand:
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    work: Callable[[], None] | None = None


class Hands:
    """As many hands as are needed, and the time that passes for them. Implements `waits.Waits`."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.failed: list[str] = []  # kinds of errors of our own
        self._waking: list[tuple[datetime, int, _Hand]] = []
        self._count = 0
        self._idle: deque[_Hand] = deque()
        self._main = threading.Semaphore(0)
        self._me = threading.local()
        self._connection = connections["default"]
        self._connection.inc_thread_sharing()

    # -- the time

    def set_machine_time(self) -> None:
        """Let the database's clock, which leases and budgets ask, say the virtual time, too."""
        limits.set_machine_now(self.clock.at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('recallops.machine_now', %s, false)", [self.clock.at.isoformat()])

    def sleep(self, seconds: float) -> None:
        """Let a hand wait while others work; who is no hand just moves the clock."""
        hand = getattr(self._me, "hand", None)
        if hand is None:
            self.pass_to(self.clock.at + timedelta(seconds=seconds))
            return
        if connection.in_atomic_block:
            raise RuntimeError("Something waits inside a transaction.")
        self._wake_at(self.clock.at + timedelta(seconds=max(0.0, seconds)), hand)
        self._main.release()
        hand.go.acquire()

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self.clock.at.timestamp()

    def until_told(self, condition: threading.Condition, seconds: float) -> None:
        """Look again after a moment: nobody is told of anything while all stand still."""
        condition.release()
        try:
            self.sleep(min(seconds, GLANCE))
        finally:
            condition.acquire()

    def pass_to(self, at: datetime) -> None:
        """Move the clock forward."""
        if at > self.clock.at:
            self.clock.at = at
            self.set_machine_time()

    # -- the work

    def take(self, work: Callable[[], None]) -> None:
        """Give a piece of work to a hand; it begins when the others next wait."""
        hand = self._idle.popleft() if self._idle else self._new()
        hand.work = work
        self._wake_at(self.clock.at, hand)

    def next(self) -> datetime | None:
        """Return when the next hand goes on; None when all are idle."""
        return self._waking[0][0] if self._waking else None

    def go_on(self) -> None:
        """Let the hand whose wait is over first go on until it waits again, or has done its work."""
        at, _, hand = heapq.heappop(self._waking)
        self.pass_to(at)
        hand.go.release()
        self._main.acquire()

    def _wake_at(self, at: datetime, hand: _Hand) -> None:
        self._count += 1
        heapq.heappush(self._waking, (at, self._count, hand))

    def _new(self) -> _Hand:
        hand = _Hand()
        threading.Thread(target=self._live, args=(hand,), daemon=True).start()
        return hand

    def _live(self, hand: _Hand) -> None:
        shared: Any = self._connection
        connections["default"] = shared
        self._me.hand = hand
        while True:
            hand.go.acquire()
            try:
                if hand.work is not None:
                    hand.work()
            except Exception as error:
                logger.exception("a piece of work failed")
                self.failed.append(type(error).__name__)
            hand.work = None
            self._idle.append(hand)
            self._main.release()
