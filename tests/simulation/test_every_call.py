"""Whatever goes wrong at whichever call of a small batch, nothing is missed, doubled or lost, and all comes to rest.

A worker dies at every call, before and after its commit. Of what else may happen to a call each meets one thing; that
each meets everything is `thorough`: six times as many runs (`make test ARGS="-m thorough"`).
"""

from __future__ import annotations

import pytest

from tests.simulation.every_call import CLASSES, CRASHES, rehearsed, struck
from tests.simulation.scenario import Strike
from tests.simulation.stage import Stage
from tests.simulation.verdict import judge

pytestmark = pytest.mark.django_db(transaction=True)

PARTS = 4
OTHERS = [kind for kind in CLASSES if kind not in CRASHES]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", CRASHES)
def test_a_crash_at_every_call_costs_nothing(on: Stage, kind: str, part: int) -> None:
    _strike(on, [(kind, call) for call in _calls(on, part)])


@pytest.mark.parametrize("part", range(PARTS))
def test_trouble_of_every_kind_spread_over_all_calls_costs_nothing(on: Stage, part: int) -> None:
    _strike(on, [(OTHERS[(call // PARTS) % len(OTHERS)], call) for call in _calls(on, part)])


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", OTHERS)
def test_trouble_of_every_kind_at_every_call_costs_nothing(on: Stage, kind: str, part: int) -> None:
    _strike(on, [(kind, call) for call in _calls(on, part)])


@pytest.mark.parametrize("part", range(PARTS))
def test_a_batch_that_is_sent_back_in_the_middle_of_a_call_goes_back(on: Stage, part: int) -> None:
    _send_back(on, list(_calls(on, part))[::2])


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(PARTS))
def test_a_batch_that_is_sent_back_in_the_middle_of_any_call_goes_back(on: Stage, part: int) -> None:
    _send_back(on, list(_calls(on, part))[1::2])


def _calls(on: Stage, part: int) -> range:
    calls = range(1 + part, rehearsed(on).calls + 1, PARTS)
    assert len(calls) > 10
    return calls


def _strike(on: Stage, strikes: list[tuple[str, int]]) -> None:
    base = rehearsed(on)
    hit = 0
    for kind, call in strikes:
        play, verdict = struck(on, kind, call)
        assert not verdict.bad, f"{kind} at call {call}\n{verdict}\n{play.history()}"
        assert not verdict.excused
        hit += bool(verdict.died or play.course.log[call - 1].status != base.play.course.log[call - 1].status)
    # after the last calls of a piece of work nothing may be left to be committed, so nobody dies of it
    assert hit == len(strikes) or (strikes[0][0] == "crash after our commit" and hit > 0.8 * len(strikes))


def _send_back(on: Stage, calls: list[int]) -> None:
    base = rehearsed(on)
    for call in calls:
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
