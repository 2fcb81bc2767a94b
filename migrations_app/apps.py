"""The move."""

from __future__ import annotations

from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    """Batches that move a workspace from one region to another."""

    name = "migrations_app"
    verbose_name = "Migrations"
