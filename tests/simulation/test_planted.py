"""Each mistake that is planted is found: in the engine, and in the sandbox that it is judged by."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulation.planted import MOST_RUNS, PLANTED, Planted
from tests.simulation.running import run
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_mistake_is_found(on: Stage, planted: Planted) -> None:
    storage = Storage()
    healthy, found = [], {}
    for scenario in islice(planted.scenarios(), MOST_RUNS):
        with planted.plant():
            _, verdict = run(on, storage, scenario)
        if verdict.bad:
            found = verdict.bad
            _, without = run(on, storage, scenario)
            healthy = [str(without)]
            break
    assert found, f"{planted.name} was not found in {MOST_RUNS} runs"
    assert healthy == ["well"], f"{planted.name}: it is found without the mistake, too"
