"""A row belongs to one worker at a time, until it gives the row back or machine time has passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from calendars.leases import Lease, MachineNow, give_back, machine_now, renew, take
from calendars.models import Driver
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


def test_the_holder_reckons_its_time_from_before_it_asked() -> None:
    lease = Lease(seconds=30)
    assert 0 < lease.left() < 30
    lease.asked -= 60
    assert lease.left() < 0
