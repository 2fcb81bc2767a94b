"""Who may ask for a rehearsal, of what, and what becomes of one whose keeper died."""

from __future__ import annotations

from typing import Any

import pytest

from calendars.leases import Lease
from calendars.models import AuditEntry
from migrations_app import rehearsals
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Rehearsal, RehearsalState
from tests.admin.builders import NOON, make_batch, make_connection, make_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch() -> Batch:
    found = make_batch()
    make_event(make_connection(found.source))
    return found


def test_it_is_asked_for_once_and_on_record(batch: Batch) -> None:
    row = rehearsals.ask(batch, actor=None)
    assert row.state == RehearsalState.ASKED
    assert AuditEntry.objects.filter(action="rehearsal.ask").count() == 1
    with pytest.raises(Refused, match="under way already"):
        rehearsals.ask(batch, actor=None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"closed_at": NOON}, "closed"), ({"goal": Step.RECREATE}, "begun to write"), ({"draft": True}, "still a draft")],
)
def test_it_shows_what_comes_before_the_first_write(batch: Batch, fields: dict[str, Any], said: str) -> None:
    Batch.objects.filter(pk=batch.pk).update(**fields)
    batch.refresh_from_db()
    with pytest.raises(Refused, match=said):
        rehearsals.ask(batch, actor=None)


def test_what_the_company_s_application_would_do_is_not_played(batch: Batch) -> None:
    batch.source.scheduler = "external"
    with pytest.raises(Refused, match="cannot be played"):
        rehearsals.ask(batch, actor=None)


def test_without_a_reading_there_is_nothing_to_rehearse_with() -> None:
    with pytest.raises(Refused, match="Allow “Export” first"):
        rehearsals.ask(make_batch(), actor=None)


def test_one_runs_at_a_time(batch: Batch) -> None:
    other = make_batch()
    make_event(make_connection(other.source))
    first, second = rehearsals.ask(batch, actor=None), rehearsals.ask(other, actor=None)
    lease = Lease()
    assert rehearsals.waiting() == first.pk
    assert rehearsals.begin(first.pk, lease=lease)
    assert rehearsals.waiting() is None
    assert not rehearsals.begin(second.pk, lease=Lease())
    assert rehearsals.end(first.pk, lease=lease, state=RehearsalState.DONE, result={"ended": "closed"})
    assert rehearsals.waiting() == second.pk


def test_one_whose_keeper_died_has_failed_and_can_be_asked_for_again(batch: Batch) -> None:
    row, lease = rehearsals.ask(batch, actor=None), Lease()
    assert rehearsals.begin(row.pk, lease=lease)
    Rehearsal.objects.filter(pk=row.pk).update(lease_until=NOON.replace(year=2000))
    assert rehearsals.waiting() is None
    row.refresh_from_db()
    assert row.state == RehearsalState.FAILED
    assert "cut off" in row.reason
    assert not rehearsals.tell(row.pk, lease=lease, progress={}), "a keeper that comes back late is told to end"
    rehearsals.ask(batch, actor=None)


def test_one_that_was_stopped_keeps_no_result(batch: Batch) -> None:
    row, lease = rehearsals.ask(batch, actor=None), Lease()
    assert rehearsals.begin(row.pk, lease=lease)
    rehearsals.stop(row, actor=None)
    assert not rehearsals.tell(row.pk, lease=lease, progress={})
    assert not rehearsals.end(row.pk, lease=lease, state=RehearsalState.DONE, result={"ended": "closed"})
    with pytest.raises(Refused, match="ended already"):
        rehearsals.stop(row, actor=None)
