"""Keeps one rehearsal: takes the row, makes the document and the schema, starts the player, and clears up.

What is left of a keeper that was killed (a schema; its player dies with it) is cleared up by the next one.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

from calendars.leases import Lease
from migrations_app import inventory, planner, rehearsals
from migrations_app.models import Rehearsal, RehearsalState
from recallops import orphans
from recallops.rehearsal.copying import copy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger("recallops.rehearsal")

SCHEMA = "recallops_rehearsal_"
LOOK_SECONDS = 1.0
PLAYER = (sys.executable, str(settings.BASE_DIR / "manage.py"), "play_rehearsal")
SECRETS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "ENCRYPTION_KEYS", "EMAIL_URL")


class Keeper:
    """One rehearsal, from its row to its result."""

    def __init__(self, pk: int, *, player: Sequence[str] = PLAYER) -> None:
        self.pk, self.player, self.lease = pk, player, Lease()
        self.schema = f"{SCHEMA}{pk}"
        self.progress: dict[str, Any] = {"phase": "copying"}

    def run(self) -> bool:
        """Rehearse; return whether there is a result."""
        if not rehearsals.begin(self.pk, lease=self.lease):
            return False
        try:
            result = self._rehearse()
        except Failed as failure:
            rehearsals.end(self.pk, lease=self.lease, state=RehearsalState.FAILED, reason=str(failure)[:600])
            logger.warning("rehearsal %s failed: %s", self.pk, failure)
            return False
        except Exception as error:
            logger.exception("rehearsal %s failed", self.pk)
            reason = _("RecallOps met an error of its own ({error}); it is in the log.").format(
                error=type(error).__name__
            )
            rehearsals.end(self.pk, lease=self.lease, state=RehearsalState.FAILED, reason=reason)
            return False
        finally:
            drop(self.schema)  # no other: the next one may have begun, on another machine
        done = {} if result is None else {"result": result}
        return bool(done) and rehearsals.end(self.pk, lease=self.lease, state=RehearsalState.DONE, **done)

    def _rehearse(self) -> dict[str, Any] | None:
        self._tell(self.progress)
        batch = (
            Rehearsal.objects.select_related("batch__source", "batch__target", "batch__handover").get(pk=self.pk).batch
        )
        load, limits = inventory.load(batch), inventory.limits(batch)
        predicted = {
            "seconds": planner.predicted_duration(load, limits).total_seconds(),
            "sentence": planner.sentence(load, limits, regions=inventory.regions(batch)),
        }
        document = copy(batch)
        if not any(one.chosen for one in document.calendars):
            raise Failed(_("No calendar of the source is chosen for this batch, so there is nothing to rehearse."))
        if not self._tell(self.progress):  # stopped, or taken for dead, while it copied
            return None
        clear_away()
        self._make_schema()
        result = self._play(document.text())
        if result is None:
            return None
        sides = {role: str(code) for role, code in inventory.regions(batch).items()}
        return {**result, "predicted": predicted, "regions": sides, "plan": _plan(batch)}

    def _make_schema(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        except DatabaseError as error:
            raise Failed(
                _(
                    "The database did not make a schema for the rehearsal ({error}). Its user needs the right to "
                    "create schemas: GRANT CREATE ON DATABASE … TO …."
                ).format(error=str(error).strip().splitlines()[0])
            ) from error

    # -- the player

    def _play(self, document: str) -> dict[str, Any] | None:
        """Let the player play; return its result, None when somebody stopped it. Raises Failed."""
        player = subprocess.Popen(  # noqa: S603 (our own words)
            self.player,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )
        try:
            assert player.stdin is not None  # noqa: S101 - a pipe was asked for
            try:
                with player.stdin as pipe:
                    pipe.write(document)
            except BrokenPipeError:
                pass  # it has ended; its code says so below
            until = time.monotonic() + 60 * settings.REHEARSAL_MINUTES
            for line in self._lines(player):
                if line is not None and "result" in line:
                    found: dict[str, Any] = line["result"]
                    return found
                if not self._tell(line or self.progress):
                    return None
                if time.monotonic() > until:
                    raise Failed(_TOO_LONG().format(minutes=settings.REHEARSAL_MINUTES))
        finally:
            player.kill()
            player.wait()
        code = player.returncode
        raise Failed(_("The rehearsal ended by itself (code {code}); why is in the log.").format(code=code))

    def _lines(self, player: subprocess.Popen[str]) -> Iterator[dict[str, Any] | None]:
        """Return what the player says, and None every second in which it says nothing."""
        pipe = player.stdout
        assert pipe is not None  # noqa: S101 - a pipe was asked for
        with selectors.DefaultSelector() as ears:
            ears.register(pipe, selectors.EVENT_READ)
            rest = b""
            while True:
                if not ears.select(LOOK_SECONDS):
                    yield None
                    continue
                piece = os.read(pipe.fileno(), 1 << 16)
                if not piece:
                    player.wait()
                    return
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    def _environment(self) -> dict[str, str]:
        """Return the player's environment: where the database is, and no key of ours."""
        sealed = {name + suffix for name in SECRETS for suffix in ("", "_FILE")}
        ours = {name: value for name, value in orphans.watched_environment().items() if name not in sealed}
        # one process with the threads of one driver; the machine has other things to do
        return {**ours, "RECALLOPS_REHEARSAL": self.schema, "RECALLOPS_CLOCK_FILE": "", "DRIVERS": "1"}

    def _tell(self, progress: dict[str, Any]) -> bool:
        self.progress = progress
        return rehearsals.tell(self.pk, lease=self.lease, progress=progress)


class Failed(Exception):
    """The rehearsal cannot come to a result; the sentence says why and what to do."""


def _TOO_LONG() -> str:
    return _(
        "It took longer than {minutes} minutes and was ended (setting REHEARSAL_MINUTES). Rehearse a batch of fewer "
        "customers, or a cut line that is nearer."
    )


def clear_away() -> int:
    """Drop what others have left; one runs at a time, so only its keeper asks for it, before it makes its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ %s", [f"^{SCHEMA}[0-9]+$"])
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        drop(name)
    return len(names)


def drop(schema: str) -> None:
    """Drop a schema, if it is there."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _plan(batch: Any) -> dict[str, Any]:
    return {
        "soak": batch.soak.total_seconds(),
        "canary_wait": batch.canary_wait.total_seconds(),
        "drivers": batch.drivers,
        "reserve": {"source": batch.source.reserve_percent, "target": batch.target.reserve_percent},
    }
