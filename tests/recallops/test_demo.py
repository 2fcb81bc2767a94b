"""The demo as a person runs it: it ends with the proof, and however it ends, nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from recallops.clock import ManualClock
from recallops.sandbox.world import World
from tests.conftest import ROOT, child_environment, manage
from tests.harness import START
from tests.secret_places import secrets_of, tables_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

SMALL = ("--exit", "--calendars", "6", "--events", "60", "--hours-of-changes", "3")
PLAIN = {"missed 0", "doubled 0", "unaccounted 0"}
MOVED = "items: 6 exported = 6 moved + 0 waiting + 0 not movable + 0 failed"
LONGEST = 300.0


@dataclass
class Terminal:
    """Somebody who types `manage.py demo` and reads what it says."""

    data: Path
    said: list[str] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "demo", *arguments],
            cwd=ROOT,
            env=child_environment(RECALLOPS_DATA_DIR=str(self.data)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read(self, process: subprocess.Popen[str], until: str = "") -> None:
        """Read what it says until a line matches, or to the end."""
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line.rstrip())
            if until and re.search(until, line):
                return

    def run(self, *arguments: str) -> int:
        self.said.clear()
        process = self.start(*arguments)
        self.read(process)
        return process.wait(LONGEST)

    def left(self) -> list[str]:
        """Return the processes that still work on this data."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if bytes(self.data / "demo") in command + environment:
                    found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(tmp_path)
    yield found
    found.run("--clean")
    assert found.left() == []


def test_a_small_demo_ends_with_the_proof_repeats_it_and_keeps_its_secrets(terminal: Terminal) -> None:
    """One of its calendars cannot be moved until its person has come to the status page and connected it again."""
    assert terminal.run(*SMALL) == 0, "\n".join(terminal.said)
    assert set(terminal.said) >= {*PLAIN, MOVED}, "\n".join(terminal.said)
    assert terminal.left() == []
    said = "\n".join(terminal.said)
    assert len(re.findall(r"^\S+@\S+ connected their calendar again on the status page\.$", said, re.MULTILINE)) == 1
    began = time.monotonic()
    assert terminal.run(*SMALL) == 0
    assert set(terminal.said) >= PLAIN
    assert time.monotonic() - began < 20

    secrets = secrets_of(World.load(terminal.data / "demo" / "world.pickle", ManualClock(START)))
    assert len(secrets) > 10
    places = {"the terminal": said, **files_of(terminal.data / "demo"), **database_of(terminal.data / "demo")}
    assert {name for name, text in places.items() if any(secret in text for secret in secrets)} == set()
    link = json.loads((terminal.data / "demo" / "secrets.json").read_text())["status_link"]
    assert {name for name, text in places.items() if link in text} == {"the terminal"}


def files_of(folder: Path) -> dict[str, str]:
    """Return what stands in the demo's files, but for its own secrets and the provider's world."""
    files = [file for file in folder.rglob("*") if file.is_file() and "postgres" not in file.parts]
    own = {"secrets.json", "world.pickle"}
    found = {file.name: file.read_text(errors="replace") for file in files if file.name not in own}
    assert {"workers.log", "web.log", "sandbox.log", "proof.json"} <= set(found)
    return found


def database_of(folder: Path) -> dict[str, str]:
    """Return what stands in each table of the demo's database."""
    assert manage("database", "start", RECALLOPS_DATA_DIR=str(folder)).returncode == 0
    try:
        with psycopg.connect(manage("database", "uri", RECALLOPS_DATA_DIR=str(folder)).stdout.strip()) as database:
            return tables_of(database)
    finally:
        manage("database", "stop", RECALLOPS_DATA_DIR=str(folder))


def test_a_demo_that_was_killed_leaves_nothing_and_goes_on_when_it_is_called_again(terminal: Terminal) -> None:
    process = terminal.start(*SMALL)
    terminal.read(process, until=r"\| (verify|hand over) \|")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(LONGEST)
    until = time.monotonic() + 30
    while terminal.left() and time.monotonic() < until:
        time.sleep(0.1)
    assert terminal.left() == []
    assert terminal.run(*SMALL) == 0, "\n".join(terminal.said)
    assert set(terminal.said) >= {*PLAIN, MOVED}, "\n".join(terminal.said)


@pytest.mark.parametrize("moment", ["Starting the database", "Filling", "Set up in", r"\| preflight \|"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_at_any_moment(terminal: Terminal, moment: str, number: signal.Signals) -> None:
    process = terminal.start(*SMALL)
    terminal.read(process, until=moment)
    process.send_signal(number)
    terminal.read(process)
    assert process.wait(LONGEST) == 130, "\n".join(terminal.said)
    assert terminal.left() == []


def test_a_second_call_follows_the_first(terminal: Terminal) -> None:
    first = terminal.start(*SMALL[1:])  # stays up when it is through, however fast that is
    terminal.read(first, until="Set up in")
    second = terminal.start(*SMALL)
    terminal.read(second, until="Admin: http")
    second.send_signal(signal.SIGINT)
    terminal.read(second)
    second.wait(LONGEST)
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    terminal.read(first)
    first.wait(LONGEST)
    assert terminal.left() == []
