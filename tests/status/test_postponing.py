"""Customers put their move off on their page, within limits that staff set; staff see it, and the engine goes by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from icalendar import Calendar as CalendarFile

from calendars.models import Assignment, AuditEntry, Calendar, Connection, ConnectionStatus, Handover
from migrations_app import control, postponing, tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Finding, StatusLink
from migrations_app.planner import CutChoice
from migrations_app.postponing import MOST_CHOICES, MOST_TIMES, NOTICE
from recallops import clock
from tests.admin import builders as make
from tests.admin.builders import NOON
from tests.status.conftest import Company

pytestmark = pytest.mark.django_db

LINE = NOON + timedelta(hours=20)
LIMIT = NOON + timedelta(days=5)
QUARTER = timedelta(minutes=15)


@dataclass
class Opened:
    """A batch that its one customer may put off, and who has the link."""

    batch: Batch
    link: StatusLink
    secret: str
    client: Client

    def page(self, **query: Any) -> Any:
        return self.client.get(reverse("status:page", args=[self.secret]), query)

    def post(self, at: datetime | str, *, seen: str | None = None, move: str = "") -> Any:
        where = reverse("status:postpone", args=[self.secret])
        data = {"seen": self.line.isoformat() if seen is None and self.line else seen or "", "at": str(at)}
        if isinstance(at, datetime):
            data["at"] = at.isoformat()
        return self.client.post(f"{where}?move={move}", data)

    @property
    def line(self) -> datetime | None:
        return Handover.objects.get(batch=self.batch).cut_line


@pytest.fixture
def opened(db: None) -> Opened:
    """Westwind's three calendars and their meetings, recreated in the target, with a cut line tomorrow."""
    batch = make.make_batch("quiet-project", goal=Step.VERIFY, step=Step.VERIFY, postpone_until=LIMIT)
    Handover.objects.filter(pk=batch.handover_id).update(cut_line=LINE)
    customer = make.make_customer("Westwind")
    for number in range(3):
        calendar = make.make_calendar(customer, family=batch.source.family)
        make.make_item(batch, connection=make.make_connection(batch.source, calendar), step=Step.HAND_OVER)
        for day in range(5):
            start = NOON + timedelta(days=day, hours=number)
            make.make_assignment(batch.source, calendars=(calendar,), start=start, due_at=None)
    Calendar.objects.filter(customer=customer).update(handover=batch.handover)
    link, secret = make.make_status_link(customer, label="Ada of Westwind")
    return Opened(batch, link, secret, Client(enforce_csrf_checks=True))


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The doorbell, which would wake workers."""
    found: list[str] = []
    monkeypatch.setattr(tasks, "ring", lambda: found.append("rung"))
    return found


def change(batch: Batch, **columns: Any) -> None:
    Batch.objects.filter(pk=batch.pk).update(**columns)


def order(batch: Batch, **columns: Any) -> None:
    Handover.objects.filter(pk=batch.handover_id).update(**columns)


def said(at: datetime) -> str:
    """A moment as customers read it in English."""
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}"


def share(batch: Batch) -> None:
    """A calendar of another customer is in it, too."""
    make.make_item(batch, connection=make.make_connection(batch.source))


def hand_over(batch: Batch) -> None:
    """One of its meetings has gone over."""
    order(batch, allowed=True)
    mine = Assignment.objects.filter(start__gt=LINE).order_by("pk")[:1]
    occurrence = mine.get().occurrences.get()
    make.make_event(Connection.objects.get(calendar=occurrence.calendar), occurrence=occurrence, start=mine.get().start)
    Assignment.objects.filter(pk__in=mine.values("pk")).update(owner=batch.target)


# --- what they are offered


def test_nobody_is_offered_another_time_unless_staff_allow_it(opened: Opened) -> None:
    change(opened.batch, postpone_until=None)
    assert 'id="postpone"' not in opened.page().content.decode()


def test_a_few_quiet_moments_after_the_line_and_within_the_limit_are_offered(opened: Opened) -> None:
    times = opened.page().context["offer"].times
    assert 2 <= len(times) <= MOST_CHOICES
    assert times == sorted(times)
    assert times[0] > LINE
    assert times[-1] <= LIMIT
    assert times[-1] > LIMIT - timedelta(days=1)  # over the whole time that is allowed
    for at in times:
        assert at.minute % 15 == at.second == 0
        near = [one for one in range(5 * 3) if abs(NOON + timedelta(days=one // 3, hours=one % 3) - at) < QUARTER]
        assert near == [], at


def test_of_each_stretch_the_best_is_offered() -> None:
    quiet, busy = [3, 7, 11, 12], [1, 2, 4, 5, 6, 8, 9, 10]
    choices = [CutChoice(NOON + n * QUARTER, n in busy, 0) for n in quiet + busy]
    assert [(at - NOON) // QUARTER for at in postponing.spread(choices, most=3)] == [3, 7, 11]
    assert postponing.spread(choices[:1]) == [NOON + 3 * QUARTER]
    assert postponing.spread([]) == []


def test_times_are_those_of_the_visitors_zone(opened: Opened) -> None:
    opened.client.cookies["tz"] = "Asia/Tokyo"
    response = opened.page()
    first = response.context["offer"].times[0]
    page = response.content.decode()
    assert f">{said(first + timedelta(hours=9))}<" in page
    assert "times of Asia/Tokyo" in page


@pytest.mark.parametrize(("language", "button"), [("de", "Verschieben"), ("fr", "Reporter"), ("ja", "延期する")])
def test_it_speaks_the_language_of_the_page(language: str, button: str, opened: Opened) -> None:
    page = opened.page(lang=language).content.decode()
    assert f"<button>{button}</button>" in page
    refused = opened.post("nonsense").content.decode()
    assert "Choose one" not in refused
    assert 'role="alert"' in refused


def test_where_nothing_later_is_possible_it_says_so(opened: Opened) -> None:
    change(opened.batch, postpone_until=LINE + timedelta(minutes=5))
    page = opened.page().content.decode()
    assert "Nothing later is possible until" in page
    assert "<select" not in page


def test_where_no_time_is_chosen_yet_they_choose_one_that_is_not_near(opened: Opened) -> None:
    order(opened.batch, cut_line=None)
    times = opened.page().context["offer"].times
    assert times[0] >= NOON + NOTICE
    assert opened.post(times[0]).status_code == 302
    assert opened.line == times[0]


def test_news_do_not_wipe_a_choice_that_is_half_made(opened: Opened) -> None:
    live = opened.client.get(reverse("status:live", args=[opened.secret])).content.decode()
    assert 'id="live"' in live
    assert "<select" not in live


def test_the_form_takes_the_same_few_queries_for_many_meetings_as_for_few(opened: Opened) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert opened.page().context["offer"].times
        return len(queries)

    count()
    few = count()
    calendar = Calendar.objects.filter(handover=opened.batch.handover).earliest("pk")
    for number in range(40):
        make.make_assignment(opened.batch.source, calendars=(calendar,), start=NOON + number * timedelta(hours=2))
    assert count() == few <= 16


# --- what it does


def test_it_moves_the_line_and_wakes_the_engine(
    opened: Opened, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    at = opened.page().context["offer"].times[2]
    with django_capture_on_commit_callbacks(execute=True):
        response = opened.post(at)
    assert response.status_code == 302
    assert response["Location"].endswith("put_off=1#postpone")
    assert opened.line == at
    assert rung == ["rung"]
    assert set(Assignment.objects.filter(end__gt=NOON).values_list("due_at", flat=True)) == {NOON}
    opened.batch.refresh_from_db()
    assert opened.batch.postponed == 1


def test_the_page_says_what_was_done_and_that_it_happened(opened: Opened) -> None:
    at = opened.page().context["offer"].times[0]
    answer = opened.client.get(opened.post(at)["Location"].partition("#")[0])
    page = answer.content.decode()
    assert "It is put off. Meetings that begin at" in page
    assert f"The move was put off on this page, to {said(at)}." in page
    assert "You can do so 2 more times." in page
    assert answer.context["offer"].times[0] > at


def test_it_is_on_record_by_which_link(opened: Opened) -> None:
    at = opened.page().context["offer"].times[0]
    opened.post(at)
    entry = AuditEntry.objects.get(action="batch.postpone")
    assert (entry.actor, entry.actor_name, entry.door) == (None, str(opened.link), "status")
    assert (entry.before, entry.after) == (LINE.isoformat(), at.isoformat())
    assert entry.data == {"link": opened.link.pk}
    assert (entry.subject_kind, entry.subject_id) == ("migrations_app.batch", opened.batch.pk)


def test_staff_see_from_when_to_when_and_by_which_link(opened: Opened) -> None:
    at = opened.page().context["offer"].times[0]
    opened.post(at)
    chief = Client()
    chief.force_login(make.make_staff("chief", superuser=True))
    page = chief.get(reverse("admin:migrations_app_batch_change", args=[opened.batch.pk])).content.decode()
    told = f"from {LINE:%Y-%m-%d %H:%M}:00 UTC to {at:%Y-%m-%d %H:%M}:00 UTC, by the status link “Ada of Westwind”"
    assert told in page
    assert "put it off on the status page" in page
    assert "Put off 1 of 3 times." in page


def test_the_calendar_file_has_the_new_time_for_the_same_event(opened: Opened) -> None:
    def event() -> Any:
        body = opened.client.get(reverse("status:window", args=[opened.secret])).content
        return CalendarFile.from_ical(body).walk("VEVENT")[0]

    before = event()
    at = opened.page().context["offer"].times[0]
    opened.post(at)
    after = event()
    assert after["UID"] == before["UID"]
    assert (before.start, after.start) == (LINE, at)
    assert after["SEQUENCE"] > before["SEQUENCE"]
    order(opened.batch, cut_line=at)
    assert event()["SEQUENCE"] == after["SEQUENCE"]
    control.set_cut_line(opened.batch, LINE, actor=None)
    assert event()["SEQUENCE"] > after["SEQUENCE"]


def test_a_double_click_puts_off_once(opened: Opened) -> None:
    times = opened.page().context["offer"].times
    assert opened.post(times[0], seen=LINE.isoformat()).status_code == 302
    second = opened.post(times[1], seen=LINE.isoformat())
    assert second.status_code == 409
    assert "changed meanwhile" in second.content.decode()
    assert opened.line == times[0]


def test_they_may_only_so_often(opened: Opened) -> None:
    for _ in range(MOST_TIMES):
        assert opened.post(opened.page().context["offer"].times[0]).status_code == 302
    reached = opened.line
    assert "as often as it can be" in opened.page().content.decode()
    assert opened.post(LIMIT).status_code == 409
    assert opened.line == reached
    assert Finding.objects.filter(batch=opened.batch, code="postponed").count() == MOST_TIMES


def test_what_a_calendar_that_fell_off_has_in_the_target_binds_nobody(opened: Opened) -> None:
    """It was connected again there: its meetings are the target's whatever the line says."""
    hand_over(opened.batch)
    Connection.objects.update(status=ConnectionStatus.DISCONNECTED)
    assert opened.post(opened.page().context["offer"].times[0]).status_code == 302


# --- what is refused


REFUSED: dict[str, tuple[Callable[[Batch], None], str]] = {
    "not allowed": (lambda batch: change(batch, postpone_until=None), "cannot be changed here"),
    "several customers": (share, "cannot be changed here"),
    "closed": (lambda batch: change(batch, closed_at=NOON), "cannot be changed here"),
    "a draft again": (lambda batch: change(batch, draft=True), "cannot be changed here"),
    "going back": (lambda batch: order(batch, backwards=True), "cannot be changed here"),
    "external": (lambda batch: order(batch, external=True), "cannot be changed here"),
    "begun": (hand_over, "have begun to go over"),
    "too near": (lambda batch: order(batch, cut_line=NOON + NOTICE), "too near"),
    "too often": (lambda batch: change(batch, postponed=MOST_TIMES), "as often as it can be"),
    "changed meanwhile": (lambda batch: order(batch, cut_line=LINE + QUARTER), "changed meanwhile"),
    "a nearer limit": (lambda batch: change(batch, postpone_until=LINE + timedelta(hours=1)), "one of the times"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_not_possible_any_more_is_refused_with_a_sentence(why: str, opened: Opened) -> None:
    at = opened.page().context["offer"].times[-1]
    wrong, sentence = REFUSED[why]
    wrong(opened.batch)
    before = opened.line
    response = opened.post(at, seen=(before if why == "too near" and before else LINE).isoformat())
    page = response.content.decode()
    assert response.status_code == 409
    assert sentence in page
    assert 'role="alert"' in page
    assert 'id="tell"' in page  # the page stays usable
    assert opened.line == before
    assert not AuditEntry.objects.filter(action="batch.postpone").exists()
    assert Batch.objects.get(pk=opened.batch.pk).postponed == (MOST_TIMES if why == "too often" else 0)


@pytest.mark.parametrize(
    "at",
    ["", "tomorrow", "9" * 400, "a\x00b", LINE, LINE - QUARTER, LINE + timedelta(minutes=1), LIMIT + QUARTER, NOON],
)
def test_no_other_time_than_those_that_are_possible_is_taken(at: datetime | str, opened: Opened) -> None:
    response = opened.post(at)
    assert response.status_code == 409
    assert "Choose one of the times in the list" in response.content.decode()
    assert response.context["offer"].times
    assert opened.line == LINE


def test_nobody_puts_off_what_is_another_customers(opened: Opened, company: Company) -> None:
    at = opened.page().context["offer"].times[0]
    for customer in (company.southwind, make.make_customer()):
        _, secret = make.make_status_link(customer)
        for move in ("", "1", "2", str(opened.batch.pk)):
            where = reverse("status:postpone", args=[secret])
            response = Client().post(f"{where}?move={move}", {"seen": LINE.isoformat(), "at": at.isoformat()})
            assert response.status_code == 409
    assert opened.line == LINE


def test_a_link_that_has_ended_puts_nothing_off(opened: Opened, time_stands_still: clock.ManualClock) -> None:
    at = opened.page().context["offer"].times[0]
    StatusLink.objects.filter(pk=opened.link.pk).update(expires_at=NOON)
    assert opened.post(at).status_code == 404
    assert opened.line == LINE


def test_opening_the_address_does_nothing(opened: Opened) -> None:
    assert opened.client.get(reverse("status:postpone", args=[opened.secret])).status_code == 405


# --- what staff may allow


@pytest.mark.parametrize(
    ("columns", "ordered", "customers", "until", "said"),
    [
        ({}, {}, [1], LIMIT, ""),
        ({}, {"cut_line": None}, [1], LIMIT, ""),
        ({"closed_at": NOON}, {}, [1], LIMIT, "closed"),
        ({"draft": True}, {}, [1], LIMIT, "still a draft"),
        ({}, {"external": True}, [1], LIMIT, "there is no cut line"),
        ({}, {"backwards": True}, [1], LIMIT, "goes back"),
        ({}, {}, [1, 2], LIMIT, "several customers"),
        ({}, {}, [], LIMIT, "not known yet whose"),
        ({}, {}, [1], NOON, "is over"),
        ({}, {}, [1], LINE, "Choose a later moment"),
        ({}, {}, [1], datetime(9999, 1, 1, tzinfo=UTC), "four weeks"),
    ],
)
def test_staff_allow_it_only_where_one_customer_decides_for_nobody_else(
    columns: dict[str, Any], ordered: dict[str, Any], customers: list[int], until: datetime, said: str
) -> None:
    batch = Batch(handover=Handover(**{"cut_line": LINE, **ordered}), **columns)
    found = str(postponing.why_not_allowed(batch, customers, until=until, now=NOON))
    assert said in found
    assert bool(said) == bool(found)


def test_before_the_export_it_goes_by_the_customers_that_were_chosen() -> None:
    batch = make.make_batch(selection="customers")
    ann, bob = make.make_customer(), make.make_customer()
    batch.customers.set([ann])
    assert postponing.customers_of(batch) == [ann.pk]
    batch.customers.add(bob)
    assert len(postponing.customers_of(batch)) == 2
    everything = make.make_batch()
    assert postponing.customers_of(everything) == []
    connection = make.make_connection(everything.source)
    assert postponing.customers_of(everything) == [connection.calendar.customer_id]


def test_staff_take_it_back(opened: Opened) -> None:
    postponing.allow(opened.batch, None, actor=None)
    assert Batch.objects.get(pk=opened.batch.pk).postpone_until is None
    assert AuditEntry.objects.get(action="batch.postpone_until").before == LIMIT.isoformat()
    with pytest.raises(control.Refused, match="so already"):
        postponing.allow(opened.batch, None, actor=None)
