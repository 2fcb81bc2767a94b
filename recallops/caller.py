"""From where the work that is being done was asked for: who writes an audit entry need not hand it down.

A request's caller is known to the code that answers it (a context variable), a process's caller to all of its threads.
"""

from __future__ import annotations

import getpass
import ipaddress
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

WORKERS = frozenset({"qcluster", "workers", "pump"})
PREFIXES = (("/api/", "api"), ("/status/", "status"))
"""Whose requests come in by another door than the admin's."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """By which door somebody came in, from which address, and what the proxy in front calls the request."""

    door: str = "system"  # admin, api, status, terminal, worker or system
    address: str = ""
    request_id: str = ""


_process = Caller()
_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current() -> Caller:
    """Return who asked for what is being done."""
    return _current.get() or _process


def of_process(command: str) -> None:
    """Let a management command be the caller of everything that its process does outside requests."""
    global _process
    if command in WORKERS:
        _process = Caller("worker", socket.gethostname()[:64])
    elif command != "runserver":
        _process = Caller("terminal", _account()[:64])


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Let somebody be the caller for a while."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)


def of_request(request: HttpRequest) -> Caller:
    """Return who sends a request."""
    door = next((name for prefix, name in PREFIXES if request.path_info.startswith(prefix)), "admin")
    given = request.headers.get("X-Request-ID", "") if settings.BEHIND_PROXY else ""
    return Caller(door, client_address(request) or "", given if REQUEST_ID.fullmatch(given) else "")


def client_address(request: HttpRequest) -> str | None:
    """Return the address of whoever sends a request, or None where there is none.

    Behind a proxy it is the last one that the proxy names: those before it are words of the client.
    """
    found = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        found = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or found
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return None


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


class CallerMiddleware:
    """Remembers for the time of a request who sent it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer."""
        with calling(of_request(request)):
            return self.get_response(request)
