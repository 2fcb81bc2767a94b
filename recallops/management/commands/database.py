"""The database as a command: start, stop and find the embedded one, dump either."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from recallops.embedded_postgres import server
from recallops.embedded_postgres.base import DatabaseWrapper, data_folder
from recallops.embedded_postgres.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from django.core.management.base import CommandParser
    from django.db.backends.base.base import BaseDatabaseWrapper

NOT_EMBEDDED = "DATABASE_URL names the database, so there is no embedded one to {verb}."
NO_PG_DUMP = "The program pg_dump is not on the PATH. Install PostgreSQL's client programs."


class Command(BaseCommand):
    help = "Starts, stops, shows or dumps the database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("start", help="start the embedded PostgreSQL; nothing happens where it runs")
        verbs.add_parser("stop", help="stop the embedded PostgreSQL; nothing happens where it does not run")
        verbs.add_parser("status", help="say whether the embedded PostgreSQL runs; exit code 3 where it does not")
        verbs.add_parser("uri", help="print the embedded PostgreSQL's address as DATABASE_URL takes it")
        dump = verbs.add_parser("dump", help="write the whole database to a file (SQL), readable by its owner only")
        dump.add_argument("file", type=Path)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections["default"]  # the thing itself: `django.db.connection` is a proxy without its class

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            if verb == "dump":
                self._dump(options["file"])
            elif not isinstance(self.connection, DatabaseWrapper):
                raise CommandError(NOT_EMBEDDED.format(verb=verb))
            else:
                getattr(self, f"_{verb}")()
        except EmbeddedPostgresError as error:
            raise CommandError(str(error)) from error

    def _start(self) -> None:
        self.connection.ensure_connection()
        self._status()

    def _stop(self) -> None:
        self.connection.close()
        stopped = server.stop(data_folder())
        self.stdout.write("The embedded PostgreSQL is stopped." if stopped else "The embedded PostgreSQL was not up.")

    def _status(self) -> None:
        found = server.running(data_folder())
        if found is None:
            raise CommandError(f"The embedded PostgreSQL in {data_folder()} does not run.", returncode=3)
        self.stdout.write(f"The embedded PostgreSQL in {data_folder()} runs, process {found.pid}.")

    def _uri(self) -> None:
        self.connection.ensure_connection()
        found = server.running(data_folder())
        if found is not None:
            self.stdout.write(found.uri(self.connection.settings_dict["NAME"]))

    def _dump(self, file: Path) -> None:
        self.connection.ensure_connection()
        place = self.connection.settings_dict
        names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
        # By the environment, not as arguments: those are shown to every user of the machine.
        where = {name: str(place[key]) for name, key in names.items() if place.get(key)}
        if "host" in place.get("OPTIONS", {}):
            where["PGHOST"] = place["OPTIONS"]["host"]
        draft = file.with_name(f"{file.name}.part")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
                done = subprocess.run(  # noqa: S603 (our own words)
                    [_pg_dump(), "--no-owner", "--no-privileges"],
                    stdout=output,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **where},
                    check=False,
                )
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        if done.returncode:
            draft.unlink()
            raise CommandError(f"pg_dump failed: {done.stderr.decode(errors='replace').strip()}")
        draft.replace(file)
        self.stdout.write(f"Dumped to {file}.")


def _pg_dump() -> str:
    """Return the embedded PostgreSQL's program, which is the newest and reads all; else the one on the PATH."""
    try:
        return str(server.program("pg_dump"))
    except EmbeddedPostgresError:
        found = shutil.which("pg_dump")
    if found is None:
        raise CommandError(NO_PG_DUMP)
    return found
