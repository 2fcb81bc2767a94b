"""The pages of the second factor: set it up, show it, and make new recovery codes.

A new authenticator's secret travels in the form, sealed for its person and for ten minutes: looking at the page writes
nothing, and a secret that nobody proved to have is nowhere kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import segno
from cryptography.fernet import InvalidToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from django_otp import login as verified_by
from django_otp import verify_token
from unfold.widgets import INPUT_CLASSES

from calendars.models import AuditEntry
from recallops.encryption import box
from recallops.staff.models import Authenticator, Factor, RecoveryCodes, address_of, new_secret, step_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SEALED_SECONDS = 600
FEW_CODES = 3

WRONG = _("This code is not right. Wait for the next one, and look whether the clock of your phone is right.")
WRONG_OR_USED = _("This code is not right, or it was used before. Wait for the next one, or take a recovery code.")
TOO_OLD = _("This page was open for too long. Here is a new square: scan it again.")


class CodeForm(forms.Form):
    """A code, from the app or from paper."""

    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=forms.TextInput(
            attrs={
                "class": " ".join(INPUT_CLASSES),
                "autocomplete": "one-time-code",
                "autofocus": "",
                "spellcheck": "false",
            }
        ),
    )
    sealed = forms.CharField(required=False, widget=forms.HiddenInput)
    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_code(self) -> str:
        """Take it however it was typed."""
        return "".join(self.cleaned_data["code"].split())


@never_cache
@csrf_protect
@login_required(login_url="admin:login")
@require_http_methods(["GET", "POST"])
def factor(request: HttpRequest) -> HttpResponse:
    """Set up the second factor, ask for it, or say how it is."""
    user = cast("User", request.user)
    if not admin.site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:login"))
    mine = Authenticator.objects.filter(user_id=user.pk).first()
    if getattr(user, "is_verified", lambda: False)():
        return _state(request, user, mine)
    if mine is None:
        return _set_up(request, user)
    return _ask(request, user, mine)


@never_cache
@csrf_protect
@login_required(login_url="admin:login")
@require_http_methods(["POST"])
def codes(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes, for six digits of the app: who found an open session cannot."""
    user = cast("User", request.user)
    mine = Authenticator.objects.filter(user_id=user.pk).first()
    if mine is None or not admin.site.has_permission(request):
        return HttpResponseRedirect(reverse("staff:factor"))
    form = CodeForm(request.POST)
    wait = _wait(mine)
    if wait or not form.is_valid() or verify_token(user, mine.persistent_id, form.cleaned_data["code"]) is None:
        messages.error(request, str(wait or WRONG_OR_USED))
        return HttpResponseRedirect(reverse("staff:factor"))
    with transaction.atomic():
        made = RecoveryCodes.renew(user)
        AuditEntry.objects.record(actor=user, action="user.new_recovery_codes", subject=user)
    return _show_codes(request, made)


def reset(user: User, *, actor: Any) -> bool:
    """Take a second factor away, so that a new one is set up at the next log-in. Tells whether there was one."""
    with transaction.atomic():
        found = sum(model.objects.filter(user=user).delete()[0] for model in (Authenticator, RecoveryCodes))
        if found:
            AuditEntry.objects.record(actor=actor, action="user.reset_second_factor", subject=user)
    return bool(found)


# --- pages


def _set_up(request: HttpRequest, user: User) -> HttpResponse:
    """Show a square to scan; with the right code it is kept."""
    form = CodeForm(request.POST if request.method == "POST" else None, initial={"next": request.GET.get("next", "")})
    secret = _opened(request.POST.get("sealed", ""), user)
    if request.method == "POST" and secret is None:
        form = CodeForm(initial={"next": request.POST.get("next", "")})
        messages.warning(request, str(TOO_OLD))
    elif request.method == "POST" and secret is not None and form.is_valid():
        step = step_of(secret, form.cleaned_data["code"])
        if step is not None and (made := _keep(request, user, secret, step)):
            return _show_codes(request, made, following=form.cleaned_data["next"])
        form.add_error("code", str(WRONG))
    secret = secret or new_secret()
    square = segno.make(address_of(secret, user), error="m")
    context = {
        "title": _("Set up the second factor"),
        "form": form,
        "sealed": _sealed(secret, user),
        "square": mark_safe(square.svg_inline(scale=5, border=4, light="#fff", dark="#000")),  # noqa: S308
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    }
    return _page(request, "staff/set_up.html", context)


def _keep(request: HttpRequest, user: User, secret: str, step: int) -> list[str]:
    """Keep a new authenticator, and return its recovery codes; none when there was one meanwhile."""
    try:
        with transaction.atomic():
            device = Authenticator.objects.create(user=user, name="authenticator", secret=secret, last_step=step)
            made = RecoveryCodes.renew(user)
            AuditEntry.objects.record(actor=user, action="user.set_up_second_factor", subject=user)
    except IntegrityError:
        return []
    _verified(request, device)
    return made


def _ask(request: HttpRequest, user: User, mine: Authenticator) -> HttpResponse:
    """Ask for a code, of the app or from paper."""
    form = CodeForm(request.POST if request.method == "POST" else None, initial={"next": request.GET.get("next", "")})
    if request.method == "POST" and form.is_valid():
        code = form.cleaned_data["code"]
        paper = RecoveryCodes.objects.filter(user_id=user.pk).first()
        device: Factor | None = mine if code.isdigit() and len(code) == 6 else paper
        wait = _wait(device) if device else None
        if device is not None and not wait and verify_token(user, device.persistent_id, code):
            _verified(request, device)
            if isinstance(device, RecoveryCodes):
                device.refresh_from_db()
                left = len(device.digests)
                AuditEntry.objects.record(actor=user, action="user.used_recovery_code", subject=user, left=left)
                messages.warning(request, _left(left))
            return HttpResponseRedirect(_following(request, form.cleaned_data["next"]))
        if device is not None and not wait:  # whoever typed it has the password; while one waits, none is noted
            AuditEntry.objects.record(actor=None, action="user.wrong_code", subject=user)
        form.add_error("code", str(wait or WRONG_OR_USED))
    return _page(request, "staff/ask.html", {"title": _("Second factor"), "form": form})


def _state(request: HttpRequest, user: User, mine: Authenticator | None) -> HttpResponse:
    """Say how it is, and let new codes be made."""
    paper = RecoveryCodes.objects.filter(user_id=user.pk).first()
    context = {
        "title": _("Second factor"),
        "mine": mine,
        "left": len(paper.digests) if paper else 0,
        "form": CodeForm(),
    }
    return _page(request, "staff/state.html", context)


def _show_codes(request: HttpRequest, made: list[str], *, following: str = "") -> HttpResponse:
    """Show recovery codes, this one time."""
    context = {"title": _("Recovery codes"), "codes": made, "following": _following(request, following)}
    return _page(request, "staff/codes.html", context)


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


# --- pieces


def _verified(request: HttpRequest, device: Factor) -> None:
    """Let the session be one with a second factor, under a new key."""
    request.session.cycle_key()
    verified_by(request, device)


def _wait(device: Factor) -> _StrPromise | str | None:
    """Return how long to wait after wrong codes, if one has to."""
    allowed, why = device.verify_is_allowed()
    if allowed:
        return None
    seconds = max(1, math.ceil((why["locked_until"] - timezone.now()).total_seconds()))
    return ngettext(
        "There were wrong codes. Wait %(n)s second before the next try.",
        "There were wrong codes. Wait %(n)s seconds before the next try.",
        seconds,
    ) % {"n": seconds}


def _left(left: int) -> str:
    said = ngettext("You used a recovery code. %(n)s is left.", "You used a recovery code. %(n)s are left.", left) % {
        "n": left
    }
    return f"{said} {_('Make new ones on the page “Second factor”.')}" if left <= FEW_CODES else said


def _following(request: HttpRequest, address: str) -> str:
    """Return where to go on: a page of this site, else the start."""
    if address and url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
        return address
    return reverse("admin:index")


def _sealed(secret: str, user: User) -> str:
    return box().encrypt(f"{user.pk}:{secret}".encode()).decode()


def _opened(sealed: str, user: User) -> str | None:
    try:
        number, _colon, secret = box().decrypt(sealed.encode(), ttl=SEALED_SECONDS).decode().partition(":")
    except (InvalidToken, UnicodeError):
        return None
    return secret if number == str(user.pk) else None
