"""The plot of the moves: how much of the budgets that bound was used over time, and what each way came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import pyplot

from tests.bench import output

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPAN = 5  # samples that are taken together
NAMES = {"recallops": "RecallOps", "asyncio_peer": "asyncio script", "guide": "the vendor's guide"}
COLOURS = {"add": output.BLUE, "remove": output.RED, "source lists": output.GREY, "target lists": output.GREEN}
PLACES = {
    "add": "eu POST /api/v2/calendar-events/{id}/bot/",
    "remove": "us DELETE /api/v2/calendar-events/{id}/bot/",
    "source lists": "us GET /api/v2/calendar-events/",
    "target lists": "eu GET /api/v2/calendar-events/",
}


def plot(found: dict[str, Any]) -> None:
    """Draw."""
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(9, 7), height_ratios=[3, 2])
    _over_time(top, found["recallops"])
    _compared(bottom, found)
    output.draw("move", figure)


def _over_time(axes: Axes, ours: dict[str, Any]) -> None:
    samples, rates = ours["samples"], ours["a_minute"]
    for name, place in PLACES.items():
        times, shares = [], []
        for before, after in zip(samples[::SPAN], samples[SPAN::SPAN], strict=False):
            minutes = (after["wall"] - before["wall"]) / 60
            calls = after["taken"].get(place, 0) - before["taken"].get(place, 0)
            times.append(after["wall"])
            shares.append(calls / minutes / rates[place])
        axes.plot(times, shares, label=name, color=COLOURS[name], linewidth=1)
    axes.set_xlabel("seconds of the wall")
    axes.set_title("RecallOps: share of the budget in use", fontsize=10)
    axes.legend(fontsize=8)


def _compared(axes: Axes, found: dict[str, Any]) -> None:
    ways = [name for name in NAMES if name in found]
    bars = axes.barh([NAMES[name] for name in ways], [found[name]["seconds"] for name in ways], color=output.GREY)
    said = [
        f"{found[name]['seconds']:.0f} s, {found[name]['calls']} calls, missed {found[name]['missed']}, "
        f"doubled {found[name]['doubled']}"
        for name in ways
    ]
    axes.bar_label(bars, labels=said, padding=3)
    axes.axvline(found["recallops"]["ordered_seconds"], color=output.RED, linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlim(0, 2 * max(found[name]["seconds"] for name in ways))
    axes.set_xlabel("seconds of the wall; dashed: the shortest time of the calls at the limits")
