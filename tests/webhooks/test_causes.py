"""Why a webhook was refused, as staff read it: the classic failures after a move."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from calendars.models import Delivery, WebhookEndpoint, WebhookRefusal, WebhookSecret
from calendars.webhooks.advice import WHAT_TO_DO
from recallops import clock
from tests.webhooks.senders import Place, add_secret, body_of, secret_of, signed

Cause = WebhookRefusal.Cause
BODY = body_of("bot.done", bot={"id": "b1", "metadata": {"title": "Café", "a": 1}}, data={"code": "done"})


def refused(place: Place) -> WebhookRefusal:
    assert not Delivery.objects.exists()
    return WebhookRefusal.objects.get(endpoint=place.endpoint)


def test_the_other_regions_secret_is_refused_and_named(us: Place, eu: Place) -> None:
    assert us.post(BODY, signed(eu.secret, BODY)).status_code == 401
    row = refused(us)
    assert (row.cause, row.detail) == (
        Cause.OTHER_WORKSPACE,
        "It is signed with the secret of acme-eu in eu-central-1.",
    )


def test_the_other_regions_secret_is_named_even_when_none_is_stored_here(us: Place, eu: Place) -> None:
    WebhookSecret.objects.filter(workspace=us.workspace).delete()
    us.post(BODY, signed(eu.secret, BODY))
    assert refused(us).cause == Cause.OTHER_WORKSPACE


def test_a_rotated_secret_is_refused_and_named_by_its_fingerprint(us: Place) -> None:
    old = WebhookSecret.objects.get()
    WebhookSecret.objects.update(enabled=False)
    add_secret(us.workspace, secret_of("new"))
    assert us.post(BODY).status_code == 401
    row = refused(us)
    assert row.cause == Cause.ROTATED
    assert old.fingerprint in row.detail


COMPACT, WIDE = {"separators": (",", ":")}, {}
VALUE = {"event": "bot.done", "data": {"zone": "Café", "alpha": [1, 2.5, None, True]}}
SYNC = {"event": "calendar.sync_events", "data": {"calendar_id": "c1", "last_updated_ts": "2026-11-23T11:00:00Z"}}


@pytest.mark.parametrize(
    ("value", "sent", "came"),
    [
        (VALUE, COMPACT, WIDE),
        (VALUE, WIDE, COMPACT),
        (VALUE, COMPACT, {"indent": 2}),
        (VALUE, {**COMPACT, "ensure_ascii": False}, WIDE),
        (VALUE, {"ensure_ascii": False}, {}),
        (VALUE, {}, {"ensure_ascii": False}),
        (VALUE, {"sort_keys": True}, {}),
        (VALUE, {**COMPACT, "sort_keys": True}, WIDE),
        (SYNC, WIDE, {"sort_keys": True}),
        (SYNC, COMPACT, {"sort_keys": True}),
    ],
)
def test_a_body_that_was_written_anew_is_recognised(
    us: Place, value: dict[str, Any], sent: dict[str, Any], came: dict[str, Any]
) -> None:
    headers = signed(us.secret, json.dumps(value, **sent).encode())
    assert us.post(json.dumps(value, **came).encode(), headers).status_code == 401
    assert refused(us).cause == Cause.ALTERED


def test_a_line_break_at_the_end_is_recognised(us: Place) -> None:
    assert us.post(BODY + b"\n", signed(us.secret, BODY)).status_code == 401
    assert refused(us).cause == Cause.ALTERED


CAUSES: dict[str, tuple[Callable[[Place], object], Cause]] = {
    "a secret that nobody knows": (lambda us: us.post(BODY, signed(secret_of("nobody"), BODY)), Cause.UNKNOWN),
    "no headers": (lambda us: us.post(BODY, {}), Cause.UNSIGNED),
    "half of the headers": (lambda us: us.post(BODY, {"webhook-id": "msg_1"}), Cause.MALFORMED),
    "both families": (
        lambda us: us.post(BODY, signed(us.secret, BODY) | signed(us.secret, BODY, family="svix")),
        Cause.MIXED,
    ),
    "another body": (lambda us: us.post(b"{}", signed(us.secret, BODY)), Cause.UNKNOWN),
    "sent yesterday": (
        lambda us: us.post(BODY, timestamp=int((clock.now() - timedelta(days=1)).timestamp())),
        Cause.TOO_OLD,
    ),
    "sent tomorrow": (
        lambda us: us.post(BODY, timestamp=int((clock.now() + timedelta(days=1)).timestamp())),
        Cause.TOO_NEW,
    ),
    "sent yesterday by nobody": (lambda us: us.post(BODY, signed(secret_of("x"), BODY, timestamp=1)), Cause.UNKNOWN),
    "no secret stored": (
        lambda us: (WebhookSecret.objects.all().delete(), us.post(BODY)),
        Cause.NO_SECRET,
    ),
    "switched off": (
        lambda us: (WebhookEndpoint.objects.update(enabled=False), us.post(BODY)),
        Cause.DISABLED,
    ),
    "too large": (lambda us: us.post(b"x" * (1024 * 1024 + 1)), Cause.TOO_LARGE),
}


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_told(us: Place, name: str) -> None:
    act, cause = CAUSES[name]
    act(us)
    assert refused(us).cause == cause


def test_every_cause_has_a_sentence_that_says_what_to_do() -> None:
    assert set(WHAT_TO_DO) == set(Cause)
    assert all(sentence.endswith(".") and len(sentence) > 30 for sentence in WHAT_TO_DO.values())


def test_refusals_are_counted_by_day_and_cause(us: Place, time: clock.ManualClock) -> None:
    for _ in range(3):
        us.post(BODY, {})
        time.advance(timedelta(hours=1))
    row = refused(us)
    assert (row.count, row.last_at - row.first_at) == (3, timedelta(hours=2))
    time.advance(timedelta(days=1))
    us.post(BODY, {})
    assert list(WebhookRefusal.objects.order_by("day").values_list("count", flat=True)) == [3, 1]
