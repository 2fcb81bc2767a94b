"""The door in process: an httpx transport that routes by host. Injected latency takes no real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from recallops.sandbox.messages import Request, http_date

if TYPE_CHECKING:
    from recallops.sandbox.world import World


class SandboxTransport(httpx.BaseTransport):
    """Carries calls to a world's regions and its identity provider, and the failures that faults ask for."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one call, or raise what httpx raises when a connection fails."""
        url = request.url
        with self.world.lock:
            door = self.world.door_at(url.netloc.decode("ascii"))
            if door is None:
                raise httpx.ConnectError("Name or service not known", request=request)
            answer = door.handle(
                Request(
                    request.method,
                    url.path,
                    url.query.decode("ascii"),
                    {name.lower(): value for name, value in request.headers.items()},
                    request.read(),
                )
            )
            date = http_date(self.world.now())
        if answer.refused:
            raise httpx.ConnectError("Connection refused", request=request)
        if answer.dropped:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        patience = request.extensions.get("timeout", {}).get("read")
        if patience is not None and answer.latency > patience:
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        headers = {"Content-Type": answer.content_type, "Date": date, **answer.headers}
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)
