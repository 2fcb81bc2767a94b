"""The product as it runs, one process each: sandbox, web server, workers, and somebody who conducts the clock.

All of it hangs on this process: it is ended with the stage, and by the kernel when this process dies.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

from recallops.clock import FileClock
from recallops.demo import children
from recallops.demo.children import Child
from recallops.demo.control import Sandbox
from tests.conftest import ROOT, child_environment
from tests.recallops.company import all_processes, until

START = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)  # a Monday, early
HORIZON = timedelta(days=28)
REGIONS = ("us-west-2", "eu-central-1")
PATIENCE = 180.0  # seconds: a busy machine is no failure
GRACE = 15.0


@dataclass
class Stage:
    """A product and its world, on a database of its own."""

    folder: Path
    database_url: str
    speed: float = 4.0  # domain seconds in one second of the wall, while there is work
    running: dict[str, Child] = field(default_factory=dict)
    url: str = ""
    sandbox: Sandbox | None = None
    settings: Mapping[str, str] = field(default_factory=dict)  # what differs from other stages

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = FileClock(self.folder / "clock.json")
        self.clock.set(at=START, speed=0.0)

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes these processes this stage's."""
        return child_environment(
            DATABASE_URL=self.database_url,
            RECALLOPS_DATA_DIR=str(self.folder),
            RECALLOPS_CLOCK_FILE=str(self.clock.path),
            LOG_LEVEL="WARNING",
            DRIVERS="1",
            QUEUE_WORKERS="2",
            QUEUE_POLL_SECONDS="0.1",
            PUMP_SECONDS="1",
            PYTHONUNBUFFERED="1",
            **({"SITE_URL": self.url} if self.url else {}),
            **self.settings,
        )

    # --- up

    def open_doors(self) -> None:
        """Start the web server. Whoever comes before it is ready waits at the door."""
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            door.listen(64)
            self.url = f"http://127.0.0.1:{door.getsockname()[1]}"
            self._start(
                "web",
                *("-m", "gunicorn", "recallops.wsgi:application", "--bind", f"fd://{door.fileno()}"),
                *("--workers", "1", "--threads", "4", "--no-control-socket", "--graceful-timeout", "2"),
                pass_fds=(door.fileno(),),
            )

    def open_identity(self) -> None:
        """Let people sign in at a sandbox's identity provider. Before the doors, since the web server has to know."""
        self._start(
            "sandbox",
            *("manage.py", "sandbox", "--regions", *REGIONS, "--clock-file", str(self.clock.path)),
            stdout=PIPE,
        )
        self.sandbox = Sandbox(self._hear("sandbox"))
        self.settings = {**self.settings, **self.sandbox.identity()}

    def fill_rows(self, kind: str = "rows") -> list[tuple[str, str]]:
        """Put a row of everything into the database; return the names and addresses of all pages."""
        self._start("rows", "-m", "tests.browser.backstage", kind, stdout=PIPE)
        pages: list[tuple[str, str]] = self._hear("rows")["pages"]
        self._stop("rows")
        return pages

    def open_world(self, *, rows: bool = True, **size: Any) -> dict[str, Any]:
        """Start the sandbox, fill it, let the clock go, and start the workers; return what it was filled with.

        Without rows, nobody has typed anything into the product yet.
        """
        clock = ("--clock-file", str(self.clock.path))
        self._start(
            "sandbox",
            *("manage.py", "sandbox", "--regions", *REGIONS, *clock, "--rate-factor", "30"),
            stdout=PIPE,
        )
        line = self._hear("sandbox")
        self.sandbox = Sandbox(line)
        options = json.dumps({"seed": 1, "speed": 30.0, **size})
        act = "conduct" if rows else "conduct_empty"
        self._start("conductor", "-m", "tests.browser.backstage", act, json.dumps(line), options, stdout=PIPE)
        summary: dict[str, Any] = self._hear("conductor")
        self.clock.set(at=START, speed=self.speed)
        self._start("workers", "manage.py", "workers", at_our_death=signal.SIGTERM)
        return summary

    def freeze(self) -> None:
        """Let time stand still, nobody conducting."""
        self._stop("conductor")
        self.clock.set(at=self.clock.now(), speed=0.0)

    def proof(self) -> dict[str, Any]:
        """Let the world run on through the rest of the 28 days without any call of ours; return who was attended."""
        assert self.sandbox is not None
        self._stop("workers", grace=GRACE)
        self.freeze()
        until_when = START + HORIZON
        self.sandbox.ask("run_out", to=(until_when + timedelta(hours=12)).isoformat())
        return self.sandbox.ask("truth", until=until_when.isoformat())

    # --- down

    def close(self) -> None:
        """End everything, and wait until nothing of it is left."""
        for name in list(self.running):
            if name != "workers":
                self._stop(name)
        self._stop("workers", grace=GRACE)
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not self.left(), seconds=GRACE)

    def left(self) -> list[int]:
        """Return what is left of its processes, wherever they hang."""
        mark = f"RECALLOPS_DATA_DIR={self.folder}".encode()
        return [pid for pid in all_processes() if mark in _environment(pid).split(b"\0")]

    def said(self) -> str:
        """Return the last words of each process."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.stem}: {children.end_of(log, lines=15)}" for log in logs)

    # --- processes

    def _start(self, name: str, *command: str, **options: Any) -> None:
        self.running[name] = children.start(
            name,
            [sys.executable, *command],
            log=self.folder / f"{name}.log",
            environment=self.environment,
            cwd=ROOT,
            **options,
        )

    def _hear(self, name: str) -> Any:
        """Return the JSON line that a process prints when it is ready."""
        child = self.running[name]
        output = child.process.stdout
        assert output is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([output], [], [], 0.2)[0] and (line := output.readline()):
                return json.loads(line)
            child.check()
        raise AssertionError(f"{name} is not ready after {PATIENCE:.0f} seconds: {self.said()}")

    def _stop(self, name: str, *, grace: float = 0.0) -> None:
        child = self.running.pop(name, None)
        if child is not None:
            child.stop(grace=grace)
            if child.process.stdout is not None:
                child.process.stdout.close()


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has just ended
        return b""
