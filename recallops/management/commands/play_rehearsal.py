"""The player of a rehearsal: reads a document from its input, plays it in its own schema, writes lines of JSON.

Started by `manage.py rehearse` only: it needs the setting that gives it a schema and keys of its own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from recallops.rehearsal.document import Document
from recallops.rehearsal.walls import raise_walls

NOT_ALONE = "This is a part of “manage.py rehearse”, which gives it a schema of its own. Use that."


class Command(BaseCommand):
    help = "Plays a rehearsal; a part of “manage.py rehearse”."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REHEARSAL:
            raise CommandError(NOT_ALONE)
        document = Document.of(sys.stdin.read())
        self._tell({"phase": "tables"})
        call_command("migrate", verbosity=0, interactive=False)
        raise_walls()
        from recallops.rehearsal import result
        from recallops.rehearsal.play import Play

        self._tell({"phase": "filling"})
        play = Play(document, self._tell)
        play.run()
        self._tell({"phase": "counting"})
        self._tell({"result": result.of(play)})

    def _tell(self, line: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(line))
        self.stdout.flush()
