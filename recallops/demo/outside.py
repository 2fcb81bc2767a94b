"""The demo before it has an environment of its own: decides what a call of `manage.py demo` means.

    nothing there, or a set-up that was cut off   a new demo
    a demo that runs                              follow it
    a demo that was stopped on its way            go on
    a demo that has its proof                     print it again; without --exit come up again and stay
    a proof of a demo with other options          start over with these

Then it becomes, by exec, the demo itself, in the environment that its settings and its children need.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from recallops.demo.display import say
from recallops.demo.place import DemoError, Options, own_database
from recallops.embedded_postgres import server

if TYPE_CHECKING:
    from typing import NoReturn

    from recallops.demo.place import Place

END_SECONDS = 90.0

OTHER_OPTIONS = (
    "There is an unfinished demo with other options ({kept}). Called with those it goes on; `make clean-demo` removes "
    "it."
)
START_OVER = "The last demo here had other options ({kept}) and is finished; starting over."
DOES_NOT_FIT = (
    "The last demo was ended so hard that its sandbox could not save its world: {world} is older than the database, "
    "and the two do not fit together any more. Start over: make clean-demo."
)
CUT_OFF = "The last demo was cut off while it was being set up; starting over."
FINISHED = "This demo has its proof; here it is again. To start over: make clean-demo."
NOT_ENDED = "The demo (process {pid}) does not end. Look at it, end it, and try again."


class Outside:
    """One call of the command, outside of the demo's environment."""

    def __init__(self, place: Place) -> None:
        self.place = place
        # With DATABASE_URL the demo has a database of its own on that server.
        self.name, self.database = own_database(url) if (url := os.environ.get("DATABASE_URL", "")) else ("", "")

    def go(self, options: Options, *, leave: bool) -> int:
        """Start, resume, follow or repeat. Returns only when there is nothing to run."""
        missing = [path for path in options.ics if not os.access(path, os.R_OK)]
        if missing:
            raise DemoError(f"{missing[0]} cannot be read; check the path.")
        lock = self.place.lock()
        if lock is None:
            self._follow()
        kept = self.place.kept()
        if kept and kept["phase"] == "making":
            say(CUT_OFF)
            self._start_over()
            kept = {}
        if kept and (before := Options.of(kept["options"])) != options:
            if kept["phase"] != "proven":
                raise DemoError(OTHER_OPTIONS.format(kept=before.words()))
            say(START_OVER.format(kept=before.words()))
            self._start_over()
            kept = {}
        if kept and kept["phase"] == "proven":
            say(FINISHED)
            if leave:
                return self._repeat()
        if kept:
            self._fits(kept)
        else:
            self._start_over()
            self.place.prepare(options)
            if self.name:
                self._sql(f'CREATE DATABASE "{self.name}"')
        self._become(self.place.environment(database=self.database, lock=lock))

    def clean(self) -> int:
        """Stop what runs and remove everything."""
        pid = self.place.holder()
        if pid is not None:
            say(f"Stopping the demo (process {pid}) ...")
            self._end(pid)
        lock = self.place.lock()
        if lock is None:
            raise DemoError(NOT_ENDED.format(pid=pid))
        self._start_over()
        self.place.lock_file.unlink(missing_ok=True)
        say("The demo's data is removed.")
        return 0

    def _repeat(self) -> int:
        from recallops.demo.proof import Proof
        from recallops.demo.run import Demo

        return Demo.tell(Proof(**json.loads(self.place.proof_file.read_text())))

    def _fits(self, kept: dict[str, object]) -> None:
        """Refuse a world that was not saved after the last run had begun. Raises DemoError."""
        running = kept.get("running")
        if isinstance(running, dict):
            file = self.place.world_file
            if not file.exists() or file.stat().st_mtime_ns == running["world"]:
                raise DemoError(DOES_NOT_FIT.format(world=file))

    def _start_over(self) -> None:
        if self.place.postgres.exists():
            server.stop(self.place.postgres)
        self.place.clear()
        if self.name:
            self._sql(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def _sql(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def _end(self, pid: int) -> None:
        """End a running demo: kindly, then with force (its guard ends what it leaves)."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, number)
            until = time.monotonic() + END_SECONDS
            while time.monotonic() < until:
                if self.place.holder() is None:
                    return
                time.sleep(0.1)

    def _follow(self) -> NoReturn:
        """Follow a demo that runs. Its database is named by address: following must not start a server."""
        pid = self.place.holder()
        say(f"A demo runs already (process {pid}). Following it; Ctrl-C ends the following only.")
        while self.place.kept().get("phase", "making") == "making":
            if self.place.holder() is None:
                raise DemoError("That demo ended before it was set up. Try again.")
            time.sleep(0.2)
        database = self.database
        if not database:
            found = server.running(self.place.postgres)
            if found is None:
                raise DemoError("That demo is just coming up or ending. Try again in a moment.")
            database = found.uri(settings.EMBEDDED_POSTGRES_NAME)
        self._become(self.place.environment(database=database, lock=None))

    def _become(self, environment: dict[str, str]) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 (our own words)
