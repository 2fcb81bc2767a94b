"""A batch lets go of its meetings only when they are as the last minute showed them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import ApiKey, Intent
from calendars.providers.recall_endpoints import ADD_BOT
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Item, ItemStatus
from tests.harness import OFFICE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, _ = OFFICE


@pytest.fixture
def almost() -> Move:
    """Return a move of which all but clean up is done, some minutes after the last reading."""
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run()
    assert Batch.objects.get(pk=move.batch.pk).step == Step.CLEAN_UP
    move.run_for(timedelta(minutes=21))
    return move


def change(move: Move) -> None:
    """Move a meeting of tomorrow by an hour, and let the provider notice."""
    meeting = next(one for one in move.world.meetings.values() if one.title == f"{ADA} first")
    move.world.move(meeting, meeting.start + timedelta(hours=1))
    move.time.advance(timedelta(seconds=30))
    move.world.advance()


def test_what_changed_since_the_last_reading_is_read_and_done_before_it_is_closed(almost: Move) -> None:
    change(almost)
    almost.allow(Step.CLEAN_UP)
    almost.run()
    assert Batch.objects.get(pk=almost.batch.pk).status == BatchStatus.CLOSED
    almost.assert_proven(wanted=6)


def test_it_waits_until_the_bot_of_such_a_meeting_is_there(almost: Move) -> None:
    change(almost)
    almost.world.faults.add("status", status=507, retry_after=30, region=TARGET, endpoint=ADD_BOT, times=3)
    almost.allow(Step.CLEAN_UP)
    almost.run()
    almost.heard("waited for before they are let go")
    assert Batch.objects.get(pk=almost.batch.pk).status == BatchStatus.CLOSED
    assert not Intent.objects.filter(state__in=Intent.OPEN).exists()
    almost.assert_proven(wanted=6)


def test_a_region_that_is_gone_keeps_no_batch_open_and_the_other_one_is_read_all_the_same(almost: Move) -> None:
    ApiKey.objects.filter(workspace=almost.source).update(enabled=False)
    change(almost)
    almost.allow(Step.CLEAN_UP)
    almost.run(longest=timedelta(minutes=30))
    assert Batch.objects.get(pk=almost.batch.pk).status == BatchStatus.CLOSED
    assert Finding.objects.get(code="last_look").sentence.startswith("Closed all the same")
    almost.assert_proven(wanted=6)


def test_a_calendar_that_somebody_lets_be_tried_again_at_that_moment_is_not_closed_over(almost: Move) -> None:
    pressed = False

    def press(number: int, request: object) -> None:
        nonlocal pressed
        if not pressed:
            pressed = True
            Item.objects.filter(title=ADA).update(status=ItemStatus.READY)

    almost.door.before = press
    almost.allow(Step.CLEAN_UP)
    almost.run()
    assert pressed
    assert Batch.objects.get(pk=almost.batch.pk).status == BatchStatus.CLOSED
    assert Item.objects.get(title=ADA).status == ItemStatus.DONE
