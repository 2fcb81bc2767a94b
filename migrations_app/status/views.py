"""The status page of a customer, its live part, the same as JSON, and the time of the move as a file for calendars."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from migrations_app import control, postponing
from migrations_app.mail import subscribing
from migrations_app.models import Inquiry, StatusVisit
from migrations_app.status import content, words
from migrations_app.status.access import by_link
from migrations_app.status.forms import InquiryForm, SubscribeForm
from migrations_app.status.window import calendar_file
from recallops import clock, viewer_zone
from recallops.caller import client_address
from recallops.digest import digest_of

if TYPE_CHECKING:
    from django.http import HttpRequest

    from migrations_app.models import Batch, StatusLink

POLL_SECONDS = 30
HIGHEST_PAGE = MOST_MOVES = 10_000


@require_safe
@by_link
def page(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Show the whole page, and note that it was opened."""
    StatusVisit.note(link, client_address(request))
    return _page(request, link, secret)


@csrf_exempt  # the secret in the address is what opens it: a foreign page that has it needs no cookie of ours
@require_POST
@by_link
def tell(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Take in what somebody wants to tell us; show the page again with what is wrong, and nothing of it is lost."""
    batches = list(content.batches_of(link.customer))
    form = InquiryForm(request.POST)
    if form.is_valid() and not Inquiry.take_in(link, _chosen(request, batches), **form.cleaned_data):
        form.add_error(None, str(words.TOO_MUCH_TOLD))
    if not form.is_valid():
        return _page(request, link, secret, status=400, form=form)
    return _to_page(request, secret, "told", at="tell")


@csrf_exempt  # as above
@require_POST
@by_link
def subscribe(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Write to an address that is to get e-mails; the answer is the same whether or not it is known."""
    if not subscribing.possible():
        raise Http404("No e-mail can be sent.")
    form = SubscribeForm(request.POST)
    if form.is_valid() and not subscribing.ask(link, form.cleaned_data["address"]):
        form.add_error(None, str(words.TOO_MANY_ASKED))
    if not form.is_valid():
        return _page(request, link, secret, status=400, subscribe_form=form)
    return _to_page(request, secret, "asked", at="mails")


@csrf_exempt  # as above
@require_POST
@by_link
def postpone(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Put the move off to one of the times that were offered; show the page again with why not."""
    batch = _chosen(request, list(content.batches_of(link.customer)))
    try:
        if batch is None:
            raise postponing.NotPutOff(postponing.Why.NOT_HERE)
        postponing.postpone(batch, link, seen=request.POST.get("seen", ""), chosen=request.POST.get("at", ""))
    except postponing.NotPutOff as refusal:
        return _page(request, link, secret, status=409, not_put_off=words.NOT_PUT_OFF[refusal.why])
    return _to_page(request, secret, "put_off", at="postpone")


@require_safe
@by_link
def live(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Return what changes on the page; nothing when it is as the browser has it already."""
    context = _context(request, link, secret)
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "status/_live.html", {**context, "is_news": True})


@require_safe
@by_link
def data(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Return what the page shows as JSON, so that a company can show it in its own pages."""
    StatusVisit.note(link, client_address(request))
    context = _context(request, link, secret)
    shown = {name: context[name] for name in ("customer", "move", "number", "others")}
    return JsonResponse({**shown, "move": asdict(context["move"]) if context["move"] else None})


@require_safe
@by_link
def window(request: HttpRequest, link: StatusLink, secret: str) -> HttpResponse:
    """Return when meetings go over, as a file that calendars take in."""
    batches = list(content.batches_of(link.customer))
    batch = _chosen(request, batches)
    found = content.window_of(batch) if batch is not None else None
    if batch is None or found is None:
        return render(request, "status/no_window.html", status=404)
    target = batch.target.region.label
    body = calendar_file(
        revision=control.cut_line_changes(batch),
        identity=f"{hashlib.sha256(f'{link.customer_id} {batch.pk}'.encode()).hexdigest()[:32]}@recallops",
        start=found.start,
        end=found.end,
        made_at=clock.now(),
        title=_("Meeting recordings move to %(target)s") % {"target": target},
        text=str(words.MOVING_WINDOW),
    )
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="move.ics"'
    return response


def _page(request: HttpRequest, link: StatusLink, secret: str, *, status: int = 200, **more: Any) -> HttpResponse:
    """Return the whole page, with what is there only once: the forms."""
    context = _context(request, link, secret)
    batch = context["batch"]
    offer = postponing.offer(batch, link.customer) if batch is not None else None
    forms = {
        "form": InquiryForm(),
        "told": "told" in request.GET,
        "reconnected": words.RECONNECTED.get(request.GET.get("reconnect", "")),
        "is_done": request.GET.get("reconnect") == "done",
        "tell_url": reverse("status:tell", args=[secret]),
        "offer": offer,
        "no_offer": words.NOT_PUT_OFF[offer.refusal] if offer is not None and offer.refusal else "",
        "put_off": "put_off" in request.GET,
        "postpone_url": reverse("status:postpone", args=[secret]),
        "subscribe_form": SubscribeForm() if subscribing.possible() else None,
        "asked": "asked" in request.GET,
        "subscribe_url": reverse("status:subscribe", args=[secret]),
    }
    return render(request, "status/page.html", {**context, **forms, **more}, status=status)


def _to_page(request: HttpRequest, secret: str, done: str, *, at: str) -> HttpResponse:
    """Lead back to the page, where it says that something was done."""
    query = {"move": request.GET.get("move", ""), done: "1"}
    return HttpResponseRedirect(f"{reverse('status:page', args=[secret])}?{urlencode(query)}#{at}")


def _context(request: HttpRequest, link: StatusLink, secret: str) -> dict[str, Any]:
    batches = list(content.batches_of(link.customer))
    batch = _chosen(request, batches)
    asked = _number(request.GET.get("page"), most=HIGHEST_PAGE)
    move = content.move_of(batch, link.customer, show=request.GET.get("show", ""), page=asked) if batch else None
    others = [
        {"number": number, "source": one.source.region.label, "target": one.target.region.label, "at": one.created_at}
        for number, one in _numbered(batches).items()
        if one is not batch
    ]
    return {
        "customer": link.customer.name,
        "batch": batch,
        "move": move,
        "number": next((number for number, one in _numbered(batches).items() if one is batch), 1),
        "others": others,
        "seen": digest_of([asdict(move) if move else None, others, str(viewer_zone.current()), get_language()]),
        "page_url": reverse("status:page", args=[secret]),
        "live_url": reverse("status:live", args=[secret]),
        "window_url": reverse("status:window", args=[secret]),
        "poll_seconds": POLL_SECONDS,
    }


def _chosen(request: HttpRequest, batches: list[Batch]) -> Batch | None:
    """Return the move that is asked for by its number on the page, else the first."""
    asked = _number(request.GET.get("move"), most=MOST_MOVES, otherwise=0)
    return _numbered(batches).get(asked, batches[0] if batches else None)


def _numbered(batches: list[Batch]) -> dict[int, Batch]:
    """Return batches by the numbers that their links carry: the oldest is 1 for as long as it is shown."""
    return dict(enumerate(sorted(batches, key=lambda batch: batch.pk), start=1))


def _number(text: str | None, *, most: int, otherwise: int = 1) -> int:
    """Return a number from 1 to `most`: the nearest to what was asked for, another one for what is no number."""
    digits = (text or "")[:8]
    return min(max(int(digits), 1), most) if digits.isascii() and digits.isdecimal() else otherwise
