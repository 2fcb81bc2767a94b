"""Configurations that people edit without seeing the secrets in them. Pure.

What looks like a secret is shown as `[hidden]`; a text that comes back unchanged at its old place stands for what is
stored there. It counts nowhere else: a secret put under another name would be shown from then on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from calendars.providers.redaction import HIDDEN, is_secret_name, quote

_ADDRESS = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)(?P<user>[^\s/?#@]*@)?(?P<place>[^\s?#]*)(?P<rest>[?#]\S+)?", re.IGNORECASE
)
_WORD = re.compile(r"\S+")

Path = tuple[str | int, ...]


class HiddenElsewhereError(ValueError):
    """`[hidden]` stands where nothing is stored that it could stand for."""


def masked(value: Any, *, secret: bool = False) -> Any:
    """Return a copy of a JSON value without its secrets: by name, by shape, and what addresses carry along."""
    if isinstance(value, dict):
        return {name: masked(inner, secret=secret or is_secret_name(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, secret=secret) for inner in value]
    if secret and (isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))):
        return HIDDEN if value != "" else value
    return _without_secrets(value) if isinstance(value, str) else value


def unmasked(value: Any, stored: Any) -> Any:
    """Return a value as it was meant: each text that is shown of a secret becomes the secret again.

    Raises HiddenElsewhereError with the place of a `[hidden]` that stands for nothing.
    """
    known: dict[tuple[Path, Any], dict[Path, Any]] = {}
    for path, shown, secret in _leaves(masked(stored), stored, ()):
        known.setdefault((_names(path), shown), {})[path] = secret
    return _restored(value, known, ())


def _restored(value: Any, known: dict[tuple[Path, Any], dict[Path, Any]], path: Path) -> Any:
    if isinstance(value, dict):
        return {name: _restored(inner, known, (*path, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_restored(inner, known, (*path, place)) for place, inner in enumerate(value)]
    if not isinstance(value, str) or HIDDEN not in value:
        return value
    meant = known.get((_names(path), value), {})
    if path in meant:
        return meant[path]
    if len({str(secret) for secret in meant.values()}) != 1:  # an entry of a list may have moved; which is it?
        raise HiddenElsewhereError(".".join(str(part) for part in path) or "the whole")
    return next(iter(meant.values()))


def _leaves(shown: Any, stored: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Yield what is not shown as it is stored."""
    if isinstance(stored, dict):
        for name, inner in stored.items():
            yield from _leaves(shown[name], inner, (*path, name))
    elif isinstance(stored, list):
        for place, inner in enumerate(stored):
            yield from _leaves(shown[place], inner, (*path, place))
    elif shown != stored:
        yield path, shown, stored


def _names(path: Path) -> Path:
    """Return a path without the places in lists: names alone decide what is a secret."""
    return tuple("" if isinstance(part, int) else part for part in path)


def _without_secrets(text: str) -> str:
    shown = _WORD.sub(lambda word: _word(word[0]), _ADDRESS.sub(_address, text))
    return HIDDEN if _has_shape(shown) else shown  # a shape over several words, such as "Bearer ..."


def _address(found: re.Match[str]) -> str:
    user = f"{HIDDEN}@" if found["user"] else ""
    rest = f"{found['rest'][0]}{HIDDEN}" if found["rest"] else ""
    return f"{found['scheme']}{user}{found['place']}{rest}"


def _word(word: str) -> str:
    return HIDDEN if _has_shape(word) else word


def _has_shape(text: str) -> bool:
    return HIDDEN in quote(text.replace(HIDDEN, ""), limit=len(text) + 100_000)
