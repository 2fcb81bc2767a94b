"""In which language status pages speak: the one that was chosen on them, else the browser's, else English.

Only they do: the language is changed for as long as one of their views answers. Staff's pages stay English.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import translation
from django.utils.cache import patch_vary_headers

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    View = Callable[..., HttpResponse]


def in_their_language(view: Callable[..., HttpResponse]) -> View:
    """Let a view answer in the language of who asks. `?lang=` chooses one; a page that is opened so remembers it."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
        chosen = request.GET.get("lang", "")
        if chosen not in dict(settings.LANGUAGES):
            chosen = ""
        language = chosen or translation.get_language_from_request(request)
        with translation.override(language):
            response = view(request, *args, **more)
        response.headers["Content-Language"] = language
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        if chosen and not request.headers.get("HX-Request"):  # looking for news chooses nothing
            _remember(response, chosen)
        return response

    return answer


def _remember(response: HttpResponse, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        path=settings.LANGUAGE_COOKIE_PATH,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
