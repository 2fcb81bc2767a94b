"""Polling the id map never leaves out a row, however late it is committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client

from calendars.models import IdMapping, Workspace
from tests.admin import builders as make
from tests.api.conftest import client_of, wait_for_others

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = """
INSERT INTO calendars_idmapping
    (kind, source_id, source_remote_id, target_id, target_remote_id, superseded, created_at)
VALUES ('calendar', %s, %s, %s, %s, false, now())
"""


@pytest.fixture
def poll() -> Any:
    app = client_of(make.make_token()[1])

    def ask(after: str = "", limit: int = 100) -> tuple[list[str], str, bool]:
        wait_for_others()
        answer = app.get(f"/api/v1/ids/changes/?limit={limit}" + (f"&after={after}" if after else "")).json()
        return [row["source"]["id"] for row in answer["results"]], answer["after"], answer["more"]

    return ask


@pytest.fixture
def ends() -> tuple[Workspace, Workspace]:
    return make.make_workspace(), make.make_workspace()


@pytest.fixture
def somebody_else() -> Iterator[psycopg.Connection[Any]]:
    parameters = connection.get_connection_params()
    for own in ("context", "cursor_factory"):
        parameters.pop(own, None)
    with psycopg.connect(**parameters) as other:
        yield other


def test_a_row_that_is_committed_late_is_not_skipped(
    poll: Any, ends: tuple[Workspace, Workspace], somebody_else: psycopg.Connection[Any]
) -> None:
    source, target = ends
    somebody_else.execute(INSERT, (source.pk, "slow", target.pk, "slow-new"))  # not committed
    make.make_mapping(source, target, source_remote_id="fast")  # a higher id, a later time, committed at once
    first, after, _ = poll()
    assert first == []  # "fast" is withheld: "slow" comes before it
    somebody_else.commit()
    second, after, _ = poll(after)
    assert second == ["slow", "fast"]
    assert poll(after)[0] == []


def test_what_a_transaction_that_began_before_the_poll_writes_afterwards_is_told(
    poll: Any, ends: tuple[Workspace, Workspace], somebody_else: psycopg.Connection[Any]
) -> None:
    source, target = ends
    somebody_else.execute("SELECT pg_current_xact_id()")  # has its number, has written nothing yet
    make.make_mapping(source, target, source_remote_id="fast")
    _, after, _ = poll()
    somebody_else.execute(INSERT, (source.pk, "slow", target.pk, "slow-new"))
    somebody_else.commit()
    assert poll(after)[0] == ["slow", "fast"]


def test_what_is_rolled_back_is_never_told(
    poll: Any, ends: tuple[Workspace, Workspace], somebody_else: psycopg.Connection[Any]
) -> None:
    source, target = ends
    somebody_else.execute(INSERT, (source.pk, "slow", target.pk, "slow-new"))
    somebody_else.rollback()
    make.make_mapping(source, target, source_remote_id="fast")
    assert poll()[0] == ["fast"]


def test_a_row_that_is_superseded_is_told_again(poll: Any, ends: tuple[Workspace, Workspace]) -> None:
    row = make.make_mapping(*ends, source_remote_id="a")
    make.make_mapping(*ends, source_remote_id="b")
    told, after, _ = poll()
    assert told == ["a", "b"]
    IdMapping.objects.filter(pk=row.pk).update(superseded=True)
    assert poll(after)[0] == ["a"]


def test_rows_of_one_transaction_are_paged_without_a_gap(poll: Any, ends: tuple[Workspace, Workspace]) -> None:
    with transaction.atomic():
        for number in range(7):
            make.make_mapping(*ends, source_remote_id=f"old-{number}")
    seen, after, more = [], "", True
    while more:
        told, after, more = poll(after, limit=3)
        seen += told
    assert seen == [f"old-{number}" for number in range(7)]


def test_a_cursor_of_a_database_that_was_ahead_is_refused(ends: tuple[Workspace, Workspace]) -> None:
    response = client_of(make.make_token()[1]).get("/api/v1/ids/changes/?after=999999999999999999-1")
    assert (response.status_code, response.json()["code"]) == (400, "cursor_of_another_database")
    assert "Begin again" in response.json()["detail"]


@pytest.mark.parametrize("cursor", ["", "1", "a-b", "-1-1", "1-1-1", "9" * 30 + "-1"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    assert client_of(make.make_token()[1]).get(f"/api/v1/ids/changes/?after={cursor}").status_code == 400


def test_a_file_of_many_rows_is_read_from_the_databases_own_cursor(
    ends: tuple[Workspace, Workspace], django_assert_num_queries: Any
) -> None:
    source, target = ends
    rows = [
        IdMapping(kind="bot", source=source, source_remote_id=f"{n}", target=target, target_remote_id=f"{n}")
        for n in range(5000)
    ]
    IdMapping.objects.bulk_create(rows)
    app: Client = client_of(make.make_token()[1])
    with django_assert_num_queries(3):  # token, throttle, one cursor
        content = b"".join(app.get("/api/v1/ids.ndjson").streaming_content)
    assert content.count(b"\n") == 5000
