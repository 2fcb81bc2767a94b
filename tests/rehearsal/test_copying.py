"""The document has the shape of the inventory: who shares what, what is chosen, what cannot go."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import RateBudget
from migrations_app.models import Batch, Selection
from recallops import clock
from recallops.rehearsal.copying import copy
from recallops.rehearsal.document import Document
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch() -> Batch:
    return make.make_batch()


def test_a_document_is_the_same_after_the_way_to_the_player(batch: Batch) -> None:
    make.make_event(make.make_connection(batch.source), start=clock.now() + timedelta(hours=3))
    document = copy(batch)
    assert len(document.meetings) == 1
    assert Document.of(document.text()) == document


def test_copies_of_one_meeting_stay_together_and_share_their_key(batch: Batch) -> None:
    start = clock.now() + timedelta(hours=3)
    bots = [{"bot_id": "b1", "start": start.isoformat(), "key": "acme-key", "url": "https://meet.google.com/a"}]
    for _ in range(2):
        holder = make.make_connection(batch.source)
        event = make.make_event(holder, start=start, url="https://meet.google.com/a", bots=bots)
        type(event.occurrence).objects.filter(pk=event.occurrence_id).update(ical_uid="same@google.com")
    (meeting,) = copy(batch).meetings
    assert [number for number, _, _ in meeting.copies] == [0, 1]
    assert len({key for _, key, _ in meeting.copies}) == 1
    assert "acme" not in str(meeting)


def test_what_is_deleted_over_or_too_far_ahead_is_left_out(batch: Batch) -> None:
    connection, now = make.make_connection(batch.source), clock.now()
    make.make_event(connection, start=now - timedelta(hours=3), end=now - timedelta(hours=2))
    make.make_event(connection, start=now + timedelta(days=29))
    make.make_event(connection, start=now + timedelta(hours=2), is_deleted=True)
    assert copy(batch).meetings == []


def test_only_the_chosen_move_and_those_of_no_use_say_so(batch: Batch) -> None:
    moving = make.make_connection(batch.source)
    make.make_connection(batch.source, status="disconnected")
    batch.customers.add(moving.calendar.customer)
    batch.selection = Selection.CUSTOMERS
    document = copy(batch)
    assert [(one.chosen, one.connected) for one in document.calendars] == [(True, True), (False, False)]
    assert document.calendars[0].domain.startswith("moves-")
    assert document.calendars[1].domain.startswith("stays-")


def test_a_large_inventory_is_sampled_and_says_how_much_of_it(batch: Batch) -> None:
    for _ in range(12):
        make.make_connection(batch.source)
    document = copy(batch, most_calendars=4)
    assert len(document.calendars) == 4
    assert document.share == pytest.approx(1 / 3)


def test_a_cut_line_that_has_passed_is_left_to_the_planner(batch: Batch) -> None:
    batch.handover.cut_line = clock.now() - timedelta(hours=1)
    assert copy(batch).cut_line == ""
    batch.handover.cut_line = clock.now() + timedelta(hours=1)
    assert copy(batch).cut_line == batch.handover.cut_line.isoformat()


def test_a_list_is_copied_as_what_is_chosen_and_what_another_batch_has_stays(batch: Batch) -> None:
    listed, other, _unlisted = (make.make_connection(batch.source) for _ in range(3))
    make.make_item(make.make_batch(source=batch.source, target=batch.target), connection=other)
    for connection in (listed, other):
        batch.selected.create(calendar=connection.calendar, text=connection.calendar.email)
    batch.selection = Selection.FILE
    assert [one.chosen for one in copy(batch).calendars] == [True, False, False]


def test_spans_limits_and_the_window_are_the_plans(batch: Batch) -> None:
    batch.soak, batch.canary_wait, batch.drivers = timedelta(hours=5), timedelta(minutes=7), 3
    batch.handover.max_both = 11
    batch.source.freeze = timedelta(minutes=4)
    RateBudget.objects.create(workspace=batch.target, endpoint="POST /x/", per_minute=42, emission=2.0)
    document = copy(batch)
    assert (document.soak, document.canary_wait, document.drivers) == (18000, 420, 3)
    assert document.max_both == 11
    assert document.source.numbers["freeze"] == 240
    assert document.target.limits["POST /x/"] == 42
    assert "POST /x/" not in document.source.limits
