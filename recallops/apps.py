"""The project itself as an app: its commands and its own few tables."""

from __future__ import annotations

from django.apps import AppConfig


class RecallOpsConfig(AppConfig):
    """Holds the management commands, the worker heartbeat and the system checks."""

    name = "recallops"
    verbose_name = "RecallOps"

    def ready(self) -> None:
        """Register what works by being imported, and bind a worker to the process that watches over it."""
        from recallops import checks, heartbeat, orphans  # noqa: F401

        orphans.die_with_parent_if_watched()
