"""The rate budget: one row for each workspace and endpoint, shared by all threads, processes and machines.

GCRA in one statement: a row holds the machine time from which the next call may go; who takes a slot moves it on by
`emission` seconds and is told how long to wait. Nobody polls, the row's lock keeps the order, the only clock is the
database's. There is no burst: 60 calls a minute are one a second.

It runs on a connection of its own, in autocommit: inside a caller's transaction a slot would be rolled back while the
call was made, and its row lock would stop everybody else. After a crash of PostgreSQL the last half second of slots may
be forgotten (`synchronous_commit` is off here), so every budget is moved on a little after a lost connection.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from django.db import connections
from django.db.utils import OperationalError

from calendars.providers.errors import BudgetBusy
from recallops import waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

UNLISTED_PER_MINUTE = 60  # for an endpoint that no limit row knows
_AFTER_LOSS = 1.0  # seconds by which all budgets move on after a lost connection

# The subquery is evaluated once; after a wait for the row's lock its time is a little old: the caller waits longer.
_NOW = "(SELECT extract(epoch FROM recallops_machine_now())::float8 AS now) AS machine"

_TAKE = f"""
UPDATE calendars_ratebudget SET
    tat = GREATEST(tat, machine.now) + emission,
    taken = taken + 1,
    window_taken = CASE WHEN window_start = floor(machine.now / 60) * 60 THEN window_taken + 1 ELSE 1 END,
    window_start = floor(machine.now / 60) * 60,
    hour_taken = CASE WHEN hour_start = floor(machine.now / 3600) * 3600 THEN hour_taken + 1 ELSE 1 END,
    hour_refused = CASE WHEN hour_start = floor(machine.now / 3600) * 3600 THEN hour_refused ELSE 0 END,
    hour_start = floor(machine.now / 3600) * 3600
FROM {_NOW}
WHERE workspace_id = %s AND endpoint = %s AND tat - machine.now <= %s
RETURNING tat - emission - machine.now
"""  # noqa: S608 - no value is put into the text

_WAIT = f"""
SELECT tat - machine.now FROM calendars_ratebudget, {_NOW} WHERE workspace_id = %s AND endpoint = %s
"""  # noqa: S608

_PUSH = f"""
UPDATE calendars_ratebudget SET
    tat = GREATEST(tat, machine.now + %s),
    refused = refused + 1,
    hour_refused = CASE WHEN hour_start = floor(machine.now / 3600) * 3600 THEN hour_refused + 1 ELSE 1 END,
    hour_taken = CASE WHEN hour_start = floor(machine.now / 3600) * 3600 THEN hour_taken ELSE 0 END,
    hour_start = floor(machine.now / 3600) * 3600,
    note = %s
FROM {_NOW}
WHERE workspace_id = %s AND endpoint = %s
"""  # noqa: S608

_MOVE_ALL_ON = f"UPDATE calendars_ratebudget SET tat = GREATEST(tat, machine.now + %s) FROM {_NOW}"  # noqa: S608

# As `calendars.models.workspace.emission`: 0.98 of the limit, less the reserve.
_CREATE = """
INSERT INTO calendars_ratebudget
    (workspace_id, endpoint, per_minute, emission, tat, taken, refused, window_start, window_taken)
SELECT workspace.id, named.endpoint, stated.per_minute,
       60.0 / (0.98 * stated.per_minute * (1 - workspace.reserve_percent / 100.0)), 0, 0, 0, 0, 0
FROM calendars_workspace AS workspace
JOIN calendars_region AS region ON region.id = workspace.region_id
CROSS JOIN (SELECT %s::text AS endpoint, %s::int AS fallback) AS named
LEFT JOIN calendars_endpointlimit AS listed
    ON listed.provider = region.provider AND listed.endpoint = named.endpoint
CROSS JOIN LATERAL (SELECT COALESCE(listed.per_minute, named.fallback) AS per_minute) AS stated
WHERE workspace.id = %s
ON CONFLICT (workspace_id, endpoint) DO NOTHING
"""


class Budget:
    """The rate budget of one workspace, for clients that call it."""

    def __init__(self, workspace_id: int, *, sleep: Callable[[float], None] = waits.sleep) -> None:
        self.workspace_id = workspace_id
        self._sleep = sleep

    def take(self, endpoint: str, max_wait: float) -> float:
        """Reserve a slot, wait for it, return how long that took. BudgetBusy, and no slot, when above `max_wait`."""
        key = (self.workspace_id, endpoint)
        row = _line.one(_TAKE, (*key, max_wait))
        if row is None:  # too long a wait, or no row yet; another thread may make it between any two statements
            _line.one(_CREATE, (endpoint, UNLISTED_PER_MINUTE, self.workspace_id))
            row = _line.one(_TAKE, (*key, max_wait))
        if row is None:
            ahead = _line.one(_WAIT, key)
            if ahead is None:
                raise LookupError(f"There is no committed workspace {self.workspace_id} to take a budget from.")
            raise BudgetBusy(max(float(ahead[0]), 0.0), endpoint=endpoint)
        wait = max(float(row[0]), 0.0)
        if wait > 0:
            self._sleep(wait)
        return wait

    def push(self, endpoint: str, seconds: float) -> None:
        """Move the budget after a 429, for everybody: no slot before `seconds` of machine time have passed."""
        note = f"The provider answered 429 and asked to wait {seconds:.1f} s."
        _line.one(_PUSH, (seconds, note, self.workspace_id, endpoint))


class _Row(Protocol):
    """What `usage` needs of a RateBudget."""

    emission: float
    tat: float
    window_start: float
    window_taken: int


class _HourlyRow(Protocol):
    """What `hour` needs of a RateBudget."""

    emission: float
    hour_start: float
    hour_taken: int
    hour_refused: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A budget in the present minute of machine time: calls allowed, used, left, and the wait of the next one."""

    allowed: int
    used: int
    left: int
    wait: float


def usage(row: _Row, *, now: datetime) -> Usage:
    """Return what is used and left of a budget; `now` is machine time."""
    at = now.timestamp()
    allowed = int(60.0 / row.emission)
    used = row.window_taken if row.window_start == at // 60 * 60 else 0
    return Usage(allowed=allowed, used=used, left=max(allowed - used, 0), wait=max(row.tat - at, 0.0))


@dataclass(frozen=True, slots=True)
class Hour:
    """A budget in the present hour of machine time: what a whole hour allows, what was used, answers 429."""

    allowed: int
    used: int
    refused: int

    @property
    def percent(self) -> int:
        """Return the share of the hour that is used."""
        return min(100, 100 * self.used // self.allowed) if self.allowed else 100


def hour(row: _HourlyRow, *, now: datetime) -> Hour:
    """Return what is used of a budget in the present hour; `now` is machine time."""
    fresh = row.hour_start == now.timestamp() // 3600 * 3600
    used, refused = (row.hour_taken, row.hour_refused) if fresh else (0, 0)
    return Hour(allowed=int(3600.0 / row.emission), used=used, refused=refused)


class _Line:
    """The one raw connection of this process, opened when first needed, opened again once when it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def one(self, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Run one statement and return its first row, if any."""
        with self._lock:
            try:
                return self._run(statement, values)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if self._connection is not None and not self._connection.closed:
                    raise OperationalError(str(error)) from error  # the connection is well, the statement is not
                self._drop()
            try:
                self._run(_MOVE_ALL_ON, (_AFTER_LOSS,))
                return self._run(statement, values)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._drop()
                raise OperationalError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _run(self, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._connection is None:
            self._connection = _connect()
        cursor = self._connection.execute(statement.encode(), values)
        return cursor.fetchone() if cursor.description else None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect() -> psycopg.Connection[Any]:
    """Connect as Django does, but plainly: no adapters of its own, autocommit."""
    parameters = connections["default"].get_connection_params()
    for own in ("context", "cursor_factory"):
        parameters.pop(own, None)
    connection: psycopg.Connection[Any] = psycopg.connect(**parameters, autocommit=True)
    connection.execute("SET synchronous_commit = off")
    return connection


_line = _Line()
_inherited: list[_Line] = []


def close() -> None:
    """Close this process's connection for budgets. The next `take` opens another."""
    _line.close()


def run(statement: str, values: tuple[Any, ...]) -> None:
    """Run one statement beside the budgets, in autocommit: no transaction of a caller takes it back."""
    _line.one(statement, values)


def set_machine_now(at: datetime | None) -> None:
    """Tell the budgets' connection what machine time it is; None: the database's own. Simulation only."""
    _line.one("SELECT set_config('recallops.machine_now', %s, false)", (at.isoformat() if at else "",))


def _after_fork() -> None:
    """A child must not speak on its parent's connection, nor close it: it is kept, unused."""
    global _line
    _inherited.append(_line)
    _line = _Line()


os.register_at_fork(after_in_child=_after_fork)
