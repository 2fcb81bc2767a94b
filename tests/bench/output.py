"""Writes what a bench found: JSON and a plot, both named after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "bench"
BLUE, GREY, RED, GREEN = "#3b5bdb", "#868e96", "#e03131", "#2f9e44"


def write(name: str, found: dict[str, Any]) -> None:
    """Write the figures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def draw(name: str, figure: Figure) -> None:
    """Write the plot."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # no date inside: the same figures give the same file
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
