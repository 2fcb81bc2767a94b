"""A real inventory to rehearse with, and a play of it in this process."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.management import call_command

from migrations_app.itineraries import Step
from recallops.rehearsal import result
from recallops.rehearsal.copying import copy
from recallops.rehearsal.document import Document
from recallops.rehearsal.play import Play
from tests.harness import Move


def exported(move: Move) -> Move:
    """Let a move read its source, and write nothing."""
    move.allow(Step.EXPORT)
    move.run()
    move.batch.refresh_from_db()
    return move


def copied(move: Move) -> Document:
    """Return the document of a move, as the player gets it."""
    return Document.of(copy(move.batch).text())


def played(document: Document) -> dict[str, Any]:
    """Play a document in tables that are as empty as a new schema's."""
    call_command("flush", interactive=False, verbosity=0)
    import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
    play = Play(document, lambda line: None)
    play.run()
    return result.of(play)
