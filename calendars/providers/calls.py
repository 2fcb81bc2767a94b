"""What goes along with a call: how long it may take, who paces it, what came back, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TRIES = 3


class RateBudget(Protocol):
    """What hands out slots; `calendars.providers.limits.Budget` in production."""

    def take(self, endpoint: str, max_wait: float) -> float:
        """Wait for a slot and return how many seconds that took; BudgetBusy when it would take more than `max_wait`."""

    def push(self, endpoint: str, seconds: float) -> None:
        """Move the whole budget: no slot before `seconds` of machine time have passed."""


class NoBudget:
    """Every call goes at once: tests, and calls that no limit counts."""

    def take(self, endpoint: str, max_wait: float) -> float:
        """Return 0."""
        return 0.0

    def push(self, endpoint: str, seconds: float) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds of the wall. `total` bounds one try from the first byte sent to the last byte read."""

    connect: float = 5.0
    read: float = 20.0
    write: float = 10.0
    pool: float = 5.0
    total: float = 30.0

    @property
    def worst_write(self) -> float:
        """Return the longest that a write may take (tries that could not connect included)."""
        return (TRIES - 1) * (self.pool + self.connect + 1.0) + self.pool + self.connect + max(self.total, self.read)

    @property
    def worst_read(self) -> float:
        """Return the longest that a read may take, with its tries."""
        return TRIES * (self.pool + self.connect + max(self.total, self.read) + 1.0)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One try of one call, for counting, log and record, and for comparing clocks. Holds no secret and no query."""

    endpoint: str
    subject: str  # the provider's id of what it was about, if any
    status: int | None
    error: str
    took_ms: float
    waited_ms: float
    attempt: int
    begun_at: datetime
    server_date: datetime | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `begun_at` is domain time when the request that was answered began: the age of what was read."""

    status: int
    data: Any = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    begun_at: datetime
    server_date: datetime | None
    took_ms: float
    request_id: str
