"""Client assertions: a client that has a certificate instead of a secret proves itself with a signed JWT (RFC 7523)."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from datetime import datetime

SKEW = timedelta(minutes=5)  # how far the client's clock may be off
_PADDINGS: dict[str, padding.AsymmetricPadding] = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
}


def flaw(assertion: str, certificate: str, *, client_id: str, audience: str, now: datetime) -> str:
    """Return why the assertion proves nothing (a reason of `TokenRefused`), or "".

    Clients of made-up worlds hold strings that are no certificate: there is nothing to compare, and any assertion will
    do.
    """
    try:
        trusted = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return ""
    try:
        signed, _, signature = assertion.rpartition(".")
        header, claims = (_object(part) for part in signed.split("."))
        sealed = _bytes(signature)
    except ValueError:
        return "malformed"
    key = trusted.public_key()
    how = _PADDINGS.get(str(header.get("alg")))
    thumbprints = {"x5t": hashes.SHA1(), "x5t#S256": hashes.SHA256()}  # noqa: S303 (a name, not a proof)
    named = {name: _text(trusted.fingerprint(method)) for name, method in thumbprints.items() if name in header}
    if how is None or not isinstance(key, rsa.RSAPublicKey) or not named:
        return "malformed"
    if any(header[name] != print_ for name, print_ in named.items()):
        return "signature"
    try:
        key.verify(sealed, signed.encode(), how, hashes.SHA256())
    except InvalidSignature:
        return "signature"
    return _flaw_of_claims(claims, client_id, audience, now)


def _flaw_of_claims(claims: dict[str, Any], client_id: str, audience: str, now: datetime) -> str:
    if (claims.get("iss"), claims.get("sub")) != (client_id, client_id):
        return "subject"
    if claims.get("aud") != audience:
        return "audience"
    begins, ends = claims.get("nbf", 0), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        return "malformed"
    if not begins - SKEW.total_seconds() <= now.timestamp() < ends + SKEW.total_seconds():
        return "time"
    return ""


def _object(part: str) -> dict[str, Any]:
    value = json.loads(_bytes(part))
    if not isinstance(value, dict):
        raise ValueError("a part of a JWT is an object")
    return value


def _bytes(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
