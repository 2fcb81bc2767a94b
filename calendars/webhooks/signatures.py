"""Whether a webhook is signed by whom it should be, and if not, why probably not. Pure: values in, values out.

The form of the headers is checked first, strictly: the library accepts forms that are not canonical, and raises errors
of other kinds than its own on broken ones. What we use of it is its HMAC, on bytes; its `verify` reads the clock of the
wall, which is not domain time, and decodes the body, which need not be UTF-8.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import hmac_data

from calendars.models import WebhookRefusal

Cause = WebhookRefusal.Cause

FAMILIES = ("webhook", "svix")
PARTS = ("id", "timestamp", "signature")
HEADERS = tuple(f"{family}-{part}" for family in FAMILIES for part in PARTS)

# What the senders of both families use themselves: long enough for their queues and our clocks, too short to replay.
TOLERANCE = timedelta(seconds=300)
SHORTEST_SECRET, LONGEST_SECRET = 24, 64  # bytes
MOST_SIGNATURES = 16  # a sender that rotates sends two
MOST_CANDIDATES = 20  # secrets that are tried to explain a refusal
LARGEST_EXPLAINED = 64 * 1024  # bytes of a body that is signed again to explain a refusal

_ID = re.compile(r"[!-\-/-~]{1,255}")  # printable ASCII; a point would let an id reach into the time stamp
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}")
_ITEM = re.compile(r"(v[0-9]{1,4}[a-z]{0,4}),([A-Za-z0-9+/]{1,400}={0,2})")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LAYOUTS: tuple[tuple[str, str] | None, ...] = ((",", ":"), None)


@dataclass(frozen=True, slots=True)
class Signed:
    """What the headers of a request say, in the right form; nothing of it is proven."""

    family: str
    id: str
    timestamp: int
    signatures: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that was signed with one of our secrets, in time."""

    id: str
    sent_at: datetime
    family: str
    secret: int  # its place among those that were given


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not let in. The detail is for staff and holds neither secret nor body."""

    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A secret that does not open this endpoint, and what it means that a request is signed with it."""

    secret: str = field(repr=False)
    cause: Cause
    detail: str


def secret_problem(text: str) -> str:
    """Return what is wrong with a signing secret, as a sentence; nothing when it can be used."""
    bare = text.strip().removeprefix("whsec_")
    if not bare:
        return "This secret is empty. Copy it from the dashboard as a whole: whsec_ and what follows."
    if not _BASE64.fullmatch(bare) or len(bare.rstrip("=")) % 4 == 1:
        return "This is no signing secret: after whsec_ there must be base64. Perhaps something was cut off."
    size = len(_decoded(bare))
    if not SHORTEST_SECRET <= size <= LONGEST_SECRET:
        return f"A signing secret has {SHORTEST_SECRET} to {LONGEST_SECRET} bytes; this one has {size}."
    return ""


def check(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: datetime, tolerance: timedelta = TOLERANCE
) -> Verified | Refused:
    """Tell whether a request is signed with one of the secrets and in time. `headers` have lower-case names."""
    signed = read_headers(headers)
    if isinstance(signed, Refused):
        return signed
    return verify(signed, body, secrets, now=now, tolerance=tolerance)


def read_headers(headers: Mapping[str, str]) -> Signed | Refused:
    """Read the three headers of one family, or refuse their form."""
    there = [family for family in FAMILIES if any(f"{family}-{part}" in headers for part in PARTS)]
    if not there:
        return Refused(Cause.UNSIGNED, "There was no webhook-* or svix-* header.")
    if len(there) > 1:
        return Refused(Cause.MIXED, "There were webhook-* and svix-* headers in one request.")
    family = there[0]
    missing = [f"{family}-{part}" for part in PARTS if f"{family}-{part}" not in headers]
    if missing:
        return Refused(Cause.MALFORMED, f"Missing: {', '.join(missing)}.")
    name, timestamp, signature = (headers[f"{family}-{part}"] for part in PARTS)
    if not _ID.fullmatch(name):
        return Refused(Cause.MALFORMED, f"{family}-id is not 1 to 255 printable characters without a point.")
    if not _TIMESTAMP.fullmatch(timestamp):
        return Refused(Cause.MALFORMED, f"{family}-timestamp is not a plain number of seconds.")
    signatures = _signatures(signature)
    if signatures is None:
        return Refused(Cause.MALFORMED, f"{family}-signature is not a list of items such as v1,BASE64.")
    if not signatures:
        return Refused(Cause.MALFORMED, f"{family}-signature holds no signature of version v1.")
    return Signed(family, name, int(timestamp), signatures)


def verify(
    signed: Signed, body: bytes, secrets: Sequence[str], *, now: datetime, tolerance: timedelta = TOLERANCE
) -> Verified | Refused:
    """Tell whether one of the secrets made a signature, and whether it is in time. The bounds are in time."""
    if not secrets:
        return Refused(Cause.NO_SECRET)
    index = next((number for number, secret in enumerate(secrets) if matches(signed, body, secret)), None)
    if index is None:
        return Refused(Cause.UNKNOWN)
    late = now.timestamp() - signed.timestamp
    if abs(late) > tolerance.total_seconds():
        cause, word = (Cause.TOO_OLD, "before") if late > 0 else (Cause.TOO_NEW, "after")
        allowed = f"{tolerance.total_seconds():.0f} s are allowed"
        return Refused(cause, f"The signature is right, of {abs(late):.0f} s {word} it came; {allowed}.")
    return Verified(signed.id, datetime.fromtimestamp(signed.timestamp, UTC), signed.family, index)


def matches(signed: Signed, body: bytes, secret: str) -> bool:
    """Tell whether one of a request's signatures was made with a secret. Takes the same time for all that are wrong."""
    try:
        expected = _digest(signed, body, secret)
    except Exception:  # whatever a secret makes the library raise, it opens nothing
        return False
    found = False
    for given in signed.signatures:
        found |= hmac.compare_digest(expected, given)
    return found


def explain(signed: Signed, body: bytes, here: Sequence[str], others: Sequence[Candidate]) -> Refused:
    """Find the likely cause of a signature that no secret of this endpoint made. The work is bounded.

    `here` are the secrets that open the endpoint, `others` those that do not.
    """
    if len(body) > LARGEST_EXPLAINED:
        return Refused(Cause.UNKNOWN, "The body is too large to look for the reason.")
    for candidate in others[:MOST_CANDIDATES]:
        if matches(signed, body, candidate.secret):
            return Refused(candidate.cause, candidate.detail)
    for variant in _rewritten(body):
        if any(matches(signed, variant, secret) for secret in here[:MOST_CANDIDATES]):
            detail = "The signature is right for the same JSON in another layout."
            return Refused(Cause.ALTERED, detail)
    return Refused(Cause.UNKNOWN if here else Cause.NO_SECRET)


def _signatures(header: str) -> tuple[bytes, ...] | None:
    """Return the signatures of version v1; None when the list is not of the right form."""
    items = [_ITEM.fullmatch(item) for item in header.split(" ", MOST_SIGNATURES)]
    found = []
    for item in items:
        if item is None:
            return None
        version, text = item.groups()
        if version == "v1":
            if len(text) != 44 or base64.b64encode(raw := _decoded(text)).decode() != text:
                return None
            found.append(raw)
    return tuple(found)


def _digest(signed: Signed, body: bytes, secret: str) -> bytes:
    if secret_problem(secret):
        raise ValueError("not a signing secret")
    key = _decoded(secret.strip().removeprefix("whsec_"))
    return hmac_data(key, f"{signed.id}.{signed.timestamp}.".encode("ascii") + body)


def _decoded(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _rewritten(body: bytes) -> Iterator[bytes]:
    """Return the body as common software would write it anew; nothing when it is not JSON."""
    yield body.strip()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    orders = [(value, False), (value, True)]
    if isinstance(value, dict) and "event" in value:  # as the vendor writes it, where something sorted the names
        orders.append(({"event": value["event"], **value}, False))
    for separators in _LAYOUTS:
        for ascii_only in (True, False):
            for ordered, by_name in orders:
                with suppress(ValueError, RecursionError):
                    text = json.dumps(ordered, separators=separators, ensure_ascii=ascii_only, sort_keys=by_name)
                    yield text.encode()
