"""Rows of the id map, as answers, and as lines of files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.utils.encoders import JSONEncoder

from calendars.api.shapes import known
from calendars.models import IdMapping

COLUMNS = (
    "kind",
    "source_workspace",
    "source_region",
    "source_id",
    "target_workspace",
    "target_region",
    "target_id",
    "superseded",
    "created_at",
)


def row_of(mapping: IdMapping) -> dict[str, Any]:
    """Return a row of the id map; workspaces and regions are read along."""
    return {
        "kind": mapping.kind,
        "source": known(mapping.source, mapping.source_remote_id),
        "target": known(mapping.target, mapping.target_remote_id),
        "superseded": mapping.superseded,
        "created_at": mapping.created_at,
    }


class _Line:
    """What `csv` writes to: hands each line on."""

    def write(self, line: str) -> str:
        return line


def plain(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell


def csv_lines(rows: Iterable[IdMapping]) -> Iterator[str]:
    """Write rows as CSV."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        cells = [
            row.kind,
            *(row.source.slug, row.source.region.code, row.source_remote_id),
            *(row.target.slug, row.target.region.code, row.target_remote_id),
            "true" if row.superseded else "false",
            row.created_at.isoformat(),
        ]
        yield writer.writerow([plain(cell) for cell in cells])


def json_lines(rows: Iterable[IdMapping]) -> Iterator[str]:
    """Write rows as JSON, one a line."""
    for row in rows:
        yield json.dumps(row_of(row), cls=JSONEncoder, ensure_ascii=False) + "\n"
