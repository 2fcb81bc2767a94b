"""The move's own rows."""

from __future__ import annotations

from migrations_app.models.batch import (
    Batch,
    BatchStatus,
    CoverageReading,
    ErrorKind,
    Finding,
    Item,
    ItemStatus,
    Severity,
)

__all__ = [
    "Batch",
    "BatchStatus",
    "CoverageReading",
    "ErrorKind",
    "Finding",
    "Item",
    "ItemStatus",
    "Severity",
]
