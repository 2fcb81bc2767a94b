"""Follows an id through all moves, from either side of any of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection

from calendars.models import IdMapping

# From the rows that name an id to those that share an id with them, and so on. Ids are compared within one workspace.
_RELATED = """
WITH RECURSIVE related(asked, row_id, kind, source_id, source_remote_id, target_id, target_remote_id) AS (
    SELECT asked.id, found.*
    FROM unnest(%(ids)s::text[]) AS asked(id)
    CROSS JOIN LATERAL (
        SELECT id, kind, source_id, source_remote_id, target_id, target_remote_id FROM calendars_idmapping
        WHERE kind = ANY(%(kinds)s) AND source_remote_id = asked.id
        UNION ALL
        SELECT id, kind, source_id, source_remote_id, target_id, target_remote_id FROM calendars_idmapping
        WHERE kind = ANY(%(kinds)s) AND target_remote_id = asked.id
    ) AS found
    UNION
    SELECT related.asked, next.*
    FROM related
    CROSS JOIN (VALUES (true), (false)) AS side(old)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN side.old THEN related.source_id ELSE related.target_id END AS workspace_id,
               CASE WHEN side.old THEN related.source_remote_id ELSE related.target_remote_id END AS remote_id
    ) AS this
    CROSS JOIN LATERAL (
        SELECT id, kind, source_id, source_remote_id, target_id, target_remote_id FROM calendars_idmapping AS one
        WHERE one.kind = related.kind AND one.source_remote_id = this.remote_id AND one.source_id = this.workspace_id
        UNION ALL
        SELECT id, kind, source_id, source_remote_id, target_id, target_remote_id FROM calendars_idmapping AS one
        WHERE one.kind = related.kind AND one.target_remote_id = this.remote_id AND one.target_id = this.workspace_id
    ) AS next
)
SELECT asked, row_id FROM related
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """All moves of one thing, the oldest first."""

    asked: str
    moves: tuple[IdMapping, ...]

    @property
    def newest(self) -> IdMapping | None:
        """The last move that still holds: its target is where the thing is now."""
        return next((move for move in reversed(self.moves) if not move.superseded), None)


def chains(ids: Collection[str], *, kinds: Collection[str]) -> list[Chain]:
    """Return the chains of those ids that took part in a move, in two queries, however long they are.

    An id that two kinds share has two chains.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELATED, {"ids": list(ids), "kinds": list(kinds)})
        pairs: list[tuple[str, int]] = cursor.fetchall()
    rows = IdMapping.objects.select_related("source__region", "target__region").in_bulk([key for _, key in pairs])
    found: dict[tuple[str, str], list[IdMapping]] = defaultdict(list)
    for asked, key in pairs:
        if row := rows.get(key):
            found[asked, row.kind].append(row)
    return [
        Chain(asked=asked, moves=tuple(sorted(moves, key=lambda move: move.pk)))
        for (asked, _), moves in sorted(found.items())
    ]
