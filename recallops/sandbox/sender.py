"""Carries webhooks to their receivers, from threads of its own."""

from __future__ import annotations

import http.client
import queue
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recallops.sandbox.webhooks import TIMEOUT

if TYPE_CHECKING:
    from recallops.sandbox.webhooks import Outgoing
    from recallops.sandbox.world import World

THREADS = 4


class Sender:
    """A few threads that post what the outbox has queued, each over kept connections."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        for _ in range(THREADS):
            thread = threading.Thread(target=self._run, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let the threads end; an attempt in the air is not waited for longer than a moment."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(timeout=0.5)

    def collect(self) -> None:
        """Take over what the outbox has queued."""
        waiting = self._world.outbox.queue
        while waiting:
            self._work.put(waiting.popleft())

    def _run(self) -> None:
        connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        while (outgoing := self._work.get()) is not None:
            status = _post(connections, outgoing)
            with self._world.lock:
                self._world.advance()
                self._world.outbox.report(outgoing.number, status)
        for connection in connections.values():
            connection.close()


def _post(connections: dict[tuple[str, str], http.client.HTTPConnection], outgoing: Outgoing) -> int | None:
    """Post one webhook; return the status, or None when there was no answer. Redirects are not followed."""
    parts = urlsplit(outgoing.url)
    name = (parts.scheme, parts.netloc)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = name in connections
    for _ in range(2 if kept else 1):  # a kept connection may have been closed meanwhile: once more on a new one
        if name not in connections:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connections[name] = kind(parts.netloc, timeout=TIMEOUT)
        connection = connections[name]
        try:
            connection.request("POST", path, outgoing.body, outgoing.headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException, ValueError) as trouble:
            connection.close()
            del connections[name]
            if isinstance(trouble, TimeoutError):
                return None
        else:
            return response.status
    return None
