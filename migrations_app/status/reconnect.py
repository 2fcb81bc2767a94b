"""A person connects their calendar again: from the status page to Google or Microsoft, and back.

1. `begin` stores nothing. What it has to know when the person comes back is in a cookie of this one try, sealed and
   only for the address they come back to: the link, the item, the state and the PKCE verifier.
2. `back` takes it up only where state and cookie agree, the link is still valid and the item still waits. It asks who
   consented: nobody but the calendar's own account counts. Then the engine goes on (`consents.py`).
3. Whatever came of it is said on the status page, whose address never leaves: the address to come back to has no secret
   in it.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_safe

from calendars.providers import identity
from migrations_app import consents
from migrations_app.models import StatusLink
from migrations_app.status.access import by_link
from migrations_app.status.languages import in_their_language
from recallops import throttle
from recallops.encryption import box

if TYPE_CHECKING:
    from django.http import HttpRequest


COOKIE = "connect_"
LIFE = 15 * 60  # seconds that a person may take


@require_safe
@by_link
def begin(request: HttpRequest, link: StatusLink, secret: str, number: int) -> HttpResponse:
    """Send a person to where they consent."""
    waiting, move = consents.find(link.customer, number), request.GET.get("move", "")[:8]
    if waiting is None:
        return _to_page(secret, "gone", move)
    state, verifier = secrets.token_urlsafe(32), identity.new_verifier()
    there = identity.authorize_url(waiting.client, email=waiting.email, state=state, verifier=verifier)
    response = HttpResponseRedirect(there)
    kept = {"secret": secret, "item": number, "move": move, "state": state, "verifier": verifier}
    response.set_cookie(
        _cookie(state),
        box().encrypt(json.dumps(kept).encode()).decode(),
        max_age=LIFE,
        path=reverse("status:back"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",  # they come back by a link from elsewhere
    )
    return response


@require_GET
@in_their_language
def back(request: HttpRequest) -> HttpResponse:
    """Take in what Google or Microsoft say of a try that was begun in this browser."""
    state = request.GET.get("state", "")
    kept = _kept(request, state)
    if kept is None and request.GET.keys() - {"lang"}:
        return HttpResponseRedirect(reverse("status:back"))  # no code and no state in the address, nor in links
    if kept is None:
        return render(request, "status/not_begun_here.html", {"page_url": reverse("status:back")}, status=400)
    link = StatusLink.objects.find(kept["secret"])
    if link is None:
        outcome = ""  # the page says so
    elif throttle.spend(StatusLink, link.pk, per_minute=settings.STATUS_PER_MINUTE):
        outcome = identity.Why.LATE
    else:
        outcome = _outcome(request, link, kept)
    response = _to_page(kept["secret"], outcome, kept["move"])
    response.delete_cookie(_cookie(state), path=reverse("status:back"), samesite="Lax")
    return response


def _outcome(request: HttpRequest, link: StatusLink, kept: dict[str, Any]) -> str:
    """Do what is to be done; return what came of it in a word of `words.RECONNECTED`."""
    waiting = consents.find(link.customer, kept["item"], on_the_way=True)
    if waiting is None:
        return "gone"
    code = request.GET.get("code", "")
    try:
        if not code:
            raise identity.refusal(request.GET.get("error", ""))
        granted = identity.redeem(waiting.client, code=code, verifier=kept["verifier"])
    except identity.NotGranted as trouble:
        identity.logger.warning("a consent came to nothing", extra={"detail": trouble.detail, "item": waiting.item.pk})
        if trouble.why is identity.Why.OURS:
            consents.refused(waiting, trouble.detail)
        return trouble.why
    if granted.email != waiting.email:
        if not consents.is_ours(waiting.client, granted.email):  # else it might cut off a calendar that works
            identity.take_back(waiting.client, granted)
        return "other"
    return "done" if consents.give(waiting, link=link, refresh_token=granted.refresh_token) else "gone"


def _kept(request: HttpRequest, state: str) -> dict[str, Any] | None:
    """Return what this browser keeps of a try; None when it was begun elsewhere, or too long ago."""
    text = request.COOKIES.get(_cookie(state), "")
    try:
        kept: dict[str, Any] = json.loads(box().decrypt(text.encode(errors="replace"), ttl=LIFE))
    except InvalidToken:
        return None
    return kept if state and secrets.compare_digest(kept["state"].encode(), state.encode()) else None


def _cookie(state: str) -> str:
    return f"{COOKIE}{state[:12]}"  # one for each try: several may be on their way


def _to_page(secret: str, outcome: str, move: str) -> HttpResponseRedirect:
    show = "" if outcome == "done" else "needs_you"
    said = urlencode({"move": move, "show": show, "reconnect": outcome})
    return HttpResponseRedirect(f"{reverse('status:page', args=[secret])}?{said}")
