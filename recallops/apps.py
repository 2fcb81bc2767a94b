"""The project itself as an app: its commands and its own few tables."""

from __future__ import annotations

from django.apps import AppConfig


class RecallOpsConfig(AppConfig):
    """Holds the management commands, the worker heartbeat and the system checks."""

    name = "recallops"
    verbose_name = "RecallOps"
