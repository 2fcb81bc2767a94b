"""Leases: who may work on a row, and until when. On machine time, which is the database's.

Taking and giving back are single guarded UPDATEs; the count (or the returned rows) tells who won. A worker that was
frozen past its lease finds its token gone and writes nothing.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, Func, Model, Q, QuerySet, Value

from recallops import waits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence


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

    Rows that somebody else is taking at this moment are passed over, not waited for.
    """
    model: type[Model] = rows.model
    with transaction.atomic():
        free_rows = (
            rows.filter(free()).order_by(*order_by).select_for_update(skip_locked=True, no_key=True, of=("self",))
        )
        ids = list(free_rows.values_list("pk", flat=True)[:limit])
        if ids:
            until = MachineNow() + timedelta(seconds=lease.seconds)
            model._default_manager.filter(pk__in=ids).update(lease_token=lease.token, lease_until=until)
    return ids


def locked(rows: QuerySet[Any]) -> list[int]:
    """Lock rows in the order of their keys, inside a transaction, and return the keys.

    Whoever writes many rows takes them in this order, so that no two writers wait for each other for ever.
    """
    keys = rows.model._default_manager.filter(pk__in=rows.values("pk")).order_by("pk")
    return list(keys.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


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
        held = model._default_manager.filter(
            pk__in=locked(model._default_manager.filter(pk__in=ids)),
            lease_token=lease.token,
            lease_until__gt=MachineNow(),
        )
        if held.update(lease_until=until) < len(ids):
            return False
    lease.asked = asked
    return True


def give_back(model: type[Model], ids: Collection[int], lease: Lease) -> None:
    """Release rows that are still ours; those that somebody took over meanwhile are left alone."""
    mine = model._default_manager.filter(pk__in=list(ids), lease_token=lease.token)
    with transaction.atomic():
        if len(ids) > 1:  # one row needs no order
            locked(mine)
        mine.update(lease_token=None, lease_until=Value(None, output_field=DateTimeField()))
