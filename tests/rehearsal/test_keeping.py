"""A rehearsal from the row to the result, in processes and a schema of its own, of which nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from calendars.models import Intent
from migrations_app import rehearsals
from migrations_app.models import Batch, Rehearsal, RehearsalState
from recallops.rehearsal.keeping import SCHEMA, Keeper, clear_away
from tests.conftest import ROOT, Address, child_environment
from tests.harness import Move, quick
from tests.rehearsal.building import exported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

LONGEST = 170


def _asked(move: Move) -> Rehearsal:
    return rehearsals.ask(Batch.objects.get(pk=move.batch.pk), actor=None)


def _player(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"import sys, json, time; sys.stdin.read()\n{code}"


def _schemas() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", [f"{SCHEMA}%"])
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture
def move() -> Move:
    return exported(quick(start=datetime.now(UTC) + timedelta(hours=1)))


def test_a_rehearsal_plays_the_batch_in_a_schema_of_its_own_and_leaves_the_rows_alone(
    move: Move, database_address: Address
) -> None:
    row = _asked(move)
    calls, before = move.door.calls, dict(Batch.objects.filter(pk=move.batch.pk).values()[0])
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "rehearse", str(row.pk)],
        env=child_environment(DATABASE_URL=database_address.url(str(connection.settings_dict["NAME"]))),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    row.refresh_from_db()
    assert row.state == RehearsalState.DONE
    assert row.result["ended"] == "closed"
    assert row.result["held"]["missed"] == row.result["held"]["doubled"] == 0
    assert row.result["held"]["wanted"] == 6
    assert row.result["predicted"]["seconds"] > 0
    assert row.progress["phase"] in ("playing", "counting")
    assert _schemas() == []
    assert dict(Batch.objects.filter(pk=move.batch.pk).values()[0]) == before
    assert not Intent.objects.exists()
    assert move.door.calls == calls


def test_a_person_can_stop_it(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    row = _asked(move)
    told = rehearsals.tell

    def tell(pk: int, **more: Any) -> bool:
        if more["progress"].get("step"):
            rehearsals.stop(row, actor=None)
        return told(pk, **more)

    monkeypatch.setattr(rehearsals, "tell", tell)
    line = "print(json.dumps({'phase': 'playing', 'step': 'export', 'hours': 1, 'calls': 2}), flush=True)"
    assert not Keeper(row.pk, player=_player(f"{line}\ntime.sleep(600)")).run()
    row.refresh_from_db()
    assert row.state == RehearsalState.STOPPED
    assert row.result == {}
    assert _schemas() == []


def test_a_player_that_dies_is_a_failure_that_says_so(move: Move) -> None:
    row = _asked(move)
    assert not Keeper(row.pk, player=_player("sys.exit(7)")).run()
    row.refresh_from_db()
    assert row.state == RehearsalState.FAILED
    assert "ended by itself (code 7)" in row.reason
    assert _asked(move).pk != row.pk, "it can be asked for again"


def test_one_that_ends_late_leaves_the_schema_of_the_next_one_alone(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _asked(move)

    def tell(pk: int, **more: Any) -> bool:  # its lease was over, and another machine has begun the next one
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}999")
        return False

    line = "print(json.dumps({'phase': 'playing'}), flush=True)"
    keeper = Keeper(row.pk, player=_player(f"{line}\ntime.sleep(600)"))
    made = keeper._make_schema

    def make() -> None:
        made()
        monkeypatch.setattr(rehearsals, "tell", tell)

    monkeypatch.setattr(keeper, "_make_schema", make)
    assert not keeper.run()
    assert _schemas() == [f"{SCHEMA}999"]
    assert clear_away() == 1


def test_one_that_was_taken_for_dead_while_it_copied_leaves_all_schemas_alone(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _asked(move)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}999")
    ours = iter([True, False])
    monkeypatch.setattr(rehearsals, "tell", lambda pk, **more: next(ours))
    assert not Keeper(row.pk, player=_player("sys.exit(7)")).run()
    assert _schemas() == [f"{SCHEMA}999"]
    assert clear_away() == 1


def test_a_player_that_takes_too_long_is_ended(move: Move, settings: Any) -> None:
    settings.REHEARSAL_MINUTES = 0
    row = _asked(move)
    assert not Keeper(row.pk, player=_player("time.sleep(600)")).run()
    row.refresh_from_db()
    assert row.state == RehearsalState.FAILED
    assert "REHEARSAL_MINUTES" in row.reason


def test_a_player_gets_no_key_of_ours(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "ENCRYPTION_KEYS_FILE"):
        monkeypatch.setenv(name, "of this installation")
    given = Keeper(_asked(move).pk)._environment()
    assert "of this installation" not in given.values()
    assert given["RECALLOPS_REHEARSAL"].startswith(SCHEMA)
    assert given["PATH"] == os.environ["PATH"]


def test_what_a_killed_one_left_is_cleared_away() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}41 CREATE TABLE left_over (name text)")
    assert clear_away() == 1
    assert _schemas() == []
