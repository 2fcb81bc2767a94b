"""Saving a world and loading it again.

The state file is a pickle: loading one runs what is in it. It is made and read by the sandbox alone; it holds the keys
and tokens of a simulated world, and nobody should load one from elsewhere.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recallops.sandbox.world import Clock, World


def save(world: World, path: Path | str) -> None:
    """Write a world to a file that is replaced as a whole."""
    path = Path(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    with draft.open("wb") as file:
        pickle.dump(world, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path | str, clock: Clock) -> World:
    """Read a world. What fell due meanwhile happens at the next `advance()`, each at its own time."""
    with Path(path).open("rb") as file:
        world: World = pickle.load(file)  # noqa: S301 (our own file, see above)
    world.clock = clock
    world.outbox.resume()
    return world
