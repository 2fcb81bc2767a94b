"""Rules that others' failures taught (docs/rules.md), where no other test shows them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.providers import errors
from migrations_app import outcomes
from migrations_app.itineraries import Step
from migrations_app.models import ErrorKind, Item, ItemStatus
from migrations_app.outcomes import How
from migrations_app.steps import ITEM_STEPS
from tests.harness import SOURCE, TARGET, quick

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_step_that_raises_fails_its_item_alone_and_is_never_taken_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    move = quick()
    recreate = ITEM_STEPS[Step.RECREATE]

    def breaks_for_one(item: Item) -> outcomes.Outcome:
        if "ada" in item.title:
            raise RuntimeError("a mistake of ours")
        return recreate(item)

    monkeypatch.setitem(ITEM_STEPS, Step.RECREATE, breaks_for_one)
    move.allow(Step.HAND_OVER)
    move.run()
    ada, ben = Item.objects.order_by("title")
    assert (ada.status, ada.step, ada.error_kind) == (ItemStatus.FAILED, Step.RECREATE, ErrorKind.OURS)
    assert "RuntimeError" in ada.reason
    assert ben.step == Step.DELETE_OLD  # the next one, which nobody has allowed
    assert len(move.bots(SOURCE)) == 4  # of all of Ada's meetings
    move.assert_proven()


def test_a_calendar_that_is_in_the_target_already_is_looked_at_before_a_meeting_rests_on_it() -> None:
    """It is adopted, not made again; and being there is not being done: this one is not connected."""
    move = quick()
    there = move.connect("ada@northwind.example", region=TARGET)
    move.here.disconnect(there.id)
    move.allow(Step.HAND_OVER)
    move.run()
    ada = Item.objects.get(title__contains="ada")
    assert not ada.created_target
    assert (ada.status, ada.step) == (ItemStatus.USER, Step.VERIFY)
    assert len([call for call in move.writes() if call[1:] == ("POST", "/api/v2/calendars/")]) == 1  # Ben's
    hours = {(bot.join_at - move.start) / timedelta(hours=1) for bot in move.bots(TARGET)}
    assert hours == {28, 54}  # Ben's own meetings; Ada's, and those they share, stay in the source
    move.assert_proven()


def test_what_goes_on_failing_is_given_up_after_forty_tries_and_left_to_a_person() -> None:
    error = errors.Unavailable("The region is under load.")
    assert outcomes.after_error(error, attempts=39).how is How.WAIT
    given_up = outcomes.after_error(error, attempts=40)
    assert given_up.how is How.FAILED
    assert given_up.reason == "Given up after 40 tries: The region is under load."
