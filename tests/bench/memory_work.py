"""Does one part of what looks at a whole batch: `python -m tests.bench.memory_work PART`; prints JSON.

Each in a process of its own, so that what one has grown to does not hide what another needs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from calendars import assignments  # noqa: E402
from calendars import tasks as calendar_tasks  # noqa: E402
from migrations_app import coverage, engine, inventory, planner, report  # noqa: E402
from migrations_app import tasks as batch_tasks  # noqa: E402
from migrations_app.models import Batch, CoverageReading  # noqa: E402
from migrations_app.steps import export, hand_over, preflight  # noqa: E402
from tests.bench.processes import resident_mib  # noqa: E402


def parts(batch: Batch) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by name."""
    return {
        "pump": lambda: (batch_tasks.pump(), calendar_tasks.pump(), batch_tasks.next_due(), calendar_tasks.next_due()),
        "find work": lambda: (hand_over.wake_finished(batch), engine.follow_items(batch)),
        "plan": lambda: planner.bound(inventory.load(batch), inventory.limits(batch)),
        "cut line": lambda: hand_over.propose(batch),
        "make items": lambda: export._make_items(batch),
        "nearest meetings": lambda: export._note_nearest(batch),
        "preflight checks": lambda: list(preflight._checks(batch)),
        "export checks": lambda: list(export._checks(batch)),
        "learn keys": lambda: assignments.learn_keys(batch.source),
        "form assignments": lambda: assignments.form(batch.source),
        "ledger": lambda: coverage.read(batch, CoverageReading.Moment.AFTER),
        "report": lambda: _report(batch),
    }


def main() -> None:
    """Measure one part."""
    batch = Batch.objects.select_related("source__region", "target__region", "handover").get()
    found = parts(batch)
    found["pump"]()  # what is imported and connected at the first call is there before anything is measured
    sys.stdout.write(json.dumps(_measured(found[sys.argv[1]])))


def _report(batch: Batch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report.write(batch, Path(folder) / "report.json")


def _measured(part: Callable[[], Any]) -> dict[str, float]:
    before = resident_mib()
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    begun = time.perf_counter()
    part()
    seconds = time.perf_counter() - begun
    peak = resident_mib(peak=True)
    return {"seconds": round(seconds, 3), "grown_mib": round(peak - before, 1)}


if __name__ == "__main__":
    main()
