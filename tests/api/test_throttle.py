"""How often a token may ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tests.admin import builders as make
from tests.api.conftest import client_of


def machine_time(seconds: float) -> None:
    with connection.cursor() as cursor:
        at = datetime.fromtimestamp(1_800_000_000 + seconds, UTC)
        cursor.execute("SELECT set_config('recallops.machine_now', %s, false)", [at.isoformat()])


@pytest.fixture
def sixty(settings: Any, db: None) -> Any:
    settings.API_PER_MINUTE = 60  # one a second, six at once
    machine_time(0)
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('recallops.machine_now', '', false)")


def many(app: Client, count: int) -> list[int]:
    return [app.get("/api/v1/ids/").status_code for _ in range(count)]


def test_a_tenth_of_a_minute_may_come_at_once_and_then_one_at_a_time(sixty: None, app: Client) -> None:
    assert many(app, 8) == [200] * 6 + [429] * 2
    machine_time(2)
    assert many(app, 3) == [200, 200, 429]
    machine_time(600)
    assert many(app, 7) == [200] * 6 + [429]


def test_a_refusal_says_when_to_come_again_and_coming_then_is_right(sixty: None, app: Client) -> None:
    many(app, 6)
    response = app.get("/api/v1/ids/")
    assert response.status_code == 429
    assert response["Retry-After"] == "1"
    assert response.json() == {
        "code": "throttled",
        "detail": "This token has asked too often. Wait 1 s, as Retry-After says, and ask again.",
    }
    machine_time(1)
    assert many(app, 1) == [200]


def test_each_token_has_its_own_measure(sixty: None, app: Client) -> None:
    many(app, 7)
    assert many(client_of(make.make_token()[1]), 1) == [200]


def test_a_token_without_the_scope_is_counted_too(sixty: None) -> None:
    app = client_of(make.make_token("batches:read")[1])
    assert many(app, 7) == [403] * 6 + [429]


@pytest.mark.django_db(transaction=True)
def test_processes_that_ask_at_once_share_one_measure(settings: Any) -> None:
    settings.API_PER_MINUTE = 10  # one at once, then one in six seconds
    secret = make.make_token()[1]

    def ask(_: int) -> int:
        try:
            return client_of(secret).get("/api/v1/ids/").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(answers) == [200] + [429] * 7
