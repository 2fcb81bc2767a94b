"""Keeps one rehearsal, from its row to its result. The workers start it; a person may, too."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from migrations_app.models import Rehearsal
from recallops.rehearsal.keeping import Keeper


class Command(BaseCommand):
    help = "Plays a rehearsal that was asked for on a batch's page, and keeps its result."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("rehearsal", type=int, help="its number")

    def handle(self, *args: Any, **options: Any) -> None:
        pk = options["rehearsal"]
        if Keeper(pk).run():
            self.stdout.write(f"Rehearsal {pk} is done; its result is on its page.")
            return
        row = Rehearsal.objects.filter(pk=pk).first()
        if row is None:
            raise CommandError(f"There is no rehearsal {pk}.")
        raise CommandError(f"Rehearsal {pk} is {row.get_state_display()}. {row.reason}".strip())
