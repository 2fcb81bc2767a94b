"""A row belongs to one worker at a time, until it gives the row back or machine time has passed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from calendars.leases import Lease, MachineNow, give_back, lock, machine_now, renew, take, taker
from calendars.models import Driver
from recallops.prepared import Given
from tests.harness import set_machine_time

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rows() -> list[int]:
    """Return the keys of three free rows."""
    return [Driver.objects.create(subject="acme", slot=slot).pk for slot in range(3)]


def taken(lease: Lease, limit: int = 9) -> list[int]:
    """Take free rows."""
    return take(Driver.objects.all(), limit=limit, lease=lease, order_by=["slot"])


def test_what_one_holds_another_does_not_get(rows: list[int]) -> None:
    mine, theirs = Lease(), Lease()
    assert taken(mine, 2) == rows[:2]
    assert taken(theirs) == rows[2:]
    assert taken(Lease()) == []


def test_they_come_in_the_order_asked_for_and_those_without_a_time_last(rows: list[int]) -> None:
    soon, late = datetime(2026, 11, 23, 6, tzinfo=UTC), datetime(2026, 11, 23, 7, tzinfo=UTC)
    for pk, rung_at in zip(rows, (None, late, soon), strict=True):
        Driver.objects.filter(pk=pk).update(rung_at=rung_at)
    first, second = (take(Driver.objects.all(), limit=2, lease=Lease(), order_by=["rung_at", "pk"]) for _ in range(2))
    assert (first, second) == ([rows[2], rows[1]], [rows[0]])


@taker("slot")
def take_of() -> QuerySet[Driver]:
    """Take those of a subject, from a slot on."""
    return Driver.objects.filter(subject=Given("subject"), slot__gte=Given("first"))


def test_a_statement_made_once_takes_what_the_values_of_that_time_mean(rows: list[int]) -> None:
    assert take_of(limit=9, lease=Lease(), subject="globex", first=0) == []
    assert take_of(limit=1, lease=Lease(), subject="acme", first=1) == [rows[1]]
    assert take_of(limit=9, lease=Lease(), subject="acme", first=0) == [rows[0], rows[2]]
    assert take_of(limit=9, lease=Lease(), subject="acme", first=0) == []


def test_of_none_that_can_be_none_is_taken() -> None:
    assert take(Driver.objects.filter(pk__in=[]), limit=1, lease=Lease(), order_by=["pk"]) == []


def test_what_many_take_at_the_same_moment_each_has_alone_and_no_more_than_asked_for() -> None:
    Driver.objects.bulk_create([Driver(subject="acme", slot=slot) for slot in range(120)])
    together = Barrier(8)

    def work(_: int) -> list[list[int]]:
        together.wait()
        try:
            return list(iter(lambda: taken(Lease(), 3), []))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        portions = [portion for portions in pool.map(work, range(8)) for portion in portions]
    assert max(map(len, portions)) == 3
    every = [pk for portion in portions for pk in portion]
    assert len(every) == len(set(every))
    assert len(every) + len(taken(Lease(), 120)) == 120  # who finds all rows held for a moment ends before the others


def test_a_lease_that_is_over_is_taken_by_the_next_and_cannot_be_renewed(rows: list[int]) -> None:
    mine, theirs = Lease(), Lease()
    taken(mine)
    Driver.objects.filter(pk__in=rows).update(lease_until=MachineNow() - timedelta(seconds=1))
    assert not renew(Driver, rows, mine)
    assert taken(theirs) == rows
    assert renew(Driver, rows, theirs)


def test_a_lease_ends_by_machine_time_whatever_the_domain_says(rows: list[int]) -> None:
    start = datetime(2026, 11, 23, 6, tzinfo=UTC)
    try:
        set_machine_time(start)
        assert machine_now() == start
        taken(Lease(seconds=30))
        set_machine_time(start + timedelta(seconds=29))
        assert taken(Lease()) == []
        set_machine_time(start + timedelta(seconds=31))
        assert taken(Lease()) == rows
    finally:
        set_machine_time(None)


def test_giving_back_leaves_what_somebody_took_over(rows: list[int]) -> None:
    mine, theirs = Lease(), Lease()
    taken(mine)
    Driver.objects.filter(pk=rows[0]).update(lease_token=theirs.token)
    give_back(Driver, rows, mine)
    assert list(Driver.objects.exclude(lease_token=None).values_list("pk", flat=True)) == rows[:1]


def test_rows_are_locked_in_a_transaction_only(rows: list[int]) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        lock(Driver, rows)


def test_the_holder_reckons_its_time_from_before_it_asked() -> None:
    lease = Lease(seconds=30)
    assert 0 < lease.left() < 30
    lease.asked -= 60
    assert lease.left() < 0
