"""What staff see of the world as it is."""

from __future__ import annotations

from calendars.admin import customers, events, handovers, ledger, policies, records, regions, webhooks, workspaces

__all__ = ["customers", "events", "handovers", "ledger", "policies", "records", "regions", "webhooks", "workspaces"]
