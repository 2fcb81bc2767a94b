"""No worker outlives the one that watches over it.

django-q2's processes go on taking tasks when the one above them is killed. Here each of them asks the kernel, at its
birth, to be killed with its parent: `manage.py workers`, then the cluster's main process, its sentinel, its workers,
pusher and monitor. So a SIGKILL anywhere ends everything below. Linux only; elsewhere what is left below a killed
process is ended with its process group by `manage.py workers`, and only that one's own SIGKILL leaves something behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

WATCHED_BY = "RECALLOPS_WORKERS_PID"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_parent = 0


def watched_environment() -> dict[str, str]:
    """Return the environment for a process that shall die with this one."""
    return {**os.environ, WATCHED_BY: str(os.getpid())}


def die_with_parent_if_watched() -> None:
    """Bind this process, and each that it will fork, to its parent, if it was started by one that watches over it."""
    parent = os.environ.pop(WATCHED_BY, None)  # not for what else it may start
    if parent is None or sys.platform != "linux":
        return
    os.register_at_fork(before=_remember, after_in_child=_die_with_parent)
    _bind(int(parent))


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent dies, so that they can be waited for."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _remember() -> None:
    global _parent
    _parent = os.getpid()


def _die_with_parent() -> None:
    _bind(_parent)


def _bind(parent: int) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
