"""List pages of the admin at a million events, against stock pages of the same rows in the same run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from django.apps import apps
from matplotlib import pyplot

from tests.bench import filling, machine, output
from tests.bench.admin_side import MODELS

CALENDARS = {"small": 500, "medium": 5_000, "full": 25_000}  # with 20 events on each side
ROUNDS = {"small": 1, "medium": 2, "full": 3}
PAGES_A_ROUND = 3
SETTINGS = {"recallops": "recallops.settings", "stock": "tests.bench.stock_settings"}


def main(size: str) -> None:
    """Fill, measure in turns, write what came of it."""
    filling.fill(CALENDARS[size])
    took: dict[str, dict[str, list[float]]] = {side: {model: [] for model in MODELS} for side in SETTINGS}
    queries: dict[str, dict[str, int]] = {side: {} for side in SETTINGS}
    for _ in range(ROUNDS[size]):
        for side in SETTINGS:
            for model, page in _side(side).items():
                took[side][model] += page["ms"]
                queries[side][model] = page["queries"]
    found: dict[str, Any] = {"size": size, "machine": machine.describe(), "pages": {}}
    for model in MODELS:
        page: dict[str, Any] = {
            side: {"ms": round(statistics.median(took[side][model]), 1), "queries": queries[side][model]}
            for side in SETTINGS
        }
        page["rows"] = apps.get_model(*model.rsplit("_", 1))._default_manager.count()
        page["of_stock"] = round(page["recallops"]["ms"] / page["stock"]["ms"], 3)
        found["pages"][model.rsplit("_", 1)[1]] = page
    filling.empty()
    output.write("admin", found)
    _plot(found)
    for name, page in found["pages"].items():
        sides = "; ".join(f"{side} {page[side]['ms']:.0f} ms, {page[side]['queries']} queries" for side in SETTINGS)
        sys.stdout.write(f"{name:12} {page['rows']:>9,} rows: {sides}: {page['of_stock']:.2f}\n")


def _side(side: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.admin_side", str(PAGES_A_ROUND)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS[side]}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=output.ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _plot(found: dict[str, Any]) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    pages = found["pages"]
    for shift, (side, colour) in zip((-0.2, 0.2), (("recallops", output.BLUE), ("stock", output.GREY)), strict=True):
        places = [place + shift for place in range(len(pages))]
        bars = axes.barh(places, [one[side]["ms"] for one in pages.values()], height=0.38, color=colour, label=side)
        said = [f"{one[side]['ms']:.0f} ms, {one[side]['queries']} queries" for one in pages.values()]
        axes.bar_label(bars, labels=said, padding=3)
    axes.set_yticks(range(len(pages)), [f"{name}\n{one['rows']:,} rows" for name, one in pages.items()])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5 * max(one["stock"]["ms"] for one in pages.values()))
    axes.set_xlabel("first page, milliseconds (median)")
    axes.legend()
    output.draw("admin", figure)
