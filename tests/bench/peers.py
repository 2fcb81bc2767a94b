"""Two other ways to move, as people write them, each on a sandbox filled as RecallOps's was, with the same clock.

Each is a script of its own in a process of its own; what it did is counted by the sandbox: calls, and who attended.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recallops.clock import FileClock
from recallops.demo import children, setting_up
from recallops.demo.control import Sandbox
from recallops.demo.proof import HORIZON, UNTIL_ALL_ARE_OVER
from tests.bench.output import ROOT
from tests.bench.processes import cpu_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from recallops.demo.place import Options

NAMES = ("guide", "asyncio_peer")
START_SECONDS = 60


def run(name: str, folder: Path, options: Options, *, latency: float) -> dict[str, Any]:
    """Fill a sandbox, let the peer move it, let the world run out, and count."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clock = FileClock(folder / "clock.json")
    begun = setting_up.coming_monday(datetime.now(UTC))
    clock.set(at=begun, speed=0.0)
    child, sandbox = _sandbox(folder, options)
    try:
        setting_up.fill(sandbox, options)
        if latency:
            sandbox.ask("faults/add", kind="latency", seconds=latency, times=None)
        clock.set(at=begun, speed=options.speed)
        started = time.monotonic()
        used = _move(name, folder, sandbox, options)
        seconds = time.monotonic() - started
        ended = clock.now()
        clock.set(at=ended, speed=0.0)
        return _count(sandbox, begun, ended) | {
            "seconds": round(seconds, 2),
            "cpu_seconds": {"peer": round(used, 2), "sandbox": round(cpu_seconds(child.process.pid), 2)},
            "domain_hours": round((ended - begun).total_seconds() / 3600, 2),
        }
    finally:
        child.stop(grace=10)


def _sandbox(folder: Path, options: Options) -> tuple[children.Child, Sandbox]:
    child = children.start(
        "sandbox",
        [
            *(sys.executable, str(ROOT / "manage.py"), "sandbox", "--regions", setting_up.SOURCE, setting_up.TARGET),
            *("--clock-file", str(folder / "clock.json"), "--workspace", setting_up.INSIDE),
            *("--seed", str(options.seed)),
        ],
        log=folder / "sandbox.log",
        environment=os.environ,
        at_our_death=signal.SIGTERM,
        stdout=subprocess.PIPE,
    )
    output = child.process.stdout
    if output is not None and select.select([output], [], [], START_SECONDS)[0]:
        return child, Sandbox(json.loads(output.readline()))
    child.stop(grace=1)
    raise TimeoutError("The sandbox did not come up.")


def _move(name: str, folder: Path, sandbox: Sandbox, options: Options) -> float:
    """Run the peer's script to its end; return its CPU seconds."""
    task = {
        "source": _end(sandbox, setting_up.SOURCE),
        "target": _end(sandbox, setting_up.TARGET),
        "speed": options.speed,
    }
    with (folder / "peer.log").open("w") as log:
        command = [sys.executable, "-m", f"tests.bench.{name}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, cwd=ROOT)
        if process.stdin is not None:
            process.stdin.write(json.dumps(task))
            process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"The peer failed: {children.end_of(folder / 'peer.log')}")
    return used.ru_utime + used.ru_stime


def _end(sandbox: Sandbox, region: str) -> dict[str, str]:
    return {"url": sandbox.base_url(region), "key": sandbox.key(region, setting_up.INSIDE)}


def _count(sandbox: Sandbox, begun: Any, ended: Any) -> dict[str, Any]:
    counts = {code: sandbox.ask("counts", region=code) for code in sandbox.line["regions"]}
    until = begun + HORIZON
    sandbox.ask("run_out", to=(until + UNTIL_ALL_ARE_OVER).isoformat())
    times = {"until": until.isoformat(), "move_from": begun.isoformat(), "move_to": ended.isoformat()}
    truth = sandbox.ask("truth", **times)
    return {
        "calls": sum(sum(found["by_endpoint"].values()) for found in counts.values()),
        "calls_by_endpoint": {code: found["by_endpoint"] for code, found in counts.items()},
        "refused": sum(int(found["by_status"].get("429", 0)) for found in counts.values()),
        "missed": truth["missed_count"],
        "doubled": truth["doubled_count"],
        "held": truth["held"],
        "wanted": truth["wanted"],
    }
