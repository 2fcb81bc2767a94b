"""One move by RecallOps, measured: the demo's own processes and proof, with a sampler beside them.

`python -m tests.bench.moving FOLDER LATENCY`, in the environment of a demo; writes FOLDER/moved.json.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

django.setup()

from django.db import connections  # noqa: E402

from calendars.models import Assignment, RateBudget  # noqa: E402
from migrations_app import inventory, planner, report  # noqa: E402
from migrations_app.models import Batch, Item  # noqa: E402
from recallops.clock import FileClock  # noqa: E402
from recallops.demo.place import Options, Place  # noqa: E402
from recallops.demo.run import Demo  # noqa: E402
from tests.bench.processes import cpu_seconds  # noqa: E402

if TYPE_CHECKING:
    from recallops.demo.progress import Snapshot

EVERY = 1.0  # seconds between two samples


class Sampler(threading.Thread):
    """Notes once a second how many calls each budget gave out, and how far the batch is."""

    def __init__(self, clock: FileClock) -> None:
        super().__init__(daemon=True)
        self.clock = clock
        self.ended = threading.Event()
        self.samples: list[dict[str, Any]] = []
        self.planned: dict[str, Any] = {}

    def run(self) -> None:
        """Sample until the end."""
        begun = time.monotonic()
        while not self.ended.wait(EVERY):
            batch = Batch.objects.select_related("source__region", "target__region", "handover").get()
            if batch.predicted_seconds is not None and not self.planned:
                self.planned = _planned(batch)
            self.samples.append(
                {
                    "wall": round(time.monotonic() - begun, 2),
                    "domain": round(self.clock.now().timestamp(), 1),
                    "step": batch.step,
                    "flipped": Assignment.objects.filter(flipped_at__isnull=False).count(),
                    "deleted": Item.objects.filter(deleted_at__isnull=False).count(),
                    "taken": _taken(),
                }
            )
        connections.close_all()

    def finish(self) -> None:
        """Stop and wait."""
        self.ended.set()
        self.join()


def _taken() -> dict[str, int]:
    rows = RateBudget.objects.filter(taken__gt=0).values_list("workspace__slug", "endpoint", "taken")
    return {f"{slug} {endpoint}": taken for slug, endpoint, taken in rows}


def _planned(batch: Batch) -> dict[str, Any]:
    """Return what the planner said right after the export, and the calls that it is made of, by step."""
    load, limits = inventory.load(batch), inventory.limits(batch)
    slugs = {planner.SOURCE: batch.source.slug, planner.TARGET: batch.target.slug}
    rows = [
        {"step": row.step.value, "place": f"{slugs[row.role]} {row.endpoint}", "calls": row.calls(load)}
        for row in planner.ROWS
    ]
    return {
        "calendars": load.calendars,
        "meetings": load.meetings,
        "members": load.adds,
        "events": load.events_source,
        "rows": rows,
        "a_minute": {
            f"{slugs[role]} {endpoint}": rate for role, its in limits.items() for endpoint, rate in its.items()
        },
        "bound_seconds": planner.bound_seconds(load, limits),
        "ordered_seconds": planner.ordered_seconds(load, limits),
        "stretches": {
            name: {"seconds": found.seconds, "by": f"{slugs[found.role]} {found.endpoint}"}
            for name, steps in zip(("export", "hand_over", "delete"), planner.STRETCHES, strict=True)
            if (found := planner.bound(load, limits, steps=steps))
        },
        "predicted_seconds": batch.predicted_seconds,
    }


class MeasuredDemo(Demo):
    """The demo, with the latency of a real provider and with what it costs written down."""

    latency: float
    measured: dict[str, Any]

    def _fill(self) -> None:
        super()._fill()
        if self.sandbox is not None and self.latency:
            self.sandbox.ask("faults/add", kind="latency", seconds=self.latency, times=None)

    def _conduct(self) -> Snapshot:
        sampler = Sampler(FileClock(self.place.clock_file))
        sampler.start()
        before, begun = self._cpu(), time.monotonic()
        try:
            return super()._conduct()
        finally:
            seconds = time.monotonic() - begun
            spent = {name: round(now - before.get(name, 0.0), 2) for name, now in self._cpu().items()}
            sampler.finish()
            self.measured = {
                "seconds": round(seconds, 2),
                "cpu_seconds": spent,
                "samples": sampler.samples,
                "planned": sampler.planned,
            }

    def _cpu(self) -> dict[str, float]:
        """Return CPU seconds so far: of the workers, the sandbox, the database, and this process."""
        named = {name: child.process.pid for name, child in self.running.items()}
        postmaster = (self.place.postgres / "data" / "postmaster.pid", self.place.postgres / "postmaster.pid")
        for file in postmaster:
            if file.exists():
                named["database"] = int(file.read_text().split()[0])
        found = {name: cpu_seconds(pid) for name, pid in named.items()}
        own = time.process_time()
        return {**found, "conductor": own}

    def _prove(self) -> int:
        code = super()._prove()
        batch = Batch.objects.get()
        kept = json.loads(self.place.proof_file.read_text())
        self.measured |= {
            "proof": kept,
            "calls": self._calls(),
            "report": {name: report.build(batch)[name] for name in ("prediction", "calls")},
            "domain_seconds": (batch.closed_at - batch.started_at).total_seconds()
            if batch.closed_at and batch.started_at
            else None,
        }
        (self.place.folder / "moved.json").write_text(json.dumps(self.measured))
        return code

    def _calls(self) -> dict[str, Any]:
        if self.sandbox is None:
            return {}
        return {code: self.sandbox.ask("counts", region=code) for code in self.sandbox.line["regions"]}


def main() -> int:
    """Run it."""
    place = Place(Path(sys.argv[1]))
    demo = MeasuredDemo(place, Options.of(place.kept()["options"]), leave=True)
    demo.latency = float(sys.argv[2])
    return demo.run()


if __name__ == "__main__":
    sys.exit(main())
