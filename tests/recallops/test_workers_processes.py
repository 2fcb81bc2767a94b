"""Real workers on a real database, killed in every way: work goes on, and nobody is left behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Address, manage
from tests.recallops.company import Company, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]


@pytest.fixture
def company(tmp_path: Path, database_address: Address, process_database: str) -> Iterator[Company]:
    """Workers that wait for work."""
    found = Company(folder=tmp_path / "company", address=database_address, database=process_database)
    found.start()
    yield found
    found.clear_away()


@pytest.mark.parametrize("role", ["worker 0", "worker 1", "monitor", "pusher", "sentinel", "main"])
def test_work_goes_on_after_any_of_its_processes_is_killed(company: Company, role: str) -> None:
    company.does("before")
    until(lambda: company.waiting() == 0)  # a task whose end nobody noted comes again after `retry`, minutes later
    os.kill(company.role(role), signal.SIGKILL)
    killed_at = company.database_time()
    company.does("after")
    until(lambda: (company.beaten_at() or killed_at) > killed_at)
    until(lambda: company.waiting() == 0)


def test_work_goes_on_after_a_worker_is_killed_over_its_task(company: Company) -> None:
    company.give("long", seconds=300)
    os.kill(until(lambda: company.noted("begun long")), signal.SIGKILL)
    company.does("after")


def test_work_goes_on_after_the_whole_group_is_killed(company: Company) -> None:
    company.give("long", seconds=300)
    until(lambda: company.noted("begun long"))
    os.killpg(company.role("main"), signal.SIGKILL)
    company.does("after")


@pytest.mark.parametrize("role", ["main", "sentinel"])
def test_no_orphan_goes_on_when_what_watches_it_is_killed(company: Company, role: str) -> None:
    below = [company.role(each) for each in ("worker 0", "worker 1", "monitor", "pusher")]
    os.kill(company.role(role), signal.SIGKILL)
    until(lambda: not set(below) & set(company.left()), seconds=10)


def test_nobody_is_left_when_the_parent_is_killed(company: Company) -> None:
    company.give("long", seconds=300)
    until(lambda: company.noted("begun long"))
    company.end(signal.SIGKILL)
    until(lambda: not company.left(), seconds=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_within_the_grace_and_leaves_nobody(company: Company, number: signal.Signals) -> None:
    company.give("long", seconds=300)
    until(lambda: company.noted("begun long"))
    assert company.end(number, seconds=2 + 8) == 0
    assert company.left() == []
    assert company.beaten_at() is None
    assert company.noted("done long") is None


def test_told_to_stop_it_lets_running_work_end(company: Company) -> None:
    company.give("short", seconds=1)
    until(lambda: company.noted("begun short"))
    company.end()
    assert company.noted("done short")


def test_ended_and_started_again_it_takes_what_was_waiting(company: Company) -> None:
    company.end()
    company.give("waiting")
    company.start()
    until(lambda: company.noted("done waiting"))


def test_a_second_parent_says_that_there_is_one(company: Company) -> None:
    second = manage("workers", **company.environment)
    assert second.returncode == 1
    assert f"already run on this machine (process {company.parent.pid})" in second.stderr
    assert company.role("main") in company.left()


def test_a_stopped_worker_process_is_replaced_too(company: Company) -> None:
    main = company.role("main")
    for each in ("worker 0", "worker 1"):
        os.kill(company.role(each), signal.SIGSTOP)
    company.does("after")
    assert main not in company.left()


def test_a_heartbeat_reaches_only_its_own_machines_workers(company: Company) -> None:
    company.query(
        "INSERT INTO django_q_ormq (key, payload, lock) VALUES ('recallops@elsewhere', 'x', clock_timestamp())"
        " RETURNING id"
    )
    company.does("work")
    assert company.query("SELECT count(*) FROM django_q_ormq WHERE key = 'recallops@elsewhere'") == 1


def test_without_migrations_it_says_so(tmp_path: Path, database_address: Address) -> None:
    found = manage("workers", DATABASE_URL=database_address.url("postgres"), RECALLOPS_DATA_DIR=str(tmp_path))
    assert found.returncode == 1
    assert "manage.py migrate" in found.stderr
    assert "Traceback" not in found.stderr


def test_work_goes_on_after_the_database_was_killed_and_came_back(tmp_path: Path) -> None:
    """On a server of its own: the first one to connect starts it again."""
    folder = tmp_path / "company"
    own = {"DATABASE_URL": "", "RECALLOPS_DATA_DIR": str(folder)}
    assert manage("migrate", "--verbosity", "0", **own).returncode == 0
    company = Company(folder, Address({"host": str(folder / "postgres"), "user": "postgres"}), "recallops", own)
    company.start()
    try:
        company.does("before")
        os.kill(int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        assert manage("database", "start", **own).returncode == 0
        company.does("after")
    finally:
        company.clear_away()
        manage("database", "stop", **own)
