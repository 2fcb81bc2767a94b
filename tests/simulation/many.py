"""Many seeds, on databases made for them and dropped afterwards; the configured database's data is never touched."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from queue import Empty
from typing import Any

from django.db import connection
from psycopg import sql

from tests.conftest import Address, child_environment, manage
from tests.simulation.process import Line, work

COUNTS = [field.name for field in fields(Line) if field.type == "int" and field.name != "seed"]
PATIENCE = 5.0  # seconds between two looks at whether the processes are still alive


class Died(Exception):
    """A process ended before its seeds were done."""


@contextmanager
def databases(count: int) -> Iterator[list[str]]:
    """Make migrated databases beside the configured one, and drop them; return their addresses."""
    address = Address(connection.get_connection_params())
    names = [f"recallops_simulation_{os.getpid()}_{number}" for number in range(count)]
    with address.connect() as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(names[0])))
            migrated = manage("migrate", "--verbosity", "0", DATABASE_URL=address.url(names[0]))
            if migrated.returncode:
                raise Died(migrated.stderr)
            for name in names[1:]:
                copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                server.execute(copy.format(sql.Identifier(name), sql.Identifier(names[0])))
            yield [address.url(name) for name in names]
        finally:
            for name in names:
                server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def play(
    seeds: Iterable[int], *, processes: int, calendars: int | None = None, days: float | None = None
) -> Iterator[Line]:
    """Play seeds in processes side by side, and yield what came of each as it ends."""
    waiting = list(seeds)
    processes = max(1, min(processes, len(waiting)))
    context = multiprocessing.get_context("spawn")
    with databases(processes) as urls:
        todo: Any = context.Queue()
        done: Any = context.Queue()
        for seed in [*waiting, *[None] * processes]:
            todo.put(seed)
        players = [
            context.Process(
                target=work, args=(child_environment(DATABASE_URL=url), todo, done, calendars, days), daemon=True
            )
            for url in urls
        ]
        for player in players:
            player.start()
        try:
            for _ in waiting:
                yield _next(done, players)
        finally:
            for player in players:
                player.terminate()
                player.join()


def _next(done: Any, players: list[Any]) -> Line:
    while True:
        try:
            line: Line = done.get(timeout=PATIENCE)
        except Empty:
            if not any(player.is_alive() for player in players):
                raise Died("A process of the simulation ended without an answer.") from None
        else:
            return line


def summary(lines: list[Line]) -> dict[str, int]:
    """Add up what came of the seeds."""
    return {name: sum(getattr(line, name) for line in lines) for name in COUNTS}
