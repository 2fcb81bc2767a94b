"""What links in e-mails open: to confirm that one wants them, and to get no more.

Programs that look for bad links open whatever stands in an e-mail, so that opening changes nothing: people press a
button. A mail program that has one of its own posts without asking first (RFC 8058), and has no cookie of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from migrations_app.mail import subscribing
from migrations_app.status.languages import in_their_language

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

METHODS = ("GET", "HEAD", "POST")


@csrf_exempt  # the token in the address is what allows it
@require_http_methods(METHODS)
@in_their_language
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether somebody wants e-mails; when they press, make them a subscriber."""
    asked = subscribing.to_confirm(token)
    if asked is None or (request.method == "POST" and not subscribing.confirm(asked.pk)):
        return _opens_nothing(request)
    done = request.method == "POST" or asked.contact_id is not None
    return render(request, "status/confirm.html", {"customer": asked.link.customer.name, "done": done})


@csrf_exempt  # the token in the address is what allows it
@require_http_methods(METHODS)
@in_their_language
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether somebody wants no more e-mails; when they press, send none."""
    contact = subscribing.to_unsubscribe(token)
    if contact is None:
        return _opens_nothing(request)
    if request.method == "POST":
        subscribing.unsubscribe(contact)
    done = request.method == "POST" or not contact.enabled
    return render(request, "status/unsubscribe.html", {"customer": contact.customer.name, "done": done})


def _opens_nothing(request: HttpRequest) -> HttpResponse:
    return render(request, "status/mail_refused.html", status=404)
