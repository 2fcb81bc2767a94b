"""A provider made of raw sockets: it can break off at any byte, as no polite test server does."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RESET = struct.pack("ii", 1, 0)


class SocketProvider:
    """Each connection reads one request and hands its socket to `answer`; then it is closed."""

    def __init__(self, answer: Callable[[socket.socket, bytes], None]) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = _read_request(connection)
                self.requests.append(request)
                try:
                    self._answer(connection, request)
                except OSError:
                    continue  # the client hung up first

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket, request: bytes) -> None:
    """Break the connection off hard, without a byte of answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def hang_up(connection: socket.socket, request: bytes) -> None:
    """End the connection politely, without an answer."""


def half(connection: socket.socket, request: bytes) -> None:
    """Promise a hundred bytes and send ten."""
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + b'{"results"'
    )


def half_chunked(connection: socket.socket, request: bytes) -> None:
    """Break off inside a chunk."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + b'{"results"')


def half_head(connection: socket.socket, request: bytes) -> None:
    """Break off inside the headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")


def no_http(connection: socket.socket, request: bytes) -> None:
    """Speak something else."""
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
