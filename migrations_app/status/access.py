"""Who may see a status page: whoever has a valid link, not too often.

A link that never was, one that has expired and one that was revoked are refused alike: one query, one answer. They are
too long to be guessed, so who tries is not shut out: that would shut out everybody else behind the same address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.shortcuts import render
from django.urls import reverse

from migrations_app.models import StatusLink
from migrations_app.status.languages import in_their_language
from recallops import throttle

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    View = Callable[..., HttpResponse]

STOP_POLLING = 286
"""What htmx takes in like any other answer, and then asks no more."""


def by_link(view: Callable[..., HttpResponse]) -> View:
    """Let a view be called with the link of a request instead of its secret, and refuse who has none.

    Whatever is answered is in the language of who asks.
    """

    @in_their_language
    @wraps(view)
    def guarded(request: HttpRequest, secret: str, **more: Any) -> HttpResponse:
        link = StatusLink.objects.find(secret)
        if link is None:
            return _refused(request)
        if wait := throttle.spend(StatusLink, link.pk, per_minute=settings.STATUS_PER_MINUTE):
            page_url = reverse("status:page", args=[secret])
            response = render(request, "status/busy.html", {"page_url": page_url}, status=429)
            response["Retry-After"] = str(ceil(wait))
            return response
        return view(request, link, secret=secret, **more)

    return guarded


def _refused(request: HttpRequest) -> HttpResponse:
    """A page that is open when its link ends says so, too, and asks no more."""
    if request.headers.get("HX-Request"):
        return render(request, "status/_refused.html", status=STOP_POLLING)
    return render(request, "status/refused.html", status=404)
