"""What staff see of the world as it is."""

from __future__ import annotations

from calendars.admin import (
    api_tokens,
    customers,
    events,
    handovers,
    ledger,
    policies,
    records,
    regions,
    webhooks,
    workspaces,
)

__all__ = [
    "api_tokens",
    "customers",
    "events",
    "handovers",
    "ledger",
    "policies",
    "records",
    "regions",
    "webhooks",
    "workspaces",
]
