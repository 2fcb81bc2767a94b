"""Whatever goes wrong at whichever call of a small batch, nothing is missed, doubled or lost, and all comes to rest."""

from __future__ import annotations

import pytest

from tests.simulation.every_call import CLASSES, rehearsed, struck
from tests.simulation.scenario import Strike
from tests.simulation.stage import Stage
from tests.simulation.verdict import judge

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", CLASSES)
def test_trouble_at_every_call_costs_nothing(on: Stage, kind: str, part: int) -> None:
    calls = range(1 + part, rehearsed(on).calls + 1, PARTS)
    assert len(calls) > 10
    for call in calls:
        play, verdict = struck(on, kind, call)
        assert not verdict.bad, f"{kind} at call {call}\n{verdict}\n{play.history()}"


def test_a_run_from_a_checkpoint_is_the_run_from_the_start(on: Stage) -> None:
    base = rehearsed(on)
    assert len(base.checkpoints) > 8
    for kept in base.checkpoints:
        play = base.resume(on, kept)
        play.play()
        assert play.digest() == base.digest, f"from call {kept.calls}"


def test_a_run_without_trouble_is_well(on: Stage) -> None:
    base = rehearsed(on)
    play = base.resume(on, base.checkpoints[0], Strike(10**6, "shift"))
    play.play()
    verdict = judge(play, on.said)
    assert not verdict.bad
    assert verdict.calls == base.calls
