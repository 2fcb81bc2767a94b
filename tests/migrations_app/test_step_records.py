"""A move leaves a record of each call and of each step's outcome, which an item's timeline tells in order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from calendars.models import ProviderCall
from calendars.providers import recording
from migrations_app import timeline
from migrations_app.itineraries import Step
from migrations_app.models import Item, ItemStatus, StepRecord
from tests.harness import quick

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_call_of_a_move_is_on_record_and_its_timeline_tells_the_way() -> None:
    move = quick()
    move.finish()
    recording.write()
    assert ProviderCall.objects.count() == move.door.calls
    item = Item.objects.filter(status=ItemStatus.DONE, kind=Item.Kind.CONNECTION).earliest("pk")
    told = timeline.of(item.pk)
    assert told is not None
    assert [entry.at for entry in told.entries] == sorted(entry.at for entry in told.entries)
    steps = [entry.what for entry in told.entries if entry.kind == timeline.STEP]
    for earlier, later in (("Recreate", "Verify"), ("Verify", "Hand over"), ("Hand over", "Delete old")):
        assert min(n for n, words in enumerate(steps) if earlier in words) < min(
            n for n, words in enumerate(steps) if later in words
        )
    calls = {entry.what for entry in told.entries if entry.kind == timeline.CALL}
    assert {
        "POST /api/v2/calendars/",
        "DELETE /api/v2/calendars/{id}/",
        "POST /api/v2/calendar-events/{id}/bot/",
        "DELETE /api/v2/calendar-events/{id}/bot/",
    } <= calls
    writes = {entry.what for entry in told.entries if entry.kind == timeline.WRITE}
    assert {"create a calendar: read back", "add a bot: read back", "delete a calendar: read back"} <= writes


def test_the_same_outcome_again_and_again_is_one_record() -> None:
    move = quick()
    move.finish()
    for item in Item.objects.filter(kind=Item.Kind.CONNECTION):
        kept = list(StepRecord.objects.filter(item=item).order_by("pk").values_list("step", "status", "reason"))
        assert kept
        assert all(one != following for one, following in pairwise(kept))
        assert kept[-1][:2] == (Step.DELETE_OLD, ItemStatus.DONE)
