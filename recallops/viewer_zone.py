"""In which time zone a person reads moments: that of their browser, told by a cookie; UTC without one.

Only what is shown is turned: `admin_display.at` asks here. Django's own current time zone stays UTC, so that what is
typed, filtered, stored and written into files means the same moment to everybody, on the days when clocks change, too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase

COOKIE = "tz"
_zone: ContextVar[tzinfo] = ContextVar("viewer_zone", default=UTC)


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def named(name: str) -> tzinfo:
    """Return the zone of this name. The name comes from a browser: whatever is none of the known names is UTC."""
    return ZoneInfo(name) if name in _known() else UTC


def current() -> tzinfo:
    """Return the zone in which the page that is made now is read."""
    return _zone.get()


def middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Make each page in the zone of who asked for it. Streamed files are written after it, in UTC."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        before = _zone.set(named(request.COOKIES.get(COOKIE, "")))
        try:
            return get_response(request)
        finally:
            _zone.reset(before)

    return answer
