"""Reading an answer's body without trusting its size, its encoding or its content.

The body is unpacked piece by piece and given up as soon as it is larger than allowed: a small compressed body may
unpack to gigabytes. What is returned can be stored in PostgreSQL as it is: no NUL characters, no lone surrogates.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_GZIP = 16 + zlib.MAX_WBITS
_STEP = 64 * 1024  # unpacked at once
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAYBE_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class BodyError(Exception):
    """The body cannot be used; the text says why, in words that finish “the answer ...”."""


def read_body(chunks: Iterable[bytes], *, encoding: str, limit: int, deadline: float) -> bytes:
    """Return the body, unpacked. BodyError when larger than `limit`, later than `deadline` (monotonic) or broken."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return _read_plain(chunks, limit=limit, deadline=deadline)
    if encoding in {"gzip", "x-gzip"}:
        return _read_gzip(chunks, limit=limit, deadline=deadline)
    raise BodyError("is packed in a way that was not asked for")


def _read_plain(chunks: Iterable[bytes], *, limit: int, deadline: float) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        _check(len(body), limit=limit, deadline=deadline)
    return bytes(body)


def _read_gzip(chunks: Iterable[bytes], *, limit: int, deadline: float) -> bytes:
    body = bytearray()
    unpacker = zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                body += unpacker.decompress(rest, _STEP)
                _check(len(body), limit=limit, deadline=deadline)
                rest = unpacker.unconsumed_tail or unpacker.unused_data
                if unpacker.eof and rest:  # a gzip body may consist of several members
                    unpacker = zlib.decompressobj(_GZIP)
    except zlib.error:
        raise BodyError("is damaged (it cannot be unpacked)") from None
    if not unpacker.eof:
        raise BodyError("stops in the middle")
    return bytes(body)


def _check(size: int, *, limit: int, deadline: float) -> None:
    if size > limit:
        raise BodyError(f"is larger than {limit // 1024} KiB")
    if time.monotonic() > deadline:
        raise BodyError("came too slowly")


def decode_json(body: bytes) -> Any:
    """Return the JSON value of a body; BodyError when it is none."""
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
        if _MAYBE_UNSTORABLE.search(body):
            value = _storable(value)
    except RecursionError:
        raise BodyError("is nested too deeply") from None
    except ValueError:  # also UnicodeDecodeError, JSONDecodeError, and numbers of thousands of digits
        raise BodyError(f"is {_looks_like(body)} instead of JSON") from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _looks_like(body: bytes) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "empty"
    return "a web page" if start == b"<" else "something unreadable"


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value
