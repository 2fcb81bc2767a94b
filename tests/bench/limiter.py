"""The rate limiter: eight processes against a strict sliding window, and how many slots a second there can be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from typing import Any

from matplotlib import pyplot

from calendars.models import Provider, RateBudget, Region, Workspace
from calendars.models.workspace import emission
from tests.bench import machine, output

PROCESSES = 8
SECONDS = {"small": 20, "medium": 75, "full": 130}
LIMITS = (600, 6000)  # a minute
WINDOW = 60.0
ENDPOINT = "bench"


def main(size: str) -> None:
    """Measure, write what came of it."""
    found: dict[str, Any] = {"size": size, "machine": machine.describe(), "processes": PROCESSES, "limits": {}}
    workspace = _workspace()
    for limit in LIMITS:
        times = _together(workspace, limit, SECONDS[size])
        found["limits"][limit] = _judge(times, limit)
    free = _together(workspace, 10_000_000, 8)
    found["slots_a_second"] = round((len(free) - 1) / (free[-1] - free[0]), 1)
    workspace.delete()
    output.write("limiter", found)
    _plot(found)
    for limit, one in found["limits"].items():
        sys.stdout.write(
            f"{limit} a minute: {one['share']:.3f} of the limit, at most {one['most_in_a_window']} in a window, "
            f"{one['refused']} refused\n"
        )
    sys.stdout.write(f"unlimited: {found['slots_a_second']:.0f} slots a second\n")


def _workspace() -> Workspace:
    Workspace.objects.filter(slug="bench-limiter").delete()
    region = Region.objects.filter(provider=Provider.RECALL).first()
    return Workspace.objects.create(slug="bench-limiter", name="Bench", region=region, reserve_percent=0)


def _together(workspace: Workspace, limit: int, seconds: int) -> list[float]:
    """Let all processes take slots; return when each call went, by the clock that they share."""
    RateBudget.objects.filter(workspace=workspace).delete()
    RateBudget.objects.create(
        workspace=workspace, endpoint=ENDPOINT, per_minute=limit, emission=emission(limit, workspace.reserve_percent)
    )
    command = [sys.executable, "-m", "tests.bench.limiter_caller", str(workspace.pk), ENDPOINT, str(seconds)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=output.ROOT) for _ in range(PROCESSES)]
    return sorted(at for caller in callers for at in json.loads(caller.communicate()[0]))


def _judge(times: list[float], limit: int) -> dict[str, Any]:
    """Hold the calls against a server that counts each of the last sixty seconds and refuses the one too many."""
    window: deque[float] = deque()
    most = refused = 0
    for at in times:
        while window and window[0] <= at - WINDOW:
            window.popleft()
        if len(window) >= limit:
            refused += 1
            continue
        window.append(at)
        most = max(most, len(window))
    rate = (len(times) - 1) / (times[-1] - times[0])
    return {
        "calls": len(times),
        "share": round(rate * WINDOW / limit, 4),
        "most_in_a_window": most,
        "refused": refused,
        "seconds": round(times[-1] - times[0], 1),
    }


def _plot(found: dict[str, Any]) -> None:
    figure, axes = pyplot.subplots(figsize=(6, 2.4))
    names = [f"{limit} a minute" for limit in found["limits"]]
    bars = axes.barh(names, [one["share"] for one in found["limits"].values()], color=output.BLUE)
    axes.bar_label(bars, labels=[f"{one['share']:.3f}" for one in found["limits"].values()], padding=3)
    axes.axvline(0.97, color=output.RED, linestyle="--", linewidth=1)
    axes.axvline(1.0, color=output.GREY, linewidth=1)
    axes.set_xlim(0.9, 1.02)
    axes.set_xlabel("share of the limit that eight processes use")
    output.draw("limiter", figure)
