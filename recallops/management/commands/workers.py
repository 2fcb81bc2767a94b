"""The workers of this machine: one django-q2 cluster under guard, and the pump."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recallops import health, workers


class Command(BaseCommand):
    help = (
        "Runs the workers of this machine until SIGTERM or Ctrl-C: starts the cluster, wakes it for work that is due, "
        "and replaces it when it hangs. One on each machine."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        missing = health.pending_migrations()
        if missing:
            raise CommandError(f"{missing} migrations are not applied. Run `manage.py migrate` first.")
        try:
            with workers.only_one(settings.DATA_DIR):
                workers.Workers().run()
        except workers.AlreadyRunningError as error:
            raise CommandError(str(error)) from error
