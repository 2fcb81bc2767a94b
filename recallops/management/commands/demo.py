"""`manage.py demo`: moves a simulated workspace between two regions on this machine, and proves it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from recallops.demo.outside import Outside
from recallops.demo.place import LOCK_FD, DemoError, Options, Place

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    help = "Moves a simulated workspace of 200 calendars from one region to another, live, and prints the proof."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        own = Options()
        parser.add_argument("--exit", action="store_true", help="end after the proof; 0 only if it holds")
        parser.add_argument("--clean", action="store_true", help="stop what runs and remove the demo's data")
        parser.add_argument("--ics", nargs="+", type=Path, default=[], metavar="FILE", help="add real calendars")
        parser.add_argument(
            "--ics-link",
            choices=["missing", "all", "none"],
            default=own.ics_link,
            help="give a made-up link to events of real calendars that have none, to all, or to none",
        )
        parser.add_argument("--calendars", type=int, default=own.calendars, metavar="N")
        parser.add_argument("--customers", type=int, default=own.customers, metavar="N")
        parser.add_argument("--events", type=int, default=own.events, metavar="N")
        parser.add_argument("--seed", type=int, default=own.seed, metavar="N")
        parser.add_argument("--hours-of-changes", type=float, default=own.hours, metavar="H", dest="hours")
        parser.add_argument("--speed", type=float, default=own.speed, metavar="S", help="of the domain clock")

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            code = self._inside(given) if os.environ.get(LOCK_FD) else self._outside(given)
        except DemoError as error:
            raise CommandError(str(error), returncode=2) from error
        sys.exit(code)

    def _outside(self, given: dict[str, Any]) -> int:
        outside = Outside(Place(Path(settings.DATA_DIR) / "demo"))
        if given["clean"]:
            return outside.clean()
        names = ("calendars", "customers", "events", "seed", "hours", "speed", "ics_link")
        ics = tuple(str(path.resolve()) for path in given["ics"])
        return outside.go(Options(**{name: given[name] for name in names}, ics=ics), leave=given["exit"])

    def _inside(self, given: dict[str, Any]) -> int:
        from recallops.demo.follow import follow
        from recallops.demo.run import Demo

        place = Place(Path(settings.DATA_DIR))
        lock = os.environ.pop(LOCK_FD)
        if not lock.isdigit():
            return follow(place)
        os.set_inheritable(int(lock), False)
        return Demo(place, Options.of(place.kept()["options"]), leave=given["exit"]).run()
