"""Six kinds of trouble, each at every external call of a small batch."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from tests.simulation.checkpoints import Rehearsed
from tests.simulation.play import Play
from tests.simulation.scenario import Act, Strike, small
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage
from tests.simulation.verdict import Verdict, judge

WRITES = ("POST", "PATCH", "PUT", "DELETE")


def _lost_before(method: str, call: int) -> Strike:
    return Strike(call, "drop", {"when": "before"})


def _lost_after(method: str, call: int) -> Strike:
    return Strike(call, "drop", {"when": "after"})


def _refused_with_a_wait(method: str, call: int) -> Strike:
    return Strike(call, "status", {"status": 429, "retry_after": 30})


def _refused(method: str, call: int) -> Strike:
    return Strike(call, "status", {"status": 409 if method in WRITES else 500})


def _crash_before(method: str, call: int) -> Strike:
    return Strike(call, "crash_before_commit")


def _crash_after(method: str, call: int) -> Strike:
    return Strike(call, "crash_after_commit")


CLASSES = {
    "lost before commit": _lost_before,
    "lost after commit": _lost_after,
    "refused with a wait": _refused_with_a_wait,
    "refused": _refused,
    "crash before our commit": _crash_before,
    "crash after our commit": _crash_after,
}
CRASHES = ("crash before our commit", "crash after our commit")


@cache
def rehearsed(on: Stage) -> Rehearsed:
    """Return the small batch, moved to the end of clean up without trouble."""
    return Rehearsed(on, Storage(), replace(small(), acts=(Act(0, "allow", "clean_up"),)))


def struck(on: Stage, kind: str, call: int) -> tuple[Play, Verdict]:
    """Give the small batch with one kind of trouble at one call."""
    base = rehearsed(on)
    strike = CLASSES[kind](base.play.course.log[call - 1].method, call)
    play = base.resume(on, base.before(call), strike)
    play.play()
    return play, judge(play, on.said)
