"""What a button says it will do is what then happens: the numbers of the preview are the run's numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import Assignment, Connection, Intent
from migrations_app import ahead, control, inventory, presses
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, ItemStatus
from tests.harness import OFFICE, SOURCE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE
CAT, DAN = "cat@northwind.example", "dan@southwind.example"


def told(move: Move, press: str) -> presses.Preview:
    """Return what a button of the batch's page says now."""
    found = presses.preview(Batch.objects.select_related("source__region", "target__region").get(), press)
    assert found is not None, press
    return found


def done(move: Move, step: Step) -> presses.Preview:
    """Read what a button says, press it, and let it be done."""
    said = told(move, step)
    move.allow(step)
    move.run()
    return said


def wrote(purpose: str) -> int:
    return Intent.objects.filter(purpose=purpose, state=Intent.State.CONFIRMED).count()


def handed_over() -> int:
    return Assignment.objects.filter(owner__slug="eu", flipped_at__isnull=False).count()


def test_each_button_says_what_its_run_then_does() -> None:
    move = quick(people=(*OFFICE, CAT))
    move.connect(DAN)  # without meetings: one that others share would stay until it is over
    move.connect(CAT, region=TARGET)  # in the target already: taken, not made
    move.calendar(DAN).status = "disconnected"
    done(move, Step.PREFLIGHT)

    said = done(move, Step.EXPORT)
    items = Item.objects.filter(kind=Item.Kind.CONNECTION)
    assert said.counts["listed"] == items.count() == 4

    said = done(move, Step.RECREATE)
    assert said.counts == {"make": wrote("create_calendar"), "adopt": items.filter(created_target=False).count() - 1}
    assert said.counts == {"make": 2, "adopt": 1}
    assert "1 calendar waits for a person" in said.sentences[-1]

    said = done(move, Step.VERIFY)
    assert said.counts["compare"] == items.filter(step=Step.HAND_OVER).count() == 3

    said = done(move, Step.HAND_OVER)
    assert said.counts["hand_over"] == items.filter(step=Step.DELETE_OLD).count()
    assert said.counts["meetings"] == handed_over() > 0

    said = done(move, Step.DELETE_OLD)
    assert said.counts["delete"] == wrote("delete_calendar") > 0
    assert said.counts["delete"] == Connection.objects.filter(workspace=move.source, status="deleted").count()

    said = done(move, Step.CLEAN_UP)
    assert "no way back" in said.sentences[0]


def test_one_press_for_all_says_everything_that_it_allows() -> None:
    move = quick()
    done(move, Step.EXPORT)
    said = done(move, Step.CLEAN_UP)
    assert (said.counts["make"], said.counts["delete"]) == (wrote("create_calendar"), wrote("delete_calendar"))
    assert said.counts["meetings"] == handed_over()
    assert said.calls > 0


def test_before_the_export_the_numbers_are_those_of_what_was_read_so_far() -> None:
    move = quick()
    assert told(move, Step.EXPORT).counts == {}, "nothing was read yet"
    done(move, Step.PREFLIGHT)
    said = told(move, Step.RECREATE)
    move.allow(Step.RECREATE)
    move.run()
    assert said.counts["make"] == wrote("create_calendar") == len(OFFICE)


def test_a_cut_line_in_the_middle_parts_the_meetings_as_the_run_does() -> None:
    move = quick(cut=timedelta(hours=40))
    done(move, Step.VERIFY)
    said = told(move, Step.HAND_OVER)
    coming = Assignment.objects.filter(over=False, start__gt=move.time.now()).count()
    move.allow(Step.HAND_OVER)
    move.run()
    assert said.counts["meetings"] == handed_over() < coming
    assert said.counts["meetings"] + said.counts["staying"] == coming


def test_retrying_and_leaving_say_how_many_it_concerns() -> None:
    move = quick()
    done(move, Step.EXPORT)
    first, second = Item.objects.filter(kind=Item.Kind.CONNECTION)
    Item.objects.filter(pk=first.pk).update(status=ItemStatus.FAILED)
    Item.objects.filter(pk=second.pk).update(status=ItemStatus.USER)
    said = told(move, presses.RETRY)
    assert "1 failed, 1 waited for a person" in said.sentences[0]
    assert told(move, presses.LEAVE).counts["items"] == 1
    assert said.counts["items"] == control.retry_failed(move.batch, actor=None) == 2
    assert presses.preview(Batch.objects.get(), presses.RETRY) is None


def test_pausing_says_how_many_meetings_wait_and_resuming_hands_over_those() -> None:
    move = quick()
    done(move, Step.VERIFY)
    said = told(move, presses.PAUSE)
    control.set_paused(Batch.objects.get(), True, actor=None)
    move.allow(Step.HAND_OVER)
    move.run_for(timedelta(minutes=10))
    assert handed_over() == 0
    assert told(move, presses.RESUME).counts == said.counts
    control.set_paused(Batch.objects.get(), False, actor=None)
    move.run()
    assert said.counts["meetings"] == handed_over() > 0


def test_going_back_says_how_many_calendars_it_deletes_and_how_many_meetings_it_hands_back() -> None:
    move = quick()
    done(move, Step.HAND_OVER)
    said = told(move, presses.BACK)
    assert said.counts["handed"] == handed_over()
    control.go_back(move.batch, actor=None, confirm=move.batch.slug)
    move.run()
    assert said.counts["made"] == wrote("delete_calendar") == len(OFFICE)
    assert len(move.bots(SOURCE)) > 0
    assert handed_over() == 0


def test_a_closed_batch_has_no_buttons() -> None:
    move = quick()
    move.finish()
    assert presses.previews(Batch.objects.get(), {}) == []


@pytest.mark.parametrize("change", ["disconnected", "tokenless", "secretless", "nameless", "fine"])
def test_what_needs_a_person_is_the_same_for_one_and_for_many(change: str) -> None:
    move = quick()
    done(move, Step.PREFLIGHT)
    one = Connection.objects.filter(workspace=move.source).order_by("pk")[0]
    mine = Connection.objects.filter(pk=one.pk)
    if change == "disconnected":
        mine.update(status="disconnected")
    elif change == "tokenless":
        mine.update(has_token=False)
    elif change == "secretless":
        mine.update(has_secret=False)
    elif change == "nameless":
        mine.update(remote_id=one.calendar.email)
    reason, _ = inventory.why_not_movable(mine.select_related("calendar").get())
    assert bool(reason) == mine.filter(inventory.needs_person()).exists() == (change != "fine")
    assert ahead.facts_of(Batch.objects.get()).user == (change != "fine")
