"""A process of `manage.py simulate`: plays seeds on a database of its own. Imports nothing of Django before set-up."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one seed. `trouble` is empty when all was well."""

    seed: int
    seconds: float = 0.0
    calls: int = 0
    faults: int = 0
    crashes: int = 0
    missed: int = 0
    doubled: int = 0
    excused: int = 0
    lost: int = 0
    trouble: str = ""
    story: str = ""
    digest: str = ""  # of the call log


def work(environment: dict[str, str], seeds: Any, lines: Any, calendars: int | None, days: float | None) -> None:
    """Play seeds from a queue until it says None, or nobody is left to hear of them."""
    os.environ.update(environment)
    import django

    django.setup()
    from tests.simulation.stage import stage
    from tests.simulation.storage import Storage

    with stage() as on:
        storage = Storage()
        parent = multiprocessing.parent_process()
        while (seed := seeds.get()) is not None and parent is not None and parent.is_alive():
            lines.put(_line(on, storage, seed, calendars, days))


def _line(on: Any, storage: Any, seed: int, calendars: int | None, days: float | None) -> Line:
    from tests.simulation.running import run
    from tests.simulation.seeds import derive

    begun = time.monotonic()
    scenario = derive(seed, calendars=calendars, days=days)
    try:
        play, verdict = run(on, storage, scenario)
    except Exception:
        return Line(seed, time.monotonic() - begun, trouble=traceback.format_exc(), story=str(scenario))
    return Line(
        seed=seed,
        seconds=time.monotonic() - begun,
        calls=verdict.calls,
        faults=sum(strike.call <= verdict.calls for strike in scenario.strikes) + len(play.happenings.history.outages),
        crashes=verdict.died,
        missed=len(verdict.missed),
        doubled=len(verdict.doubled),
        excused=len(verdict.excused),
        lost=len(verdict.lost),
        trouble=str(verdict) if verdict.bad else "",
        story=f"{scenario}\n{play.history()}",
        digest=play.digest(),
    )
