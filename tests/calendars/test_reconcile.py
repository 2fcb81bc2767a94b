"""The one writer's bookkeeping: what came in while it worked is looked at again, and a lost lease writes nothing."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from calendars import assignments, sync
from calendars.leases import Lease, MachineNow, take
from calendars.models import Assignment, Event, Intent
from calendars.scheduling.reconcile import reconcile
from migrations_app.itineraries import Step
from recallops import clock
from tests.harness import Move, quick

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calm() -> Move:
    """Return a move that was handed over and in which nothing is due."""
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    assert not Assignment.objects.filter(over=False, due_at__lte=clock.now()).exists()
    return move


def leased(*rows: Assignment) -> Lease:
    """Take these rows, as a driver does."""
    lease = Lease()
    ids = [row.pk for row in rows]
    assert take(Assignment.objects.filter(pk__in=ids), limit=9, lease=lease, order_by=["pk"]) == sorted(ids)
    return lease


def test_a_row_that_changed_after_it_was_judged_is_looked_at_again(calm: Move) -> None:
    """The pass goes on for another row, and reads this one anew: that reading was not what it was judged on."""
    first, second = Assignment.objects.filter(over=False).order_by("start")[:2]
    Event.objects.filter(occurrence__assignment=second).update(changed_at=clock.now())  # it must be read
    lease = leased(first, second)
    calls = calm.door.calls
    calm.door.before = lambda number, request: assignments.wake([first.pk])
    reconcile([first.pk, second.pk], lease=lease)
    assert calm.door.calls > calls
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.due_at is not None
    assert first.due_at <= clock.now()
    assert second.due_at is not None
    assert second.due_at > clock.now()


def test_a_worker_that_lost_its_lease_writes_neither_here_nor_there(calm: Move) -> None:
    row = Assignment.objects.filter(over=False).earliest("start")
    Event.objects.filter(occurrence__assignment=row).update(changed_at=clock.now())
    lease = leased(row)
    Assignment.objects.filter(pk=row.pk).update(lease_until=MachineNow() - timedelta(seconds=1))
    other = leased(row)
    calls = len(calm.writes())
    reconcile([row.pk], lease=lease)
    assert len(calm.writes()) == calls
    after = Assignment.objects.get(pk=row.pk)
    assert after.lease_token == other.token
    assert (after.reason, after.verdict_at, after.due_at) == (row.reason, row.verdict_at, row.due_at)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_removal_whose_answer_was_lost_has_an_end_also_when_its_meeting_moves_away_meanwhile(when: str) -> None:
    move = quick()
    moved: list[str] = []

    def strike(number: int, request: httpx.Request) -> None:
        if request.method == "DELETE" and request.url.path.endswith("/bot/") and not moved:
            event = move.there.events[request.url.path.split("/")[-3]]
            meeting = move.world.meetings[event.meeting_id]
            moved.append(event.id)
            move.world.move(meeting, meeting.start + timedelta(hours=1))
            move.world.faults.add("drop", when=when)

    move.door.before = strike
    move.allow(Step.CLEAN_UP)
    move.run(until=Intent.objects.filter(purpose=Intent.Purpose.REMOVE_BOT, state=Intent.State.SENT).exists)
    assert moved
    move.time.advance(timedelta(seconds=20))
    move.world.advance()
    assert sync.sweep_changes(move.target)  # where the meeting is by now
    move.run()
    assert not Intent.objects.filter(state__in=Intent.OPEN).exists()
    move.assert_proven(wanted=6)
