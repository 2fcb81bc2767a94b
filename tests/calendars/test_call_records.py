"""Each call is on record, at next to no cost, whatever becomes of the transaction that it was made in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection, transaction

from calendars.models import ProviderCall, Workspace
from calendars.providers import connect, errors, limits, recording
from calendars.providers.calls import CallRecord
from calendars.providers.recall_endpoints import GET_CALENDAR
from tests.admin import builders as make

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
CALENDAR = "0d3a1a0c-1111-4000-8000-000000000001"


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    workspace = make.make_workspace()
    make.make_key(workspace, "recall-secret-key-nobody-may-see")
    yield workspace
    connect.use_transport(None)


class Answers(httpx.BaseTransport):
    """Answers with what it was given, one after the other."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def record(**fields: Any) -> CallRecord:
    values: dict[str, Any] = {
        "endpoint": GET_CALENDAR,
        "subject": CALENDAR,
        "status": 200,
        "error": "",
        "took_ms": 12.4,
        "waited_ms": 0.0,
        "attempt": 1,
        "begun_at": AT,
        "server_date": None,
        "request_id": "r-1",
    }
    return CallRecord(**{**values, **fields})


def test_a_call_leaves_endpoint_status_request_id_and_what_it_was_about(workspace: Workspace) -> None:
    connect.use_transport(Answers(httpx.Response(404, json={"detail": "Not found."}, headers={"x-request-id": "r-9"})))
    with pytest.raises(errors.ProviderError):
        connect.client_for(workspace).get_calendar(CALENDAR)
    recording.write()
    call = ProviderCall.objects.get()
    assert call.workspace == workspace
    assert (call.endpoint, call.subject, call.status, call.request_id) == (GET_CALENDAR, CALENDAR, 404, "r-9")
    assert call.error
    assert call.attempt == 1


def test_each_try_is_a_record_of_its_own(workspace: Workspace) -> None:
    connect.use_transport(Answers(httpx.ReadTimeout("x"), httpx.Response(503), httpx.Response(200, json={"id": 5})))
    with pytest.raises(errors.ProviderError):
        connect.client_for(workspace).get_calendar(CALENDAR)
    recording.write()
    tries = list(ProviderCall.objects.order_by("attempt").values_list("attempt", "status"))
    assert tries == [(1, None), (2, 503), (3, 200)]


def test_a_list_of_one_calendar_is_about_that_calendar_on_every_page(workspace: Workspace) -> None:
    address = f"{workspace.region.base_url}/api/v2/calendar-events/"
    first = {"results": [], "next": f"{address}?cursor=abc", "previous": None}
    last = {"results": [], "next": None, "previous": None}
    connect.use_transport(Answers(httpx.Response(200, json=first), httpx.Response(200, json=last)))
    list(connect.client_for(workspace).iter_events(calendar_id=CALENDAR))
    recording.write()
    assert list(ProviderCall.objects.values_list("subject", flat=True)) == [CALENDAR, CALENDAR]


def test_nothing_secret_is_kept(workspace: Workspace) -> None:
    echo = {"detail": "recall-secret-key-nobody-may-see refresh-token-of-the-user"}
    header = {"x-request-id": "req-7 recall-secret-key-nobody-may-see refresh-token-of-the-user"}
    connect.use_transport(Answers(httpx.Response(400, json=echo, headers=header)))
    with pytest.raises(errors.ProviderError):
        connect.client_for(workspace).create_calendar(
            platform="google_calendar",
            oauth_client_id="123.apps.googleusercontent.com",
            oauth_client_secret="client-secret-of-ours",
            oauth_refresh_token="refresh-token-of-the-user",
            idempotency_key="k1",
        )
    recording.write()
    kept = str(list(ProviderCall.objects.values()))
    assert "POST /api/v2/calendars/" in kept
    assert "req-7" in kept
    for secret in ("nobody-may-see", "client-secret-of-ours", "refresh-token-of-the-user", "detail"):
        assert secret not in kept


def test_a_record_survives_the_transaction_that_it_was_made_in(workspace: Workspace) -> None:
    with transaction.atomic():
        recording.note(workspace.pk, record())
        recording.write()
        transaction.set_rollback(True)
    assert ProviderCall.objects.count() == 1


def test_many_calls_are_one_statement(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    run = limits.run
    monkeypatch.setattr(limits, "run", lambda sql, values: (statements.append(sql), run(sql, values)))
    for _ in range(recording.WRITTEN_AT - 1):
        recording.note(workspace.pk, record())
    assert statements == []
    recording.note(workspace.pk, record())
    assert len(statements) == 1
    assert ProviderCall.objects.count() == recording.WRITTEN_AT


def test_what_waits_is_written_after_two_seconds(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 1000.0
    monkeypatch.setattr(recording.time, "monotonic", lambda: seconds)
    recording.note(workspace.pk, record())
    seconds += recording.WRITTEN_AFTER / 2
    recording.note(workspace.pk, record())
    assert ProviderCall.objects.count() == 0
    seconds += recording.WRITTEN_AFTER
    recording.note(workspace.pk, record())
    assert ProviderCall.objects.count() == 3


def test_a_record_that_cannot_be_written_fails_nobody(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(sql: str, values: tuple[Any, ...]) -> None:
        raise psycopg.errors.UndefinedTable("gone")

    monkeypatch.setattr(limits, "run", broken)
    recording.note(workspace.pk, record())
    recording.write()
    assert "1 call(s) could not be kept on record" in caplog.text


def test_a_workspace_that_is_gone_by_then_stops_no_record(workspace: Workspace) -> None:
    recording.note(workspace.pk + 1000, record())
    recording.note(workspace.pk, record())
    recording.write()
    assert ProviderCall.objects.count() == 2


@pytest.mark.parametrize("most", [1_000_000, 3])
def test_old_records_and_too_many_are_removed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, settings: Any, most: int
) -> None:
    settings.CALL_RECORD_DAYS = 10
    monkeypatch.setattr(recording, "MOST", most)
    monkeypatch.setattr(recording, "PRUNED_EVERY", -1.0)
    for days in (30, 20, 9, 8, 7):
        recording.note(workspace.pk, record(begun_at=AT - timedelta(days=days)))
    recording.write()
    recording.note(workspace.pk, record())
    recording.write()
    kept = [(AT - at).days for at in ProviderCall.objects.order_by("id").values_list("at", flat=True)]
    assert kept == ([9, 8, 7, 0] if most > 3 else [8, 7, 0])


def test_pruning_looks_at_the_oldest_only(workspace: Workspace) -> None:
    for _ in range(3):
        recording.note(workspace.pk, record())
    recording.write()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {recording._PRUNE}", (5000, AT, 1_000_000))
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "Limit" in plan
    assert "Seq Scan" not in plan


def test_a_tested_key_is_on_record_at_once(workspace: Workspace) -> None:
    connect.use_transport(Answers(httpx.Response(200, json={"results": [], "next": None, "previous": None})))
    connect.test_key(workspace.api_keys.get())
    assert ProviderCall.objects.get().endpoint == "GET /api/v1/bot/"
