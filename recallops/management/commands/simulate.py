"""`manage.py simulate`: whole moves on virtual clocks, each from a seed, judged by who was in which meeting."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

NOT_HERE = (
    "The simulation is part of the tests: it needs a checkout with the folder tests, and the requirements for "
    "development (make setup). Missing here: {error}"
)
SAID_EVERY = 50  # runs
HEAD = f"{'seed':>7} {'calls':>6} {'faults':>6} {'crashes':>7} {'missed':>6} {'doubled':>7} {'excused':>7} {'lost':>5}"


def seeds_of(text: str) -> range:
    """Read "A..B", both included, or one number."""
    first, _, last = text.partition("..")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no range of seeds; write 1..200, or one number.") from None
    if not found:
        raise ArgumentTypeError(f"{text} holds no seed.")
    return found


class Command(BaseCommand):
    help = "Play whole moves between simulated regions, each from a seed, and fail on any missed or doubled meeting."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seeds", type=seeds_of, required=True, metavar="A..B", help="which seeds, both included")
        parser.add_argument("--calendars", type=int, metavar="N", help="as many in each run, instead of 2 to 4")
        parser.add_argument("--days", type=float, metavar="D", help="meetings up to so many days ahead")
        parser.add_argument(
            "--processes", type=int, default=os.cpu_count() or 1, metavar="P", help="side by side (all cores)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from tests.simulation import many
        except ImportError as error:
            raise CommandError(NOT_HERE.format(error=error)) from error
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            self._play(many, options)
        finally:  # also when it is told to stop: its databases are dropped first
            signal.signal(signal.SIGTERM, before)

    def _play(self, many: Any, options: dict[str, Any]) -> None:
        lines = []
        self.stdout.write(HEAD)
        seeds = options["seeds"]
        for line in many.play(
            seeds, processes=options["processes"], calendars=options["calendars"], days=options["days"]
        ):
            lines.append(line)
            if line.trouble or line.excused or len(seeds) == 1:
                self._show(line, story=len(seeds) == 1)
            if len(lines) % SAID_EVERY == 0:
                self.stdout.write(f"{len(lines)} of {len(seeds)} played")
                self.stdout.flush()
        total = many.summary(lines)
        self.stdout.write(
            f"{len(lines)} runs: {total['calls']} calls, {total['faults']} faults, {total['crashes']} crashes; "
            f"missed {total['missed']}, doubled {total['doubled']}, excused {total['excused']}, lost {total['lost']}"
        )
        failed = sorted(line.seed for line in lines if line.trouble)
        if failed:
            again = _command(options, failed[0])
            raise CommandError(f"{len(failed)} of {len(lines)} runs failed: {failed}. To repeat the first: {again}")

    def _show(self, line: Any, *, story: bool) -> None:
        self.stdout.write(
            f"{line.seed:>7} {line.calls:>6} {line.faults:>6} {line.crashes:>7} {line.missed:>6} {line.doubled:>7} "
            f"{line.excused:>7} {line.lost:>5}"
        )
        if story:
            self.stdout.write(line.story)
        if line.trouble:
            self.stdout.write(line.trouble)
        self.stdout.flush()  # many read it in a file, while it runs


def _command(options: dict[str, Any], seed: int) -> str:
    more = "".join(f" --{name} {options[name]}" for name in ("calendars", "days") if options[name] is not None)
    return f"manage.py simulate --seeds {seed}{more}"
