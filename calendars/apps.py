"""The world as it is, and what acts on it."""

from __future__ import annotations

from django.apps import AppConfig


class CalendarsConfig(AppConfig):
    """Workspaces, calendars, events, assignments, and the one writer of bots."""

    name = "calendars"
    verbose_name = "Calendars"
