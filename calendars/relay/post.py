"""One request to the application, or to a chat tool: bounded in time and size, to an address that was looked at.

`post` signs for the application; `deliver` is what goes out.

The signature is Standard Webhooks' (https://www.standardwebhooks.com): HMAC-SHA256 over "id.timestamp.body", one item
for each secret in use, so that the application may change its secret at any time. Redirects are not followed, and no
proxy is taken from the environment: both would lead past the check of the address.
"""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from urllib.parse import parse_qsl

import httpx
from standardwebhooks.webhooks import hmac_data

from calendars.models import Application
from calendars.relay import hosts
from calendars.storable import storable
from recallops.redaction import HIDDEN, redact

logging.getLogger("httpx").setLevel(logging.WARNING)

REGION, WORKSPACE = "recallops-region", "recallops-workspace"
COMMON = {
    "content-type": "application/json",
    "user-agent": "RecallOps",
    "accept-encoding": "identity",  # what it says is shown, not unpacked
}
SHORTEST_HIDDEN = 4  # characters of what the URL's query holds, which an answer may repeat
SHOWN = 500  # characters of an answer
READ = 4096  # bytes of an answer

NO_SECRET = "The application has no secret in use: nothing can be signed."  # noqa: S105
BAD_SECRET = "A secret of the application is no signing secret: enter it again."  # noqa: S105
TIMED_OUT = "No answer within {seconds:.0f} s."
NO_CONNECTION = "No connection could be made ({kind})."
BROKEN_OFF = "The connection broke off ({kind})."
REDIRECT = "It answered {status}: redirects are not followed. Give the URL that takes webhooks itself."
REFUSED = "It answered {status}."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request. Only a status from 200 to 299 means that the application has it."""

    status: int | None
    seconds: float
    problem: str = ""
    answer: str = ""

    @property
    def delivered(self) -> bool:
        """Tell whether the application has it."""
        return not self.problem


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is passed on: the vendor's own bytes under the vendor's own id, and where they come from."""

    id: str
    body: bytes
    region: str
    workspace: str


def headers_for(parcel: Parcel, secrets: Iterable[str], *, family: str, timestamp: int) -> dict[str, str]:
    """Return the headers of a request: the signature's, and those that say where the webhook comes from."""
    signed = f"{parcel.id}.{timestamp}.".encode() + parcel.body
    items = [f"v1,{base64.b64encode(hmac_data(_key(secret), signed)).decode()}" for secret in secrets]
    return {
        f"{family}-id": parcel.id,
        f"{family}-timestamp": str(timestamp),
        f"{family}-signature": " ".join(items),
        REGION: parcel.region,
        WORKSPACE: parcel.workspace,
    }


def post(application: Application, secrets: Iterable[str], parcel: Parcel, *, now: datetime) -> Outcome:
    """Make one request. Never raises for what the network or the application does."""
    secrets = list(secrets)
    if not secrets:
        return Outcome(None, 0.0, NO_SECRET)
    try:
        headers = headers_for(parcel, secrets, family=application.headers, timestamp=int(now.timestamp()))
    except ValueError:
        return Outcome(None, 0.0, BAD_SECRET)
    seconds = application.timeout.total_seconds()
    return deliver(application.url, parcel.body, headers=headers, seconds=seconds, rules=hosts.of_relay())


def deliver(url: str, body: bytes, *, headers: Mapping[str, str], seconds: float, rules: hosts.Rules) -> Outcome:
    """POST JSON to a URL, after it was looked at by the rules. Never raises for what the network does."""
    begun = time.monotonic()
    try:
        place = hosts.place(url, rules=rules)
    except hosts.Forbidden as error:
        return Outcome(None, time.monotonic() - begun, str(error))
    try:
        return _sent(place, {"host": _host(place), **COMMON, **headers}, body, seconds=seconds, begun=begun)
    except httpx.TimeoutException:
        problem = TIMED_OUT.format(seconds=seconds)
    except httpx.ConnectError as error:
        problem = NO_CONNECTION.format(kind=_kind(error))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        problem = BROKEN_OFF.format(kind=_kind(error))
    return Outcome(None, time.monotonic() - begun, problem)


def _sent(place: hosts.Place, headers: Mapping[str, str], body: bytes, *, seconds: float, begun: float) -> Outcome:
    """Send, and read the beginning of the answer. The name is for the certificate, the address for the connection."""
    address = f"[{place.address}]" if ":" in place.address else place.address
    url = place.parts._replace(netloc=f"{address}:{place.port}").geturl()
    with (
        _client() as client,
        client.stream(
            "POST",
            url,
            headers=headers,
            content=body,
            timeout=seconds,
            extensions={"sni_hostname": place.host} if place.encrypted else {},
        ) as response,
    ):
        status = response.status_code
        if 200 <= status < 300:  # it has it; what else it says does not matter
            return Outcome(status, time.monotonic() - begun)
        answer = _beginning(response, until=begun + seconds)
        for part in (place.parts.query, *(value for _, value in parse_qsl(place.parts.query))):
            answer = answer.replace(part, HIDDEN) if len(part) >= SHORTEST_HIDDEN else answer
    problem = REDIRECT if 300 <= status < 400 else REFUSED
    return Outcome(status, time.monotonic() - begun, problem.format(status=status), answer)


def _beginning(response: httpx.Response, *, until: float) -> str:
    """Read what may be shown of an answer; one that drips is not waited for."""
    found = b""
    try:
        for piece in response.iter_raw():  # as it comes: neither gathered nor unpacked
            found += piece
            if len(found) >= READ or time.monotonic() >= until:
                break
    except httpx.StreamConsumed:  # a transport without a network has it all
        found = response.content
    except (httpx.HTTPError, httpx.StreamError):
        pass
    text: str = storable(redact(found[:READ].decode("utf-8", "replace")))
    return text[:SHOWN]


def _client() -> httpx.Client:
    transport = _transports[-1] if _transports else httpx.HTTPTransport(verify=_context(), trust_env=False)
    return httpx.Client(transport=transport, trust_env=False, follow_redirects=False)


@cache
def _context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


_transports: list[httpx.BaseTransport] = []


def use_transport(transport: httpx.BaseTransport | None) -> None:
    """Let requests go out by a transport of one's own (None: by the network again). For simulation."""
    _transports.clear()
    if transport is not None:
        _transports.append(transport)


def _host(place: hosts.Place) -> str:
    name = f"[{place.host}]" if ":" in place.host else place.host
    return name if place.port == (443 if place.encrypted else 80) else f"{name}:{place.port}"


def _key(secret: str) -> bytes:
    bare = secret.strip().removeprefix("whsec_").rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _kind(error: Exception) -> str:
    return type(error).__name__
