"""Virtual time: what waits side by side is not added up, and nothing waits where it must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from recallops import waits
from recallops.rehearsal.hands import Hands, VirtualClock

pytestmark = pytest.mark.django_db(transaction=True)
BEGIN = datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.fixture
def hands() -> Iterator[Hands]:
    found = Hands(VirtualClock(BEGIN))
    waits.install(found)
    yield found
    waits.install(None)
    connection.dec_thread_sharing()


def _finish(hands: Hands) -> float:
    while hands.next() is not None:
        hands.go_on()
    return (hands.clock.at - BEGIN).total_seconds()


def test_two_hands_that_wait_at_the_same_time_wait_once(hands: Hands) -> None:
    for _ in range(2):
        hands.take(lambda: waits.sleep(10))
    assert _finish(hands) == pytest.approx(10)


def test_whose_wait_is_over_first_goes_on_first(hands: Hands) -> None:
    said: list[str] = []
    for name, seconds in (("late", 3.0), ("soon", 1.0), ("between", 2.0)):
        hands.take(lambda name=name, seconds=seconds: (waits.sleep(seconds), said.append(name))[1])  # type: ignore[misc]
    _finish(hands)
    assert said == ["soon", "between", "late"]


def test_the_database_s_clock_says_the_virtual_time(hands: Hands) -> None:
    seen: list[datetime] = []

    def look() -> None:
        waits.sleep(60)
        with connection.cursor() as cursor:
            cursor.execute("SELECT recallops_machine_now()")
            seen.append(cursor.fetchone()[0])

    hands.take(look)
    _finish(hands)
    assert seen == [BEGIN + timedelta(minutes=1)]


def test_who_waits_for_a_condition_lets_the_others_work(hands: Hands) -> None:
    condition, told = threading.Condition(), []

    def waiting() -> None:
        with condition:
            while not told:
                waits.until_told(condition, 5)

    def telling() -> None:
        waits.sleep(2)
        with condition:
            told.append(True)

    hands.take(waiting)
    hands.take(telling)
    assert _finish(hands) == pytest.approx(2, abs=1)


def test_nothing_may_wait_inside_a_transaction(hands: Hands) -> None:
    def wrong() -> None:
        with transaction.atomic():
            waits.sleep(1)

    hands.take(wrong)
    _finish(hands)
    assert hands.failed == ["RuntimeError"]
