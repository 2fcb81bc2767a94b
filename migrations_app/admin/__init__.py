"""What staff see of the move, and where they press."""

from __future__ import annotations

from migrations_app.admin import (
    alerts,
    approvals,
    batches,
    drafts,
    findings,
    inquiries,
    items,
    ledger,
    mail,
    rehearsals,
    report_keys,
    share_groups,
    status_links,
)

__all__ = [
    "alerts",
    "approvals",
    "batches",
    "drafts",
    "findings",
    "inquiries",
    "items",
    "ledger",
    "mail",
    "rehearsals",
    "report_keys",
    "share_groups",
    "status_links",
]
