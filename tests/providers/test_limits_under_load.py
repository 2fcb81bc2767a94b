"""The rate budget under load: eight processes against a server that counts every window to the call.

Windows are scaled: 600 calls in two seconds are the same sums as 600 in sixty.
"""

from __future__ import annotations

import http.client
import multiprocessing
import threading
import time
from collections import deque
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from calendars.models import EndpointLimit, Region, Workspace
from calendars.models.workspace import RateBudget, emission
from calendars.providers import limits
from calendars.providers.limits import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROCESSES = 8
LIMIT = 600
WINDOW = 2.0  # seconds
ENDPOINT = "GET /api/v2/calendar-events/{id}/"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

FORK = multiprocessing.get_context("fork")


class StrictServer(ThreadingHTTPServer):
    """Answers 429 to each call that would be one too many in any window up to now, by its own clock."""

    daemon_threads = True

    def __init__(self, *, limit: int, window: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.limit, self.window = limit, window
        self.fullest = self.accepted = self.refused = 0
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()

    def count(self) -> bool:
        """Count a call; return whether it may be."""
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - self.window:
                self._recent.popleft()
            if len(self._recent) >= self.limit:
                self.refused += 1
                return False
            self._recent.append(now)
            self.accepted += 1
            self.fullest = max(self.fullest, len(self._recent))
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for each process
    server: StrictServer

    def do_GET(self) -> None:
        self.send_response(200 if self.server.count() else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@pytest.fixture
def workspace(transactional_db: None) -> Iterator[Workspace]:
    """A workspace that may use its limits to the full."""
    region, _ = Region.objects.get_or_create(
        provider="recall", code="us-west-2", defaults={"label": "US West", "base_url": "https://us-west-2.recall.ai"}
    )
    EndpointLimit.objects.update_or_create(provider="recall", endpoint=ENDPOINT, defaults={"per_minute": LIMIT})
    yield Workspace.objects.create(slug="acme-us", name="Acme", region=region, reserve_percent=0)
    limits.close()


def in_processes(work: Callable[..., None], *arguments: object, meanwhile: Callable[[], object] | None = None) -> None:
    """Let eight processes do the same work at once, and fail if one of them failed."""
    workers = [FORK.Process(target=work, args=arguments) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    if meanwhile:
        meanwhile()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0


def fullest(moments: Sequence[float], window: float) -> int:
    """Return the most moments that any window holds."""
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _call_in_turn(workspace: int, port: int, calls: int) -> None:
    server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    budget = Budget(workspace)
    for _ in range(calls):
        budget.take(ENDPOINT, 60)
        server.request("GET", "/")
        server.getresponse().read()
    server.close()
    limits.close()


@pytest.mark.processes
@pytest.mark.parametrize("reserve", [0, 20])
def test_eight_processes_are_never_refused_by_a_server_that_counts_every_window(
    workspace: Workspace, reserve: int
) -> None:
    """However late a process wakes, it is late with one call only: eight more than the slots still fit."""
    per_minute = LIMIT * 60 / WINDOW
    RateBudget.objects.create(
        workspace=workspace, endpoint=ENDPOINT, per_minute=int(per_minute), emission=emission(int(per_minute), reserve)
    )
    calls = 150
    with StrictServer(limit=LIMIT, window=WINDOW) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        in_processes(_call_in_turn, workspace.pk, server.server_port, calls, meanwhile=thread.start)
        server.shutdown()
        thread.join()
    assert server.refused == 0
    assert server.accepted == PROCESSES * calls > 1.9 * LIMIT
    assert server.fullest <= LIMIT * (1 - reserve / 100)


def _ask_when(workspace: int, calls: int, told: multiprocessing.Queue[list[float]]) -> None:
    limits.set_machine_now(NOW)
    budget = Budget(workspace, sleep=lambda seconds: None)
    told.put([budget.take(ENDPOINT, 3600) for _ in range(calls)])
    limits.close()


@pytest.mark.processes
@pytest.mark.parametrize("reserve", [0, 20])
def test_eight_processes_together_are_told_0_97_of_what_may_be_used_and_never_more(
    workspace: Workspace, reserve: int
) -> None:
    Workspace.objects.filter(pk=workspace.pk).update(reserve_percent=reserve)
    told: multiprocessing.Queue[list[float]] = FORK.Queue()
    slots: list[float] = []
    in_processes(
        _ask_when,
        workspace.pk,
        200,
        told,
        meanwhile=lambda: slots.extend(slot for _ in range(PROCESSES) for slot in told.get(timeout=60)),
    )
    slots.sort()
    share = LIMIT * (1 - reserve / 100)
    assert len(slots) == PROCESSES * 200
    assert all(later > earlier for earlier, later in pairwise(slots))
    assert fullest(slots, 60) <= share
    assert (len(slots) - 1) / (slots[-1] - slots[0]) * 60 >= 0.97 * share


def test_the_server_refuses_the_first_call_too_many_and_takes_calls_again_later() -> None:
    server = StrictServer(limit=20, window=60)
    assert [server.count() for _ in range(21)] == [True] * 20 + [False]
    server.window = 0
    assert server.count()
    server.server_close()
    assert (server.accepted, server.refused) == (21, 1)
