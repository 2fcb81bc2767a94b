"""The people who work here."""

from __future__ import annotations

from django.apps import AppConfig


class StaffConfig(AppConfig):
    """Log-ins, second factors, roles."""

    name = "staff"
    verbose_name = "Staff"

    def ready(self) -> None:
        """Listen to log-ins."""
        from staff import log_ins  # noqa: F401
