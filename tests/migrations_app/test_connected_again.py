"""A calendar waits for its person; the person consents anew; it moves as the others do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from calendars.models import Connection, Customer, OAuthClient
from calendars.providers.recall_endpoints import CREATE_CALENDAR
from migrations_app import consents
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Consent, Finding, Item, ItemStatus, Severity, StatusLink
from recallops import clock
from recallops.sandbox import company
from recallops.sandbox.meetings import GOOGLE
from tests.harness import TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

BEN = "ben@northwind.example"


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    settings.SITE_URL = "https://recallops.example.com"


def opened(move: Move) -> OAuthClient:
    """Let staff say that people may connect again by the company's client."""
    theirs = company.company(move.world).clients[GOOGLE]
    return OAuthClient.objects.create(
        platform=GOOGLE, client_id=theirs.client_id, client_secret=theirs.secret, reconnects=True
    )


def fall_off(move: Move) -> None:
    """Ben takes back what he allowed, and the source notices."""
    move.world.revoke_account(move.world.accounts[GOOGLE, BEN])
    move.there.disconnect(move.calendar(BEN).id)


def exported(*, connected: bool) -> Move:
    """A batch whose export has ended, with Ben's calendar connected at that time or fallen off before."""
    move = quick()
    opened(move)
    if not connected:
        fall_off(move)
    move.allow(Step.EXPORT)
    move.run()
    return move


def waiting(move: Move, email: str = BEN) -> consents.Waiting | None:
    customer = Customer.objects.get(calendars__email=email)
    return consents.find(customer, Item.objects.get(title=email).pk)


def consent(move: Move, email: str = BEN) -> str:
    """Let somebody consent: a new token at Google, and what the status page does with it. Returns the token."""
    client = company.company(move.world).clients[GOOGLE]
    token = move.world.grant(move.world.accounts[GOOGLE, email], client.client_id)
    found = waiting(move, email)
    assert found is not None
    link, _ = StatusLink.objects.issue(
        Customer.objects.get(calendars__email=email),
        label="Ben",
        expires_at=clock.now() + timedelta(days=30),
        created_by=None,
    )
    assert consents.give(found, link=link, refresh_token=token)
    return token


def statuses() -> set[str]:
    return set(Item.objects.filter(kind="connection").values_list("status", flat=True))


def test_a_calendar_that_fell_off_in_the_source_is_made_in_the_target_and_moves_like_the_others() -> None:
    """Its meetings were known before; none of them is missed, since the next one is a day ahead."""
    move = exported(connected=True)
    fall_off(move)
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: ItemStatus.USER in statuses())
    token = consent(move)
    move.finish()
    assert statuses() == {ItemStatus.DONE}
    assert move.calendar(BEN) is None
    assert move.calendar(BEN, region=TARGET).refresh_token == token
    move.assert_proven(wanted=6)
    assert not Finding.objects.filter(severity=Severity.BLOCKING, gone_at=None).exists()


def test_what_it_showed_before_it_fell_off_and_is_not_there_any_more_keeps_nothing() -> None:
    """A meeting was cancelled while nobody saw it: the source shows it still, the target never did."""
    move = exported(connected=True)
    fall_off(move)
    cancelled = next(one for one in move.world.meetings.values() if one.title == f"{BEN} second")
    move.world.cancel(cancelled)
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: ItemStatus.USER in statuses())
    consent(move)
    move.finish()
    assert statuses() == {ItemStatus.DONE}
    assert move.calendar(BEN) is None
    assert clock.now() < cancelled.start
    assert Finding.objects.filter(code="lost", assignment__start=cancelled.start).exists()
    move.assert_proven(wanted=5)


def test_a_calendar_that_the_target_could_not_connect_gets_the_new_token_and_is_not_made_twice() -> None:
    move = quick()
    opened(move)
    move.allow(Step.RECREATE)
    move.run()
    move.world.revoke_account(move.world.accounts[GOOGLE, BEN])
    move.allow(Step.VERIFY)
    move.run(until=lambda: ItemStatus.USER in statuses())
    assert Item.objects.get(title=BEN).target_connection is not None
    token = consent(move)
    move.finish()
    assert statuses() == {ItemStatus.DONE}
    assert move.calendar(BEN, region=TARGET).refresh_token == token
    assert Connection.objects.filter(calendar__email=BEN, workspace=move.target).count() == 1


def test_the_token_is_kept_only_until_the_target_has_it() -> None:
    move = exported(connected=False)
    token = consent(move)
    assert Consent.objects.get().refresh_token == token
    move.allow(Step.RECREATE)
    move.run()
    kept = Consent.objects.get()
    assert kept.used_at is not None
    assert kept.refresh_token == ""


def test_a_batch_that_has_come_to_its_end_without_it_goes_on_with_it() -> None:
    move = quick()
    opened(move)
    move.there.disconnect(move.calendar(BEN).id)
    move.allow(Step.DELETE_OLD)
    move.run()
    assert Batch.objects.get().step == Step.CLEAN_UP
    consent(move)
    move.run()
    assert statuses() == {ItemStatus.DONE}
    assert move.calendar(BEN) is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_calendar_whose_making_was_lost_is_made_once_with_the_consent(when: str) -> None:
    move = exported(connected=False)
    token = consent(move)
    move.world.faults.add("drop", when=when, endpoint=CREATE_CALENDAR, times=2)
    move.finish()
    assert statuses() == {ItemStatus.DONE}
    assert move.calendar(BEN, region=TARGET).refresh_token == token
    assert Connection.objects.filter(calendar__email=BEN, workspace=move.target).count() == 1
    assert Consent.objects.get().refresh_token == ""


def test_a_stopped_batch_waits_for_staff_all_the_same() -> None:
    move = exported(connected=False)
    Batch.objects.update(status=BatchStatus.STOPPED, reason="as somebody has to look")
    consent(move)
    batch = Batch.objects.get()
    assert (batch.status, batch.reached) == (BatchStatus.STOPPED, batch.goal)


@pytest.mark.parametrize(
    "change",
    [
        lambda move: OAuthClient.objects.update(reconnects=False),
        lambda move: OAuthClient.objects.update(client_id="another"),
        lambda move: Item.objects.update(status=ItemStatus.DONE),
        lambda move: Item.objects.update(error_kind="configuration"),
        lambda move: Item.objects.update(step=Step.HAND_OVER),
        lambda move: Item.objects.update(open=False),
        lambda move: Batch.objects.update(closed_at=clock.now()),
        lambda move: type(move.batch.handover).objects.update(backwards=True),
    ],
)
def test_nobody_is_asked_where_it_would_not_help(change: Any) -> None:
    move = exported(connected=False)
    found = waiting(move)
    assert found is not None
    link, _ = StatusLink.objects.issue(
        Customer.objects.get(calendars__email=BEN), label="Ben", expires_at=clock.now(), created_by=None
    )
    change(move)
    assert waiting(move) is None
    assert not consents.give(found, link=link, refresh_token="1//0anything")
    assert not Consent.objects.exists()
