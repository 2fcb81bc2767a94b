"""A body cannot take more memory than it is allowed, however it is packed."""

from __future__ import annotations

import gzip
import json
import math
import time
import tracemalloc
import zlib
from functools import cache

import httpx
import pytest

from calendars.providers import errors
from calendars.providers.bodies import BodyError, decode_json, read_body
from tests.providers.samples import answering, client_of, event

MIB = 1024 * 1024
LIMIT = 8 * MIB


def pieces(data: bytes, size: int = 65536) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(data: bytes, encoding: str = "gzip", *, size: int = 65536, limit: int = LIMIT) -> bytes:
    return read_body(pieces(data, size), encoding=encoding, limit=limit, deadline=math.inf)


@cache
def bombs() -> dict[str, tuple[str, bytes]]:
    zeros = gzip.compress(b"\0" * (64 * MIB))
    text = gzip.compress(b'["' + b"a" * (64 * MIB) + b'"]')
    member = gzip.compress(b" " * MIB)
    return {
        "zeros": ("gzip", zeros),
        "a long text": ("gzip", text),
        "many members": ("gzip", member * 64),
        "under another name": ("x-gzip", zeros),
        "in capitals": ("GZIP", zeros),
        "packed twice, read once": ("gzip", gzip.compress(b"\0" * (64 * MIB), 1)),
        "not packed": ("", b" " * (9 * MIB)),
        "said not to be packed": ("identity", b" " * (9 * MIB)),
        "deflate": ("deflate", zlib.compress(b"\0" * (64 * MIB))),
        "packed twice": ("gzip, gzip", gzip.compress(zeros)),
        "brotli": ("br", b"\x5b\xff\xff\xff" * 100),
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_a_bomb_is_given_up_at_the_limit(name: str) -> None:
    encoding, data = bombs()[name]
    for size in (65536, 1024):
        chunks = pieces(data, size)
        tracemalloc.start()
        try:
            with pytest.raises(BodyError):
                read_body(chunks, encoding=encoding, limit=LIMIT, deadline=math.inf)
            grown = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert grown < 16 * MIB


def test_a_bomb_ends_in_a_clear_error_of_the_client() -> None:
    bomb = gzip.compress(b"\0" * (64 * MIB))

    def stream(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(bomb))

    with pytest.raises(errors.BadAnswer, match="larger than 8192 KiB"):
        client_of(stream).get_event("e1")


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_packed_bodies_are_unpacked_in_pieces_of_any_size(size: int) -> None:
    data = json.dumps({"results": list(range(1000))}).encode()
    assert read(gzip.compress(data), size=size) == data
    assert read(gzip.compress(data[:100]) + gzip.compress(data[100:]), size=size) == data
    assert read(data, "", size=size) == data


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert len(read(gzip.compress(b"x" * 1000), limit=1000)) == 1000
    assert len(read(b"x" * 1000, "", limit=1000)) == 1000
    with pytest.raises(BodyError, match="larger"):
        read(gzip.compress(b"x" * 1001), limit=1000)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(b"x" * 5000, mtime=0)[:-9], "stops in the middle"),
        (gzip.compress(b"x" * 5000, mtime=0)[:12], "stops in the middle"),
        (b"", "stops in the middle"),
        (b"no gzip at all", "damaged"),
        (gzip.compress(b"x" * 5000, mtime=0)[:-8] + b"12345678", "damaged"),
        (gzip.compress(b"x", mtime=0) + b"rubbish", "damaged"),
    ],
)
def test_a_packed_body_that_is_broken(data: bytes, why: str) -> None:
    with pytest.raises(BodyError, match=why):
        read(data)


def test_reading_ends_when_the_time_is_over() -> None:
    for encoding, data in (("", b"x"), ("gzip", gzip.compress(b"x"))):
        with pytest.raises(BodyError, match="slowly"):
            read_body([data], encoding=encoding, limit=10, deadline=time.monotonic() - 1)


def test_what_is_decoded_can_be_stored_in_postgresql() -> None:
    value = decode_json(
        rb'{"a\u0000": ["\u0000x", "\ud800", "\ud83d\ude00", "\\u0000"], "n": 1.5, "t": true, "z": null}'
    )
    assert value == {"a�": ["�x", "�", "😀", "\\u0000"], "n": 1.5, "t": True, "z": None}
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def test_a_byte_order_mark_is_tolerated() -> None:
    assert decode_json(b"\xef\xbb\xbf{}") == {}


def test_a_packed_answer_is_read_through_the_client() -> None:
    packed = gzip.compress(json.dumps(event()).encode())
    recorder = answering(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed))
    assert client_of(recorder).get_event("e1").value.title == "Weekly"
    assert recorder.requests[0].headers["accept-encoding"] == "gzip"
