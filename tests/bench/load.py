"""A load generator: so many connections at once, requests made beforehand, answers counted. One process, asyncio.

`python -m tests.bench.load` reads what to send from its standard input and prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import uuid
from typing import Any


class Client(asyncio.Protocol):
    """One connection at a time: sends a request, waits for its answer, sends the next; opens a new one when closed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.transport: Any = None
        self.received = b""
        self.asked = 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.received = b""
        self._ask()

    def _ask(self) -> None:
        request = self.run.next()
        if request is None:
            self.transport.close()
            return
        self.asked = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self.run.count(int(head[9:12]), time.perf_counter() - self.asked)
        self.received = b""
        if b"connection: close" in lowered:
            self.transport.close()
        else:
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Open the next connection while there is time."""
        if not self.run.over():
            self.run.connect()
        else:
            self.run.ended()


class Run:
    """One run against one server."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.requests = _requests(task)
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}
        self.open = 0
        self.done = asyncio.Event()
        self.until = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()

    async def go(self) -> dict[str, Any]:
        """Send for some seconds; return what came back."""
        self.until = time.perf_counter() + self.task["seconds"]
        begun = time.perf_counter()
        self.open = self.task["connections"]
        for _ in range(self.open):
            self.connect()
        await self.done.wait()
        seconds = time.perf_counter() - begun
        self.took.sort()
        answered = len(self.took)
        return {
            "a_second": round(answered / seconds, 1),
            "median_ms": round(1000 * self.took[answered // 2], 1),
            "p99_ms": round(1000 * self.took[answered * 99 // 100], 1),
            "statuses": self.statuses,
            "sent_all": not self.requests,
        }

    def connect(self) -> None:
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.create_connection(lambda: Client(self), "127.0.0.1", self.task["port"]))
        self.tasks.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if task.exception() is not None:
            self.connect() if not self.over() else self.ended()

    def next(self) -> bytes | None:
        """Return the next request, None when it is time to end."""
        return None if self.over() else self.requests.pop()

    def over(self) -> bool:
        """Tell whether the time is up, or all that was prepared is sent."""
        return time.perf_counter() >= self.until or not self.requests

    def count(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.took.append(seconds)

    def ended(self) -> None:
        """Note that a connection is not opened again."""
        self.open -= 1
        if self.open <= 0:
            self.done.set()


def _requests(task: dict[str, Any]) -> list[bytes]:
    """Return signed requests with ids of their own."""
    secret = base64.b64decode(task["secret"].removeprefix("whsec_"))
    sent = str(int(time.time()))
    data = {"calendar_id": str(uuid.uuid4()), "last_updated_ts": "2026-11-21T10:00:00.000000Z"}
    body = json.dumps({"event": "calendar.sync_events", "data": data}).encode()
    made = []
    for number in range(task["prepared"]):
        name = f"msg_{task['run']}_{number}"
        digest = hmac.new(secret, f"{name}.{sent}.".encode() + body, hashlib.sha256).digest()
        lines = [
            f"POST {task['path']} HTTP/1.1",
            "Host: 127.0.0.1",
            "X-Forwarded-Proto: https",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"webhook-id: {name}",
            f"webhook-timestamp: {sent}",
            f"webhook-signature: v1,{base64.b64encode(digest).decode()}",
        ]
        made.append("\r\n".join([*lines, "", ""]).encode() + body)
    return made


async def main() -> None:
    """Run, and print what came back."""
    found = await Run(json.load(sys.stdin)).go()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
