"""A driver works in turns: short ones while it only waits, longer ones while its threads have something to do."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from django_q.models import OrmQ

from calendars import drivers
from calendars.models import Driver

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)

Work = list["Callable[[], object]"]


@pytest.fixture(autouse=True)
def quick(settings: Any) -> None:
    settings.DRIVER_SECONDS, settings.DRIVER_THREADS = 0.02, 2
    Driver.objects.create(subject="emea", slot=0)


def drive(find_work: Callable[[int], Any], *, linger: bool = False) -> None:
    drivers.drive("somewhere.drive", "emea", 0, find_work=find_work, linger=lambda: linger)


def test_while_one_piece_goes_on_the_other_threads_get_new_work(settings: Any) -> None:
    begun, turn_is_over, helped = time.monotonic(), Event(), []

    def find_work(room: int) -> Work:
        if not helped:
            helped.append("asked")
            return [lambda: helped.append("yes" if turn_is_over.wait(10) else "no")]
        if time.monotonic() > begun + settings.DRIVER_SECONDS and not turn_is_over.is_set():
            return [turn_is_over.set]
        return []

    drive(find_work)
    assert helped == ["asked", "yes"]


def test_a_driver_that_never_lacks_work_makes_room_for_others_at_last() -> None:
    pause = Event()
    drive(lambda room: [lambda: pause.wait(0.001)] * room, linger=True)
    assert OrmQ.objects.get().task["args"] == ("emea", 0), "it has rung for its successor"
    assert Driver.objects.get().lease_token is None


def test_a_driver_without_work_makes_room_after_one_turn() -> None:
    asked = []
    drive(lambda room: asked.append(room) or [], linger=True)
    assert OrmQ.objects.get().task["args"] == ("emea", 0)
    assert set(asked) == {2}


def test_drivers_side_by_side_do_not_end_at_the_same_time() -> None:
    assert drivers.longest(0) != drivers.longest(1)
