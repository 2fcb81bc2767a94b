"""A parent of real workers under test: started, watched from outside, asked for work, and cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from django_q.signing import SignedPackage

from tests.conftest import ROOT, Address, child_environment

Found = TypeVar("Found")

# Seconds for what takes half a minute in production, so that each test takes some.
QUICK = {
    "PUMP_SECONDS": "0.5",
    "HEARTBEAT_SECONDS": "0.3",
    "HEARTBEAT_STALE_SECONDS": "4",
    "HEARTBEAT_LOST_SECONDS": "8",
    "WORKERS_GRACE_SECONDS": "2",
    "QUEUE_WORKERS": "2",
    "QUEUE_POLL_SECONDS": "0.05",
}


def until(look: Callable[[], Found], *, seconds: float = 60.0) -> Found:
    """Look until there is something to see, and return it."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not seen in {seconds} seconds"
        time.sleep(0.05)
    return found


@dataclass
class Company:
    """`manage.py workers` and everything below it."""

    folder: Path
    address: Address
    database: str
    changes: dict[str, str] = field(default_factory=dict)
    parent: subprocess.Popen[str] = field(init=False)

    @property
    def environment(self) -> dict[str, str]:
        """What makes it its own company."""
        url = self.address.url(self.database)
        return {**QUICK, "DATABASE_URL": url, "RECALLOPS_DATA_DIR": str(self.folder), **self.changes}

    @property
    def notes(self) -> Path:
        """Where its workers note what they do."""
        return self.folder / "notes"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / "log"

    def start(self) -> None:
        """Start, and wait for the first heartbeat."""
        self.folder.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            self.parent = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "workers"],
                cwd=ROOT,
                env=child_environment(**self.environment),
                stdout=log,
                stderr=log,
                text=True,
            )
        until(self.beaten_at)

    def query(self, statement: str, *values: Any) -> Any:
        """Ask its database for one value."""
        with self.address.connect(self.database) as connection:
            row = connection.execute(statement, values).fetchone()
            return row[0] if row else None

    def beaten_at(self) -> datetime | None:
        """Return when its heartbeat last came back."""
        found: datetime | None = self.query("SELECT beaten_at FROM recallops_workerheartbeat")
        return found

    def database_time(self) -> datetime:
        """Return the database's time."""
        found: datetime = self.query("SELECT clock_timestamp()")
        return found

    def waiting(self) -> int:
        """Return how much of our work is in the queue."""
        found: int = self.query("SELECT count(*) FROM django_q_ormq WHERE key = 'recallops'")
        return found

    def give(self, name: str, *, seconds: float = 0.0) -> None:
        """Put a chore into the queue."""
        task = {
            "id": uuid.uuid4().hex,
            "name": name,
            "func": "tests.recallops.chores.chore",
            "args": (str(self.notes), name, seconds),
            "kwargs": {},
            "ack_failure": True,
            "started": datetime.now(UTC),
        }
        with self.address.connect(self.database) as connection:
            connection.execute(
                "INSERT INTO django_q_ormq (key, payload, lock) VALUES ('recallops', %s, clock_timestamp())",
                [SignedPackage.dumps(task)],
            )

    def noted(self, words: str) -> int | None:
        """Return the process that noted something ("begun NAME", "done NAME")."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return next((int(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{words} ")), None)

    def does(self, name: str, *, seconds: float = 60.0) -> None:
        """Give a chore and wait until it is done."""
        self.give(name)
        until(lambda: self.noted(f"done {name}"), seconds=seconds)

    def role(self, name: str) -> int:
        """Return the process number of a role: main, sentinel, worker 0, worker 1, monitor, pusher."""
        main = children(self.parent.pid)[0]
        sentinel = children(main)[0]
        crew = children(sentinel)
        roles = ["worker 0", "worker 1", "monitor", "pusher"]
        return {"main": main, "sentinel": sentinel, **dict(zip(roles, crew, strict=True))}[name]

    def left(self) -> list[int]:
        """Return its living processes, found by their environment, wherever they hang."""
        mark = f"RECALLOPS_DATA_DIR={self.folder}".encode()
        return [pid for pid in all_processes() if mark in _environment(pid).split(b"\0")]

    def end(self, number: int = signal.SIGTERM, *, seconds: float = 20.0) -> int:
        """Signal the parent, wait for its end, and return its code."""
        self.parent.send_signal(number)
        return self.parent.wait(seconds)

    def clear_away(self) -> None:
        """Kill whatever is left."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.parent.wait(10)
        until(lambda: not self.left(), seconds=10)


def all_processes() -> list[int]:
    """Return the numbers of all living processes."""
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def children(parent: int) -> list[int]:
    """Return the children of a process, the oldest first."""
    return [pid for pid in all_processes() if _parent(pid) == parent]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
