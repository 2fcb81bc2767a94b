"""What all addresses of the API have in common: who may ask, how often, in which form, and in which form it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpRequest, JsonResponse
from rest_framework.exceptions import ParseError, PermissionDenied
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.views import APIView

from calendars.api import errors
from calendars.api.tokens import TokenAuthentication, TokenThrottle

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

    from calendars.models import Scope

MOST_BYTES = 256 * 1024
NO_JSON = "The body is no JSON in UTF-8."
TOO_LARGE = f"The body is too large: at most {MOST_BYTES:,} bytes are read. Send fewer ids at once."
NO_SCOPE = "This token lacks the scope {scope}. Have one made that has it."
NO_ADDRESS = "There is no such address. /api/docs/ lists those that there are; each ends with a slash or a file's name."


class JSONBody(BaseParser):
    """Reads a body as JSON. No body, however large, deep or odd, is more than a refusal."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the value, or raise with a sentence."""
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise errors.TooLarge(TOO_LARGE)
        try:
            return json.loads(raw.decode())
        except (ValueError, RecursionError) as error:
            raise ParseError(NO_JSON) from error


class OnlyJSON(BaseContentNegotiation):
    """Takes bodies in JSON only, and answers in the one form that an address has, whatever Accept says."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        """Choose JSON if the body says that it is that."""
        kind = str(request.content_type).partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Choose the first."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ApiView(APIView):
    """One address of the API."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = ()
    throttle_classes = (TokenThrottle,)
    parser_classes = (JSONBody,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = OnlyJSON
    http_method_names = ["get", "head", "post"]

    scope: ClassVar[Scope]
    """What a token must be allowed to read."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Look at the token, count the request, look at the scope: a token that lacks it is not free to ask on."""
        super().initial(request, *args, **kwargs)
        token: Any = request.auth
        if self.scope not in token.scopes:
            raise PermissionDenied(NO_SCOPE.format(scope=self.scope.value), code="scope_missing")

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """Answer errors in our form."""
        return errors.answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let nobody on the way keep an answer."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


def no_such_address(request: HttpRequest) -> JsonResponse:
    """Answer what leads nowhere in the form of all answers."""
    return JsonResponse({"code": "not_found", "detail": NO_ADDRESS}, status=404)


no_such_address.csrf_exempt = True  # type: ignore[attr-defined]
