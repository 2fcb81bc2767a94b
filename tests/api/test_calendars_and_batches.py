"""Calendars with their connections; batches with their items."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from calendars.models import AuditEntry, ConnectionStatus
from migrations_app.itineraries import Step
from migrations_app.models import BatchStatus, ItemStatus
from recallops import clock
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


def emails(app: Client, query: str) -> list[str]:
    return [one["email"] for one in app.get(f"/api/v1/calendars/?{query}").json()["results"]]


def test_a_calendar_tells_its_connections_and_who_owns_its_coming_meetings(app: Client) -> None:
    us = make.make_workspace("us", region=make.make_region("us-west-2"), family="move")
    eu = make.make_workspace("eu", region=make.make_region("eu-central-1"), family="move")
    calendar = make.make_calendar(email="hank@globex.example")
    make.make_connection(us, calendar, remote_id="old", status=ConnectionStatus.DELETED)
    make.make_connection(eu, calendar, remote_id="new")
    for owner, meetings in ((us, 1), (eu, 3)):
        for _ in range(meetings):
            make.make_assignment(owner, calendars=(calendar,))
    make.make_assignment(eu, calendars=(calendar,), over=True)
    make.make_assignment(eu, calendars=(calendar,), start=clock.now() - timedelta(hours=2))
    make.make_assignment(eu, calendars=(make.make_calendar(),))
    told = app.get(f"/api/v1/calendars/{calendar.pk}/").json()
    assert told == {
        "id": calendar.pk,
        "customer": {"name": calendar.customer.slug, "title": calendar.customer.name},
        "platform": "google_calendar",
        "email": "hank@globex.example",
        "connections": [
            {"workspace": "us", "region": "us-west-2", "id": "old", "status": "deleted"},
            {"workspace": "eu", "region": "eu-central-1", "id": "new", "status": "connected"},
        ],
        "coming": [
            {"workspace": "us", "region": "us-west-2", "meetings": 1},
            {"workspace": "eu", "region": "eu-central-1", "meetings": 3},
        ],
    }


def test_calendars_are_filtered(app: Client) -> None:
    us, eu = make.make_workspace("us", family="move"), make.make_workspace("eu", family="move")
    customer = make.make_customer()
    first, second = make.make_calendar(customer, email="a@x.example"), make.make_calendar(email="b@x.example")
    make.make_connection(us, first, status=ConnectionStatus.DISCONNECTED)
    make.make_connection(eu, first)
    make.make_connection(us, second)
    assert emails(app, f"customer={customer.slug}") == ["a@x.example"]
    assert emails(app, "workspace=eu") == ["a@x.example"]
    assert emails(app, "workspace=us&status=connected") == ["b@x.example"]
    assert emails(app, "status=connected") == ["a@x.example", "b@x.example"]
    assert emails(app, "email=B@X.example") == ["b@x.example"]
    assert emails(app, "email=c@x.example") == []


@pytest.mark.parametrize(
    "query", ["customer=nobody", "workspace=x", "status=%00", "status=", "email=a%00b", "e-mail=a", "email=%20"]
)
def test_a_wrong_filter_is_400(app: Client, query: str) -> None:
    assert app.get(f"/api/v1/calendars/?{query}").status_code == 400


@pytest.mark.parametrize("number", ["0", "99999999999999999999", "x", "-1", "%00", "١"])
def test_a_calendar_that_is_not_there_is_404(app: Client, number: str) -> None:
    response = app.get(f"/api/v1/calendars/{number}/")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_batch_tells_how_far_it_is(app: Client) -> None:
    batch = make.make_batch("move", step=Step.VERIFY, goal=Step.HAND_OVER, status=BatchStatus.RUNNING, reason="reading")
    for status in (ItemStatus.DONE, ItemStatus.WAITING, ItemStatus.WAITING, ItemStatus.NOT_MOVABLE):
        make.make_item(batch, status=status, step=Step.VERIFY)
    make.make_item(batch, kind="checklist", source_id="webhooks", status=ItemStatus.USER)
    told = app.get("/api/v1/batches/move/").json()
    assert (told["step"], told["goal"], told["status"], told["reason"]) == ("verify", "hand_over", "running", "reading")
    assert (told["source"]["region"], told["target"]["region"]) == ("us-west-2", "eu-central-1")
    assert told["calendars"] == [
        {"step": "verify", "status": "done", "count": 1},
        {"step": "verify", "status": "not_movable", "count": 1},
        {"step": "verify", "status": "waiting", "count": 2},
    ]
    assert told["progress"] == {"moved": 1, "movable": 3, "percent": 33}
    assert app.get("/api/v1/batches/").json()["results"] == [told]


def test_a_new_batch_has_no_goal_and_no_progress(app: Client) -> None:
    make.make_batch("new")
    told = app.get("/api/v1/batches/new/").json()
    assert (told["goal"], told["calendars"]) == (None, [])
    assert told["progress"] == {"moved": 0, "movable": 0, "percent": 0}


def test_items_tell_both_ids_and_why_they_wait(app: Client) -> None:
    batch = make.make_batch("move")
    target = make.make_connection(batch.target, remote_id="new")
    connection = make.make_connection(batch.source, remote_id="old")
    make.make_item(batch, connection=connection, target_connection=target, status=ItemStatus.WAITING, reason="budget")
    make.make_item(batch, status=ItemStatus.FAILED)
    url = "/api/v1/batches/move/items/"
    first, second = app.get(url).json()["results"]
    assert (first["source_id"], first["target_id"], first["reason"]) == ("old", "new", "budget")
    assert second["target_id"] is None
    assert [one["status"] for one in app.get(f"{url}?status=failed&kind=connection").json()["results"]] == ["failed"]
    assert app.get(f"{url}?status=broken").status_code == 400


@pytest.mark.parametrize(("name", "status"), [("none", 404), ("a%00b", 400), ("a" * 60, 400)])
def test_a_batch_that_is_not_there_is_told_so(app: Client, name: str, status: int) -> None:
    for address in (f"/api/v1/batches/{name}/", f"/api/v1/batches/{name}/items/"):
        assert app.get(address).status_code == status


def test_neither_secrets_nor_names_of_staff_are_told(app: Client) -> None:
    actor = make.make_staff("margaret")
    batch = make.make_batch("move", actor=actor, delete_confirmed_by=actor)
    item = make.make_item(batch)
    make.make_key(batch.source, "recall-key-of-this-workspace")
    connection: Any = item.connection
    make.make_event(
        connection,
        title="A secret title",
        occurrence=make.make_assignment(batch.source, calendars=(connection.calendar,)).occurrences.get(),
    )
    assert AuditEntry.objects.filter(actor=actor).exists()
    event = connection.events.get()
    addresses = [
        "batches/",
        "batches/move/",
        "batches/move/items/",
        "calendars/",
        f"ownership/?event={event.remote_id}",
    ]
    text = "".join(app.get(f"/api/v1/{address}").content.decode() for address in addresses)
    assert connection.remote_id in text
    for hidden in ("margaret", "recall-key", "oauth-secret", "refresh-token", "client.apps", "tenant", "secret title"):
        assert hidden not in text
