"""A batch whose meetings the company's own application schedules is sent back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import Calendar
from migrations_app import control
from migrations_app.itineraries import Step
from tests.harness import SOURCE, TARGET
from tests.relay.office import edit_meanwhile, office, statuses

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("step", [Step.RECREATE, Step.HAND_OVER, Step.DELETE_OLD])
def test_the_source_schedules_again_and_nothing_is_missed_or_doubled(step: Step) -> None:
    stand = office(6, teams=2, days=3)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    edit_meanwhile(stand, edits=12, span=timedelta(hours=40))
    stand.batch = stand.new_batch("move")
    stand.allow(step, stand.batch)
    stand.run()
    control.go_back(stand.batch, actor=None, confirm="move")
    stand.run()
    stand.batch.refresh_from_db()
    assert stand.batch.status == "closed", stand.where()
    assert statuses() == {"back"}
    assert {stand.calendar(email) is not None for email in stand.people} == {True}
    assert {stand.calendar(email, region=TARGET) for email in stand.people} == {None}
    assert set(Calendar.objects.values_list("relayed_from__region__code", flat=True)) == {SOURCE}
    assert stand.relayed("waiting") == stand.relayed("dead") == 0
    stand.run_for(timedelta(days=3))
    stand.assert_proven()
