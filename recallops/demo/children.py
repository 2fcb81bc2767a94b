"""The demo's processes: each in a session of its own, so that a Ctrl-C reaches the demo alone, which ends them.

On Linux the kernel also tells them when the demo is killed; elsewhere `guard` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recallops.demo.place import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PR_SET_PDEATHSIG = 1
ENDED = "{name} ended by itself (code {code}). The end of {log}: {words}"


@dataclass(frozen=True, slots=True)
class Child:
    """A process that the demo started."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def check(self) -> None:
        """Raise DemoError when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoError(ENDED.format(name=self.name, code=code, log=self.log, words=end_of(self.log)))

    def stop(self, *, grace: float) -> None:
        """Ask it to end, and after the grace end its whole group."""
        until = time.monotonic() + grace
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.0, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    at_our_death: signal.Signals = signal.SIGKILL,
    **options: Any,
) -> Child:
    """Start a process; what it says goes to its log. Call it from the main thread only."""
    with log.open("a") as file:
        process = subprocess.Popen(  # noqa: S603 (our own words)
            command,
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", file),
            stderr=file,
            env=dict(environment),
            start_new_session=True,
            text=True,
            preexec_fn=_bound_to(os.getpid(), at_our_death),
            **options,
        )
    return Child(name, process, log)


def _bound_to(parent: int, number: signal.Signals) -> Any:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return bind


def end_of(log: Path, lines: int = 6) -> str:
    """Return the last lines of a log."""
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(nothing)"
    except OSError:
        return "(no log)"
