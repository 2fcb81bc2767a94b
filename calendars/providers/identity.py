"""Google and Microsoft, where people let a company's OAuth client read their calendar: code flow with PKCE.

1. `authorize_url`: where a person is sent to consent (RFC 6749 4.1.1, RFC 7636).
2. `redeem`: the code that they come back with becomes a refresh token, and the account that consented is asked for. The
   name that counts is the one that the calendar itself goes by: Google's verified address of the account, the owner of
   the primary calendar at Microsoft (whose `email` and `preferred_username` prove nothing).
3. `take_back`: the consent of somebody who was not meant is given up again, where the provider knows how.

Facts: developers.google.com/identity/protocols/oauth2/web-server, learn.microsoft.com/entra/identity-platform/
v2-oauth2-auth-code-flow and /certificate-credentials. What Recall needs: docs.recall.ai, Calendar V2, Google and
Microsoft. Addresses and scopes are settings.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from django.conf import settings
from django.urls import reverse

from recallops import clock
from recallops.redaction import remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calendars.models import OAuthClient

logger = logging.getLogger("recallops.identity")

SECONDS = 10.0  # until an answer begins, and again until it is whole
LARGEST = 64 * 1024  # bytes of an answer
ASSERTION_LIFE = timedelta(minutes=5)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
READS_CALENDAR = "calendar"  # what the name of a scope says that is about calendars
CODE_GONE = {"invalid_grant"}  # used, too old, or of somebody else
DECLINED = {"access_denied", "consent_required", "interaction_required", "login_required"}
TROUBLE = {"server_error", "temporarily_unavailable"}
MISTAKES = {"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_client"}


class Why(StrEnum):
    """Why a consent came to nothing."""

    DECLINED = "declined"  # the person said no
    LATE = "late"  # the code is not good any more
    PARTLY = "partly"  # not everything was allowed that is needed
    AWAY = "away"  # Google or Microsoft cannot be reached, or is in trouble
    OURS = "ours"  # the client is not as they know it: staff have to mend it


class NotGranted(Exception):
    """A consent came to nothing. The detail is for our logs: a word of the standard, nothing secret."""

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why, self.detail = why, detail


@dataclass(frozen=True, slots=True)
class Granted:
    """What somebody allowed, and who it was: an address in lower case."""

    email: str
    refresh_token: str = field(repr=False)


def redirect_uri() -> str:
    """Return the address that people are sent back to; each client has to know it. Empty without a SITE_URL."""
    return f"{settings.SITE_URL}{reverse('status:back')}" if settings.SITE_URL else ""


def new_verifier() -> str:
    """Return a code verifier: 256 random bits, in 43 letters."""
    return secrets.token_urlsafe(32)


def authorize_url(client: OAuthClient, *, email: str, state: str, verifier: str) -> str:
    """Return where a person is sent to consent. `email` is proposed there; whether it was used is seen afterwards."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    there = settings.IDENTITY[client.platform]
    asked = {
        "client_id": client.client_id,
        "redirect_uri": redirect_uri(),
        "response_type": "code",
        "scope": " ".join(there["scopes"]),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": email,
        **there["asks"],
    }
    return f"{there['authorize']}?{urlencode(asked)}"


def refusal(error: str) -> NotGranted:
    """Return what the error means that a person comes back with (RFC 6749 4.1.2.1). Only known words are kept of it."""
    if error in DECLINED:
        return NotGranted(Why.DECLINED, error)
    if error in TROUBLE:
        return NotGranted(Why.AWAY, error)
    return NotGranted(Why.OURS, error) if error in MISTAKES else NotGranted(Why.LATE, "another error")


def redeem(client: OAuthClient, *, code: str, verifier: str) -> Granted:
    """Return what was allowed, and by whom. Raises NotGranted; what it got until then is forgotten."""
    there = settings.IDENTITY[client.platform]
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri(),
        "code_verifier": verifier,
        "client_id": client.client_id,
        **_credentials(client, there["token"]),
    }
    remember(code)
    status, answer = _call("POST", there["token"], form=asked)
    if status != 200:
        word = answer.get("error")
        if word in CODE_GONE:
            raise NotGranted(Why.LATE, "invalid_grant")
        raise NotGranted(Why.OURS, f"{status} {word if word in MISTAKES else 'another error'}")
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    for token in (access, refresh, answer.get("id_token")):
        remember(token if isinstance(token, str) else "")
    if not isinstance(access, str) or not isinstance(refresh, str) or not _enough(answer.get("scope"), there["scopes"]):
        raise NotGranted(Why.PARTLY, "scopes or refresh token are missing")
    status, account = _call("GET", there["account"], bearer=access)
    email = _address(account)
    if status != 200 or not email:
        raise NotGranted(Why.AWAY if status == 200 else Why.PARTLY, f"account: {status}")
    return Granted(email, refresh)


def take_back(client: OAuthClient, granted: Granted) -> None:
    """Give a consent up. Never raises: it is dropped by us in any case.

    Google takes everything back that this person ever allowed this client; so it is for those who allowed nothing else.
    Microsoft knows no such request.
    """
    address = settings.IDENTITY[client.platform]["revoke"]
    if not address:
        return
    try:
        status, _ = _call("POST", address, form={"token": granted.refresh_token})
    except NotGranted as error:
        logger.warning("a consent could not be given up", extra={"detail": str(error)})
    else:
        logger.info("a consent was given up", extra={"status": status})


def _credentials(client: OAuthClient, audience: str) -> dict[str, str]:
    """Return what opens the client: its secret or, at Microsoft, a statement that its certificate signs."""
    if client.client_secret:
        return {"client_secret": client.client_secret}
    try:
        certificate = x509.load_pem_x509_certificate(client.certificate.encode())
        now = clock.now()
        claims = {
            "aud": audience,
            "iss": client.client_id,
            "sub": client.client_id,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "exp": now + ASSERTION_LIFE,
        }
        digest = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
        signed = jwt.encode(claims, client.private_key, algorithm="PS256", headers={"x5t#S256": digest})
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise NotGranted(Why.OURS, f"certificate: {type(error).__name__}") from None
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def _enough(granted: object, asked: list[str]) -> bool:
    """Tell whether what is needed of calendars was allowed; people may leave parts out at Google."""
    if not isinstance(granted, str):  # RFC 6749 5.1: as it was asked for
        return granted is None
    names = {_short(scope) for scope in granted.split()}
    return all(_short(scope) in names for scope in asked if READS_CALENDAR in _short(scope))


def _short(scope: str) -> str:
    return scope.rpartition("/")[2].lower()


def _address(account: Mapping[str, Any]) -> str:
    """Return the address in Google's answer about an account, or in Microsoft's about its calendar."""
    owner = account.get("owner")
    if isinstance(owner, dict):
        found = owner.get("address")
    else:
        found = account.get("email") if account.get("email_verified") in (True, "true") else None
    return found.strip().lower() if isinstance(found, str) else ""


def _call(
    method: str, url: str, *, form: Mapping[str, str] | None = None, bearer: str = ""
) -> tuple[int, dict[str, Any]]:
    """Make one request, bounded in time and size, and return status and JSON object. Raises NotGranted(AWAY)."""
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "RecallOps"}
    end = time.monotonic() + 2 * SECONDS
    if bearer:
        headers["authorization"] = f"Bearer {bearer}"
    try:
        with (
            httpx.Client(trust_env=False, follow_redirects=False, timeout=SECONDS) as client,
            client.stream(method, url, headers=headers, data=form) as response,
        ):
            raw = b""
            for piece in response.iter_raw():
                raw += piece
                if len(raw) > LARGEST or time.monotonic() > end:
                    raise NotGranted(Why.AWAY, "too large or too slow an answer")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise NotGranted(Why.AWAY, type(error).__name__) from None
    if response.status_code >= 500 or response.status_code == 429:
        raise NotGranted(Why.AWAY, str(response.status_code))
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError:
        answer = {}
    return response.status_code, answer if isinstance(answer, dict) else {}
