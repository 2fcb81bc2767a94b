"""The one place that makes provider words fit to be read, logged and kept: cleaned, shortened, without secrets.

Provider words are hostile: they may hold control characters that forge log lines, direction marks that turn text round,
and values that we sent (a validation error likes to quote the refused value), plain or encoded.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN = "[hidden]"
_PIECE = 10  # a run of so many characters of a secret is a leak, too: providers shorten what they quote
_SHORTEST = 4  # anything shorter would blank half of the sentence and is no secret
_READ = 4_000  # no more of the provider's words is looked at

_SECRET_SHAPES = re.compile(
    r"(?i:\b(?:token|bearer|basic))\s+(?:(?=\S*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})"  # an Authorization header
    r"|1//[\w-]{8,}|ya29\.[\w.-]{8,}|whsec_[\w+/=-]{8,}"  # Google's refresh and access tokens, webhook secrets
    r"|eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # JSON web tokens
    r"|-----BEGIN [A-Z ]+-----"
    r"|[\w.~+=-]{40,}"  # any long run without a slash: Microsoft's tokens, keys; no uuid, no sentence
)
_SECRET_NAMES = re.compile(
    r"secret|token|passw|passcode|private|credential|certificate|authorization|api_?key|(?:^|_)(?:key|cert|pwd)(?:$|_)",
    re.IGNORECASE,
)
_NO_SECRETS = {"deduplication_key"}


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name is to be taken for a secret."""
    return name not in _NO_SECRETS and _SECRET_NAMES.search(name) is not None


def without_secrets(value: Any) -> Any:
    """Return a copy of a JSON value without the fields whose names speak of secrets."""
    if isinstance(value, dict):
        return {name: without_secrets(inner) for name, inner in value.items() if not is_secret_name(name)}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


def secrets_in(body: Mapping[str, Any] | None) -> list[str]:
    """Return the texts of a request body that stand under a secret's name, at any depth."""
    found: list[str] = []

    def walk(value: Any, *, secret: bool) -> None:
        if isinstance(value, str):
            if secret:
                found.append(value)
        elif isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, secret=secret or is_secret_name(name))
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner, secret=secret)

    walk(dict(body or {}), secret=False)
    return found


def quote(words: str, *, secrets: Iterable[str] = (), limit: int = 240) -> str:
    """Return provider words fit for a sentence: one line, at most `limit` characters, secrets hidden."""
    text = _one_line(words[:_READ])  # first, so that invisible characters cannot split a secret and hide it
    for secret in secrets:
        for form in _forms(secret):
            text = _hide(text, _one_line(form))
    text = _SECRET_SHAPES.sub(HIDDEN, text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _one_line(text: str) -> str:
    kept = []
    for character in text:
        if character.isspace():
            kept.append(" ")
        elif unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}:
            kept.append(character)
    return " ".join("".join(kept).split())


def _forms(secret: str) -> list[str]:
    """A secret as it may be written: plain, in a URL, in JSON, in base64 and hexadecimal."""
    if len(secret) < _SHORTEST:
        return []
    raw = secret.encode("utf-8", "replace")
    forms = {
        secret,
        url_quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
    }
    return sorted(forms, key=len, reverse=True)


def _hide(text: str, secret: str) -> str:
    """Blank every run of `_PIECE` or more characters that text and secret share, or the whole of a short secret."""
    if len(secret) < _SHORTEST:
        return text
    size = min(_PIECE, len(secret))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at
        while text[end : end + size] in pieces and end + size <= len(text):
            end += 1
        if end == at:
            kept.append(text[at])
            at += 1
        else:
            kept.append(HIDDEN)
            at = end + size - 1
    return "".join(kept)
