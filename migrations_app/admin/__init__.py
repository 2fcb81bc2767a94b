"""What staff see of the move, and where they press."""

from __future__ import annotations

from migrations_app.admin import batches, findings, items, ledger, share_groups

__all__ = ["batches", "findings", "items", "ledger", "share_groups"]
