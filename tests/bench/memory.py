"""How much memory the parts of a move take that look at a whole batch, and how their time grows with its size.

Sweeps read a page at a time and items are taken one by one, so they are left out: what could grow are the steps of the
batch as a whole, the pumps, the ledger and the report. The rows are written to the database directly.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from matplotlib import pyplot

from tests.bench import filling, machine, output

SIZES = {"small": (1_000,), "medium": (1_000, 10_000), "full": (1_000, 10_000, 100_000)}
PARTS = (
    *("pump", "find work", "plan", "cut line", "preflight checks", "make items", "nearest meetings"),
    *("export checks", "learn keys", "form assignments", "ledger", "report"),
)
SLOW, MOST_FOR_SLOW = "form assignments", 10_000  # 500 events at a time, a minute for 10,000 calendars
EVENTS = 2  # a calendar: far fewer than usual, so that the largest size takes minutes


def main(size: str) -> None:
    """Fill, let a process of its own do the work, write what came of it."""
    found: dict[str, Any] = {"size": size, "machine": machine.describe(), "events_a_calendar": EVENTS, "sizes": {}}
    for calendars in SIZES[size]:
        begun = time.monotonic()
        filling.fill(calendars, events=EVENTS)
        filled = time.monotonic() - begun
        sys.stdout.write(f"{calendars:,} calendars, filled in {filled:.0f} s\n")
        wanted = [name for name in PARTS if name != SLOW or calendars <= MOST_FOR_SLOW]
        found["sizes"][calendars] = {name: _part(name) for name in wanted}
    filling.empty()
    output.write("memory", found)
    _plot(found)


def _part(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.memory_work", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=output.ROOT)
    one: dict[str, float] = json.loads(done.stdout)
    sys.stdout.write(f"  {name:20} {one['seconds']:8.2f} s  {one['grown_mib']:+8.1f} MiB\n")
    sys.stdout.flush()
    return one


def _plot(found: dict[str, Any]) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    sizes = list(found["sizes"])
    for name in PARTS:
        parts = {size: found["sizes"][size][name] for size in sizes if name in found["sizes"][size]}
        left.plot(list(parts), [part["grown_mib"] for part in parts.values()], marker="o", label=name)
        right.plot(list(parts), [part["seconds"] for part in parts.values()], marker="o", label=name)
    for axes, what in ((left, "memory that a part takes at its peak, MiB"), (right, "seconds")):
        axes.set_xscale("log")
        axes.set_xlabel("calendars")
        axes.set_title(what, fontsize=10)
    left.set_ylim(bottom=0)
    right.set_yscale("log")
    right.legend(fontsize=7)
    output.draw("memory", figure)
