"""The people who work here."""

from __future__ import annotations

from django.apps import AppConfig


class StaffConfig(AppConfig):
    """Log-ins, second factors, roles."""

    name = "recallops.staff"
    label = "staff"
    verbose_name = "Staff"

    def ready(self) -> None:
        """Listen to log-ins."""
        from recallops.staff import log_ins  # noqa: F401
