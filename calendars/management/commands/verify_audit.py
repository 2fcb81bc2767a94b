"""Checks the chain of the audit trail from its first entry to its last."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calendars import audit

BAD_HEAD = "--since wants a head as --head prints it: the number, a colon and 64 hexadecimal digits."
WHOLE = "All {number} entries are there, unchanged."
PROVED = "Entry {number} is the one that was kept, so nothing up to it was written anew."
NOT_PROVED = "Whether the whole chain was computed anew, only a head that was kept elsewhere shows: --head, --since."


class Command(BaseCommand):
    help = "Checks that no entry of the audit trail was changed, added, moved or taken away. Exit code 1 when one was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--head", action="store_true", help="only print NUMBER:HASH of the last entry, to keep")
        parser.add_argument(
            "--since", metavar="NUMBER:HASH", default="", help="a head that was kept: it must still be in the chain"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["head"]:
            self.stdout.write(str(audit.head()))
            return
        kept = _head(options["since"]) if options["since"] else None
        end, broken = audit.verify(kept=kept)
        if broken:
            raise CommandError(broken.sentence, returncode=1)
        self.stdout.write(WHOLE.format(number=end.number))
        self.stdout.write(f"Head {end}")
        self.stdout.write(PROVED.format(number=kept.number) if kept else NOT_PROVED)


def _head(text: str) -> audit.Head:
    if not re.fullmatch(r"[0-9]{1,18}:[0-9a-f]{64}", text):
        raise CommandError(BAD_HEAD, returncode=2)
    number, _, digest = text.partition(":")
    return audit.Head(int(number), digest)
