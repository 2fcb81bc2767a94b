"""The ways that a batch can take: back from every step, and two batches at once that share meetings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrations_app.itineraries import Step
from tests.harness import TARGET
from tests.simulation.running import run
from tests.simulation.scenario import Act, Person, small
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("goal", "minutes", "deleted"),
    [
        (Step.PREFLIGHT, 3.0, 0),
        (Step.EXPORT, 3.0, 0),
        (Step.RECREATE, 3.0, 0),
        (Step.VERIFY, 3.0, 0),
        (Step.HAND_OVER, 1.4, 0),  # bots are in both regions
        (Step.HAND_OVER, 30.0, 0),
        (Step.CLEAN_UP, 65.0, 1),  # the canary is gone in the source
        (Step.CLEAN_UP, 121.45, 2),  # and another one
    ],
)
def test_a_batch_that_goes_back_leaves_everybody_in_the_source(
    on: Stage, goal: Step, minutes: float, deleted: int
) -> None:
    acts = (Act(0, "allow", goal.value), Act(minutes, "go_back"))
    play, verdict = run(on, Storage(), replace(small(), acts=acts, sweep_every=20))
    assert play.course.gone_back == {"move"}, play.history()
    gone = [
        one for one in play.course.log if (one.method, one.host[:2]) == ("DELETE", "us") and "calendars" in one.path
    ]
    assert len(gone) == deleted, play.history(60)
    assert str(verdict) == "well", play.history()
    assert play.here.calendars == {}
    assert len(play.there.calendars) == len(play.people)
    assert verdict.excused == []


def test_two_batches_at_once_that_share_meetings_move_each_meeting_once(on: Stage) -> None:
    people = tuple(
        Person(f"{name}@{customer}.example")
        for name, customer in zip(("ada", "ben", "cat"), ("northwind", "southwind", "northwind"), strict=True)
    )
    acts = tuple(Act(batch * 4, "allow", "clean_up", batch) for batch in (0, 1))
    play, verdict = run(on, Storage(), replace(small(), people=people, acts=acts, batches=2, shuffled=True))
    assert play.batch_slugs == ["northwind-example", "southwind-example"]
    assert str(verdict) == "well", play.history()
    assert verdict.excused == []
    assert play.there.calendars == {}
    assert {bot.region for bot in play.world.attendance} == {TARGET}
