"""The database engine: Django's for PostgreSQL, whose server is started at the first connection."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from django.utils.asyncio import async_unsafe
from psycopg import sql

from recallops.embedded_postgres import server

CONNECT_SECONDS = 30


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects to the embedded PostgreSQL, starting it, and making the database, where they are missing."""

    def get_connection_params(self) -> dict[str, Any]:
        """Add where the server is to what Django would pass on."""
        running = server.start(data_folder(), options=settings.EMBEDDED_POSTGRES_OPTIONS)
        self.settings_dict["HOST"] = str(running.sockets)
        self.settings_dict["USER"] = server.SUPERUSER
        parameters: dict[str, Any] = super().get_connection_params()
        return parameters

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; again and again while the server is being restarted or was killed this very moment."""
        until = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                return super().get_new_connection(conn_params)
            except psycopg.OperationalError as error:
                words = str(error)
                if f'database "{settings.EMBEDDED_POSTGRES_NAME}" does not exist' in words:
                    _create_database(conn_params)
                elif not _may_pass(words) or time.monotonic() > until:
                    raise
                else:
                    time.sleep(0.1)
                    conn_params = {**conn_params, "host": self.get_connection_params()["host"]}


def data_folder() -> Path:
    """Return the folder of the embedded PostgreSQL."""
    return Path(settings.DATA_DIR) / "postgres"


def _may_pass(words: str) -> bool:
    """Tell whether a refused connection is one of a server that is coming or going."""
    return "FATAL" not in words or any(
        passing in words for passing in ("starting up", "shutting down", "recovery mode", "terminating connection")
    )


def _create_database(conn_params: dict[str, Any]) -> None:
    """Make the project's database on a new server; another process may do the same at the same moment."""
    with psycopg.connect(
        host=conn_params["host"], user=conn_params["user"], dbname="postgres", autocommit=True
    ) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(settings.EMBEDDED_POSTGRES_NAME)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return
