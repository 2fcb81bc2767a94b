"""The door to HTTP over real sockets: connections that break off, drip, redirect, or lead through a proxy."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from calendars.providers import errors, http
from calendars.providers.calls import NoBudget, Timeouts
from calendars.providers.errors import ErrorKind
from calendars.providers.recall import RecallClient
from tests.providers import socket_provider
from tests.providers.samples import (
    KEY,
    event,
)
from tests.providers.socket_provider import SocketProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = {"json": event()}
QUICK = Timeouts(connect=2, read=0.2, write=2, pool=2, total=2)


@pytest.fixture(autouse=True)
def _closed_pools() -> Iterator[None]:
    yield
    http.close_pools()


def connecting_to(base_url: str, **options: Any) -> RecallClient:
    """A client over real sockets."""
    options = {"api_key": KEY, "budget": NoBudget(), "sleep": lambda seconds: None, "timeouts": QUICK} | options
    return RecallClient(base_url=base_url, **options)


@pytest.mark.parametrize(
    "answer",
    [
        socket_provider.reset,
        socket_provider.hang_up,
        socket_provider.half,
        socket_provider.half_chunked,
        socket_provider.half_head,
        socket_provider.no_http,
    ],
)
def test_a_connection_that_breaks_off(answer: Callable[[socket.socket, bytes], None]) -> None:
    provider = SocketProvider(answer)
    try:
        client = connecting_to(provider.base_url)
        with pytest.raises(errors.OutcomeUnknown):
            client.remove_bot("e1")
        assert len(provider.requests) == 1
        with pytest.raises((errors.Unavailable, errors.BadAnswer)) as caught:
            client.get_event("e1")
        assert len(provider.requests) == 4
        assert caught.value.kind == ErrorKind.TEMPORARY
    finally:
        provider.close()


def test_an_answer_that_never_comes_ends_with_the_time_out() -> None:
    done = threading.Event()
    provider = SocketProvider(lambda connection, request: done.wait(10) and None)
    try:
        with pytest.raises(errors.OutcomeUnknown) as caught:
            connecting_to(provider.base_url).delete_calendar("c1")
        assert "did not answer in time" in caught.value.sentence
    finally:
        done.set()
        provider.close()


def test_an_answer_that_drips_is_given_up_when_the_whole_time_is_over() -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:  # ends with the client's hanging up
            connection.sendall(b" ")

    provider = SocketProvider(drip)
    try:
        client = connecting_to(provider.base_url, timeouts=Timeouts(read=5, total=0.0))
        with pytest.raises(errors.BadAnswer, match="too slowly"):
            client.get_event("e1")
    finally:
        provider.close()


def test_a_redirect_is_not_followed_and_the_key_stays_here() -> None:
    elsewhere = SocketProvider(socket_provider.hang_up)
    target = f"Location: {elsewhere.base_url}/api/v2/calendar-events/e1/\r\n".encode()

    def redirect(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 307 Temporary Redirect\r\n" + target + b"Content-Length: 0\r\n\r\n")

    provider = SocketProvider(redirect)
    try:
        with pytest.raises(errors.BadAnswer, match="not followed"):
            connecting_to(provider.base_url).get_event("e1")
        assert elsewhere.requests == []
    finally:
        provider.close()
        elsewhere.close()


def test_neither_proxy_nor_netrc_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    proxy = SocketProvider(socket_provider.hang_up)
    provider = SocketProvider(_answer_event)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.base_url)
    try:
        connecting_to(provider.base_url).get_event("e1")
        assert proxy.requests == []
        assert f"authorization: token {KEY}".encode() in provider.requests[0].lower()
    finally:
        provider.close()
        proxy.close()


def test_a_key_is_not_sent_over_an_unencrypted_connection_to_another_machine() -> None:
    with pytest.raises(errors.ProviderError, match="Use https"):
        RecallClient(base_url="http://us-west-2.recall.ai", api_key=KEY, budget=NoBudget())


def test_a_forked_process_opens_connections_of_its_own() -> None:
    connecting_to("http://127.0.0.1:9", timeouts=QUICK)
    before = dict(http._pools)
    assert before
    http._after_fork()
    try:
        assert http._pools == {}
        assert http._inherited[-1] == before
    finally:
        for pool in http._inherited.pop().values():
            pool.close()


def _answer_event(connection: socket.socket, request: bytes) -> None:
    body = httpx.Response(200, json=event()).content
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)


def test_the_real_fork_hook_is_installed() -> None:
    connecting_to("http://127.0.0.1:9")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"%d" % len(http._pools))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"0"
    os.close(reader)
    os.close(writer)
