"""Clients with a certificate prove themselves with a signed assertion."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from recallops.sandbox.identity import ASSERTION_TYPE
from recallops.sandbox.meetings import OUTLOOK
from tests.sandbox.conftest import NOON
from tests.sandbox.test_identity import BACK, Visit, refused

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "recorder")])
AUDIENCE = "https://identity.sandbox/microsoft/token"


def packed(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


class Holder:
    """Who has a key and a certificate of it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(NAME)
            .issuer_name(NAME)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(NOON)
            .not_valid_after(NOON + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def assertion(self, alg: str = "RS256", key: rsa.RSAPrivateKey | None = None, **changed: Any) -> str:
        header = {"alg": alg, "typ": "JWT", "x5t#S256": packed(self.certificate.fingerprint(hashes.SHA256()))}
        now = int(NOON.timestamp())
        claims = {"aud": AUDIENCE, "iss": "cert", "sub": "cert", "jti": "1", "nbf": now, "exp": now + 600, **changed}
        signed = ".".join(packed(json.dumps(part).encode()) for part in (header, claims))
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        how = pss if alg == "PS256" else padding.PKCS1v15()
        return f"{signed}.{packed((key or self.key).sign(signed.encode(), how, hashes.SHA256()))}"


@pytest.fixture(scope="module")
def holder() -> Holder:
    return Holder()


@pytest.fixture
def visit(stage: Stage) -> Visit:
    return Visit(stage.world)


def sent(visit: Visit, certificate: str, assertion: str | None, kind: str = ASSERTION_TYPE) -> Any:
    visit.world.add_client(OUTLOOK, "cert", certificate=certificate, private_key="KEY", redirect_uris=[BACK])
    return visit.token(
        "microsoft",
        visit.code("microsoft", client_id="cert"),
        client_id="cert",
        client_secret=None,
        client_assertion_type=kind,
        client_assertion=assertion,
    )


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_an_assertion_signed_with_the_certificates_key_opens(visit: Visit, holder: Holder, alg: str) -> None:
    assert sent(visit, holder.pem, holder.assertion(alg)).status_code == 200


def test_an_assertion_signed_by_somebody_else_does_not(visit: Visit, holder: Holder) -> None:
    stranger = Holder()
    refused(sent(visit, holder.pem, holder.assertion(key=stranger.key)), 401, "invalid_client", 700027)
    refused(sent(visit, holder.pem, stranger.assertion()), 401, "invalid_client", 700027)


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"iss": "other"}, 700021),
        ({"sub": "other"}, 700021),
        ({"aud": "https://login.example/token"}, 700023),
        ({"exp": int(NOON.timestamp()) - 301}, 700024),
        ({"nbf": int(NOON.timestamp()) + 301}, 700024),
        ({"exp": None}, 50027),
    ],
)
def test_an_assertion_for_another_place_or_time_does_not(
    visit: Visit, holder: Holder, changed: dict[str, Any], number: int
) -> None:
    refused(sent(visit, holder.pem, holder.assertion(**changed)), 401, "invalid_client", number)


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "e30.e30.e30", "....", "bnVsbA.bnVsbA.x", "é.é.é"])
def test_what_is_no_assertion_does_not(visit: Visit, holder: Holder, assertion: str) -> None:
    refused(sent(visit, holder.pem, assertion), 401, "invalid_client", 50027)


def test_an_unsigned_assertion_does_not(visit: Visit, holder: Holder) -> None:
    refused(sent(visit, holder.pem, holder.assertion("none")), 401, "invalid_client", 50027)


@pytest.mark.parametrize("certificate", ["CERT", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_made_up_certificate_asks_for_an_assertion_and_compares_nothing(visit: Visit, certificate: str) -> None:
    assert sent(visit, certificate, "anything").status_code == 200
    refused(sent(visit, certificate, None), 401, "invalid_client", 7000218)
    refused(sent(visit, certificate, "anything", kind="other"), 401, "invalid_client", 7000218)
