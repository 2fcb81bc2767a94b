"""What Google and Microsoft answer when they refuse a token, each in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.messages import Response, answer

if TYPE_CHECKING:
    from recallops.sandbox.world import World

# status, error, description
_GOOGLE: dict[str, tuple[int, str, str]] = {
    "missing": (400, "invalid_request", "Missing required parameter: {}"),
    "grant_type": (400, "unsupported_grant_type", "Invalid grant_type: {}"),
    "client": (401, "invalid_client", "The OAuth client was not found."),
    "secret": (401, "invalid_client", "The provided client secret is invalid."),
    "no_secret": (400, "invalid_request", "client_secret is missing."),
    "code": (400, "invalid_grant", "Malformed auth code."),
    "foreign": (400, "invalid_grant", "Bad Request"),
    "used": (400, "invalid_grant", "Bad Request"),
    "expired": (400, "invalid_grant", "Bad Request"),
    "redirect": (400, "redirect_uri_mismatch", "Bad Request"),
    "no_verifier": (400, "invalid_grant", "Missing code verifier."),
    "verifier": (400, "invalid_grant", "Invalid code verifier."),
    "no_challenge": (400, "invalid_grant", "code_verifier or verifier is not needed."),
    "refresh": (400, "invalid_grant", "Token has been expired or revoked."),
}
# status, error, number, description
_MICROSOFT: dict[str, tuple[int, str, int, str]] = {
    "missing": (400, "invalid_request", 900144, "The request body must contain the following parameter: '{}'."),
    "grant_type": (400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '{}'."),
    "client": (400, "unauthorized_client", 700016, "Application with identifier '{}' was not found in the directory."),
    "secret": (401, "invalid_client", 7000215, "Invalid client secret provided."),
    "no_secret": (
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    "malformed": (401, "invalid_client", 50027, "JWT token is invalid or malformed."),
    "signature": (401, "invalid_client", 700027, "Client assertion failed signature validation."),
    "subject": (401, "invalid_client", 700021, "Client assertion identifier does not match 'client_id' parameter."),
    "audience": (401, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer."),
    "time": (401, "invalid_client", 700024, "Client assertion is not within its valid time range."),
    "code": (400, "invalid_grant", 70000, "Provided grant is invalid or malformed."),
    "foreign": (400, "invalid_grant", 70000, "The provided authorization code was issued to another client."),
    "used": (400, "invalid_grant", 54005, "OAuth2 Authorization code was already redeemed."),
    "expired": (400, "invalid_grant", 70008, "The provided authorization code or refresh token has expired."),
    "redirect": (400, "invalid_grant", 50011, "The reply address does not match the one of the authorization request."),
    "no_verifier": (400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied."),
    "verifier": (400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied."),
    "no_challenge": (400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied."),
    "refresh": (400, "invalid_grant", 50173, "The provided grant has expired due to it being revoked."),
}


class TokenRefused(Exception):
    """No token; the reason is a key of the tables above, `what` the word that its sentence has room for."""

    def __init__(self, reason: str, what: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.what = what


def token_refusal(world: World, platform: str, refused: TokenRefused) -> Response:
    """Return the refusal of a token in the platform's shape."""
    if platform == GOOGLE:
        status, error, text = _GOOGLE[refused.reason]
        return answer(status, {"error": error, "error_description": text.format(refused.what)})
    status, error, number, text = _MICROSOFT[refused.reason]
    timestamp = f"{world.now():%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = world.new_id(), world.new_id()
    told = (f"AADSTS{number}: {text.format(refused.what)} Trace ID: {trace}", f"Correlation ID: {correlation}")
    return answer(
        status,
        {
            "error": error,
            "error_description": " ".join([*told, f"Timestamp: {timestamp}"]),
            "error_codes": [number],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
        },
    )


def account_refusal(platform: str, status: int) -> Response:
    """Return 401 (no token that is good) or 403 (a scope is missing) as the platform's own API says it."""
    inner: dict[str, Any]
    if platform == GOOGLE:
        message = "Request had insufficient authentication scopes."
        inner = {"code": 403, "message": message, "status": "PERMISSION_DENIED"}
        if status == 401:
            inner = {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}
    else:
        inner = {"code": "ErrorAccessDenied", "message": "Access is denied. Check credentials and try again."}
        if status == 401:
            inner = {"code": "InvalidAuthenticationToken", "message": "Access token is empty, expired or not known."}
    refusal = answer(status, {"error": inner})
    if status == 401:
        refusal.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return refusal
