"""Keeps secrets out of what is logged: known ones in every form they may be written in, unknown ones by their shape.

Known are the installation's own keys and every secret this process has had in its hands (`remember`).
"""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SHORTEST = 8  # anything shorter would blank half of a sentence, and is no secret
MOST = 20_000

# A name that speaks of a secret, then what stands between name and value in JSON, Python, a header or a URL.
_NAMES = (
    r"(?:[\w-]{0,40}(?:refresh|access|auth|api|csrf|id)[_-]?tokens?|[\w-]{0,40}secrets?(?![_-]?name)|passw(?:or)?d|passphrase"
    r"|api[_-]?keys?|(?:encryption|private|secret|signing)[_-]?keys?|authorization|proxy-authorization|cookie|set-cookie"
    r"|(?:oauth_)?client_certificate|[\w-]{0,40}credentials?|token)"
)
_BETWEEN = r"(?:\\*[\"']|%22)?\s*(?:=>|[:=]|%3A|%3D)\s*"
# In quotes, up to the same quote, or to the end of a text that was cut off; else up to what ends a value.
_VALUE = (
    r"(?:(?P<quote>\\*[\"'])(?s:.*?)(?:(?<!\\)(?P=quote)|\Z)"
    r"|(?i:(?:token|bearer|basic|digest)(?:\s|\+|%20)+)?[^\s\"'\\,;&}\])]+)"
)
_SHAPES = re.compile(
    rf"(?P<before>(?i:(?<![\w-]){_NAMES}){_BETWEEN})"
    rf"{_VALUE}"
    r"|(?P<scheme>(?i:\b(?:token|bearer|basic)(?:\s|\+|%20)+))(?=\S*\d)[\w.~+/=%-]{8,}"  # Authorization's value
    r"|(?P<user>(?<![\w+.-])[a-z][a-z0-9+.-]{0,30}://[^\s/:@]*:)[^\s/@]+(?=@)"  # a password in an address
    r"|1(?://|%2[Ff]%2[Ff]|\\/\\/)[\w-]{8,}|ya29\.[\w.-]{8,}"  # Google's refresh and access tokens
    r"|whsec(?:_|%5[Ff])[\w+/=%\\-]{8,}|\bGOCSPX-[\w-]{8,}"  # webhook secrets, Google's client secrets
    r"|\brops_[\w-]{20,}"  # tokens of our own API
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # JSON web tokens
    r"|-----BEGIN[A-Z ]+-----[^-]*(?:-----END[A-Z ]+-----)?"  # private keys, certificates
    r"|(?<![\w+/=-])(?=[\w+=-]*\d)(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])[\w+=-]{32,}"  # keys; no uuid, name, path
)

_known: OrderedDict[str, None] = OrderedDict()
_heads: dict[str, list[str]] = {}


def remember(secret: str) -> None:
    """Hide a secret, in all its forms, in whatever this process logs from now on."""
    for form in _forms(secret):
        if form in _known:
            _known.move_to_end(form)
            continue
        _known[form] = None
        _heads.setdefault(form[:SHORTEST], []).append(form)
        _heads[form[:SHORTEST]].sort(key=len, reverse=True)
    while len(_known) > MOST:
        oldest, _ = _known.popitem(last=False)
        same = _heads[oldest[:SHORTEST]]
        same.remove(oldest)
        if not same:
            del _heads[oldest[:SHORTEST]]


def redact(text: str) -> str:
    """Return a text without secrets."""
    return _SHAPES.sub(_replaced, _without_known(text))


def _replaced(match: re.Match[str]) -> str:
    kept = match["before"] or match["scheme"] or match["user"] or ""
    quote_mark = match["quote"] or ""
    return f"{kept}{quote_mark}{HIDDEN}{quote_mark}"


def _without_known(text: str) -> str:
    if not _heads:
        return text
    parts: list[str] = []
    start = at = 0
    while at <= len(text) - SHORTEST:
        for form in _heads.get(text[at : at + SHORTEST], ()):
            if text.startswith(form, at):
                parts += [text[start:at], HIDDEN]
                at = start = at + len(form)
                break
        else:
            at += 1
    return "".join([*parts, text[start:]])


def _forms(secret: str) -> set[str]:
    """Return a secret as it may be written: plain, in a URL, in JSON, in Python, in base64 and hexadecimal."""
    if len(secret) < SHORTEST:
        return set()
    raw = secret.encode("utf-8", "replace")
    forms = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower() if "%" in quote(secret, safe="") else secret,
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        repr(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
    }
    return {form for form in forms if len(form) >= SHORTEST}
