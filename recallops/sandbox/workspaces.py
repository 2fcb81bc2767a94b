"""A workspace: calendars on top of events on top of bots (one layer a file), within one region."""

from __future__ import annotations

from recallops.sandbox.calendars import Calendars
from recallops.sandbox.messages import Refused

__all__ = ["Refused", "Workspace"]


class Workspace(Calendars):
    """One account in one region. Its keys, limits, calendars, events and bots; nothing is shared with another."""
