"""The timeline of an item: everything on record about it, in order, and nothing about others."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from calendars.models import AuditEntry, Intent
from migrations_app import bulk, timeline
from migrations_app.models import Item, ItemStatus
from recallops import clock
from tests.admin import builders as make
from tests.admin.test_hostile_text import Dangers
from tests.hostile import TEXTS

pytestmark = pytest.mark.django_db


def page_of(client: Client, item: Item, query: str = "") -> str:
    return client.get(reverse("admin:migrations_app_item_timeline", args=[item.pk]) + query).content.decode()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_it_tells_steps_calls_writes_webhooks_findings_and_acts_in_order(looker: Client) -> None:
    batch = make.make_batch()
    item = make.make_item(batch, status=ItemStatus.FAILED)
    connection = item.connection
    assert connection is not None
    event = make.make_event(connection)

    def at(minutes: int) -> Any:
        return clock.now() + timedelta(minutes=minutes)

    make.make_step(item, at=at(1), reason="The provider said no.", status=ItemStatus.FAILED, attempt=3)
    make.make_call(
        batch.source,
        at=at(2),
        subject=connection.remote_id,
        request_id="req-77",
        took_ms=345,
        status=404,
        error="NotFound",
    )
    make.make_call(batch.source, at=at(3), subject=event.remote_id, endpoint="POST /api/v2/calendar-events/{id}/bot/")
    make.make_intent(
        batch.source, event=event, sent_at=at(4), settled_at=at(5), state=Intent.State.CONFIRMED, outcome="bot-5"
    )
    make.make_delivery(
        make.make_endpoint(batch.source), event="calendar.update", subject=connection.remote_id, received_at=at(6)
    )
    make.make_finding(batch, item=item, sentence="It differs.", found_at=at(7))
    with clock.use(clock.ManualClock(at(8))):
        AuditEntry.objects.record(actor=None, action="batch.goal", subject=batch, after="verify")
    told = text_of(page_of(looker, item))
    in_order = [
        "The provider said no.",
        "GET /api/v2/calendars/{id}/",
        "POST /api/v2/calendar-events/{id}/bot/",
        "add a bot: about to be sent",
        "add a bot: read back",
        "calendar.update",
        "It differs.",
        "allowed a step",
    ]
    places = [told.index(words) for words in in_order]
    assert places == sorted(places)
    for words in ("404 NotFound", "took: 345 ms", "request id: req-77", "try: 3", "bot-5"):
        assert words in told


def test_it_tells_nothing_about_others(looker: Client) -> None:
    batch = make.make_batch()
    mine, other = make.make_item(batch), make.make_item(batch, status=ItemStatus.FAILED)
    assert other.connection is not None
    make.make_call(batch.source, subject=other.connection.remote_id, request_id="of-another")
    make.make_call(make.make_workspace(), subject=mine.source_id, request_id="elsewhere")
    make.make_step(other, reason="of another")
    bulk.skip([other.pk], actor=None, reason="of another")
    told = page_of(looker, mine)
    assert "of-another" not in told
    assert "of another" not in told
    assert "elsewhere" not in told
    assert "left calendars where they are" in page_of(looker, other)


def test_one_kind_can_be_looked_at_alone(looker: Client) -> None:
    item = make.make_item(make.make_batch())
    make.make_step(item, reason="a step of it")
    make.make_call(item.batch.source, subject=item.source_id, request_id="a-call-of-it")
    told = page_of(looker, item, "?kind=call")
    assert "a-call-of-it" in told
    assert "a step of it" not in told


def test_it_says_when_there_is_more_than_it_shows(looker: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST", 3)
    item = make.make_item(make.make_batch())
    for number in range(5):
        make.make_call(item.batch.source, subject=item.source_id, request_id=f"req-{number}")
    told = text_of(page_of(looker, item))
    assert "Only the newest 3 of each kind are shown; there are more of: call." in told
    assert "req-4" in told
    assert "req-1" not in told


def test_an_item_without_a_history_says_what_will_be_here(looker: Client) -> None:
    assert "Nothing is on record yet" in page_of(looker, make.make_item(make.make_batch()), "?kind=step")


def test_no_text_on_it_runs(looker: Client) -> None:
    batch = make.make_batch()
    item = make.make_item(batch)
    texts = [text for text in TEXTS if text.isprintable()]
    for text in texts[: timeline.MOST]:
        make.make_step(item, reason=text[:600])
        make.make_call(batch.source, subject=item.source_id, request_id=text[:100], error=text[:60])
    make.make_finding(batch, item=item, sentence=texts[0], remedy=texts[1])
    AuditEntry.objects.record(actor=None, action="batch.pause", subject=batch, reason=texts[2])
    page = page_of(looker, item)
    assert Dangers(page).found == []
    for text in texts[:20]:
        assert escape(text[:60]) in page


def test_it_needs_the_permission_to_view_items() -> None:
    item = make.make_item(make.make_batch())
    nobody = Client()
    nobody.force_login(make.make_staff("nobody"))
    assert nobody.get(reverse("admin:migrations_app_item_timeline", args=[item.pk])).status_code in (302, 403)
    assert Client().get(reverse("admin:migrations_app_item_timeline", args=[item.pk])).status_code == 302


def test_nobody_reads_on_it_what_its_own_page_would_not_show_them() -> None:
    item = make.make_item(make.make_batch())
    make.make_step(item, reason="a step of it")
    make.make_call(item.batch.source, subject=item.source_id, request_id="a-call-of-it")
    AuditEntry.objects.record(actor=None, action="batch.pause", subject=item.batch, reason="an act on it")
    clerk = Client()
    clerk.force_login(make.make_staff("clerk", permissions=("migrations_app.view_item", "calendars.view_auditentry")))
    for query in ("", "?kind=call"):
        told = page_of(clerk, item, query)
        assert "a-call-of-it" not in told
        assert "?kind=call" not in told
    assert "a step of it" in page_of(clerk, item)
    assert "an act on it" in page_of(clerk, item)


def test_the_page_of_an_item_leads_to_its_timeline(looker: Client) -> None:
    item = make.make_item(make.make_batch())
    page = looker.get(reverse("admin:migrations_app_item_change", args=[item.pk])).content.decode()
    assert reverse("admin:migrations_app_item_timeline", args=[item.pk]) in page
