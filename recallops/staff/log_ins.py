"""Log-ins and passwords in the audit trail, and what who tried too often gets to see.

A failed log-in is noted only for somebody whom we know: what was typed for a name may be a password, and the trail
forgets nothing. How many there may be is bounded by the lock-out: while somebody is locked out, none is noted.
"""

from __future__ import annotations

from typing import Any, cast

from axes.signals import user_locked_out
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry


@receiver(user_logged_in, dispatch_uid="log in on record")
def logged_in(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Note who came in."""
    _note(request, user, "user.log_in", actor=user)


@receiver(user_logged_out, dispatch_uid="log out on record")
def logged_out(sender: Any, request: HttpRequest | None, user: User | None, **kwargs: Any) -> None:
    """Note who left."""
    _note(request, user, "user.log_out", actor=user)


@receiver(user_login_failed, dispatch_uid="failed log in on record")
def failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Note a wrong password of somebody whom we know."""
    if not getattr(request, "axes_locked_out", False):
        _note(request, _named(credentials.get("username")), "user.log_in_failed")


@receiver(user_locked_out, dispatch_uid="lock out on record")
def locked_out(sender: Any, request: HttpRequest, username: str | None, **kwargs: Any) -> None:
    """Note a lock-out when it begins; each later try would say so again."""
    if getattr(request, "axes_failures_since_start", None) is not None:
        _note(request, _named(username), "user.locked_out")


def change_own_password(request: HttpRequest) -> HttpResponse:
    """Let somebody change the own password, on record: Django's own page notes nothing."""
    with transaction.atomic():
        response = admin.site.password_change(request)
        if request.method == "POST" and response.status_code == 302:
            user = cast("User", request.user)
            AuditEntry.objects.record(actor=user, action="user.password", subject=user)
    return response


def refuse(request: HttpRequest, original: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Answer who is locked out, in words. The same for a name that does not exist."""
    context = {**admin.site.each_context(request), "title": _("Too many tries")}
    return TemplateResponse(request, "staff/locked_out.html", context, status=429).render()


def _named(username: Any) -> User | None:
    return (
        User.objects.filter(username=username).first() if isinstance(username, str) and "\x00" not in username else None
    )


def _note(request: HttpRequest | None, user: User | None, action: str, actor: User | None = None) -> None:
    """Note it, where a person came by a page: a script that logs somebody in is no person."""
    if user is not None and user.pk and request is not None and request.path_info:
        AuditEntry.objects.record(actor=actor, action=action, subject=user)
