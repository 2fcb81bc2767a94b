"""The door over HTTP: a port for each region, one for the identity provider, one for control, all on the loopback.

Requests are read by hand: the standard library's handler parses headers as an e-mail, which costs more than the call.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from socketserver import StreamRequestHandler
from typing import TYPE_CHECKING, Any

from recallops.sandbox.messages import Request, Response, http_date
from recallops.sandbox.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.control import Control
    from recallops.sandbox.world import World

log = logging.getLogger(__name__)

LONGEST_LINE = 65_536
LONGEST_BODY = 20_000_000
TICK = 0.02  # seconds of the wall between two looks at the clock
_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {507: "Insufficient Storage"}


class _Unreadable(Exception):
    """What came is no HTTP."""


class _Handler(StreamRequestHandler):
    """One connection, kept alive for many requests."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        try:
            while self._one():
                pass
        except (_Unreadable, ConnectionError, TimeoutError):
            return

    def _one(self) -> bool:
        line = self.rfile.readline(LONGEST_LINE)
        words = line.split()
        if len(words) != 3:
            return False
        method, target, version = (word.decode("latin-1") for word in words)
        headers = self._headers()
        if headers.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(headers)
        path, _, query = target.partition("?")
        answer, date = self.server.answer(Request(method, path, query, headers, body))
        if answer.latency:
            time.sleep(answer.latency)
        if answer.dropped:
            # Closed with a reset: the client cannot take it for an end of file in good order.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        lines = [
            f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}",
            f"Date: {date}",
            f"Content-Length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        if answer.status != 204:
            lines.append(f"Content-Type: {answer.content_type}")
        if not keep:
            lines.append("Connection: close")
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)
        return keep

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(200):
            line = self.rfile.readline(LONGEST_LINE)
            if line in (b"\r\n", b"\n"):
                return headers
            if not line:  # the client has gone before it had said all
                raise _Unreadable
            name, _, value = line.partition(b":")
            headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        raise _Unreadable

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            raise _Unreadable
        return self._whole(int(length))

    def _whole(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:  # the client has gone: half a request is none, and no key may remember an answer to it
            raise _Unreadable
        return body

    def _chunks(self) -> bytes:
        parts = []
        total = 0
        while True:
            try:
                size = int(self.rfile.readline(LONGEST_LINE).partition(b";")[0], 16)
            except ValueError:
                raise _Unreadable from None
            total += size
            if size < 0 or total > LONGEST_BODY:
                raise _Unreadable
            parts.append(self._whole(size))
            self.rfile.readline(LONGEST_LINE)
            if size == 0:
                return b"".join(parts)


class _Server(ThreadingHTTPServer):
    """One port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], world: World, handle: Callable[[Request], Response]) -> None:
        self._world = world
        self._handle = handle
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking for this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def answer(self, request: Request) -> tuple[Response, str]:
        """Answer one request; one at a time in the whole world."""
        with self._world.lock:
            response = self._handle(request)
            return response, http_date(self._world.now())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong in our own code."""
        log.exception("the sandbox failed to answer")


class Doors:
    """All ports of a world, the thread that lets its time pass, and the threads that carry its webhooks."""

    def __init__(
        self,
        world: World,
        control: Control,
        *,
        ports: dict[str, int] | None = None,
        identity_port: int = 0,
        control_port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        """Bind all ports (0 takes any) and tell the world its base URLs. Nothing is answered before `start()`."""
        self.world = world
        self._sender = Sender(world)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._servers: list[_Server] = []
        try:
            for region in world.regions.values():
                region.base_url = self._bind(host, (ports or {}).get(region.code, 0), region.handle)
            self.identity_url = self._bind(host, identity_port, world.identity.handle)
            self.control_url = self._bind(host, control_port, control.handle)
        except OSError:
            self._close()
            raise
        world.identity.base_url = self.identity_url

    def start(self) -> None:
        """Begin to answer."""
        self._sender.start()
        targets: list[Callable[[], Any]] = [self._tick]
        for server in self._servers:
            targets.append(partial(server.serve_forever, poll_interval=0.1))
        for target in targets:
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Answer no more and close all ports."""
        self._stopped.set()
        for server in self._servers:
            server.shutdown()
        self._sender.stop()
        for thread in self._threads:
            thread.join()
        self._close()

    def _bind(self, host: str, port: int, handle: Callable[[Request], Response]) -> str:
        server = _Server((host, port), self.world, handle)
        self._servers.append(server)
        return f"http://{host}:{server.server_address[1]}"

    def _close(self) -> None:
        for server in self._servers:
            server.server_close()

    def _tick(self) -> None:
        while not self._stopped.wait(TICK):
            try:
                with self.world.lock:
                    self.world.advance()
                self._sender.collect()
            except Exception:  # a fault of ours in one timer must not stop time for all
                log.exception("a timer of the sandbox failed")
