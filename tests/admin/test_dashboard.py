"""The first page: what it counts is what its links list, and nobody sees a card of rows that are not theirs to see."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calendars.leases import machine_now
from calendars.models import (
    ApiKey,
    Assignment,
    Connection,
    ConnectionStatus,
    Delivery,
    RateBudget,
    Verdict,
    Workspace,
)
from calendars.providers import limits
from migrations_app.admin import dashboard
from migrations_app.admin.concerns import concerns
from migrations_app.itineraries import Step
from migrations_app.models import Approval, Batch, BatchStatus, ItemStatus, Message, Severity
from recallops import clock
from recallops.admin_counts import AtLeast, bounded_counts
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make

pytestmark = pytest.mark.django_db
INDEX = "/admin/"
LIVE = "/admin/live/"


def text_of(client: Client, url: str = INDEX) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def listed_at(client: Client, url: str) -> list[int]:
    """The rows of a list, all pages of it."""
    response = client.get(url)
    assert response.status_code == 200, (url, response.get("Location"))
    return sorted(response.context["cl"].queryset.values_list("pk", flat=True))


def something_of_everything() -> Batch:
    """One row that each concern is about, and beside it one that it is not about."""
    batch = make.make_batch("stuck", status=BatchStatus.STOPPED, goal=Step.EXPORT, reason="The key was refused.")
    make.make_batch("rests", status=BatchStatus.WAITING, goal=Step.EXPORT, reached=Step.EXPORT)
    for status in (BatchStatus.STOPPED, BatchStatus.WAITING):
        make.make_finding(make.make_batch(draft=True, status=status), severity=Severity.BLOCKING)
    closed = make.make_batch("old", status=BatchStatus.CLOSED, closed_at=clock.now())
    for status in (ItemStatus.FAILED, ItemStatus.USER, ItemStatus.DONE):
        make.make_item(batch, status=status)
        make.make_item(closed, status=status, open=False)
    for one in (batch, closed):
        for severity in Severity:
            make.make_finding(one, severity=severity)
            make.make_finding(one, severity=severity, waived_at=clock.now())
            make.make_finding(one, severity=severity, gone_at=clock.now())
    Workspace.objects.filter(pk=batch.source_id).update(trouble="The key was refused.")
    make.make_connection(batch.source, status=ConnectionStatus.DISCONNECTED)
    soon = clock.now() + timedelta(minutes=30)
    for verdict in (Verdict.MISSED, Verdict.SOURCE, Verdict.DOUBLED):
        make.make_assignment(batch.source, verdict=verdict, start=soon)
        make.make_assignment(batch.source, verdict=verdict, start=soon + timedelta(days=3))
        make.make_assignment(batch.source, verdict=verdict, start=soon, over=True)
    make.make_assignment(batch.source, verdict=Verdict.TARGET, start=clock.now() - timedelta(minutes=10))
    endpoint = make.make_endpoint(batch.source)
    for state in Delivery.State:
        for age in (timedelta(minutes=5), timedelta(hours=3), timedelta(days=2)):
            make.make_delivery(endpoint, state=state, received_at=clock.now() - age)
    make.make_refusal(endpoint)
    make.make_refusal(endpoint, days_ago=5)
    for enabled in (True, False):
        for passed in (True, False, None):
            make.make_key(batch.source, enabled=enabled, test_passed=passed)
    for left in (timedelta(days=-1), timedelta(days=3), timedelta(days=30)):
        make.make_token(expires_at=clock.now() + left)
    application = make.make_application(failing_since=clock.now())
    make.make_application()
    for relayed in ("dead", "waiting", "held", "delivered"):
        make.make_relayed(application, make.make_delivery(endpoint), state=relayed)
    for state in Message.State:
        make.make_message(batch, state=state)
    make.make_inquiry(batch=batch)
    make.make_inquiry(batch=batch, answered_at=clock.now())
    make.make_approval(batch)
    make.make_approval(closed, expires_at=clock.now() - timedelta(hours=1))
    make.make_channel(failing_since=clock.now())
    make.make_channel(failing_since=clock.now(), enabled=False)
    make.make_channel()
    return batch


# --- numbers and lists


def test_each_number_is_of_exactly_the_rows_that_its_link_lists(chief: Client) -> None:
    something_of_everything()
    asked = {f"next {one.code}": one.listed for one in concerns(clock.now())} | dashboard._numbers(clock.now())
    counts = bounded_counts({name: one.rows for name, one in asked.items()})
    for name, one in asked.items():
        if name == "meetings":
            continue  # a page of its own, below
        rows = sorted(one.rows.values_list("pk", flat=True))
        assert listed_at(chief, one.url) == rows, name
        assert counts[name] == len(rows), name
    silent = [one.code for one in concerns(clock.now()) if not counts[f"next {one.code}"]]
    assert not silent, "these were not tried"


def test_every_number_that_the_page_links_is_listed_there(chief: Client) -> None:
    something_of_everything()
    page = chief.get(INDEX).content.decode()
    tiles = re.findall(r'<a href="([^"]+)" id="tile-\d+"><strong>([^<]+)</strong> <span>([^<]+)</span>', page)
    assert len(tiles) == 8
    for url, count, label in tiles:
        if "upcoming" in url:
            assert f"{count} meeting" in text_of(chief, unescape(url))
        else:
            assert len(listed_at(chief, unescape(url))) == int(count), label


def test_coming_meetings_are_the_ones_that_are_counted_for_the_hour(chief: Client) -> None:
    something_of_everything()
    count = dashboard._numbers(clock.now())["meetings"].rows.count()
    assert count == 4
    assert "4 meetings." in text_of(chief, dashboard._numbers(clock.now())["meetings"].url)


def test_numbers_that_are_not_carried_on_to_the_end_say_so(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make.make_batch()
    for _ in range(4):
        make.make_connection(batch.source, status=ConnectionStatus.DISCONNECTED)
    rows: dict[str, QuerySet[Any]] = {
        "all": Connection.objects.all(),
        "none": Connection.objects.filter(pk__in=[]),
        "one": Connection.objects.filter(pk=Connection.objects.earliest("pk").pk),
    }
    counts = bounded_counts(rows, most=3)
    assert counts == {"all": 3, "none": 0, "one": 1}
    assert isinstance(counts["all"], AtLeast)
    assert str(counts["all"]) == "3+"


def test_many_counts_are_one_statement(django_assert_num_queries: Callable[..., Any]) -> None:
    with django_assert_num_queries(1):
        bounded_counts({name: one.rows for name, one in dashboard._numbers(clock.now()).items()})


# --- what a person must do next


def test_what_a_person_must_do_next_stands_in_the_order_of_its_weight(chief: Client) -> None:
    something_of_everything()
    page = chief.get(INDEX).content.decode()
    codes = re.findall(r'id="next-(\w+)"', page)
    assert codes == [one.code for one in concerns(clock.now())]
    assert codes.index("missed") < codes.index("stopped") < codes.index("failed") < codes.index("blocking")
    assert codes.index("blocking") < codes.index("fell_off") < codes.index("refused") < codes.index("given_up")


def test_each_concern_says_how_many_and_what_to_do(chief: Client) -> None:
    batch = make.make_batch("stuck", status=BatchStatus.STOPPED)
    page = text_of(chief)
    assert "1 batch is stopped by a problem" in page
    assert "then press “Retry failed” on its page" in page
    Batch.objects.filter(pk=make.make_batch(source=batch.source, target=batch.target).pk).update(status="stopped")
    assert "2 batches are stopped by a problem" in text_of(chief)


def test_what_waits_for_a_second_person_stands_there_until_it_is_decided_or_too_old(chief: Client) -> None:
    asked = make.make_approval()
    assert "1 request waits for a second person" in text_of(chief)
    for over in ({"expires_at": clock.now()}, {"state": Approval.State.WITHDRAWN}):
        Approval.objects.update(**{"expires_at": asked.expires_at, "state": Approval.State.WAITING, **over})
        assert "waits for a second person" not in text_of(chief)


def test_where_nothing_waits_the_page_says_so(chief: Client) -> None:
    assert "Nothing that you may see waits for a person." in text_of(chief)


# --- batches


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "“Preflight”."),
        ({"goal": "preflight", "reached": "preflight", "status": "waiting"}, "“Export”."),
        (
            {"goal": "recreate", "reached": "export", "status": "running"},
            "Nothing: it goes on to “Recreate” by itself.",
        ),
        ({"goal": "export", "status": "stopped"}, "Solve the problem, then “Retry failed”."),
        ({"goal": "clean_up", "reached": "clean_up", "status": "running"}, "Nothing: it is about to be closed."),
    ],
)
def test_an_open_batch_says_its_next_press(fields: dict[str, Any], says: str) -> None:
    assert dashboard.next_press(make.make_batch(**fields), blocking=0) == says


def test_a_finding_that_blocks_comes_before_the_press(chief: Client) -> None:
    batch = make.make_batch(goal="export", reached="export", status="waiting")
    assert dashboard.next_press(batch, blocking=1) == "Solve or waive what blocks it, then “Recreate”."
    make.make_finding(batch, severity=Severity.BLOCKING)
    assert "Solve or waive what blocks it, then “Recreate”." in text_of(chief)


def test_open_batches_show_how_far_they_are(chief: Client) -> None:
    batch = make.make_batch("acme", goal=Step.VERIFY, step=Step.VERIFY, status=BatchStatus.RUNNING)
    for status in (ItemStatus.DONE, ItemStatus.DONE, ItemStatus.FAILED, ItemStatus.READY):
        make.make_item(batch, status=status)
    make.make_batch("over", status=BatchStatus.CLOSED, closed_at=clock.now())
    page = text_of(chief)
    assert "2 of 4 calendars through" in page
    assert reverse("admin:migrations_app_batch_change", args=[batch.pk]) in page
    assert ">over<" not in page
    link = re.search(r'href="([^"]*status__exact=done[^"]*)"', page)
    assert link is not None
    assert len(listed_at(chief, unescape(link.group(1)))) == 2


# --- meetings, webhooks, budgets, workers


def test_meetings_of_the_next_hour_say_who_covers_them(chief: Client) -> None:
    something_of_everything()
    page = text_of(chief)
    card = page[page.index('id="h-meetings"') : page.index('id="h-webhooks"')]
    for words in (
        "covered by source <strong>1<",
        "covered by target <strong>1<",
        "doubled <strong>1<",
        "missed <strong>1<",
    ):
        assert words in card


def test_webhooks_are_drawn_hour_by_hour_and_told_in_a_table(chief: Client) -> None:
    endpoint = make.make_endpoint(make.make_workspace())
    for _ in range(3):
        make.make_delivery(endpoint, received_at=clock.now() - timedelta(minutes=70))
    make.make_delivery(endpoint, received_at=clock.now(), state=Delivery.State.FAILED)
    shown = dashboard._webhooks(
        {name: (one.rows.count(), one.url) for name, one in dashboard._numbers(clock.now()).items()},
        clock.now(),
    )
    heights = [(bar.height, bar.failed_height) for bar in shown["bars"]]
    assert heights[-1] == (34, 34)
    assert heights[-3] == (100, 0)
    assert sum(bar.came.count for bar in shown["bars"]) == 4
    assert 'role="img"' in text_of(chief)
    assert "The last 24 hours as a table" in text_of(chief)


def test_budgets_show_the_share_of_the_hour_and_of_the_minute(chief: Client) -> None:
    workspace = make.make_workspace("acme")
    at = machine_now().timestamp()
    budget = RateBudget.objects.filter(workspace=workspace, endpoint="GET /api/v2/calendar-events/")
    budget.update(
        hour_start=at // 3600 * 3600,
        hour_taken=1411,
        hour_refused=2,
        window_start=at // 60 * 60,
        window_taken=40,
    )
    page = text_of(chief)
    assert "50 %" in page
    assert "1,411 / 2,822" in page
    assert "2 answers 429" in page
    assert reverse("admin:calendars_workspace_change", args=[workspace.pk]) in page


def test_an_hour_that_is_over_counts_no_more() -> None:
    row = RateBudget(emission=6.0, hour_start=3600.0, hour_taken=300, hour_refused=1)
    now = datetime(1970, 1, 1, 1, 59, tzinfo=UTC)
    assert limits.hour(row, now=now) == limits.Hour(allowed=600, used=300, refused=1)
    assert limits.hour(row, now=now).percent == 50
    assert limits.hour(row, now=now + timedelta(minutes=2)) == limits.Hour(allowed=600, used=0, refused=0)


def test_the_page_says_whether_workers_are_alive_and_what_is_late(chief: Client) -> None:
    assert "Nothing moves until “manage.py workers” runs." in text_of(chief)
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=timezone.now())
    make.make_assignment(make.make_workspace(), due_at=clock.now() - timedelta(seconds=900))
    page = text_of(chief)
    assert "workers alive" in page
    assert re.search(r"here: last sign of life \d+ s ago", page)
    assert ">late<" in page
    assert "The oldest due work waits for 900 s" in page
    url = re.search(r'href="([^"]+)">The oldest due work', page)
    assert url is not None
    assert listed_at(chief, unescape(url.group(1))) == list(Assignment.objects.values_list("pk", flat=True))


# --- who sees what


def test_who_may_not_see_rows_sees_no_card_of_them(client: Client) -> None:
    something_of_everything()
    client.force_login(make.make_staff("nobody"))
    page = text_of(client)
    for part in ("h-batches", "h-meetings", "h-webhooks", "h-budgets", "tile-1", "next-", "h-first"):
        assert f'id="{part}' not in page
    client.force_login(make.make_staff("clerk", permissions=("calendars.view_delivery",)))
    page = text_of(client)
    assert 'id="h-webhooks"' in page
    assert 'id="h-batches"' not in page
    assert re.findall(r'id="next-(\w+)"', page) == ["not_understood"]


def test_who_may_only_change_rows_sees_them_too(driver: Client) -> None:
    make.make_batch("stuck", status=BatchStatus.STOPPED)
    assert "1 batch is stopped by a problem" in text_of(driver)


# --- live


def test_the_live_part_comes_again_only_when_something_changed(chief: Client) -> None:
    first = chief.get(LIVE)
    seen = first.context["seen"]
    again = chief.get(LIVE, {"seen": seen})
    assert again["HX-Reswap"] == "none"
    assert 'id="pulse"' in again.content.decode()
    assert 'id="live"' not in again.content.decode()
    make.make_batch("stuck", status=BatchStatus.STOPPED)
    changed = chief.get(LIVE, {"seen": seen})
    assert "HX-Reswap" not in changed
    assert "1 batch is stopped by a problem" in changed.content.decode()
    assert changed["Cache-Control"] == "no-store"


def test_the_live_part_reloads_the_page_when_the_session_is_over(client: Client) -> None:
    response = client.get(LIVE)
    assert (response.status_code, response["HX-Refresh"], response.content) == (200, "true", b"")


def test_the_live_part_shows_what_the_page_shows(chief: Client) -> None:
    something_of_everything()
    live = chief.get(LIVE).content.decode()
    page = chief.get(INDEX).content.decode()
    assert re.findall(r'id="next-\w+"', live) == re.findall(r'id="next-\w+"', page)
    assert "<form" not in live


def test_looking_changes_nothing(chief: Client) -> None:
    something_of_everything()

    def everything() -> list[Any]:
        return [list(model._default_manager.values()) for model in (Batch, ApiKey, Connection, Delivery, Assignment)]

    before = everything()
    text_of(chief)
    chief.get(LIVE)
    assert everything() == before


def test_a_page_that_takes_long_to_read_is_read_less_often(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(0, 1000, 2))
    monkeypatch.setattr("migrations_app.admin.dashboard.time.monotonic", lambda: next(moments))
    assert "every 40s" in text_of(chief)
