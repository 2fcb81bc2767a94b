"""Where the secrets of a simulated provider come from, and what a database holds in clear."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from recallops.sandbox.world import World

SHORTEST = 12  # a shorter line could stand anywhere by chance


def secrets_of(world: World) -> set[str]:
    """Return each line of every secret that a move has to handle."""
    secrets = {one for client in world.clients.values() for one in (client.secret, client.certificate)}
    secrets |= {client.private_key for client in world.clients.values()} | set(world.grants)
    for region in world.regions.values():
        for workspace in region.workspaces.values():
            secrets |= {*workspace.api_keys, workspace.webhook_secret}
            secrets |= {calendar.access_token[0] for calendar in workspace.calendars.values() if calendar.access_token}
    lines = {line for secret in secrets for line in secret.splitlines()}
    return {line for line in lines if len(line) >= SHORTEST and "-----" not in line}


def tables_of(database: Any) -> dict[str, str]:
    """Return what stands in each table, as text, through an open connection of psycopg's."""
    tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {table: _dumped(database, table) for (table,) in tables}


def _dumped(database: Any, table: str) -> str:
    with database.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as rows:
        return b"".join(bytes(part) for part in rows).decode()
