"""Who asks: a token in the Authorization header, and nothing else. A login to the admin opens nothing here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.throttling import BaseThrottle

from calendars.models import ApiToken
from recallops import throttle

if TYPE_CHECKING:
    from rest_framework.request import Request

MISSING = "Send a token with every request: “Authorization: Bearer rops_…”. Staff make tokens in the admin."
UNKNOWN = "This token is not known. Look whether it was copied whole, or have a new one made."
REVOKED = "This token was revoked. Have a new one made."
EXPIRED = "This token has expired. Have a new one made."


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer rops_...`."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken]:
        """Return nobody and the token, or raise. What cannot be a token costs no query, anything else one."""
        scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise NotAuthenticated(MISSING)
        token = ApiToken.objects.find(secret.strip())
        if token is None:
            raise AuthenticationFailed(UNKNOWN)
        if token.revoked_at is not None:
            raise AuthenticationFailed(REVOKED, code="token_revoked")
        if token.expired:
            raise AuthenticationFailed(EXPIRED, code="token_expired")
        return AnonymousUser(), token

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 says of how to do better."""
        return 'Bearer realm="RecallOps"'


class TokenThrottle(BaseThrottle):
    """So many requests a minute for each token, a tenth of them at once."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Spend one request, and note that the token was used."""
        self._wait = throttle.spend(ApiToken, request.auth.pk, per_minute=settings.API_PER_MINUTE, used="last_used_at")
        return not self._wait

    def wait(self) -> float:
        """Return the seconds until the next request may come, a whole one at least."""
        return max(self._wait, 1.0)
