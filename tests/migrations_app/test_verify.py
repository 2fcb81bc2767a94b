"""Many calendars wait for their events at the same time: waiting is cheap, and matching is done once."""

from __future__ import annotations

import pytest

from calendars.models import IdMapping
from migrations_app.itineraries import Step
from migrations_app.models import Item
from migrations_app.steps import verify
from tests.harness import quick

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_calendar_that_waits_for_its_events_is_matched_once_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[int] = []
    waits: list[str] = []
    match, not_there = verify._match, verify._not_there

    def counted(source, target):  # type: ignore[no-untyped-def]
        matched.append(source.pk)
        return match(source, target)

    def asked(source, target):  # type: ignore[no-untyped-def]
        found = not_there(source, target)
        waits.extend(["missing"] * bool(found))
        return found

    monkeypatch.setattr(verify, "_match", counted)
    monkeypatch.setattr(verify, "_not_there", asked)
    move = quick()
    move.allow(Step.VERIFY)
    move.run()
    items = Item.objects.filter(batch=move.batch, kind=Item.Kind.CONNECTION)
    assert set(items.values_list("step", flat=True)) == {Step.HAND_OVER}
    assert waits, "somebody had to wait"
    assert len(matched) == items.count()
    assert IdMapping.objects.filter(kind="event").exists()
