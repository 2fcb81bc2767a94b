"""`manage.py database`: start, stop, status, uri, dump."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Address, manage


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An installation with a database server of its own."""
    environment = {"RECALLOPS_DATA_DIR": str(tmp_path_factory.mktemp("installation")), "DATABASE_URL": ""}
    yield environment
    manage("database", "stop", **environment)


def test_status_tells_by_its_code_whether_it_runs(own: dict[str, str]) -> None:
    manage("database", "stop", **own)
    assert manage("database", "status", **own).returncode == 3
    assert manage("database", "start", **own).returncode == 0
    assert manage("database", "status", **own).returncode == 0
    assert manage("database", "stop", **own).returncode == 0
    assert manage("database", "status", **own).returncode == 3


def test_stopping_twice_is_no_error(own: dict[str, str]) -> None:
    assert manage("database", "stop", **own).returncode == 0
    assert "was not up" in manage("database", "stop", **own).stdout


def test_the_uri_is_one_that_database_url_takes(own: dict[str, str]) -> None:
    uri = manage("database", "uri", **own).stdout.strip()
    assert manage("migrate", "--verbosity", "0", DATABASE_URL=uri).returncode == 0


def test_a_dump_is_whole_and_for_its_owner_only(own: dict[str, str], tmp_path: Path) -> None:
    manage("migrate", "--verbosity", "0", **own)
    file = tmp_path / "dump.sql"
    assert manage("database", "dump", str(file), **own).returncode == 0
    assert "CREATE TABLE public.recallops_workerheartbeat" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_dump_that_cannot_be_written_is_said(own: dict[str, str], tmp_path: Path) -> None:
    done = manage("database", "dump", str(tmp_path / "nowhere" / "dump.sql"), **own)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_database_url_there_is_nothing_embedded_to_stop(database_address: Address, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_address.url("postgres"), "RECALLOPS_DATA_DIR": str(tmp_path)}
    for verb in ("start", "stop", "status", "uri"):
        done = manage("database", verb, **environment)
        assert done.returncode == 1
        assert "DATABASE_URL names the database" in done.stderr
    assert manage("database", "dump", str(tmp_path / "dump.sql"), **environment).returncode == 0


def test_a_database_that_does_not_answer_is_no_traceback(tmp_path: Path) -> None:
    done = manage("database", "start", RECALLOPS_DATA_DIR="/dev/null/data", DATABASE_URL="")
    assert done.returncode == 1
    assert "RECALLOPS_DATA_DIR" in done.stderr
