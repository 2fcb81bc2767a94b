"""Who called what: every call to a region, and how many of each kind."""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime
from typing import NamedTuple


class Call(NamedTuple):
    """One call to a region. Status 0 means that the connection was dropped without an answer."""

    at: datetime
    region: str
    workspace: str  # empty when the key opened none
    method: str
    endpoint: str  # `POST /api/v2/calendar-events/{id}/bot/`
    status: int


class RequestLog:
    """The last calls in full, and counts of all of them."""

    def __init__(self, keep: int = 200_000) -> None:
        self.calls: deque[Call] = deque(maxlen=keep)
        self.total = 0
        self.counts: Counter[tuple[str, str, str, int]] = Counter()

    def add(self, call: Call) -> None:
        """Note one call."""
        self.calls.append(call)
        self.total += 1
        self.counts[call.region, call.workspace, call.endpoint, call.status] += 1

    def since(self, index: int) -> list[Call]:
        """Return the calls from the index-th on, as far as they are still kept."""
        dropped = self.total - len(self.calls)
        skip = max(0, index - dropped)
        return [call for number, call in enumerate(self.calls) if number >= skip]

    def by_endpoint(self, region: str | None = None, workspace: str | None = None) -> dict[str, int]:
        """Return how many calls each endpoint got, whatever the answer."""
        found: Counter[str] = Counter()
        for (of_region, of_workspace, endpoint, _), count in self.counts.items():
            if region in (None, of_region) and workspace in (None, of_workspace):
                found[endpoint] += count
        return dict(sorted(found.items()))

    def by_status(self, region: str | None = None) -> dict[int, int]:
        """Return how many calls got each status."""
        found: Counter[int] = Counter()
        for (of_region, _, _, status), count in self.counts.items():
            if region in (None, of_region):
                found[status] += count
        return dict(sorted(found.items()))

    def clear(self) -> None:
        """Forget all calls."""
        self.calls.clear()
        self.counts.clear()
        self.total = 0
