"""The project itself as an app: its commands and its own few tables."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class RecallOpsConfig(AppConfig):
    """Holds the management commands, the worker heartbeat and the system checks."""

    name = "recallops"
    verbose_name = "RecallOps"

    def ready(self) -> None:
        """Register what works by being imported, bind a worker to its watcher, and keep our own keys out of logs."""
        from recallops import checks, heartbeat, orphans, redaction  # noqa: F401

        orphans.die_with_parent_if_watched()
        own = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, *settings.ENCRYPTION_KEYS]
        for secret in [*own, settings.DATABASES["default"].get("PASSWORD", ""), settings.EMAIL_HOST_PASSWORD]:
            redaction.remember(secret)
