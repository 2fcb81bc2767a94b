"""The database between runs: what stands in it is kept in memory and put back, sequences included."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from psycopg import sql

from calendars.models import EndpointLimit
from tests import trail

# What migrations put there and no run changes.
LEFT_ALONE = ("django_migrations", "django_content_type", "auth_permission")
GUARDED = ("calendars_auditentry",)  # no row of it may be deleted


@dataclass(frozen=True, slots=True)
class Stored:
    """The rows of all tables that had any, as COPY gives them, and where the sequences stood."""

    rows: dict[str, bytes]
    sequences: tuple[tuple[str, int], ...]


def _plain() -> Any:
    connection.ensure_connection()
    return connection.connection


def _tables() -> list[str]:
    return sorted(set(connection.introspection.table_names()) - set(LEFT_ALONE))


def _filled(tables: list[str]) -> list[str]:
    """Return the tables that have rows."""
    parts = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(name), sql.Identifier(name))
        for name in tables
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(parts).as_string(_plain()))
        return sorted(name for (name,) in cursor.fetchall())


class Storage:
    """Keeps the state of the database and puts it back. Knows the tables once, since they do not change."""

    def __init__(self) -> None:
        trail.let_it_be_emptied()
        self.tables = _tables()
        if not EndpointLimit.objects.exists():  # the flush after an earlier test took what migrations had put there
            import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
        self.empty = Stored({"calendars_endpointlimit": self._copied("calendars_endpointlimit")}, ())

    def keep(self) -> Stored:
        """Read everything."""
        sequences = tuple((name, value) for name, value in self._sequences() if value is not None)
        return Stored({name: self._copied(name) for name in _filled(self.tables)}, sequences)

    def put_back(self, stored: Stored) -> None:
        """Let the database be as it was. Sequences that are not named begin again."""
        with transaction.atomic(), connection.cursor() as cursor:
            self._empty()
            for name, rows in stored.rows.items():
                with _plain().cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
                    copy.write(rows)
            stood = dict(stored.sequences)
            used = [name for name, value in self._sequences() if value is not None or name in stood]
            cursor.execute(
                "SELECT setval(name::regclass, at, known) FROM unnest(%s::text[], %s::bigint[], %s::bool[])"
                " AS stood(name, at, known)",
                [used, [stood.get(name, 1) for name in used], [name in stood for name in used]],
            )

    def _empty(self) -> None:
        """Take all rows away. One by one where that is allowed: to truncate forty small tables takes far longer."""
        filled = _filled(self.tables)
        statements = [
            sql.SQL("TRUNCATE {}" if name in GUARDED else "DELETE FROM {}").format(sql.Identifier(name))
            for name in filled
        ]
        if statements:
            _plain().execute(sql.SQL("; ").join(statements))

    def clear(self) -> None:
        """Begin anew: limits of endpoints, and nothing else."""
        self.put_back(self.empty)

    def _sequences(self) -> list[tuple[str, int | None]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT quote_ident(sequencename), last_value FROM pg_sequences WHERE schemaname = 'public'")
            return sorted(cursor.fetchall())

    def _copied(self, name: str) -> bytes:
        with _plain().cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as rows:
            return b"".join(bytes(part) for part in rows)
