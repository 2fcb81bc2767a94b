"""What is due is shared out among the threads that have nothing to do, in chunks that fill a page of a list."""

from __future__ import annotations

from functools import partial

import pytest

from calendars import tasks
from calendars.models import Assignment
from calendars.scheduling.reconcile import reconcile
from migrations_app.itineraries import Step
from tests.harness import OFFICE, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)


MEETINGS = 45


@pytest.fixture
def move() -> Move:
    move = quick()
    for number in range(MEETINGS):
        url = f"https://zoom.us/j/{10**9 + number}"
        move.meet(f"meeting {number}", 26 + number, OFFICE[number % len(OFFICE)], url=url)
    move.allow(Step.EXPORT)
    move.run()
    return move


def sizes(move: Move, *, due: int, room: int) -> list[int]:
    """Return how many assignments each piece of work has, so many of them being due and so many threads being idle."""
    Assignment.objects.update(due_at=None, lease_token=None, lease_until=None)
    chosen = Assignment.objects.order_by("start").values("pk")[:due]
    Assignment.objects.filter(pk__in=chosen).update(due_at=move.time.now())
    found = [piece for piece in tasks.find_work(move.source.family, room) if isinstance(piece, partial)]
    return [len(piece.args[0]) for piece in found if piece.func is reconcile]


@pytest.mark.parametrize(
    ("due", "room", "expected"),
    [(0, 8, []), (7, 8, [7]), (30, 3, [10, 10, 10]), (45, 3, [15, 15, 15]), (45, 2, [23, 22]), (45, 1, [40])],
)
def test_few_meetings_go_to_one_thread_and_many_to_all(move: Move, due: int, room: int, expected: list[int]) -> None:
    assert sizes(move, due=due, room=room) == expected
