"""What tests of whole moves share: how an undisturbed move ends."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from tests.harness import clock_and_door, quick

__all__ = ["clock_and_door", "undisturbed"]


@pytest.fixture(scope="session")
def undisturbed(django_db_setup: None, django_db_blocker: Any) -> dict[str, Any]:
    """Return how a quick move ends when nothing is in its way."""
    with django_db_blocker.unblock():
        try:
            move = quick()
            move.finish()
            return move.end_state()
        finally:
            call_command("flush", interactive=False, verbosity=0)
