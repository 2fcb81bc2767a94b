"""Whole moves under seeds: the world changes, everything breaks, and nobody is missed, doubled or lost."""

from __future__ import annotations

import pytest

from tests.conftest import Address
from tests.simulation import many
from tests.simulation.running import run
from tests.simulation.seeds import derive
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS = 200
AT_ONCE = 5  # few, so that no core is left without one for long
SAME = 3  # a seed with two batches or so, webhooks, and workers that come between each other


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_seeds_end_well(on: Stage, first: int) -> None:
    storage = Storage()
    failed = []
    for seed in range(first, first + AT_ONCE):
        scenario = derive(seed)
        play, verdict = run(on, storage, scenario)
        if verdict.bad:
            failed.append(f"manage.py simulate --seeds {seed}\n{verdict}\n{scenario}\n{play.history()}")
    assert not failed, "\n\n".join(failed)


@pytest.mark.processes
def test_the_same_seed_gives_the_same_calls_in_another_process_with_another_hash_seed(
    database_address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for hash_seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        found += list(many.play([SAME], processes=1))
    assert [line.trouble for line in found] == ["", ""]
    assert found[0].calls > 50
    assert found[0].digest == found[1].digest
