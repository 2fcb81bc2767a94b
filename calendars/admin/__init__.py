"""What staff see of the world as it is."""

from __future__ import annotations

from calendars.admin import (
    applications,
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
    "applications",
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
