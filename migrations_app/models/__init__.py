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
from migrations_app.models.share_group import ShareGroup

__all__ = [
    "Batch",
    "BatchStatus",
    "CoverageReading",
    "ErrorKind",
    "Finding",
    "Item",
    "ItemStatus",
    "Severity",
    "ShareGroup",
]
