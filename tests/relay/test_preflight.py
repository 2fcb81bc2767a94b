"""Before a move in which the company's application schedules: what has to stand, each with what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from calendars.models import Application, ApplicationSecret, Handover, WebhookEndpoint, WebhookSecret, Workspace
from migrations_app import control
from migrations_app.itineraries import Step
from migrations_app.models import Finding
from tests.relay.office import office
from tests.relaying import Relaying

pytestmark = pytest.mark.django_db(transaction=True)


def ready() -> Relaying:
    stand = office(2, teams=1, days=1)
    stand.begin()
    stand.run_for(timedelta(minutes=30))
    stand.batch = stand.new_batch("move")
    return stand


def blocking(stand: Relaying) -> dict[str, Finding]:
    """Run preflight; return what blocks, by code."""
    stand.allow(Step.PREFLIGHT, stand.batch)
    stand.run(until=lambda: stand.at_rest() or Finding.objects.filter(code="stopped", gone_at=None).exists())
    return {one.code: one for one in Finding.objects.filter(severity="blocking", gone_at=None)}


def test_with_everything_in_place_nothing_blocks_and_the_order_is_the_applications() -> None:
    stand = ready()
    assert blocking(stand) == {}
    assert Handover.objects.get().external
    with pytest.raises(control.Refused, match="no cut line"):
        control.set_cut_line(stand.batch, stand.time.now(), actor=None)


@pytest.mark.parametrize(
    ("code", "words", "spoil"),
    [
        (
            "scheduler",
            "eu by RecallOps",
            lambda: Workspace.objects.filter(slug="eu").update(scheduler="managed"),
        ),
        ("application", "none is named", lambda: Workspace.objects.filter(slug="eu").update(application=None)),
        ("application_secret", "no secret in use", lambda: ApplicationSecret.objects.update(enabled=False)),
        ("application_url", "cannot be passed on", lambda: Application.objects.update(url="ftp://127.0.0.1/")),
        ("no_door", "cannot come in", lambda: WebhookSecret.objects.filter(workspace__slug="eu").update(enabled=False)),
        (
            "no_door",
            "cannot come in",
            lambda: WebhookEndpoint.objects.filter(workspace__slug="us").update(enabled=False),
        ),
        ("not_in_front", "during the last day", lambda: WebhookEndpoint.objects.update(last_at=None)),
    ],
)
def test_what_is_missing_blocks_with_what_to_do(code: str, words: str, spoil: Callable[[], object]) -> None:
    stand = ready()
    spoil()
    found = blocking(stand)
    assert set(found) == {code}
    assert words in found[code].sentence
    assert found[code].remedy


def test_two_workspaces_with_two_applications_block() -> None:
    stand = ready()
    other = Application.objects.create(slug="other", name="Other", url="https://other.example/in")
    Workspace.objects.filter(slug="eu").update(application=other)
    assert set(blocking(stand)) == {"applications"}
