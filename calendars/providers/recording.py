"""The record of calls: what was asked of a provider, when, and what came back. Never a query, a body or a key.

A call costs an append to a list. The list is written in one statement when it is long or old enough, and when a driver
ends, on the connection of the rate budget: a transaction of the caller that is rolled back takes no record along, and
none waits for it. A process that is killed loses the calls of its last seconds; what was written stays in the intents.

Old records are removed as new ones come, a few thousand at a time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from django.conf import settings
from django.db import Error

from calendars.providers import limits

if TYPE_CHECKING:
    from calendars.providers.calls import CallRecord

logger = logging.getLogger("recallops.calls")

WRITTEN_AT = 100  # calls
WRITTEN_AFTER = 2.0  # seconds after the oldest of them
MOST = 1_000_000  # records that are kept
PRUNED_AT_ONCE = 5_000
PRUNED_EVERY = 60.0  # seconds

_WRITE = """
INSERT INTO calendars_providercall
    (workspace_id, at, endpoint, subject, status, error, took_ms, waited_ms, attempt, request_id)
SELECT * FROM unnest(
    %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::text[], %s::int[], %s::int[], %s::int[],
    %s::text[])
"""

# The first rows are the oldest: nothing else is looked at.
_PRUNE = """
DELETE FROM calendars_providercall
WHERE id IN (SELECT id FROM calendars_providercall ORDER BY id LIMIT %s)
  AND (at < %s OR id <= (SELECT max(id) FROM calendars_providercall) - %s)
"""


class _Waiting:
    """The calls of this process that are not written yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: list[tuple[Any, ...]] = []
        self.since = 0.0
        self.pruned = time.monotonic()


def note(workspace_id: int, call: CallRecord) -> None:
    """Keep a call; now and then, write those that wait."""
    row = (
        workspace_id,
        call.begun_at,
        call.endpoint,
        call.subject,
        call.status,
        call.error,
        round(call.took_ms),
        round(call.waited_ms),
        call.attempt,
        call.request_id,
    )
    now = time.monotonic()
    with _waiting.lock:
        if not _waiting.rows:
            _waiting.since = now
        _waiting.rows.append(row)
        due = len(_waiting.rows) >= WRITTEN_AT or now - _waiting.since > WRITTEN_AFTER
    if due:
        write()


def write() -> None:
    """Write the calls that wait. Whatever is wrong with that, nobody's call fails for it."""
    now = time.monotonic()
    with _waiting.lock:
        rows, _waiting.rows = _waiting.rows, []
        prune = bool(rows) and now - _waiting.pruned > PRUNED_EVERY
        if prune:
            _waiting.pruned = now
    if not rows:
        return
    try:
        limits.run(_WRITE, tuple(list(column) for column in zip(*rows, strict=True)))
        if prune:
            oldest = max(row[1] for row in rows) - timedelta(days=settings.CALL_RECORD_DAYS)
            limits.run(_PRUNE, (PRUNED_AT_ONCE, oldest, MOST))
    except (Error, psycopg.Error):
        logger.warning("%d call(s) could not be kept on record", len(rows), exc_info=True)


def forget() -> None:
    """Drop what is not written yet: the world it happened in is gone. Tests and simulation only."""
    global _waiting
    _waiting = _Waiting()


_waiting = _Waiting()
os.register_at_fork(after_in_child=forget)  # what waits is the parent's to write
