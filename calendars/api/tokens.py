"""Who asks: a token in the Authorization header, and nothing else. A login to the admin opens nothing here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.throttling import BaseThrottle

from calendars.models import ApiToken
from recallops import clock

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


_SPEND = """
UPDATE calendars_apitoken SET
    tat = GREATEST(tat, machine.now) + %(emission)s,
    last_used_at = CASE WHEN last_used_at > %(now)s - interval '1 minute' THEN last_used_at ELSE %(now)s END
FROM (SELECT extract(epoch FROM recallops_machine_now())::float8 AS now) AS machine
WHERE id = %(token)s AND tat - machine.now <= %(ahead)s
RETURNING tat
"""

_WAIT = """
SELECT tat - extract(epoch FROM recallops_machine_now())::float8 - %(ahead)s FROM calendars_apitoken
WHERE id = %(token)s
"""


class TokenThrottle(BaseThrottle):
    """So many requests a minute for each token, a tenth of them at once: GCRA in the token's row.

    The row is shared by all processes and machines, and its clock is the database's, as with the calls to providers.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """Spend one request, and note that the token was used."""
        emission = 60.0 / settings.API_PER_MINUTE
        burst = max(1, settings.API_PER_MINUTE // 10)
        values = {
            "token": request.auth.pk,
            "emission": emission,
            "ahead": emission * (burst - 1),
            "now": clock.now(),
        }
        with connection.cursor() as cursor:
            cursor.execute(_SPEND, values)
            if cursor.fetchone() is not None:
                return True
            cursor.execute(_WAIT, values)
            row = cursor.fetchone()
        self._wait = max(float(row[0]), 0.0) if row else 0.0
        return False

    def wait(self) -> float:
        """Return the seconds until the next request may come, a whole one at least."""
        return max(self._wait, 1.0)
