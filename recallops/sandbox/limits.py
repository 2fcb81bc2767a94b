"""How often each endpoint may be called: numbers as data, and the sliding window that counts."""

from __future__ import annotations

import math
from collections import deque

# Calls a minute, per workspace. An endpoint without a number is not limited.
DEFAULT_LIMITS: dict[str, int] = {
    "GET /api/v2/calendars/": 60,
    "POST /api/v2/calendars/": 300,
    "GET /api/v2/calendars/{id}/": 300,
    "PATCH /api/v2/calendars/{id}/": 300,
    "DELETE /api/v2/calendars/{id}/": 300,
    "POST /api/v2/calendars/{id}/access-token/": 300,
    "GET /api/v2/calendar-events/": 60,
    "GET /api/v2/calendar-events/{id}/": 300,
    "POST /api/v2/calendar-events/{id}/bot/": 600,
    "DELETE /api/v2/calendar-events/{id}/bot/": 600,
    "GET /api/v1/bot/": 60,
    "POST /api/v1/bot/": 120,
    "GET /api/v1/bot/{id}/": 300,
    "PATCH /api/v1/bot/{id}/": 300,
    "DELETE /api/v1/bot/{id}/": 300,
    "POST /api/v1/bot/{id}/leave_call/": 300,
}

WINDOW = 60.0


class Windows:
    """A log of the last 60 seconds per endpoint, as the vendor's framework keeps it."""

    def __init__(self) -> None:
        self._logs: dict[str, deque[float]] = {}

    def wait(self, endpoint: str, limit: int, now: float) -> int:
        """Count one call; return 0 when it may pass, else the whole seconds to wait. A refused call is not counted."""
        log = self._logs.setdefault(endpoint, deque())
        while log and log[0] <= now - WINDOW:
            log.popleft()
        if len(log) >= limit:
            return max(1, math.ceil(log[len(log) - limit] + WINDOW - now))
        log.append(now)
        return 0

    def used(self, endpoint: str, now: float) -> int:
        """Return how many calls of the last 60 seconds count."""
        return sum(1 for when in self._logs.get(endpoint, ()) if when > now - WINDOW)
