"""A body that is rightly signed is kept to the byte and answered 2xx, whatever it is; and nothing in it breaks us."""

from __future__ import annotations

import pytest

from calendars.models import Delivery
from calendars.webhooks import events, handling
from tests.webhooks.bodies import UGLY
from tests.webhooks.senders import Place


@pytest.fixture(autouse=True)
def nobody_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done with them is the next test's business."""
    monkeypatch.setattr("calendars.sync.events_changed", lambda *args, **kwargs: None, raising=False)
    monkeypatch.setattr("calendars.sync.calendars_changed", lambda *args, **kwargs: None, raising=False)
    monkeypatch.setattr("calendars.ingest.bot_statuses", lambda *args: None, raising=False)


def test_there_are_at_least_forty_of_them() -> None:
    assert len(set(UGLY.values())) >= 40


@pytest.mark.parametrize("family", ["webhook", "svix"])
@pytest.mark.parametrize("name", UGLY)
def test_an_ugly_body_is_kept_to_the_byte_and_answered_200(us: Place, name: str, family: str) -> None:
    assert us.post(UGLY[name], family=family).status_code == 200
    assert bytes(Delivery.objects.get().body) == UGLY[name]


def test_ugly_bodies_are_all_looked_at_and_none_holds_up_the_others(us: Place) -> None:
    for number, body in enumerate(UGLY.values()):
        assert us.post(body, delivery_id=f"msg_{number}").status_code == 200
    handling.handle(list(Delivery.objects.order_by("pk")))
    rows = list(Delivery.objects.order_by("pk"))
    states = dict(zip(UGLY, (row.state for row in rows), strict=True))
    assert Delivery.State.RECEIVED not in states.values()
    assert all(row.reason for row in rows if row.state != Delivery.State.HANDLED), "each says why"
    assert states["a byte order mark"] == states["5,000 digits"] == states["half a megabyte"] == "handled"
    assert states["a time that is none"] == states["the year 1"] == states["the year 9999"] == "handled"
    assert states["deep lists"] == states["invalid UTF-8"] == states["nothing"] == states["a NUL in an id"] == "failed"
    assert states["markup"] == states["an event of emoji"] == states["a long event"] == "kept"


@pytest.mark.parametrize("name", UGLY)
def test_reading_a_body_never_raises(name: str) -> None:
    told = events.parse(UGLY[name])
    assert told.event or told.problem


def test_every_beginning_of_a_body_can_be_read() -> None:
    body = UGLY["the year 9999"]
    assert all(events.parse(body[:length]).problem for length in range(len(body)))
