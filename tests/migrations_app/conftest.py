"""What tests of whole moves share: nothing of a test's clock and door is left, and how an undisturbed move ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from calendars.providers import limits
from calendars.providers.connect import use_transport
from calendars.providers.http import Http
from recallops import clock
from tests.harness import quick


@pytest.fixture(autouse=True)
def clock_and_door(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send again at once what is sent again; give the next test the wall's time and the real way out."""
    monkeypatch.setitem(Http.__init__.__kwdefaults__, "sleep", lambda seconds: None)
    yield
    clock.install(clock.WallClock())
    use_transport(None)
    limits.close()


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
