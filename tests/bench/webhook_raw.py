"""The other side of the webhook bench: the same work with nothing in between. Raw ASGI, asyncpg, uvicorn.

Checks the signature on the bytes, stores them under their id in the same table by the same statement, answers 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg

TOLERANCE = 300
STORE = """
INSERT INTO calendars_delivery AS known
    (workspace_id, endpoint_id, delivery_id, received_at, sent_at, region, body, times, state, event, subject, reason)
VALUES ($1, $2, $3, $4, $5, '', $6, 1, 'received', '', '', '')
ON CONFLICT (workspace_id, delivery_id) DO UPDATE SET times = known.times + 1
"""
SECRET = base64.b64decode(os.environ["BENCH_SECRET"].removeprefix("whsec_"))
WORKSPACE, ENDPOINT = int(os.environ["BENCH_WORKSPACE"]), int(os.environ["BENCH_ENDPOINT"])


class App:
    """The application."""

    def __init__(self) -> None:
        self.pool: Any = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = dict(scope["headers"])
        status = 401
        sent = headers.get(b"webhook-timestamp", b"")
        if sent.isdigit() and abs(time.time() - int(sent)) <= TOLERANCE:
            name = headers.get(b"webhook-id", b"")
            digest = hmac.new(SECRET, b".".join((name, sent, body)), hashlib.sha256).digest()
            expected = b"v1," + base64.b64encode(digest)
            given = headers.get(b"webhook-signature", b"").split(b" ")
            if any(hmac.compare_digest(expected, one) for one in given):
                now, at = datetime.now(UTC), datetime.fromtimestamp(int(sent), UTC)
                await self.pool.execute(STORE, WORKSPACE, ENDPOINT, name.decode(), now, at, body)
                status = 200
        start = {"type": "http.response.start", "status": status}
        await send({**start, "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.pool = await asyncpg.create_pool(os.environ["BENCH_DATABASE"], min_size=4, max_size=8)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.pool.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


app = App()
