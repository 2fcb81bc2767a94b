"""Nobody works on staff pages with a password alone, or for long after having left the desk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SEEN = "seen_at"
NOTED_EVERY = 60  # seconds


@receiver(user_logged_in, dispatch_uid="seen at log in")
def seen(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Begin to count."""
    if request is not None:
        request.session[SEEN] = int(time.time())


class StaffMiddleware:
    """Ends sessions that were left alone, and sends who lacks the second factor to where it is asked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.home = reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or send elsewhere."""
        if not request.path_info.startswith(self.home) or not request.user.is_authenticated:
            return self.get_response(request)
        if self._left_alone(request):
            logout(request)
        elif self._lacks_factor(request):
            return self._send_to_factor(request)
        return self.get_response(request)

    def _left_alone(self, request: HttpRequest) -> bool:
        """Tell whether nobody asked for a page for long. A page that renews itself is nobody."""
        if not settings.SESSION_IDLE_SECONDS:
            return False
        now = int(time.time())
        last = cast("int", request.session.get(SEEN, now))
        if now - last > settings.SESSION_IDLE_SECONDS:
            return True
        if not _is_part(request) and (SEEN not in request.session or now - last > NOTED_EVERY):
            request.session[SEEN] = now
        return False

    def _lacks_factor(self, request: HttpRequest) -> bool:
        free = (reverse("staff:factor"), reverse("admin:login"), reverse("admin:logout"))
        verified = getattr(request.user, "is_verified", lambda: False)
        return settings.STAFF_SECOND_FACTOR and not verified() and request.path_info not in free

    def _send_to_factor(self, request: HttpRequest) -> HttpResponse:
        if _is_part(request):  # no whole page in the middle of another
            return HttpResponse(headers={"HX-Refresh": "true"})
        following = request.get_full_path() if request.method == "GET" else ""
        query = f"?{urlencode({'next': following})}" if following not in ("", self.home) else ""
        return HttpResponseRedirect(reverse("staff:factor") + query)


def _is_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"
