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
    base = rehearsed(on)
    calls = range(1 + part, base.calls + 1, PARTS)
    assert len(calls) > 10
    hit = 0
    for call in calls:
        play, verdict = struck(on, kind, call)
        assert not verdict.bad, f"{kind} at call {call}\n{verdict}\n{play.history()}"
        assert not verdict.excused
        hit += bool(verdict.died or play.course.log[call - 1].status != base.play.course.log[call - 1].status)
    # after the last calls of a piece of work nothing may be left to be committed, so nobody dies of it
    assert hit == len(calls) or (kind == "crash after our commit" and hit > 0.8 * len(calls))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_batch_that_is_sent_back_in_the_middle_of_any_call_goes_back(on: Stage, part: int) -> None:
    base = rehearsed(on)
    for call in range(1 + part, base.calls + 1, PARTS):
        play = base.resume(on, base.before(call), Strike(call, "gone_back"))
        play.play()
        verdict = judge(play, on.said)
        assert play.course.gone_back == {"move"}, play.history()
        assert not verdict.bad, f"sent back at call {call}\n{verdict}\n{play.history()}"
        assert not verdict.excused


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
