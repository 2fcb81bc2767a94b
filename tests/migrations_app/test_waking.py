"""A batch is rung for by what the rows say, whether a driver is awake or not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django_q.models import OrmQ

from calendars import sync
from calendars.leases import Lease, take
from calendars.models import Driver, Sweep
from migrations_app import tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus
from recallops import clock
from tests.harness import quick

pytestmark = pytest.mark.django_db(transaction=True)


def test_calendars_of_which_nothing_hangs_any_more_are_rung_for_before_the_time_they_waited_for() -> None:
    """As after a restart: the last meeting ended early, and no driver is awake to notice."""
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    later = move.time.at + timedelta(days=2)
    Item.objects.filter(batch=move.batch, kind=Item.Kind.CONNECTION).update(
        step=Step.HAND_OVER, status=ItemStatus.WAITING, due_at=later
    )
    Batch.objects.filter(pk=move.batch.pk).update(step=Step.HAND_OVER, status=BatchStatus.RUNNING, reached="")
    OrmQ.objects.all().delete()
    Driver.objects.all().delete()
    assert tasks.next_due() is not None
    assert tasks.pump() == 1
    assert OrmQ.objects.count() == 1
    move.run()
    assert move.time.at < later


def test_calendars_that_are_ready_are_rung_for_as_soon_as_their_step_is_allowed() -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    OrmQ.objects.all().delete()
    Driver.objects.all().delete()
    Batch.objects.filter(pk=move.batch.pk).update(goal=Step.RECREATE)  # as the button does, but for its bell
    assert tasks.pump() == 1


@pytest.mark.parametrize(("step", "kind"), [(Step.PREFLIGHT, Sweep.Kind.CALENDARS), (Step.EXPORT, Sweep.Kind.EVENTS)])
def test_a_batch_whose_lists_another_reads_looks_again_a_little_later(step: Step, kind: Sweep.Kind) -> None:
    move = quick()
    held = sync.open_sweep(move.source, kind)
    take(Sweep.objects.filter(pk=held.pk), limit=1, lease=Lease(), order_by=["pk"])
    move.allow(step)
    due = Batch.objects.filter(step=step, due_at__gt=clock.now() + timedelta(seconds=5))
    move.run(until=due.exists, longest=timedelta(minutes=1))
    Sweep.objects.filter(pk=held.pk).update(lease_token=None, lease_until=None)
    move.run()


def test_looking_for_work_where_there_is_none_takes_one_query(django_assert_num_queries: Any) -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()  # it waits for the next press
    for look in (tasks.next_due, tasks.pump, lambda: tasks.find_work(move.batch.slug, 4)):
        with django_assert_num_queries(1):
            assert not look()
