"""The move."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MigrationsConfig(AppConfig):
    """Batches that move a workspace from one region to another."""

    name = "migrations_app"
    verbose_name = "Migrations"

    def ready(self) -> None:
        """Keep the groups of staff as the table of roles says; this app is the last, so all permissions are there."""
        from migrations_app import roles
        from migrations_app.mail import milestones

        post_migrate.connect(roles.grant, sender=self, dispatch_uid="roles")
        post_migrate.connect(milestones.fill_templates, sender=self, dispatch_uid="mail templates")
