"""Export says what of the source the batch does not move, or moves with a reservation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from migrations_app.itineraries import Step
from migrations_app.models import Finding
from tests.harness import OFFICE, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE[:2]


def read(*, alone: int) -> Move:
    move = quick()
    move.meet("shared", 26, ADA, BEN)
    for number in range(alone):
        move.there.schedule(f"https://zoom.us/j/12345678{number}", move.start + timedelta(hours=26), {})
    move.allow(Step.EXPORT)
    move.run()
    return move


@pytest.mark.parametrize("alone", [0, 3])
def test_bots_that_no_event_names_are_counted_since_nobody_moves_them(alone: int) -> None:
    move = read(alone=alone)
    said = list(Finding.objects.filter(batch=move.batch, code="standalone").values_list("sentence", flat=True))
    count = [f"{alone} scheduled bot(s) in the source belong to no calendar event; this batch does not move them."]
    assert said == (count if alone else [])
