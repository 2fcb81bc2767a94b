"""Keys that sign reports, from a terminal. The private half never leaves the database, where it is sealed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calendars.management.terminal import actor
from migrations_app.models import ReportKey
from migrations_app.report_signing import make_key, retire

NONE = "There is no report key yet. Make one: manage.py report_key --new LABEL"
NO_SUCH = "There is no report key {key_id}. Without arguments this command lists them."


class Command(BaseCommand):
    help = "Lists the public halves of the keys that sign reports; makes a new key, or retires one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--new", metavar="LABEL", help="make a key, which signs from now on")
        chosen.add_argument("--retire", metavar="KEY_ID", help="let a key sign nothing any more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new"] is not None:
            label = options["new"].strip()[:80]
            if not label:
                raise CommandError("Give the key a label, such as the year.")
            make_key(label=label, actor=actor())
        elif options["retire"]:
            key = ReportKey.objects.filter(key_id=options["retire"]).first()
            if key is None:
                raise CommandError(NO_SUCH.format(key_id=options["retire"]))
            self.stdout.write(retire(key, actor=actor(), reason=""))
        signing = ReportKey.objects.signing()
        keys = list(ReportKey.objects.defer("private"))
        for key in keys:
            state = "retired" if key.retired_at else "signs" if key == signing else "kept"
            self.stdout.write(f"{key.key_id}  {key.public}  {state}  {key.label}")
        if not keys:
            self.stdout.write(NONE)
