"""Control commands that fill a world, play it and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallops.sandbox import fill, ics, script, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.world import World

HANDLERS: dict[str, Callable[[World, dict[str, Any]], Any]] = {
    "fill": fill.control_fill,
    "ics": ics.control_ics,
    "script/start": script.control_start,
    "script/stop": script.control_stop,
    "script/state": script.control_state,
    "truth": truth.control_truth,
    "run_out": truth.control_run_out,
}
