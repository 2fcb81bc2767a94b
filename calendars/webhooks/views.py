"""Where webhooks come in: proven on their bytes, stored, answered; looked at afterwards by `handling`.

Nothing of a body is parsed before the answer, so nothing in it can turn a good webhook into an error that its sender
does not try again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpResponse, UnreadablePostError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.views import APIView

from calendars.models import WebhookRefusal
from calendars.storable import storable
from calendars.webhooks import intake, signatures
from calendars.webhooks.signatures import Refused
from recallops import clock

if TYPE_CHECKING:
    from rest_framework.request import Request

REGION_CHARACTERS = 40
QUERY_CHARACTERS = 2_000


class TakesAnything(BaseContentNegotiation):
    """Answers in JSON, whatever the sender says it would like: a webhook is not refused over its Accept header."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> None:
        """Choose none: bodies are not parsed here."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Choose JSON."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class RecallWebhookView(APIView):
    """Takes a Recall.ai webhook for one endpoint. Who sends it is proven by its signature and by nothing else."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = TakesAnything
    http_method_names = ["post"]

    def post(self, request: Request, token: str) -> HttpResponse:
        """Store it and answer 200; or count why not and answer 401, 413, or 404 for an address that is none."""
        found = intake.find(token)
        if found is None:
            return _answer(404, "There is no such address.")
        endpoint = found.endpoint
        now = clock.now()
        if not endpoint.enabled:
            intake.count(endpoint, Refused(WebhookRefusal.Cause.DISABLED), now=now)
            return _answer(401, "This webhook was not accepted.")
        size = _size(request.META)
        if size > settings.WEBHOOK_MAX_BYTES:
            detail = f"It had {size} bytes; {settings.WEBHOOK_MAX_BYTES} are allowed."
            intake.count(endpoint, Refused(WebhookRefusal.Cause.TOO_LARGE, detail), now=now)
            return _answer(413, "This body is too large.")
        try:
            body = request._request.read(size) if size else b""
        except UnreadablePostError:
            return _answer(400, "The body did not come to its end.")
        outcome = intake.judge(found, _signature_headers(request.META), body, now=now)
        if isinstance(outcome, Refused):
            intake.count(endpoint, outcome, now=now)
            return _answer(401, "This webhook was not accepted.")
        intake.store(endpoint, outcome, body, region=_region(request.META), now=now)
        return _answer(200)


def _answer(status: int, detail: str = "") -> HttpResponse:
    body = f'{{"detail": "{detail}"}}' if detail else "{}"
    return HttpResponse(body, status=status, content_type="application/json")


def _size(meta: Any) -> int:
    """Return the length that the request states; without one it has no body."""
    try:
        return max(0, int(meta.get("CONTENT_LENGTH") or 0))
    except ValueError:
        return 0


def _signature_headers(meta: Any) -> dict[str, str]:
    found = {name: meta.get("HTTP_" + name.upper().replace("-", "_")) for name in signatures.HEADERS}
    return {name: value for name, value in found.items() if value is not None}


def _region(meta: Any) -> str:
    """Return what the address says of the region, fit to be stored. It proves nothing."""
    query = str(meta.get("QUERY_STRING") or "")[:QUERY_CHARACTERS]
    try:
        named = dict(parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=50))
    except ValueError:
        return ""
    region: str = storable(named.get("region", ""))[:REGION_CHARACTERS]
    return region
