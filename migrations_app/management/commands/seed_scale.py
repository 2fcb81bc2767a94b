"""Fill a database with a million events, to look at the pages at that size and to measure them.

A batch half way between two workspaces, with its calendars, meetings, bots, items, findings and webhooks. All of it
is made up; no provider is asked. What was there before is removed, so a database in use has to be named.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from migrations_app import scale

SIDES = 2
LEAST = 1_000
IN_USE = (
    "The database “{name}” {why}. Filling it removes every workspace, calendar, meeting and batch in it. If that is "
    "what you want, name it: manage.py seed_scale --erase {name}"
)
HAS_ROWS = "has rows"
NO_DEVELOPMENT = "is not one for development"
OTHER_NAME = "--erase names “{given}”, but the database is “{name}”. Nothing was removed."
TOO_FEW = "--events must be at least {least:,}."
DONE = "There are {events:,} events of {calendars:,} calendars now. Batch: {batch}."
NO_STAFF = "Nobody can log in yet: manage.py createsuperuser makes the first member of staff."


class Command(BaseCommand):
    """Fill a database for looking at pages at size."""

    help = "Fill a database with made-up rows by the million. Removes what is in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--events", type=int, default=1_000_000, help="events in all (default: 1000000)")
        parser.add_argument("--erase", metavar="NAME", default="", help="the name of the database, if it is in use")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, fill, say what there is."""
        calendars = options["events"] // (SIDES * scale.EVENTS)
        if options["events"] < LEAST:
            raise CommandError(TOO_FEW.format(least=LEAST))
        self._check(options["erase"])
        with transaction.atomic():
            batch = scale.fill(calendars, say=self._say)
        self._say(DONE.format(events=calendars * SIDES * scale.EVENTS, calendars=calendars, batch=batch))
        if not get_user_model().objects.filter(is_staff=True).exists():
            self._say(NO_STAFF)

    def _check(self, named: str) -> None:
        """Refuse a database in use, unless it was named."""
        name = connection.settings_dict["NAME"]
        if named:
            if named != name:
                raise CommandError(OTHER_NAME.format(given=named, name=name))
            return
        if not settings.DEVELOPMENT:
            raise CommandError(IN_USE.format(name=name, why=NO_DEVELOPMENT))
        if not scale.is_empty():
            raise CommandError(IN_USE.format(name=name, why=HAS_ROWS))

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
