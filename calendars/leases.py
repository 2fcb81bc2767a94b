"""Leases: who may work on a row, and until when. On machine time, which is the database's.

Taking and giving back are single guarded UPDATEs; the count (or the returned rows) tells who won. A worker that was
frozen past its lease finds its token gone and writes nothing.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import DateTimeField, Func, Model, Q, QuerySet

from recallops import waits
from recallops.prepared import bound

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence


class MachineNow(Func):
    """The database's clock as an expression."""

    function = "recallops_machine_now"
    output_field = DateTimeField()


def machine_now() -> datetime:
    """Return machine time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT recallops_machine_now()")
        moment: datetime = cursor.fetchone()[0]
        return moment


@dataclass(slots=True)
class Lease:
    """A token, and how long the holder itself may trust it (counted from before it was asked for)."""

    token: uuid.UUID = field(default_factory=uuid.uuid4)
    seconds: float = field(default_factory=lambda: float(settings.LEASE_SECONDS))
    asked: float = field(default_factory=lambda: waits.monotonic())

    def left(self) -> float:
        """Return the seconds of machine time left, conservatively; negative when it is over."""
        return self.seconds - (waits.monotonic() - self.asked)


def free() -> Q:
    """Rows that nobody holds."""
    return Q(lease_until=None) | Q(lease_until__lt=MachineNow())


def take(rows: QuerySet[Any], *, limit: int, lease: Lease, order_by: Sequence[str]) -> list[int]:
    """Take up to `limit` free rows of a queryset, in the given order, and return their primary keys.

    One statement. Rows that somebody else is taking at this moment are passed over, not waited for; the array lets
    them be chosen once, whatever plan the database makes.
    """
    try:
        return _taken(*_statement(rows, order_by), limit=limit, lease=lease)
    except EmptyResultSet:  # no row can be like that
        return []


def taker(*order_by: str) -> Callable[[Callable[[], QuerySet[Any]]], Callable[..., list[int]]]:
    """Make `take` of a queryset with `Given` names, by a statement that is made once (recallops/prepared.py)."""

    def decorate(make: Callable[[], QuerySet[Any]]) -> Callable[..., list[int]]:
        def taking(*, limit: int, lease: Lease, **given: Any) -> list[int]:
            sql, params = _made_once(make, order_by)
            return _taken(sql, bound(params, given), limit=limit, lease=lease)

        return taking

    return decorate


def _taken(sql: str, params: Iterable[Any], *, limit: int, lease: Lease) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [lease.token, lease.seconds, *params, limit])
        return [row[0] for row in cursor.fetchall()]


@cache
def _made_once(make: Callable[[], QuerySet[Any]], order_by: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    return _statement(make(), order_by)


def _statement(rows: QuerySet[Any], order_by: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    options = rows.model._meta
    table, key = options.db_table, options.pk.column
    order = [key if name == "pk" else options.get_field(name).column for name in order_by]
    free_rows, params = rows.filter(free()).order_by(*order_by).values("pk").query.sql_with_params()
    sql = f"""
        WITH taken AS (
            UPDATE {table} SET lease_token = %s, lease_until = recallops_machine_now() + make_interval(secs => %s)
            WHERE {key} = ANY (ARRAY ({free_rows} LIMIT %s FOR NO KEY UPDATE OF {table} SKIP LOCKED))
            RETURNING {", ".join({key: None} | dict.fromkeys(order))}
        )
        SELECT {key} FROM taken ORDER BY {", ".join(order)}
        """  # noqa: S608 (our own names, and the text of a query with placeholders)
    return sql, params


def locked(rows: QuerySet[Any]) -> list[int]:
    """Lock rows in the order of their keys, inside a transaction, and return the keys.

    Whoever writes many rows takes them in this order, so that no two writers wait for each other for ever.
    """
    keys = rows.model._default_manager.filter(pk__in=rows.values("pk")).order_by("pk")
    return list(keys.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


def lock(model: type[Model], ids: Collection[int]) -> None:
    """Lock rows by their keys, as `locked`. Raises TransactionManagementError outside a transaction."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Locks would be gone with the statement.")
    table, key = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT FROM {table} WHERE {key} = ANY(%s) ORDER BY {key} FOR NO KEY UPDATE",
            [list(ids)],
        )


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Be the only one in the database who is at something of this name, in a transaction; others wait."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [what])
        yield


def renew(model: type[Model], ids: Iterable[int], lease: Lease) -> bool:
    """Prolong a lease on rows that are still ours; return whether all of them were."""
    ids, asked = list(ids), waits.monotonic()
    until = MachineNow() + timedelta(seconds=lease.seconds)
    with transaction.atomic():
        lock(model, ids)
        held = model._default_manager.filter(pk__in=ids, lease_token=lease.token, lease_until__gt=MachineNow())
        if held.update(lease_until=until) < len(ids):
            return False
    lease.asked = asked
    return True


def give_back(model: type[Model], ids: Collection[int], lease: Lease) -> None:
    """Release rows that are still ours; those that somebody took over meanwhile are left alone."""
    table, key = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {table} SET lease_token = NULL, lease_until = NULL
            WHERE {key} = ANY (ARRAY (
                SELECT {key} FROM {table} WHERE {key} = ANY(%s) AND lease_token = %s ORDER BY {key} FOR NO KEY UPDATE
            ))
            """,  # noqa: S608 (our own names)
            [list(ids), lease.token],
        )
