"""Every refusal of the API: a code for programs, and a sentence for people that says what to do."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

THROTTLED = "This token has asked too often. Wait {seconds} s, as Retry-After says, and ask again."
METHOD = "This address does not take this method; Allow names those that it takes."
MEDIA_TYPE = "Send the body as application/json."
BROKEN = "This request cannot be read. Send it again, whole and well formed."


class BadRequest(exceptions.APIException):
    """What was asked makes no sense; the sentence says how to ask."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid"


class TooLarge(exceptions.APIException):
    """The body is larger than any that makes sense."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer for an error, or None for one that is ours."""
    if isinstance(error, RequestDataTooBig):
        error = TooLarge("The body is too large. Send fewer ids at once.")
    elif isinstance(error, SuspiciousOperation | UnreadablePostError):
        error = BadRequest(BROKEN, code="unreadable")
    response = exception_handler(error, context)
    if response is None:
        return None
    code = "not_found"  # Http404
    sentence = "There is no such thing."
    if isinstance(error, exceptions.ValidationError):
        code, sentence = "invalid", first_problem(error.detail)
    elif isinstance(error, exceptions.APIException):
        code, sentence = str(error.get_codes()), str(error.detail)
    if isinstance(error, exceptions.Throttled):
        sentence = THROTTLED.format(seconds=response["Retry-After"])
    elif isinstance(error, exceptions.MethodNotAllowed):
        sentence = METHOD
    elif isinstance(error, exceptions.UnsupportedMediaType):
        sentence = MEDIA_TYPE
    response.data = {"code": code, "detail": sentence}
    return response


def first_problem(detail: Any, place: str = "") -> str:
    """Return the first of a form's problems as one sentence, with the place that it is about."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        step = f"entry {name + 1}" if isinstance(name, int) else "" if name == "non_field_errors" else str(name)
        return first_problem(inner, ", ".join(filter(None, [place, step])))
    if isinstance(detail, list):
        for number, inner in enumerate(detail):
            if isinstance(inner, dict):
                if inner:
                    return first_problem({number: inner}, place)
            else:
                return first_problem(inner, place)
    return f"{place}: {detail}" if place else str(detail)
