"""What staff see of the world as it is."""

from __future__ import annotations

from calendars.admin import (
    api_tokens,
    applications,
    calls,
    customers,
    events,
    handovers,
    ledger,
    policies,
    records,
    regions,
    relay,
    webhooks,
    workspaces,
)

__all__ = [
    "api_tokens",
    "applications",
    "calls",
    "customers",
    "events",
    "handovers",
    "ledger",
    "policies",
    "records",
    "regions",
    "relay",
    "webhooks",
    "workspaces",
]
