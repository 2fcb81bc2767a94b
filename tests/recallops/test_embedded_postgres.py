"""The embedded PostgreSQL: found where it runs, started where it does not, and clear about what is wrong."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from recallops.embedded_postgres import account, server
from recallops.embedded_postgres.errors import EmbeddedPostgresError
from tests.conftest import manage
from tests.recallops.company import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder that is not there yet; what runs in it afterwards is stopped."""
    found = tmp_path / "data" / "postgres"
    yield found
    server.stop(found)


def asked(running: server.Running, statement: str) -> str:
    with psycopg.connect(running.uri("postgres")) as connection:
        return str(connection.execute(statement).fetchone()[0])  # type: ignore[index,arg-type]


def postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def test_it_starts_once_and_is_found_then(folder: Path) -> None:
    assert server.running(folder) is None
    first = server.start(folder)
    assert server.start(folder) == first == server.running(folder)
    assert asked(first, "SHOW server_version").startswith(server.VERSION)
    assert server.stop(folder)
    assert server.running(folder) is None
    assert not server.stop(folder)


def test_what_was_written_is_there_after_a_stop_and_after_a_kill(folder: Path) -> None:
    with psycopg.connect(server.start(folder).uri("postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    server.stop(folder)
    assert asked(server.start(folder), "SELECT value FROM kept") == "1"
    os.kill(postmaster(folder), signal.SIGKILL)
    until(lambda: server.running(folder) is None)
    assert asked(server.start(folder), "SELECT value FROM kept") == "1"


def test_it_is_durable_unless_told_otherwise(folder: Path) -> None:
    assert asked(server.start(folder), "SHOW fsync") == "on"
    server.stop(folder)
    assert asked(server.start(folder, options=["fsync=off"]), "SHOW fsync") == "off"


def test_many_that_start_at_once_get_one_server(tmp_path: Path) -> None:
    environment = {"RECALLOPS_DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": ""}
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: manage("database", "start", **environment), range(4)))
    assert [each.returncode for each in done] == [0] * 4, done
    assert len({each.stdout for each in done}) == 1
    assert manage("database", "stop", **environment).returncode == 0


def test_a_file_left_by_a_killed_server_does_not_stop_the_next(folder: Path) -> None:
    """Its number may have gone to another process meanwhile, here the first of the system."""
    server.start(folder)
    server.stop(folder)
    left = folder / "postmaster.pid"
    left.write_text(f"1\n{folder}\n1700000000\n5432\n{folder}\n\n  1234567         0\nready   \n")
    shutil.chown(left, folder.stat().st_uid, folder.stat().st_gid)
    assert server.running(folder) is None
    assert asked(server.start(folder), "SELECT 1") == "1"


def test_a_path_too_long_for_a_socket_gets_a_short_folder_that_nobody_else_enters(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "postgres"
    running = server.start(folder)
    assert running.sockets != folder
    assert stat.S_IMODE(running.sockets.stat().st_mode) == 0o700
    assert asked(running, "SELECT 1") == "1"
    server.stop(folder)
    assert not running.sockets.exists()


def test_a_path_with_spaces_and_quotes_works(tmp_path: Path) -> None:
    folder = tmp_path / "my 'own' data" / "postgres"
    assert asked(server.start(folder), "SELECT 1") == "1"
    server.stop(folder)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda folder: (folder / "letter.txt").write_text("Dear Alice"), "files that are not a database's"),
        (lambda folder: (folder / "PG_VERSION").write_text("16\n"), "made by PostgreSQL 16"),
    ],
)
def test_a_folder_that_cannot_be_used_is_left_alone_and_named(folder: Path, prepare: object, says: str) -> None:
    folder.mkdir(parents=True)
    who = account._unprivileged() if os.geteuid() == 0 else account.account_for(folder)
    os.chown(folder, who.uid, who.gid)
    prepare(folder)  # type: ignore[operator]
    before = sorted(folder.iterdir())
    with pytest.raises(EmbeddedPostgresError, match=says) as raised:
        server.start(folder)
    assert str(folder) in str(raised.value)
    assert sorted(folder.iterdir()) == before


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="RECALLOPS_DATA_DIR"):
        server.start(tmp_path / "file" / "postgres")


def test_without_its_package_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(EmbeddedPostgresError, match="Set DATABASE_URL, or install requirements"):
        server.start(folder)


def test_the_words_of_postgresql_reach_the_person(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="shared_bufers"):
        server.start(folder, options=["shared_bufers=1GB"])


@as_root
def test_root_lets_another_account_run_it_and_opens_no_more_than_the_way(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed = folder.parent.parent
    closed.chmod(0o700)
    server.start(folder)
    assert folder.stat().st_uid != 0
    assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == folder.stat().st_uid
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(closed) in caplog.text


@as_root
def test_root_without_useradd_falls_back_to_nobody_and_without_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pwd.getpwnam

    def known(name: str) -> pwd.struct_passwd:
        if name == account.ACCOUNT:
            raise KeyError(name)
        return real(name)

    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(pwd, "getpwnam", known)
    assert account._unprivileged().name == account.FALLBACK
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(EmbeddedPostgresError, match="useradd"):
        account._unprivileged()


def test_root_adds_the_account_once_whoever_else_is_about_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added, useradd = tmp_path / "added", tmp_path / "useradd"
    useradd.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> "{added}"\n')
    useradd.chmod(0o755)
    looked, together = threading.local(), threading.Barrier(4)

    def find(name: str) -> account.Account | None:
        if not hasattr(looked, "once"):  # all four find that there is none
            looked.once = together.wait()
            return None
        return account.Account(name, 7, 7) if added.exists() else None

    monkeypatch.setattr(account, "_find", find)
    monkeypatch.setattr(account, "ACCOUNTS", useradd)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with ThreadPoolExecutor(4) as pool:
        found = [one.result() for one in [pool.submit(account._unprivileged) for _ in range(4)]]
    assert found == [account.Account(account.ACCOUNT, 7, 7)] * 4
    assert added.read_text() == f"{account.ACCOUNT}\n"


@as_root
def test_a_folder_of_somebody_else_is_refused_with_both_names() -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from recallops.embedded_postgres import account\n"
        "os.setuid(54321)\n"
        "account.account_for(Path(sys.argv[1]))"
    )
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folder is closed to other users
        Path(open_to_all).chmod(0o711)
        folder = Path(open_to_all) / "postgres"
        folder.mkdir()
        os.chown(folder, 12345, 12345)
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False, timeout=60
        )
    assert "belongs to the user number 12345, and this is number 54321" in done.stderr


def test_a_check_starts_no_server(tmp_path: Path) -> None:
    done = manage("check", RECALLOPS_DATA_DIR=str(tmp_path), DATABASE_URL="")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "postgres").exists()
