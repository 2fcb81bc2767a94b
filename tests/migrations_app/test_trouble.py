"""Whatever goes wrong on the way, staff read a clear sentence, and the move ends as an undisturbed one does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connections

from calendars import tasks as calendar_tasks
from calendars.models import ApiKey, AuditEntry, Intent
from calendars.providers import connect
from calendars.providers.recall_endpoints import (
    ADD_BOT,
    CREATE_CALENDAR,
    DELETE_CALENDAR,
    GET_CALENDAR,
    GET_EVENT,
    LIST_BOTS,
    LIST_CALENDARS,
    LIST_EVENTS,
    REMOVE_BOT,
)
from migrations_app import control
from migrations_app import tasks as batch_tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus
from tests.harness import OFFICE, SOURCE, TARGET, quick

pytestmark = pytest.mark.django_db(transaction=True)

WRITES = (CREATE_CALENDAR, ADD_BOT, REMOVE_BOT, DELETE_CALENDAR)
READS = (LIST_CALENDARS, GET_CALENDAR, LIST_EVENTS, GET_EVENT, LIST_BOTS)


def finish(move: Any, *, presses: int = 3) -> int:
    """Run to the end, pressing retry where the batch stops for a person; return how often that was."""
    pressed = 0
    move.finish()
    while move.batch.status != BatchStatus.CLOSED:
        assert pressed < presses, move.where()
        pressed += 1
        assert move.retry(), move.where()
        move.run()
    return pressed


# -- answers that are none


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (409, "answered 409: another call was working on the same thing"),
        (429, "answered 429: too many calls"),
        (500, "answer was lost; waiting until it can be read"),
        (502, "answer was lost; waiting until it can be read"),
        (503, "answer was lost; waiting until it can be read"),
        (504, "answer was lost; waiting until it can be read"),
        (507, "no free bot for a meeting so near (507)"),
    ],
)
def test_a_refused_write_is_said_and_tried_again_by_itself(
    status: int, words: str, undisturbed: dict[str, Any]
) -> None:
    move = quick(machine=True)
    wait = 40 if status == 429 else None
    for write in WRITES:
        move.world.faults.add("status", status=status, endpoint=write, times=2, retry_after=wait)
    assert finish(move) == 0
    assert move.heard(words)
    assert move.end_state() == undisturbed
    move.assert_proven()


@pytest.mark.parametrize("when", ["connect", "before", "after", "late"])
def test_a_write_whose_connection_broke_is_settled_by_reading(when: str, undisturbed: dict[str, Any]) -> None:
    move = quick()
    for write in WRITES:
        # what could not even connect is sent again at once, three times in all
        move.world.faults.add("drop", when=when, endpoint=write, times=4 if when == "connect" else 2, seconds=90.0)
    assert finish(move) == 0
    assert move.heard("No connection" if when == "connect" else "answer to the delete was lost")
    assert move.end_state() == undisturbed
    move.assert_proven()


@pytest.mark.parametrize("kind", ["html", "truncated", "oversized", "status"])
def test_a_write_with_an_unusable_answer_was_carried_out_once(kind: str, undisturbed: dict[str, Any]) -> None:
    move = quick()
    committed = {"status": 504, "commit": True} if kind == "status" else {}
    for write in WRITES:
        move.world.faults.add(kind, endpoint=write, times=2, **committed)
    assert finish(move) == 0
    assert move.heard("answer to its creation was lost")
    assert len([call for call in move.writes() if call[2].endswith("/calendars/")]) == len(move.people)
    assert move.end_state() == undisturbed
    move.assert_proven()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("html", "is a web page instead of JSON"),
        ("truncated", "is something unreadable instead of JSON"),
        ("oversized", "is larger than"),
        ("drop", "broke the connection off"),
        ("status", "answered 502: Recall has trouble"),
    ],
)
def test_reads_without_a_usable_answer_are_tried_again(kind: str, words: str, undisturbed: dict[str, Any]) -> None:
    move = quick()
    for read in READS:
        move.world.faults.add(kind, endpoint=read, nth=2, times=3, **({"status": 502} if kind == "status" else {}))
    finish(move)
    assert move.heard(words)
    assert move.end_state() == undisturbed
    move.assert_proven()


# -- keys and hosts


def test_a_key_of_another_region_is_explained_and_the_move_goes_on_with_the_right_one(
    undisturbed: dict[str, Any],
) -> None:
    move = quick()
    ApiKey.objects.filter(workspace=move.target).update(enabled=False)
    wrong = ApiKey.objects.create(workspace=move.target, label="wrong", secret=move.there.api_keys[0])
    move.allow(Step.CLEAN_UP)
    move.run()
    assert move.batch.status == BatchStatus.STOPPED
    assert move.batch.step == Step.PREFLIGHT
    assert "key of eu" in move.batch.reason
    assert "belongs to another region" in move.batch.reason
    assert move.writes() == []
    wrong.delete()
    ApiKey.objects.update(enabled=True)
    assert finish(move) == 1
    assert move.end_state() == undisturbed
    move.assert_proven()


@pytest.mark.parametrize("side", [SOURCE, TARGET])
@pytest.mark.parametrize("reached", [Step.PREFLIGHT, Step.EXPORT, Step.VERIFY, Step.HAND_OVER])
def test_a_key_revoked_in_the_middle_stops_the_batch_until_it_is_replaced(
    side: str, reached: Step, undisturbed: dict[str, Any]
) -> None:
    move = quick()
    move.allow(reached)
    move.run()
    remote = move.there if side == SOURCE else move.here
    remote.revoke_key(remote.api_keys[0])
    move.allow(Step.CLEAN_UP)
    move.run()
    assert move.batch.status == BatchStatus.STOPPED, move.where()
    assert "does not accept the API key" in move.batch.reason
    workspace = move.source if side == SOURCE else move.target
    ApiKey.objects.filter(workspace=workspace).update(enabled=False)
    fresh = ApiKey.objects.create(workspace=workspace, label="new", secret=remote.add_key())
    assert connect.test_key(fresh).startswith("The key opens")
    assert finish(move) == 1
    assert move.end_state() == undisturbed
    move.assert_proven()


def test_a_host_that_cannot_be_reached_is_named_and_tried_again(undisturbed: dict[str, Any]) -> None:
    move = quick()
    move.world.regions[TARGET].base_url = "https://moved-away.test"
    move.allow(Step.CLEAN_UP)
    move.run()
    assert move.batch.status == BatchStatus.STOPPED
    assert "No connection to eu.sandbox.test could be made" in move.batch.reason
    move.world.regions[TARGET].base_url = "https://eu.sandbox.test"
    assert finish(move) == 1
    assert move.end_state() == undisturbed
    move.assert_proven()


@pytest.mark.parametrize("side", [SOURCE, TARGET])
def test_an_outage_of_a_region_in_the_middle_is_waited_out(side: str, undisturbed: dict[str, Any]) -> None:
    move = quick()
    move.allow(Step.VERIFY)
    move.run()
    outage = move.world.faults.add("drop", when="connect", region=side, times=None)
    move.allow(Step.CLEAN_UP)
    before = move.door.calls
    move.run_for(timedelta(minutes=15))
    assert move.door.calls - before < 300
    assert move.heard("No connection to")
    move.world.faults.clear(outage)
    assert finish(move) == 0
    assert move.end_state() == undisturbed
    move.assert_proven()


# -- other hands


@pytest.mark.parametrize("reached", [Step.EXPORT, Step.VERIFY, Step.HAND_OVER])
def test_a_calendar_deleted_in_the_source_by_somebody_else_is_carried_by_the_target(reached: Step) -> None:
    move = quick()
    move.allow(reached)
    move.run()
    move.there.delete_calendar(move.calendar("ben@northwind.example").id)
    finish(move)
    assert set(Item.objects.filter(kind="connection").values_list("status", flat=True)) == {ItemStatus.DONE}
    move.assert_proven()


def test_a_calendar_found_deleted_in_the_source_before_it_was_made_in_the_target_is_said_and_left() -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    move.there.delete_calendar(move.calendar("ben@northwind.example").id)
    move.run_for(timedelta(hours=8))  # until somebody reads the list of calendars again
    move.finish()
    assert "1 calendar(s) failed" in move.batch.reason
    move.heard("Somebody deleted it in the source before it could be moved.")
    assert control.leave_failed(move.batch, actor=None, reason="they have left the company") == 1
    move.run()
    assert move.batch.status == BatchStatus.CLOSED
    assert Item.objects.get(title="ada@northwind.example").status == ItemStatus.DONE
    proof = move.proof()
    assert proof.doubled == []
    assert {case.title for case in proof.missed} == {"ben@northwind.example first", "ben@northwind.example second"}


@pytest.mark.parametrize("reached", [Step.RECREATE, Step.VERIFY, Step.HAND_OVER])
def test_a_calendar_deleted_in_the_target_by_somebody_else_is_said_and_made_again(reached: Step) -> None:
    move = quick()
    move.allow(reached)
    move.run()
    if reached == Step.RECREATE:
        move.run_for(timedelta(minutes=1))  # the provider connects it
    move.here.delete_calendar(move.calendar("ben@northwind.example", region=TARGET).id)
    finish(move)
    move.heard("Somebody deleted it in the target")
    assert set(Item.objects.filter(kind="connection").values_list("status", flat=True)) == {ItemStatus.DONE}
    move.assert_proven()


def test_a_calendar_that_can_go_again_takes_its_batch_along_from_clean_up() -> None:
    """All others have gone, and the batch rests before it closes: it goes on with the one that is left."""
    move = quick()
    calendar = move.calendar("ben@northwind.example")
    move.there.disconnect(calendar.id)
    move.allow(Step.DELETE_OLD)
    move.run()
    assert Batch.objects.get(pk=move.batch.pk).step == Step.CLEAN_UP
    move.there.change_calendar(calendar.id, {})
    move.run_for(timedelta(minutes=1))
    assert move.retry() == 1
    finish(move)
    assert set(Item.objects.filter(kind="connection").values_list("status", flat=True)) == {ItemStatus.DONE}
    assert move.calendar("ben@northwind.example") is None


def test_a_create_that_is_carried_out_long_after_it_was_given_up_makes_no_second_calendar() -> None:
    move = quick()
    move.world.faults.add("drop", when="late", seconds=600, endpoint=CREATE_CALENDAR)
    move.allow(Step.VERIFY)
    move.run()
    move.run_for(timedelta(minutes=20))
    addresses = [one.account[1] for one in move.here.calendars.values() if one.account]
    assert sorted(addresses) == sorted(OFFICE)
    finish(move)
    move.assert_proven()


def test_a_create_that_was_not_taken_in_between_keeps_the_first_ones_key() -> None:
    move = quick(machine=True)  # the wait that the provider asks for is of machine time
    move.world.faults.add("drop", when="late", seconds=900, endpoint=CREATE_CALENDAR)
    move.world.faults.add("status", status=429, retry_after=20, endpoint=CREATE_CALENDAR, nth=3)
    move.allow(Step.VERIFY)
    move.run()
    move.run_for(timedelta(minutes=20))
    addresses = [one.account[1] for one in move.here.calendars.values() if one.account]
    assert sorted(addresses) == sorted(OFFICE)
    assert Intent.objects.filter(outcome__startswith="not taken").exists()
    finish(move)


def test_a_create_that_is_carried_out_long_after_is_looked_for_right_before_one_under_a_new_key() -> None:
    move = quick(machine=True)
    wait = 15 * 60
    found_by_nothing_else = 2 * 120 + wait - 1  # two are given up, and the wait of the third is over in a second
    move.world.faults.add("drop", when="late", seconds=found_by_nothing_else, endpoint=CREATE_CALENDAR)
    move.world.faults.add("drop", when="before", endpoint=CREATE_CALENDAR, nth=3)
    move.world.faults.add("status", status=429, retry_after=wait, endpoint=CREATE_CALENDAR, nth=4)
    move.allow(Step.VERIFY)
    move.run()
    move.run_for(timedelta(hours=1))
    addresses = [one.account[1] for one in move.here.calendars.values() if one.account]
    assert sorted(addresses) == sorted(OFFICE)
    assert set(Item.objects.filter(kind="connection").values_list("created_target", flat=True)) == {True}
    finish(move)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_create_whose_answers_are_lost_again_and_again_is_sent_under_a_new_key_every_other_time(times: int) -> None:
    """The provider keeps an answer under its key for an hour, also one that was an error."""
    move = quick()
    keys: list[str] = []

    def note(number: int, request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("POST", "/api/v2/calendars/"):
            keys.append(request.headers["idempotency-key"])

    move.door.before = note
    move.world.faults.add("drop", when="before", endpoint=CREATE_CALENDAR, times=times + 1)
    move.allow(Step.VERIFY)
    move.run()
    assert len(keys) == times + 3
    assert len(set(keys)) < len(keys)
    assert max(keys.count(key) for key in keys) == 2
    finish(move)


# -- more than one at a time


def test_a_calendar_in_two_batches_is_moved_by_the_first_and_named_by_the_second(undisturbed: dict[str, Any]) -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    second = move.new_batch("second")
    move.allow(Step.EXPORT, second)
    move.run()
    assert set(Item.objects.filter(batch=second).values_list("title")) == set()
    assert move.heard("ben@northwind.example is in the open batch move")
    move.allow(Step.CLEAN_UP)
    move.run()
    move.allow(Step.CLEAN_UP, second)
    move.run()
    assert set(Batch.objects.values_list("status", flat=True)) == {BatchStatus.CLOSED}
    state = move.end_state()
    assert state["provider"] == undisturbed["provider"]
    assert state["id map"] == undisturbed["id map"]
    assert len([call for call in move.writes() if call[2].endswith("/calendars/")]) == len(move.people)
    move.assert_proven()


def test_two_people_who_press_the_same_button_start_one_move(undisturbed: dict[str, Any]) -> None:
    move = quick()
    move.allow(Step.VERIFY)
    move.run()
    answers = at_the_same_moment(6, lambda number: move.allow(Step.CLEAN_UP))
    refused = [answer for answer in answers if isinstance(answer, control.Refused)]
    assert len(refused) == 5
    assert all("Clean up is already allowed" in str(one) or "Somebody else changed" in str(one) for one in refused)
    pressed = AuditEntry.objects.filter(action="batch.goal", subject_id=move.batch.pk)
    assert sorted(pressed.values_list("after", flat=True)) == [Step.CLEAN_UP, Step.VERIFY]
    move.run()
    assert move.end_state() == undisturbed
    move.assert_proven()


def test_two_people_who_make_a_batch_of_the_same_name_make_one() -> None:
    move = quick(batches=0)
    answers = at_the_same_moment(4, lambda number: move.new_batch("twins"))
    assert Batch.objects.count() == 1
    assert len([one for one in answers if isinstance(one, Batch)]) == 1
    assert all("already a batch called twins" in str(one) for one in answers if not isinstance(one, Batch)), answers


def test_a_batch_driven_by_four_workers_at_once_ends_like_one_driven_by_one(undisturbed: dict[str, Any]) -> None:
    move = quick()
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: all_together(move) or move.at_rest())
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED
    assert move.end_state() == undisturbed
    move.assert_proven()


def at_the_same_moment(number: int, act: Any) -> list[Any]:
    """Let so many people do something at once, each on a connection of its own; return what each was told."""
    gate = threading.Barrier(number)

    def person(n: int) -> Any:
        try:
            gate.wait(timeout=30)
            return act(n)
        except control.Refused as refused:
            return refused
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as people:
        return list(people.map(person, range(number)))


def all_together(move: Any) -> bool:
    """Let four workers look for work at this moment, all at once, and do it."""

    def worker(n: int) -> None:
        for piece in batch_tasks.find_work("move", 1) + calendar_tasks.find_work(move.source.family, 1):
            piece()

    at_the_same_moment(4, worker)
    return False
