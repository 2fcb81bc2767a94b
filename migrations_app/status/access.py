"""Who may see a status page: whoever has a valid link, not too often.

A link that never was, one that has expired and one that was revoked are refused alike: one query, one answer. Who tries
many wrong ones is refused without a look for a while, by this process; the links are too long to be guessed anyway.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache
from django.shortcuts import render

from migrations_app.models import StatusLink
from recallops import clock, throttle
from recallops.caller import client_address

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    View = Callable[..., HttpResponse]

WRONG_LINKS = 60  # that an address may try in a minute
MINUTE = 60


def by_link(view: Callable[..., HttpResponse]) -> View:
    """Let a view be called with the link of a request instead of its secret, and refuse who has none."""

    @wraps(view)
    def guarded(request: HttpRequest, secret: str, **more: Any) -> HttpResponse:
        return _private(_answered(view, request, secret, **more))

    return guarded


def _answered(view: View, request: HttpRequest, secret: str, **more: Any) -> HttpResponse:
    key = f"status-links-tried:{_network(client_address(request))}"
    if cache.get(key, 0) >= WRONG_LINKS:
        return _refused(request)
    link = StatusLink.objects.find(secret)
    if link is None:
        cache.add(key, 0, MINUTE)
        cache.incr(key)
        return _refused(request)
    wait = throttle.spend(
        StatusLink, link.pk, per_minute=settings.STATUS_PER_MINUTE, used="last_visit_at", now=clock.now()
    )
    if wait:
        response = render(request, "status/busy.html", status=429)
        response["Retry-After"] = str(ceil(wait))
        return response
    return view(request, link, secret=secret, **more)


def _refused(request: HttpRequest) -> HttpResponse:
    return render(request, "status/refused.html", status=404)


def _private(response: HttpResponse) -> HttpResponse:
    """Let nobody keep the page, find it by searching, or learn its address from where it leads."""
    response["Cache-Control"] = "no-store, private"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response


def _network(address: str | None) -> str:
    """Return what counts as one visitor: an IPv4 address, or the network that a home or an office gets of IPv6."""
    if address is None:
        return ""
    found = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
