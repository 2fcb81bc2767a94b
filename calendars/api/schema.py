"""How the API is described: its security scheme, its refusals, and which addresses belong to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from calendars.api.shapes import Problem

F = TypeVar("F", bound=Callable[..., Any])

PREFIX = "/api/v1/"

REFUSALS = {
    400: ("The question makes no sense; `detail` says how to ask.", "unknown_parameter", "“knd” is not known here."),
    401: ("No token, or one that opens nothing.", "not_authenticated", "Send a token with every request."),
    403: ("The token lacks the scope.", "scope_missing", "This token lacks the scope ids:read."),
    404: ("There is no such thing.", "not_found", "No calendar with this id took part in a move."),
    413: ("The body is too large.", "too_large", "The body is too large. Send fewer ids at once."),
    415: ("The body is not JSON.", "unsupported_media_type", "Send the body as application/json."),
    429: ("Asked too often.", "throttled", "This token has asked too often. Wait 2 s and ask again."),
}
ALWAYS = (400, 401, 403, 429)
OF_BODIES = (413, 415)

RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[429], required=True, description="Seconds to wait."
)
AUTHENTICATE = OpenApiParameter(
    "WWW-Authenticate", str, OpenApiParameter.HEADER, response=[401], required=True, description="Always Bearer."
)
HEADERS = [RETRY_AFTER, AUTHENTICATE]


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The token."""

    target_class = "calendars.api.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer", "description": "A token that staff made: `rops_…`."}


def described(
    name: str,
    shape: Any,
    *,
    parameters: Sequence[Any] = (),
    body: Any = None,
    also: Sequence[int] = (),
    media_type: str = "application/json",
    examples: Sequence[OpenApiExample] = (),
) -> Callable[[F], F]:
    """Describe one address: its good answer, and the refusals that are possible there. The tag is the name's begin."""
    refusals = sorted({*ALWAYS, *also, *(OF_BODIES if body is not None else ())})
    return extend_schema(
        operation_id=name,
        tags=[name.partition("_")[0]],
        parameters=[*parameters, *HEADERS],
        request=body,
        responses={(200, media_type): shape, **{status: _refusal(status) for status in refusals}},
        examples=[*examples],
    )


def in_path(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    """Describe a part of an address."""
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, description=description)


def _refusal(status: int) -> OpenApiResponse:
    description, code, detail = REFUSALS[status]
    example = OpenApiExample(
        description, value={"code": code, "detail": detail}, response_only=True, status_codes=[str(status)]
    )
    return OpenApiResponse(Problem, description=description, examples=[example])


def only_the_api(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Describe what applications may ask, and nothing else of the site."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIX)]
