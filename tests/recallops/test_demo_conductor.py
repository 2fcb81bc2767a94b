"""The shared clock jumps over waits, and never over work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db.models import Min
from django_q.models import OrmQ

from calendars.leases import MachineNow
from calendars.models import Assignment, Sweep, Workspace
from calendars.providers import limits
from calendars.providers.connect import use_transport
from migrations_app.itineraries import Step
from migrations_app.models import Item
from recallops import clock
from recallops.demo.conductor import SLACK, Conductor
from tests.harness import Move

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def time(tmp_path: Path) -> Iterator[clock.FileClock]:
    """A batch that waits for its soak to end, on a clock that stands still until it is moved."""
    with clock.use(clock.WallClock()):
        move = Move(calendars=2, events=8)
        move.allow(Step.CLEAN_UP)
        move.run(until=lambda: Item.objects.filter(step=Step.DELETE_OLD).count() == 2)
        found = clock.FileClock(tmp_path / "clock.json")
        found.set(at=move.time.now(), speed=0.0)
        clock.install(found)
        OrmQ.objects.all().delete()
        yield found
    use_transport(None)
    limits.close()


def due() -> datetime:
    moments = [
        Assignment.objects.filter(over=False).aggregate(at=Min("due_at"))["at"],
        Workspace.objects.filter(watched=True).aggregate(at=Min("sweep_due_at"))["at"],
        Item.objects.aggregate(at=Min("due_at"))["at"],
    ]
    return min(moment for moment in moments if moment is not None)


def test_it_jumps_to_the_next_thing_that_is_due(time: clock.FileClock) -> None:
    first = due()
    assert first > time.now()
    Conductor(time).look()
    assert first <= time.now() <= first + SLACK


def test_it_gathers_what_falls_due_close_behind(time: clock.FileClock) -> None:
    first = due()
    item = Item.objects.earliest("pk")
    Item.objects.filter(pk=item.pk).update(due_at=first + SLACK)
    Conductor(time).look()
    assert time.now() == first + SLACK


@pytest.mark.parametrize("model", [Assignment, Item, Sweep])
def test_it_never_jumps_while_somebody_works(
    time: clock.FileClock, model: type[Assignment] | type[Item] | type[Sweep]
) -> None:
    before = time.now()
    if model is Sweep:
        Sweep.objects.update_or_create(workspace=Workspace.objects.earliest("pk"), kind="bots", begun_at=before)
    row = model._default_manager.latest("pk")
    mine = model._default_manager.filter(pk=row.pk)
    mine.update(lease_token="6" * 32, lease_until=MachineNow() + timedelta(seconds=60))
    Conductor(time).look()
    assert time.now() == before
    mine.update(lease_token=None, lease_until=None)
    Conductor(time).look()
    assert time.now() > before


def test_it_rings_for_what_is_due_instead_of_jumping(time: clock.FileClock) -> None:
    time.jump(due())
    before = time.now()
    Conductor(time).look()
    assert time.now() == before
    assert OrmQ.objects.exists()


def test_it_lets_time_pass_while_people_think(time: clock.FileClock) -> None:
    from migrations_app.models import Batch

    batch = Batch.objects.get()
    Batch.objects.filter(pk=batch.pk).update(reached=batch.goal)
    before = time.now()
    Conductor(time).look()
    assert time.now() == before
