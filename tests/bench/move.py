"""A whole move against its bound, beside the vendor's guide and an asyncio script on an equally filled sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from recallops.demo.place import Options, Place
from tests.bench import machine, output, peers
from tests.bench.moving_figures import figures
from tests.bench.moving_plot import plot

LATENCY = 0.2  # of a call to the provider, in seconds; divided by the speed, as everything is


@dataclass(frozen=True, slots=True)
class Size:
    """How much is moved, and how fast the clock runs."""

    calendars: int
    customers: int
    speed: float


# Twenty events a calendar. The faster the clock, the more calls a second: each speed is one at which two cores, which
# the sandbox and the database share, are not what bounds.
SIZES = {"small": Size(30, 6, 2.0), "medium": Size(60, 12, 1.0), "full": Size(2000, 24, 1.5)}
EVENTS = 20
AS_IN_PRODUCTION = {"DRIVERS": "2", "QUEUE_WORKERS": "4"}  # the demo has fewer
SEED = 1


def main(size: str) -> None:
    """Move, let the peers move, write what came of it."""
    chosen = SIZES[size]
    folder = Path(settings.DATA_DIR) / "move"
    options = Options(
        calendars=chosen.calendars,
        customers=chosen.customers,
        events=chosen.calendars * EVENTS,
        seed=SEED,
        hours=0.0,  # nobody follows changes after a peer has ended, so nothing changes for anybody
        speed=chosen.speed,
    )
    found: dict[str, Any] = {"size": size, "machine": machine.describe(), "speed": chosen.speed}
    found |= {"calendars": options.calendars, "events": options.events, "latency": LATENCY}
    found["recallops"] = figures(_ours(folder, options), speed=chosen.speed)
    # the peers side by side: they take a tenth of a core, and one of them waits most of the time
    with ThreadPoolExecutor() as both:
        moves = {
            name: both.submit(
                peers.run, name, folder.with_name(f"move-{name}"), options, latency=LATENCY / chosen.speed
            )
            for name in peers.NAMES
        }
    found |= {name: move.result() for name, move in moves.items()}
    output.write("move", found)
    plot(found)
    for name in ("recallops", *peers.NAMES):
        one = found[name]
        said = f"{one['seconds']:.0f} s, {one['calls']} calls, {one['refused']} refused"
        sys.stdout.write(f"{name:14} {said}, missed {one['missed']}, doubled {one['doubled']}\n")


def _ours(folder: Path, options: Options) -> dict[str, Any]:
    """Run the demo's processes in an environment of their own; return what they measured."""
    place = Place(folder)
    _stop_database(place)
    place.clear()
    place.prepare(options)
    environment = {**place.environment(database="", lock=None), "DJANGO_SETTINGS_MODULE": "recallops.settings"}
    environment |= AS_IN_PRODUCTION
    command = [sys.executable, "-m", "tests.bench.moving", str(folder), str(LATENCY / options.speed)]
    subprocess.run(command, env=environment, check=False)
    measured: dict[str, Any] = json.loads((folder / "moved.json").read_text())
    return measured


def _stop_database(place: Place) -> None:
    from recallops.embedded_postgres import server

    if place.postgres.exists():
        server.stop(place.postgres)
