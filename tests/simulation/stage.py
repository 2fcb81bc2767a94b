"""What a run needs around it, in a test or in a process of `manage.py simulate`; put back afterwards."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.db import connection
from django.db.backends.signals import connection_created
from django.test import override_settings

from calendars import leases
from calendars.providers import limits
from calendars.providers.connect import use_transport
from calendars.providers.http import Http
from calendars.providers.limits import Budget
from calendars.relay import post
from recallops import clock
from tests.harness import set_machine_time
from tests.simulation.play import Play

PREPARED = 600  # statements of which PostgreSQL keeps the plan, all that a play has


class Lines(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line; errors with their trace."""
        line = self.format(record)
        self.lines.append(line)
        if record.levelno >= logging.ERROR:
            self.errors.append(line)


class Stage:
    """Where plays are given: the one that is on now, and what is logged."""

    def __init__(self) -> None:
        self.on: Play | None = None
        self.said = Lines()

    def give(self, play: Play) -> Play:
        """Let a play go on stage."""
        gc.collect()
        self.on = play
        random.seed(f"jitter {play.scenario.seed}")
        self.said.lines.clear()
        self.said.errors.clear()
        return play

    def _guard(self, *statement: Any) -> Any:
        if self.on is None:
            return statement[0](*statement[1:])
        return self.on.workers.guard(*statement)

    def _sleep(self, seconds: float) -> None:
        if self.on is not None:
            self.on.pass_time(seconds)

    def _monotonic(self) -> float:
        return self.on.time.at.timestamp() if self.on is not None else 0.0

    def _connected(self, **_: Any) -> None:
        connection.connection.prepared_max = PREPARED
        if self.on is not None:
            set_machine_time(self.on.machine_at)


@contextmanager
def _prepared_statements() -> Iterator[None]:
    """Let PostgreSQL keep its plans: where a few rows are asked for, planning is most of the work."""
    settled = "-c plan_cache_mode=force_generic_plan"  # from the first time on: no plan of a play is worth a second one
    options = {"server_side_binding": True, "prepare_threshold": 2, "options": settled}
    with (
        mock.patch.dict(connection.settings_dict["OPTIONS"], options),
        mock.patch.object(connection.features, "uses_server_side_binding", True),
    ):
        connection.close()
        limits.close()
        yield
    connection.close()


@contextmanager
def stage(found: Stage | None = None) -> Iterator[Stage]:
    """Set it up: clocks that we move, sleeps that pass at once, a guard before each statement."""
    found = found or Stage()
    logger = logging.getLogger("recallops")
    handlers, propagate, level = logger.handlers[:], logger.propagate, logger.level
    logger.handlers, logger.propagate = [found.said], False
    commit = connection._commit  # type: ignore[attr-defined]

    def committed() -> None:
        commit()
        if found.on is not None:
            found.on.workers.committed()

    connection_created.connect(found._connected)
    gc.collect()
    gc.freeze()  # and between two plays only: what lives as long as the process is not looked through again and again
    gc.disable()
    try:
        with (
            mock.patch.dict(Http.__init__.__kwdefaults__ or {}, {"sleep": found._sleep}),
            mock.patch.dict(Budget.__init__.__kwdefaults__ or {}, {"sleep": found._sleep}),
            mock.patch.object(leases, "waits", SimpleNamespace(monotonic=found._monotonic)),
            mock.patch.object(connection, "_commit", committed),
            override_settings(RELAY_PRIVATE=True, DEBUG=False),  # the sample application has no host at all
            _prepared_statements(),
            connection.execute_wrapper(found._guard),
        ):
            yield found
    finally:
        gc.enable()
        gc.unfreeze()
        connection_created.disconnect(found._connected)
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
        found.on = None
        clock.install(clock.WallClock())
        use_transport(None)
        post.use_transport(None)
        set_machine_time(None)
        limits.close()
