"""Workers in one thread: processes that claim work, come between each other, sleep, lose the database, and die.

A piece of work runs until it makes a call; there another piece may run in between, as another worker's would, since
nothing of ours holds a transaction open over a call. A process that dies takes along what it has claimed; its leases
stay. What is dead reaches the database with not one statement more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from calendars import drivers
from tests.harness import Crash

Work = Callable[[], None]
PROCESSES = 2
DEEPEST = 2  # pieces that are in the middle of a call, one inside the other
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")  # leases are taken WITH an update


@dataclass(slots=True)
class Piece:
    """Work that a process has claimed."""

    work: Work
    process: int


@dataclass(slots=True)
class Running:
    """A piece that runs: whose, and which life of its process."""

    process: int
    life: int
    doomed: bool = False  # dies when the next transaction is committed
    statements: int | None = None  # until it loses the database


class Workers:
    """Claims and runs work in an order that follows from a seed."""

    def __init__(self, rng: random.Random, *, shuffled: bool) -> None:
        self.rng, self.shuffled = rng, shuffled
        self.ready: list[Piece] = []
        self.running: list[Running] = []
        self.lives = [0] * PROCESSES
        self.dead = False
        self.died = self.lost_database = self.interleaved = 0
        self._next = 0

    # -- looking for work

    def claim(self, find: Callable[[int], list[Work]], room: int) -> bool:
        """Let a process look for work; return whether it found any."""
        process = self.rng.randrange(PROCESSES) if self.shuffled else 0
        room = self.rng.randint(1, room) if self.shuffled else room
        found: list[Work] = []
        self._live(process, lambda: found.extend(find(room)))
        self.ready += [Piece(work, process) for work in found]
        return bool(found)

    def work(self) -> None:
        """Run all that is claimed."""
        while self.ready:
            self.work_on_one()

    def work_on_one(self) -> None:
        """Run one piece: the next, or any when shuffled."""
        piece = self.ready.pop(self.rng.randrange(len(self.ready)) if self.shuffled else 0)
        self._live(piece.process, lambda: drivers._piece(piece.work))

    def come_between(self) -> bool:
        """At a call: another worker runs a piece; return whether there was one."""
        if not self.ready or not 0 < len(self.running) <= DEEPEST:
            return False
        self.interleaved += 1
        self.work_on_one()
        return True

    # -- living and dying

    def _live(self, process: int, act: Work) -> None:
        """Run as a process, to the end or to its death."""
        me = Running(process, self.lives[process])
        self.running.append(me)
        try:
            act()
        except Crash:
            if me.life == self.lives[process]:
                self.lives[process] += 1
                self.died += 1
            self.ready = [piece for piece in self.ready if piece.process != process]
            connection.run_on_commit = []  # what it wanted to do after a commit dies with it
        except (OperationalError, InterfaceError):  # its driver ends; the next doorbell starts another
            self.lost_database += 1
            connection.close()
        finally:
            self.dead = False
            self.running.pop()

    def die(self) -> None:
        """The process that is running now is gone."""
        self.dead = True
        raise Crash

    def doom(self) -> None:
        """The process that is running now dies with its next commit."""
        self.running[-1].doomed = True

    def lose_database(self, statements: int) -> None:
        """The process that is running now loses its connection so many statements later."""
        self.running[-1].statements = statements

    def go_on(self) -> None:
        """After others ran in between: whose process has died meanwhile is dead, too."""
        if not self.running:
            return
        me = self.running[-1]
        if me.life != self.lives[me.process]:
            self.die()

    # -- at each statement

    def guard(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Stand before each statement: the dead make none, and some lose their connection."""
        if self.dead:
            raise Crash
        me = self.running[-1] if self.running else None
        if me is not None and me.statements is not None:
            me.statements -= 1
            if me.statements < 0 and connection.connection is not None:
                me.statements = None
                self.lost_database += 1
                connection.connection.close()
        result = execute(sql, params, many, context)
        if me is not None and me.doomed and not connection.in_atomic_block and sql.lstrip().startswith(WRITES):
            self.die()
        return result

    def committed(self) -> None:
        """Stand behind each commit of a transaction."""
        if self.running and self.running[-1].doomed:
            self.die()
