"""The guard: ends what a demo leaves, whichever way the demo ends. `python -m recallops.demo.guard FOLDER`

It is told the processes to watch over on its standard input, one number a line. When that closes, because the demo has
ended or was killed, it waits for them, ends those that stay, stops the clock, and stops the embedded PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from recallops.clock import FileClock
from recallops.demo.place import Place
from recallops.embedded_postgres import server
from recallops.embedded_postgres.errors import EmbeddedPostgresError

GRACE = 20.0


class Guard:
    """The demo's end of the line to its guard."""

    def __init__(self, place: Place) -> None:
        with (place.logs / "guard.log").open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own words)
                [sys.executable, "-m", "recallops.demo.guard", str(place.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                text=True,
            )

    def watch(self, pid: int) -> None:
        """Let it watch over a process group."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{pid}\n")
            self._process.stdin.flush()

    def finish(self) -> None:
        """Let it end what is left, and wait until it has."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Watch, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    place = Place(Path(sys.argv[1]))
    groups = {int(line) for line in sys.stdin if line.strip().isdigit()}
    _end(groups)
    stop_clock(place)
    if place.postgres.exists():
        with contextlib.suppress(EmbeddedPostgresError):
            server.stop(place.postgres)


def stop_clock(place: Place) -> None:
    """Let domain time stand still where it is."""
    clock = FileClock(place.clock_file)
    with contextlib.suppress(OSError, ValueError):
        if clock.speed():
            clock.set(at=clock.now(), speed=0.0)


def _end(groups: set[int]) -> None:
    """Let the processes end by themselves for some seconds (the sandbox saves its world), then end them."""
    until = time.monotonic() + GRACE
    left = {group for group in groups if _tell(group, signal.SIGTERM)}
    while left and time.monotonic() < until:
        time.sleep(0.05)
        left = {group for group in left if _alive(group)}
    for group in left:
        _tell(group, signal.SIGKILL)
    while left and time.monotonic() < until + 5:
        time.sleep(0.02)
        left = {group for group in left if _alive(group)}


def _alive(group: int) -> bool:
    """Tell whether any process of a group is there that is no zombie."""
    if not _tell(group, None):
        return False
    if sys.platform != "linux":
        return True
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                state, _, its_group = (entry / "stat").read_text().rsplit(") ", 1)[1].split()[:3]
                if int(its_group) == group and state not in "ZX":
                    return True
    return False


def _tell(group: int, number: signal.Signals | None) -> bool:
    try:
        os.killpg(group, number or 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
