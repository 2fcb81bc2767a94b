"""Many counts for one page: in one statement, and none carried on for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

MOST = 10_000


class AtLeast(int):
    """A count that was not carried on to the end; it says so wherever it is printed."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


def bounded_counts(rows: Mapping[str, QuerySet[Any]], *, most: int = MOST) -> dict[str, int]:
    """Count the rows of each queryset up to `most`, all in one statement. What is more is said as "at least"."""
    counts = dict.fromkeys(rows, 0)
    parts: list[str] = []
    values: list[Any] = []
    asked: list[str] = []
    for name, queryset in rows.items():
        try:
            sql, parameters = queryset.order_by().values("pk")[: most + 1].query.sql_with_params()
        except EmptyResultSet:  # nothing can match: it costs no query
            continue
        parts.append(f"(SELECT count(*) FROM ({sql}) AS counted)")  # noqa: S608 - compiled by Django, values apart
        values += parameters
        asked.append(name)
    if parts:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(parts), values)
            counts |= dict(zip(asked, cursor.fetchone() or (), strict=True))
    return {name: AtLeast(most) if count > most else count for name, count in counts.items()}


def shown(count: int) -> str:
    """Return a count as people read it; one that was not carried on to the end says so."""
    return str(count) if isinstance(count, AtLeast) else f"{count:,}"
