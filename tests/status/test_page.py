"""What a customer reads: their own calendars and meetings, in plain words, as staff see them; nothing of others."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from icalendar import Calendar as CalendarFile

from calendars.models import Customer, Handover, Verdict
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus, Notice, ShareGroup
from migrations_app.status.content import HAND_OVER, PER_PAGE, PREPARE, SET_UP, TIDY_UP, move_of, standing_of
from migrations_app.status.window import calendar_file
from recallops import clock
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make
from tests.admin.builders import NOON
from tests.status.conftest import RAW, Company

pytestmark = pytest.mark.django_db

FOREVER = datetime(2100, 1, 1, tzinfo=NOON.tzinfo)


def read(customer: Customer, where: str = "page", **query: Any) -> str:
    _, secret = make.make_status_link(customer)
    return Client().get(reverse(f"status:{where}", args=[secret]), query).content.decode()


def test_each_calendar_is_told_in_plain_words(company: Company) -> None:
    move = move_of(company.batch, company.northwind)
    assert [(line.email.partition("@")[0], line.word) for line in move.calendars] == [
        ("person-2", "waiting for you"),
        ("person-3", "being looked into"),
        ("person-1", "being moved"),
        ("person-0", "moved"),
    ]
    assert (move.over, move.total, move.waiting) == (1, 4, 1)
    assert [(tally.state, tally.count) for tally in move.tallies] == [
        ("needs_you", 1), ("trouble", 1), ("moving", 1), ("moved", 1),
    ]  # fmt: skip
    page = read(company.northwind)
    for line in move.calendars:
        assert line.email in page
        assert line.sentence in page


def test_customers_and_staff_read_the_same_rows(company: Company) -> None:
    for customer in (company.northwind, company.southwind):
        mine = Item.objects.filter(batch=company.batch, connection__calendar__customer=customer)
        told = {tally.state: tally.count for tally in move_of(company.batch, customer).tallies}
        for status, word in (("done", "moved"), ("failed", "trouble"), ("user", "needs_you")):
            assert told.get(word, 0) == mine.filter(status=status).count()


def test_a_calendar_whose_share_group_fell_back_is_looked_into_and_not_on_its_way(company: Company) -> None:
    item = Item.objects.get(title="person-1@northwind.example")
    make.make_share_group(company.batch, items=(item,), state=ShareGroup.State.FELL_BACK)
    lines = {line.email: line.state for line in move_of(company.batch, company.northwind).calendars}
    assert lines[item.title] == "trouble"


def test_no_customer_reads_anything_of_another_one_or_of_ours(company: Company) -> None:
    staff = User.objects.get(username="olga.of.support")
    for mine, other in ((company.northwind, company.southwind), (company.southwind, company.northwind)):
        for page in ("page", "live", "data"):
            text = read(mine, page)
            assert f"@{mine.name.lower()}.example" in text
            assert other.name not in text
            assert other.name.lower() not in text
            assert "Plan of" not in text  # titles
            for hidden in (
                RAW,
                "invalid_grant",
                staff.username,
                company.batch.slug,
                company.batch.source.slug,
                "meet.example",
            ):
                assert hidden not in text
            for row in Item.objects.select_related("connection"):
                assert row.source_id not in text
                assert row.connection is not None
                assert row.connection.remote_id not in text


def test_the_meetings_of_two_days_are_listed_with_who_of_the_customers_is_in_them(company: Company) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=FOREVER)
    meetings = move_of(company.batch, company.northwind).meetings
    assert meetings is not None
    assert [(one.start - NOON, one.emails, one.state) for one in meetings[:3]] == [
        (timedelta(hours=2), ("person-0@northwind.example",), "covered"),
        (timedelta(hours=3), ("person-0@northwind.example",), "covered"),
        (timedelta(hours=4), ("person-1@northwind.example",), "arranged"),
    ]
    assert len(meetings) == 5


def test_a_meeting_of_everybody_hides_no_other_one(company: Company) -> None:
    everybody = make.make_assignment(company.batch.source, start=NOON + timedelta(minutes=5))
    for number in range(60):
        calendar = make.make_calendar(company.northwind, email=f"all-{number:02}@northwind.example")
        make.make_item(company.batch, connection=make.make_connection(company.batch.source, calendar))
        make.make_occurrence(calendar, assignment=everybody)
    meetings = move_of(company.batch, company.northwind).meetings
    assert meetings is not None
    assert len(meetings) == 6
    assert (len(meetings[0].emails), meetings[0].more) == (6, 54)


def test_a_meeting_that_has_begun_without_a_bot_is_told(company: Company) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=FOREVER)
    calendar = Item.objects.filter(connection__calendar__customer=company.northwind)[0].connection.calendar  # type: ignore[union-attr]
    make.make_assignment(
        company.batch.source, calendars=(calendar,), start=NOON - timedelta(minutes=1), verdict=Verdict.MISSED
    )
    assert "not recorded so far" in read(company.northwind)


def test_an_id_of_the_provider_stands_for_no_address(company: Company) -> None:
    calendar = make.make_calendar(company.northwind, email="c0ffee00-0000-4000-8000-000000000000")
    make.make_item(company.batch, connection=make.make_connection(company.batch.source, calendar))
    make.make_assignment(company.batch.source, calendars=(calendar,), start=NOON + timedelta(hours=1))
    page = read(company.northwind)
    assert "a calendar without an address" in page
    assert "c0ffee00" not in page


def test_a_state_is_chosen_and_many_calendars_come_page_by_page(company: Company) -> None:
    for _ in range(PER_PAGE + 5):
        connection = make.make_connection(company.batch.source, make.make_calendar(company.northwind))
        make.make_item(company.batch, connection=connection, status=ItemStatus.DONE, step=Step.DELETE_OLD)
    page = move_of(company.batch, company.northwind, show="moved", page=2)
    assert (len(page.calendars), page.pages, page.found) == (6, 2, PER_PAGE + 6)
    assert {line.state for line in page.calendars} == {"moved"}
    for odd in ({"page": "999999999999"}, {"page": "-1"}, {"show": "'; --"}, {"move": "٣"}, {"move": "9", "page": "x"}):
        assert "Your calendars" in read(company.northwind, **odd)


def test_the_page_takes_the_same_few_queries_for_many_rows_as_for_few(company: Company) -> None:
    _, secret = make.make_status_link(company.northwind)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert Client().get(reverse("status:page", args=[secret])).status_code == 200
        return len(queries)

    count()
    few = count()
    for number in range(60):
        calendar = make.make_calendar(company.northwind)
        make.make_item(company.batch, connection=make.make_connection(company.batch.source, calendar))
        start = NOON + timedelta(minutes=10 * number)
        make.make_assignment(company.batch.source, calendars=(calendar,), start=start)
    assert count() == few <= 12


def test_the_page_of_a_large_customer_stays_small(company: Company) -> None:
    for number in range(PER_PAGE):
        calendar = make.make_calendar(company.northwind, email=f"a-person-with-a-long-name-{number}@northwind.example")
        make.make_item(company.batch, connection=make.make_connection(company.batch.source, calendar))
        make.make_assignment(company.batch.source, calendars=(calendar,), start=NOON + timedelta(minutes=number))
    assert len(read(company.northwind).encode()) < 50_000


# --- how it stands


def counts(*some: tuple[str, Step]) -> dict[tuple[str, str], int]:
    return dict.fromkeys(((state, step.value) for state, step in some), 3)


@pytest.mark.parametrize(
    ("goal", "some", "phase", "going"),
    [
        ("", [("planned", Step.RECREATE)], PREPARE, False),
        (Step.EXPORT, [("planned", Step.RECREATE)], PREPARE, True),
        (Step.RECREATE, [("moving", Step.RECREATE)], SET_UP, True),
        (Step.RECREATE, [("moving", Step.VERIFY)], SET_UP, False),
        (Step.VERIFY, [("moving", Step.HAND_OVER)], HAND_OVER, False),
        (Step.HAND_OVER, [("moving", Step.HAND_OVER)], HAND_OVER, True),
        (Step.HAND_OVER, [("moving", Step.VERIFY), ("moving", Step.HAND_OVER)], HAND_OVER, True),
        (Step.HAND_OVER, [("over", Step.DELETE_OLD)], TIDY_UP, False),
        (Step.HAND_OVER, [("moving", Step.VERIFY), ("over", Step.DELETE_OLD)], HAND_OVER, True),
        (Step.DELETE_OLD, [("over", Step.DELETE_OLD), ("moved", Step.DELETE_OLD)], TIDY_UP, True),
        (Step.DELETE_OLD, [("moved", Step.DELETE_OLD), ("moving", Step.RECREATE)], HAND_OVER, True),
        (Step.DELETE_OLD, [("moved", Step.DELETE_OLD)], 4, False),
        (Step.DELETE_OLD, [("moved", Step.DELETE_OLD), ("needs_you", Step.RECREATE)], None, False),
        (Step.DELETE_OLD, [("needs_you", Step.RECREATE)], None, True),
        (Step.DELETE_OLD, [], PREPARE, True),
    ],
)
def test_in_which_phase_a_customer_is_follows_from_its_own_calendars(
    goal: str, some: list[tuple[str, Step]], phase: int | None, going: bool
) -> None:
    batch = Batch(goal=goal, handover=Handover())
    found = standing_of(batch, counts(*some))
    assert found.phase == phase
    assert found.going == going or phase in (None, 4)
    assert standing_of(Batch(goal=goal, handover=Handover(backwards=True)), counts(*some)).phase is None


def test_a_batch_that_has_come_to_its_goal_does_nothing(company: Company) -> None:
    Batch.objects.filter(pk=company.batch.pk).update(goal=Step.VERIFY, reached=Step.VERIFY)
    Item.objects.filter(status=ItemStatus.DONE).update(status=ItemStatus.READY, step=Step.HAND_OVER)
    company.batch.refresh_from_db()
    move = move_of(company.batch, company.northwind)
    assert "Next, meetings go over" in move.sentence
    assert {phase.state for phase in move.phases} == {"done", "next"}
    assert {line.sentence for line in move.calendars if line.state == "moving"} == {
        "It waits for the next part of the move."
    }


def test_the_trouble_of_others_is_none_of_ones_own(company: Company) -> None:
    Batch.objects.filter(pk=company.batch.pk).update(status=BatchStatus.STOPPED, reason=RAW)
    southwind = Item.objects.filter(connection__calendar__customer=company.southwind)
    southwind.update(status=ItemStatus.DONE, step=Step.DELETE_OLD)
    assert "Delayed: something did not work" in read(company.northwind)
    page = read(company.southwind)
    assert "Delayed" not in page
    assert "All your calendars are in" in page
    assert RAW not in page


@pytest.mark.parametrize(
    ("changes", "order", "said"),
    [
        ({}, {}, "Meetings go over to"),
        ({}, {"paused": True}, "Paused by us."),
        ({}, {"backwards": True}, "The move goes back to"),
        ({"closed_at": NOON}, {}, "The move has ended: 1 of 4 calendars are in"),
        ({"closed_at": NOON}, {"backwards": True}, "The move was taken back: 0 of 4 calendars"),
    ],
)
def test_how_it_stands_is_one_sentence(
    changes: dict[str, Any], order: dict[str, Any], said: str, company: Company
) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=FOREVER)
    Batch.objects.filter(pk=company.batch.pk).update(**changes)
    Handover.objects.filter(batch=company.batch).update(**order)
    assert said in read(company.northwind)


def test_what_is_left_when_a_move_ends_waits_for_nobody(company: Company) -> None:
    Batch.objects.filter(pk=company.batch.pk).update(closed_at=NOON)
    company.batch.refresh_from_db()
    move = move_of(company.batch, company.northwind)
    assert {tally.state for tally in move.tallies} == {"moved", "left"}
    assert move.meetings is None  # nobody looks at them any more
    page = read(company.northwind)
    assert 'id="waiting"' not in page
    assert "Meetings of the next two days" not in page


def test_workers_that_give_no_sign_make_it_delayed_and_living_ones_do_not(company: Company) -> None:
    assert "has not gone on for a while" in read(company.northwind)
    meetings = move_of(company.batch, company.northwind).meetings
    assert meetings is not None
    assert {one.state for one in meetings} == {"checked"}
    Batch.objects.filter(pk=company.batch.pk).update(changed_at=NOON)
    assert "has not gone on for a while" not in read(company.northwind)  # it was stopped in an orderly way, say
    Batch.objects.filter(pk=company.batch.pk).update(changed_at=None)
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=FOREVER)
    assert "has not gone on for a while" not in read(company.northwind)


def test_the_time_left_is_what_was_foretold_for_what_is_left(company: Company) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=FOREVER)
    assert move_of(company.batch, company.northwind).left == "about 15 minutes"
    company.batch.handover.cut_line = NOON + timedelta(hours=9)
    assert move_of(company.batch, company.northwind).left == ""  # that is the longer wait
    company.batch.handover.cut_line = None
    company.batch.status = BatchStatus.STOPPED
    assert move_of(company.batch, company.northwind).left == ""


def test_what_has_happened_is_told_with_the_newest_first(company: Company) -> None:
    Notice.objects.create(
        batch=company.batch, customer=company.northwind, milestone="needs_you", found_at=NOON - timedelta(hours=2),
        ended_at=NOON - timedelta(hours=1),
    )  # fmt: skip
    Notice.objects.create(batch=company.batch, customer=company.southwind, milestone="done", found_at=NOON)
    assert [change.sentence for change in move_of(company.batch, company.northwind).changes] == [
        "No calendar waits for you any more.",
        "Some calendars began to wait for you.",
        "We began to prepare the move.",
    ]


def test_without_a_move_it_says_so() -> None:
    assert "No move is planned" in read(make.make_customer())


def test_a_draft_is_nobodys_business(company: Company) -> None:
    Batch.objects.filter(pk=company.batch.pk).update(draft=True)
    assert "No move is planned" in read(company.northwind)


def test_a_move_that_ended_long_ago_is_not_shown_and_an_open_one_comes_first(company: Company) -> None:
    workspace = company.batch.target
    later = make.make_batch("later", source=workspace, target=company.batch.source)
    later.customers.add(company.northwind)
    Batch.objects.filter(pk=company.batch.pk).update(closed_at=NOON - timedelta(days=29))
    page = read(company.northwind)
    assert "Which of your calendars it is about" in page
    assert "Other moves" in page
    assert "The move has ended" in read(company.northwind, move=1)
    Batch.objects.filter(pk=company.batch.pk).update(closed_at=NOON - timedelta(days=31))
    assert "Other moves" not in read(company.northwind)


# --- news


def test_what_the_browser_has_already_is_not_sent_again(company: Company) -> None:
    _, secret = make.make_status_link(company.northwind)
    client = Client()
    url = reverse("status:live", args=[secret])
    seen = client.get(url).context["seen"]
    assert client.get(url, {"seen": seen}).status_code == 204
    client.cookies["tz"] = "Asia/Tokyo"
    assert client.get(url, {"seen": seen}).status_code == 200  # the browser has told its zone meanwhile
    client.cookies["tz"] = "UTC"
    Item.objects.filter(batch=company.batch, status=ItemStatus.WAITING).update(status=ItemStatus.DONE)
    assert client.get(url, {"seen": seen}).status_code == 200


def test_moments_are_those_of_the_visitors_zone(company: Company) -> None:
    _, secret = make.make_status_link(company.northwind)
    client = Client()
    client.cookies["tz"] = "Asia/Tokyo"
    page = client.get(reverse("status:page", args=[secret])).content.decode()
    assert "Mon 23 Nov 2026, 23:00" in page  # 14:00 UTC
    assert "Times are those of Asia/Tokyo." in page


def test_the_same_is_there_as_json(company: Company) -> None:
    _, secret = make.make_status_link(company.northwind)
    response = Client().get(reverse("status:data", args=[secret]))
    assert response["Cache-Control"] == "no-store, private"
    told = response.json()
    move = move_of(company.batch, company.northwind)
    assert move.meetings is not None
    assert told["customer"] == "Northwind"
    assert (told["move"]["over"], told["move"]["total"]) == (move.over, move.total)
    assert [one["email"] for one in told["move"]["calendars"]] == [one.email for one in move.calendars]
    assert told["move"]["meetings"][0]["start"] == "2026-11-23T14:00:00Z"
    empty = make.make_status_link()[1]
    assert Client().get(reverse("status:data", args=[empty])).json()["move"] is None


# --- the window


def test_the_time_of_the_move_is_a_file_that_calendars_take_in(company: Company) -> None:
    line = NOON + timedelta(hours=20)
    Handover.objects.filter(batch=company.batch).update(cut_line=line)
    _, secret = make.make_status_link(company.northwind)
    response = Client().get(reverse("status:window", args=[secret]))
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    (event,) = CalendarFile.from_ical(response.content).walk("VEVENT")
    assert (event.start, event.end) == (line, line + timedelta(hours=1))
    Handover.objects.filter(batch=company.batch).update(cut_line=NOON - timedelta(hours=2))
    assert "Put it into my calendar" not in read(company.northwind)
    Handover.objects.filter(batch=company.batch).update(cut_line=line)
    assert company.batch.slug not in response.content.decode()
    assert "Put it into my calendar" in read(company.northwind)


def test_without_a_time_there_is_no_file(company: Company) -> None:
    _, secret = make.make_status_link(company.northwind)
    assert Client().get(reverse("status:window", args=[secret])).status_code == 404
    assert "Put it into my calendar" not in read(company.northwind)


def test_texts_of_a_calendar_file_are_escaped_and_folded_within_no_letter() -> None:
    text = "Ünïcode, semicolons; back\\slashes\nand lines " + "日本語の会議" * 30
    body = calendar_file(
        identity="1@here",
        revision=0,
        start=NOON,
        end=NOON + timedelta(hours=1),
        made_at=clock.now(),
        title=text[:60],
        text=text,
    )
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))
    (event,) = CalendarFile.from_ical(body).walk("VEVENT")
    assert event["DESCRIPTION"] == text
    assert settings.LANGUAGE_CODE == "en"
