"""The pump, once: for a look at what is due, or for a scheduler of one's own."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from recallops import workers


class Command(BaseCommand):
    help = "Wakes the workers, once, for all work that is due. `manage.py workers` does this by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Rang {workers.pump()} doorbells.")
