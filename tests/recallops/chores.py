"""Tasks for real workers: they leave a note of when they began and ended, and in which process."""

from __future__ import annotations

import os
import time
from pathlib import Path


def chore(notes: str, name: str, seconds: float = 0.0) -> None:
    """Do nothing for a while."""
    _note(notes, f"begun {name} {os.getpid()}")
    time.sleep(seconds)
    _note(notes, f"done {name} {os.getpid()}")


def _note(notes: str, line: str) -> None:
    with Path(notes).open("a") as file:
        file.write(f"{line}\n")
