"""Random changes of good requests, through the whole stack: none is taken for another one, none is an error of ours."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

from django.test import RequestFactory

from calendars.models import Delivery
from recallops import clock
from tests.webhooks.senders import Place, ask, body_of, signed

REQUESTS = 20_000
A_DAY = 1_000  # requests after which the clock moves on: refusals are rows by day, and a hot row gets slow here
Environ = dict[str, Any]
Headers = dict[str, str]


def test_twenty_thousand_mutations_forge_nothing_and_break_nothing(us: Place, time: clock.ManualClock) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    base = RequestFactory().post(us.url, content_type="application/json").environ
    body = body_of("calendar.sync_events", calendar_id="c1", last_updated_ts="2026-11-23T11:00:00+00:00")
    accepted = 0
    for number in range(REQUESTS):
        if number % A_DAY == 0:
            time.advance(timedelta(days=1))
            good = signed(us.secret, body, delivery_id="msg_good")
        headers, sent, environ = dict(good), body, dict(base)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            headers, sent = _mutated(rng, headers, sent, environ)
        environ |= {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        environ |= {"CONTENT_LENGTH": str(len(sent)), "wsgi.input": BytesIO(sent)}
        status = ask(environ)
        told = f"seed {seed}, request {number}: {headers} {sent!r} {environ['PATH_INFO']!r}"
        assert status < 500, told
        if status == 200:
            accepted += 1
            assert sent == body, told
            family = "svix" if "svix-id" in headers else "webhook"
            for part in ("id", "timestamp"):
                assert headers[f"{family}-{part}"] == good[f"webhook-{part}"], told
    rows = list(Delivery.objects.all())
    assert {(row.delivery_id, bytes(row.body)) for row in rows} <= {("msg_good", body)}, f"seed {seed}"
    assert 0 < accepted < REQUESTS / 2, "some mutations change nothing that is signed"
    assert sum(row.times for row in rows) == accepted


def _mutated(
    rng: random.Random, headers: dict[str, str], body: bytes, environ: Environ
) -> tuple[dict[str, str], bytes]:
    if rng.random() < 0.25:
        return headers, _bytes(rng, body)
    if rng.random() < 0.15:
        rng.choice(AROUND)(rng, environ)
        return headers, body
    return rng.choice(HEADERS)(rng, headers), body


def _bytes(rng: random.Random, value: bytes) -> bytes:
    place = rng.randrange(len(value) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        return value[:place] + bytes([rng.randrange(256)]) + value[place:]
    if kind == 1:
        return value[:place] + value[place + 1 :]
    if kind == 2:
        return value[:place]
    if kind == 3:
        return value + value[place:]
    return value[:place] + bytes([rng.randrange(256)]) + value[place + 1 :]


def _text(rng: random.Random, headers: Headers) -> Headers:
    name = rng.choice(list(headers) or ["webhook-id"])
    return {**headers, name: _bytes(rng, headers.get(name, "").encode("latin-1")).decode("latin-1")}


def _other_value(rng: random.Random, headers: Headers) -> Headers:
    name = rng.choice(list(headers) or ["webhook-id"])
    values = ["", " ", "0", "v1,", "v1", "+1", "9" * 400, "nan", "\x00", "ÿ", ",", "v1," * 50, "v1,AAAA", "é" * 300]
    return {**headers, name: rng.choice(values)}


def _dropped(rng: random.Random, headers: Headers) -> Headers:
    name = rng.choice(list(headers) or ["webhook-id"])
    return {other: value for other, value in headers.items() if other != name}


def _other_family(rng: random.Random, headers: Headers) -> Headers:
    if rng.random() < 0.5:
        return {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    return headers | {"svix-id": "msg_good"}


def _appended(rng: random.Random, headers: Headers) -> Headers:
    name = rng.choice(list(headers) or ["webhook-id"])
    more = rng.choice([" v1," + "A" * 43 + "=", " v2,QUJD", ",", " ", "\t", "=", ", msg_other", ".0"])
    return {**headers, name: headers.get(name, "") + more}


def _moved_point(rng: random.Random, headers: Headers) -> Headers:
    """Move characters over the points between id, time stamp and body, which all sign the same bytes."""
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    return headers | {"webhook-id": f"{name}.{stamp[:3]}", "webhook-timestamp": stamp[3:]}


def _query(rng: random.Random, environ: Environ) -> None:
    environ["QUERY_STRING"] = rng.choice(["", "region=%00", "region=%ff", "&" * 2_000, "region=\xff", "%", "a" * 9_999])


def _path(rng: random.Random, environ: Environ) -> None:
    inside = environ["PATH_INFO"].removeprefix("/webhooks/").encode("latin-1")
    environ["PATH_INFO"] = "/webhooks/" + _bytes(rng, inside).decode("latin-1")


def _headers_around(rng: random.Random, environ: Environ) -> None:
    environ["HTTP_ACCEPT"] = rng.choice(["", "*/*", "text/html", "\xff", "application/json;q=x"])
    environ["CONTENT_TYPE"] = rng.choice(
        ["", "text/plain", "application/json; charset=rot13", "multipart/form-data", "/"]
    )


def _method(rng: random.Random, environ: Environ) -> None:
    environ["REQUEST_METHOD"] = rng.choice(["GET", "PUT", "OPTIONS", "HEAD", "X"])


HEADERS: list[Callable[[random.Random, Headers], Headers]] = [
    _text,
    _text,
    _other_value,
    _dropped,
    _other_family,
    _appended,
    _moved_point,
]
AROUND: list[Callable[[random.Random, Environ], None]] = [_query, _path, _headers_around, _method]
