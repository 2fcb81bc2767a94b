"""How a report is written: lists read piece by piece and hashed on the way, and words fit to be handed on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from calendars.providers.redaction import quote

PAGE_ROWS = 100  # of each list on a page
PAGE_WALK = 20_000  # rows that a page may walk through for a hash; of longer lists the hash is in the file only
CHUNK = 2000

_LINK_TAIL = re.compile(r"(https?://[^\s?#]+)[?#]\S*")  # passwords of meetings stand there


def line(row: Any) -> str:
    """Return a row as one line of JSON, always the same for the same row: what is written and what is hashed."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def pieces(value: Any, indent: str = "") -> Iterator[str]:
    """Return JSON text in pieces: keys sorted, each member of a list on a line of its own.

    `Rows` are written as lists while they are read; a function is called when its turn comes.
    """
    inner = indent + "  "
    comma = ""
    if isinstance(value, dict):
        yield "{"
        for key in sorted(value):
            yield f"{comma}\n{inner}{json.dumps(key)}: "
            yield from pieces(value[key], inner)
            comma = ","
        yield f"\n{indent}}}" if comma else "}"
    elif isinstance(value, Rows | list):
        yield "["
        for row in value:
            yield f"{comma}\n{inner}{line(row)}"
            comma = ","
        yield f"\n{indent}]" if comma else "]"
    else:
        yield json.dumps(value() if callable(value) else value, ensure_ascii=False)


class Rows:
    """Rows that are read once, and hashed on the way: sha256 over their lines, each with its newline."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows = iter(rows)
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self._hash.update(line(row).encode() + b"\n")
            yield row

    def sha256(self) -> str:
        """Return the hash over what has been read."""
        return self._hash.hexdigest()


def listing(rows: Iterable[dict[str, Any]], *, total: int, whole: bool, hashed: bool = False) -> dict[str, Any]:
    """Return a list as the page or the file gets it; the hash only where the rows behind it were all read."""
    walk = Rows(rows)
    if whole:
        return {"total": total, "rows": walk} | ({"sha256": walk.sha256} if hashed else {})
    shown = iter(walk)
    shortened: dict[str, Any] = {"total": total, "rows": list(islice(shown, PAGE_ROWS))}
    if hashed:
        shortened["sha256"] = ""
        if total <= PAGE_WALK:
            for _ in shown:
                pass
            shortened["sha256"] = walk.sha256()
    return shortened


def said(text: str) -> str:
    """Return words for people: fit to be read, without secrets, and without what opens a meeting."""
    return quote(_LINK_TAIL.sub(r"\1?…", text), limit=1000)


def iso(moment: datetime | None) -> str | None:
    """Return a time as text."""
    return moment.isoformat() if moment else None
