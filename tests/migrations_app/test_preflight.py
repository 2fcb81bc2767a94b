"""Preflight says what is there already, whatever the number of calendars, and names those that stay out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import Connection
from migrations_app.itineraries import Step
from migrations_app.models import Finding, Item
from tests.harness import OFFICE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE[:2]
DAN = "dan@southwind.example"


def said(move: Move, code: str) -> list[str]:
    return list(Finding.objects.filter(batch=move.batch, code=code).values_list("sentence", flat=True))


def look(move: Move) -> None:
    move.time.advance(timedelta(minutes=5))
    move.world.advance()
    move.allow(Step.PREFLIGHT)
    move.run()


def test_of_an_empty_target_it_says_just_that() -> None:
    move = quick()
    look(move)
    assert said(move, "target") == ["The target is empty."]
    assert [*said(move, "adopted"), *said(move, "others"), *said(move, "twice")] == []


def test_it_tells_what_is_adopted_from_what_stays_untouched_and_names_what_is_there_twice() -> None:
    move = quick()
    for email in (ADA, BEN, BEN, DAN):
        move.connect(email, region=TARGET)
    look(move)
    assert said(move, "adopted") == ["2 calendar(s) are in the target already and are adopted, not made a second time."]
    assert said(move, "others") == ["1 calendar(s) in the target are not part of this batch and stay untouched."]
    (sentence,) = said(move, "twice")
    assert BEN in sentence
    assert "connected 2 times" in sentence


def test_it_names_what_another_open_batch_moves() -> None:
    move = quick()
    look(move)
    other = move.new_batch("other")
    mine = Connection.objects.get(workspace=move.source, calendar__email=ADA)
    Item.objects.create(batch=other, kind=Item.Kind.CONNECTION, connection=mine, source_id=mine.remote_id, title=ADA)
    again = move.new_batch("again")
    move.allow(Step.PREFLIGHT, again)
    move.batch = again
    move.run()
    (sentence,) = said(move, "elsewhere")
    assert ADA in sentence
    assert "other" in sentence
