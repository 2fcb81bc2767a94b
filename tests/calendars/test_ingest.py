"""What was read is stored once, by whoever reads it, and a later reading is never overwritten by an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction

from calendars import assignments, ingest
from calendars.models import Assignment, Calendar, Connection, Event, Occurrence
from calendars.providers.connect import client_for
from recallops import clock
from tests.harness import OFFICE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 8


@pytest.fixture
def move() -> Move:
    """Return an office that is connected to both regions, and of which nothing was read yet."""
    found = quick()
    for email in OFFICE:
        found.connect(email, region=TARGET)
    found.run_for(timedelta(minutes=1))
    return found


def at_once(*acts: Callable[[], Any]) -> None:
    """Let several act at the same moment, each on a connection of its own; fail if one of them fails."""
    gate = Barrier(len(acts))

    def act(number: int) -> None:
        try:
            gate.wait(timeout=30)
            acts[number]()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as people:
        list(people.map(act, range(len(acts))))


def calendars_of(workspace: Any) -> Any:
    """Read a workspace's list of calendars."""
    return client_for(workspace).calendars_page(None)


def events_of(workspace: Any) -> Any:
    """Read a workspace's list of events."""
    return client_for(workspace).events_page(None)


def test_four_readers_of_one_list_store_each_calendar_once(move: Move) -> None:
    page = calendars_of(move.source)
    at_once(*[lambda: ingest.calendars(move.source, page.items, begun_at=page.begun_at)] * 4)
    assert Connection.objects.count() == Calendar.objects.count() == len(OFFICE)


def test_readers_of_both_sides_never_lock_each_other_out(move: Move) -> None:
    for workspace in (move.source, move.target):
        page = calendars_of(workspace)
        ingest.calendars(workspace, page.items, begun_at=page.begun_at)
    here, there = events_of(move.source), events_of(move.target)
    assert len(here.items) == len(there.items) == 8

    def read(workspace: Any, items: list[Any]) -> Callable[[], None]:
        return lambda: ingest.events(workspace, items, begun_at=clock.now())

    for number in range(ROUNDS):  # changed each time, and stored in both orders
        ours = [replace(item, raw={"round": number}) for item in here.items]
        theirs = [replace(item, raw={"round": number}) for item in there.items]
        at_once(
            read(move.source, ours),
            read(move.target, theirs[::-1]),
            read(move.source, ours[::-1]),
            read(move.target, theirs),
        )
    assert Occurrence.objects.count() == 8
    assert Event.objects.count() == 16
    assert Assignment.objects.count() == 6


def test_connections_that_change_together_wake_their_meetings_together(move: Move) -> None:
    read_all(move)
    page = calendars_of(move.source)
    fallen = [replace(item, status="disconnected") for item in page.items]
    before = dict(Assignment.objects.values_list("pk", "version"))
    at_once(
        lambda: ingest.calendars(move.source, fallen, begun_at=clock.now()),
        lambda: assignments.wake(before),
        lambda: assignments.wake(sorted(before, reverse=True)),
    )
    assert all(row.version >= before[row.pk] + 3 for row in Assignment.objects.all())


def test_what_is_over_is_neither_woken_nor_waited_for(move: Move) -> None:
    read_all(move)
    over, *others = Assignment.objects.order_by("pk").values_list("pk", "version")
    Assignment.objects.filter(pk=over[0]).update(over=True)

    def wake_all() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '10s'")
        assignments.wake(Assignment.objects.values_list("pk", flat=True))

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=over[0])
        at_once(wake_all)
    assert set(Assignment.objects.values_list("pk", "version")) == {
        over,
        *((pk, version + 1) for pk, version in others),
    }


def test_an_earlier_reading_never_overwrites_a_later_one(move: Move) -> None:
    read_all(move)
    page = events_of(move.source)
    late = [replace(item, raw={"reading": "late"}) for item in page.items]
    early = [replace(item, raw={"reading": "early"}, is_deleted=True) for item in page.items]
    now = clock.now()
    ingest.events(move.source, late, begun_at=now)
    ingest.events(move.source, early, begun_at=now - timedelta(seconds=1))
    ingest.vanished(Event.objects.first().pk, begun_at=now - timedelta(seconds=1))  # type: ignore[union-attr]
    stored = Event.objects.filter(workspace=move.source)
    assert {str(event.raw) for event in stored} == {"{'reading': 'late'}"}
    assert not stored.filter(is_deleted=True).exists()


def test_an_event_keeps_the_occurrence_that_it_was_joined_to(move: Move) -> None:
    read_all(move)
    theirs = Event.objects.filter(workspace=move.target).earliest("pk")
    joined = Occurrence.objects.create(calendar=theirs.connection.calendar, platform_id="as the other region says")
    Event.objects.filter(pk=theirs.pk).update(occurrence=joined)
    page = events_of(move.target)
    ingest.events(move.target, [replace(item, raw={"new": 1}) for item in page.items], begun_at=clock.now())
    theirs.refresh_from_db()
    assert theirs.raw == {"new": 1}
    assert theirs.occurrence == joined


def test_a_sign_of_a_change_that_came_while_an_event_was_stored_is_kept(move: Move) -> None:
    read_all(move)
    event = Event.objects.filter(workspace=move.source).earliest("pk")
    page = events_of(move.source)
    sign = clock.now() + timedelta(seconds=5)
    Event.objects.filter(pk=event.pk).update(changed_at=sign)
    ingest.events(move.source, [replace(item, raw={"new": 1}) for item in page.items], begun_at=clock.now())
    event.refresh_from_db()
    assert event.changed_at == sign


def read_all(move: Move) -> None:
    """Read both sides once."""
    for workspace in (move.source, move.target):
        page = calendars_of(workspace)
        ingest.calendars(workspace, page.items, begun_at=page.begun_at)
        page = events_of(workspace)
        ingest.events(workspace, page.items, begun_at=page.begun_at)


def test_a_page_with_nothing_on_it_asks_the_database_nothing(move: Move, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        ingest.events(move.source, [], begun_at=clock.now())


def test_two_domains_that_look_alike_are_two_customers() -> None:
    names = ("foo-bar.example", "foo.bar.example", f"{'a' * 60}.example", f"{'a' * 61}.example")
    customers = [ingest._customer_of(f"ada@{name}") for name in (*names, *names)]
    assert [customer.name for customer in customers] == [*names, *names]
    assert len({customer.pk for customer in customers}) == 4
