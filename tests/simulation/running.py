"""One seed from beginning to end."""

from __future__ import annotations

from tests.simulation.play import Play
from tests.simulation.scenario import Scenario
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage
from tests.simulation.verdict import Verdict, judge


def run(on: Stage, storage: Storage, scenario: Scenario) -> tuple[Play, Verdict]:
    """Give a play on an empty database, and judge it."""
    on.on = None
    storage.clear()
    play = on.give(Play(scenario))
    play.play()
    return play, judge(play, on.said)
