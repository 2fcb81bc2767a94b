"""The short way in for webhooks.

They come in bursts and prove themselves by their signature: sessions, logins, messages and CSRF tokens would cost more
than the work itself and mean nothing for them. So what is below /webhooks/ is answered here, before those middlewares.
Nothing of such a request is logged, since the address holds a token and an error's text may quote the body: answers
below 500 are counted in rows, and of an error its kind and place are said.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/webhooks/"
API_PREFIX = "/api/"
logger = logging.getLogger("recallops.webhooks")


def kind_and_place(error: Exception) -> str:
    """Return what kind of error it is and where it came from, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{one.name}:{one.lineno}" for one in reversed(frames))])


def without_content_type(application: WSGIApplication) -> WSGIApplication:
    """Wrap an application: webhooks lose their Content-Type, which means nothing here, before Django looks at it.

    A charset that does not exist breaks Django's request object before any middleware runs, and would be a 500. So the
    API, too, gets the type without its parameters: JSON is UTF-8.
    """

    def inner(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith(PREFIX):
            environ["CONTENT_TYPE"] = "application/octet-stream"
        elif environ.get("PATH_INFO", "").startswith(API_PREFIX):
            environ["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "").partition(";")[0]
        return application(environ, start_response)

    return inner


class WebhookDoor:
    """Answers webhooks by their view, and lets everything else go on. Its place is after SecurityMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or pass on."""
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        try:
            match = resolve(request.path_info)
            response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        except Resolver404:
            response = HttpResponse(status=404)
        except Exception as error:
            got_request_exception.send(sender=type(self), request=request)
            logger.error("a webhook was answered 500: %s", kind_and_place(error))
            response = HttpResponse(status=500)
        if hasattr(response, "render"):
            response = response.render()
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response
