"""A run that is kept at its quiet moments, so that others may begin there instead of from the start."""

from __future__ import annotations

import copy
import pickle
import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from recallops import clock
from tests.harness import TickingClock, set_machine_time
from tests.simulation.play import LONGEST, Play
from tests.simulation.scenario import Scenario, Strike
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage, Stored


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything at a moment between two turns: world, course, clocks, chance and database."""

    calls: int
    at: datetime
    machine_at: datetime
    world_and_course: bytes
    chance: Any
    stored: Stored


class Rehearsed:
    """A play that was given once without trouble, and can be taken up at any of its quiet moments."""

    def __init__(self, on: Stage, storage: Storage, scenario: Scenario) -> None:
        self.storage = storage
        on.on = None
        storage.clear()
        self.play = on.give(Play(scenario))
        self.checkpoints: list[Checkpoint] = [self._keep()]
        deadline = self.play.time.at + LONGEST
        while not self.play.course.closed_at:
            self.play.step(deadline)
            if self.play.door.calls > self.checkpoints[-1].calls:
                self.checkpoints.append(self._keep())
        self.play.finish_off()
        self.calls = self.play.door.calls
        self.digest = self.play.digest()

    def _keep(self) -> Checkpoint:
        play = self.play
        return Checkpoint(
            calls=play.door.calls,
            at=play.time.at,
            machine_at=play.machine_at,
            world_and_course=pickle.dumps((play.world, play.course), protocol=pickle.HIGHEST_PROTOCOL),
            chance=random.getstate(),
            stored=self.storage.keep(),
        )

    def before(self, call: int) -> Checkpoint:
        """Return the last checkpoint before a call."""
        return [one for one in self.checkpoints if one.calls < call][-1]

    def resume(self, on: Stage, kept: Checkpoint, *strikes: Strike) -> Play:
        """Take the play up at a checkpoint, with trouble to come."""
        on.on = None
        self.storage.put_back(kept.stored)
        play = copy.copy(self.play)
        play.scenario = replace(self.play.scenario, strikes=strikes)
        play.time = TickingClock(kept.at)
        play.world, play.course = pickle.loads(kept.world_and_course)  # noqa: S301 - what was pickled above
        play.world.clock = play.time
        clock.install(play.time)
        play.set_up()
        play.expect(strikes)
        play.door.calls = kept.calls
        play.machine_at = kept.machine_at
        set_machine_time(kept.machine_at)
        for row in (play.source, play.target, play.batch):
            row.refresh_from_db()
        on.give(play)
        random.setstate(kept.chance)
        return play
