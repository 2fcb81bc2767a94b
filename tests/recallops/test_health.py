"""The health pages: what machines are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from recallops.models import WorkerHeartbeat
from recallops.workers import workers_alive


def late() -> float:
    """Return a wait that is too long."""
    return 301.0


def beaten(seconds_ago: float) -> None:
    WorkerHeartbeat.objects.create(host="here", pid=1, beaten_at=Now() - timedelta(seconds=seconds_ago))


def test_healthz_asks_no_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_readyz_is_ready_without_workers_but_not_well(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()["well"] is False
    assert answer.json()["checks"]["workers"] == {"ok": False, "heartbeat_age_seconds": None}
    assert client.get("/readyz?strict=1").status_code == 503


@pytest.mark.django_db
def test_readyz_is_well_while_the_heart_beats(client: Client) -> None:
    beaten(3)
    answer = client.get("/readyz?strict=1")
    assert answer.status_code == 200
    assert answer.json()["well"] is True
    assert answer.json()["checks"]["workers"]["heartbeat_age_seconds"] == pytest.approx(3, abs=2)


@pytest.mark.django_db
def test_readyz_sees_work_that_waits_too_long(client: Client, settings: Any) -> None:
    beaten(3)
    settings.OLDEST_DUE = f"{__name__}.late"
    assert client.get("/readyz").json()["checks"]["work"] == {"ok": False, "oldest_due_seconds": 301.0}
    assert client.get("/readyz?strict=1").status_code == 503


@pytest.mark.django_db
def test_readyz_is_not_ready_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'recallops'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"]["ok"] is False


@pytest.mark.django_db
def test_readyz_tells_no_words_of_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def fails() -> None:
        raise OperationalError("connection to server at 10.0.0.1, user recallops, failed")

    monkeypatch.setattr(connection, "cursor", fails)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "well": False,
        "checks": {"database": {"ok": False, "says": "the database does not answer"}},
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_they_are_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_workers_are_alive_as_long_as_their_heartbeat_is_fresh() -> None:
    assert not workers_alive()
    beaten(20)
    assert workers_alive()
    assert not workers_alive(within=10)
