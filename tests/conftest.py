"""What all tests share: databases for real processes, and a browser."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from tests import trail

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_configure() -> None:
    """Hash passwords at once: most tests of pages make somebody to log in as."""
    settings.PASSWORD_HASHERS = ["tests.hashing.OneRound"]


def pytest_collection_finish() -> None:
    """Look for garbage seldom: what is imported by now lives as long as the process. A fifth of the time went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with processes of their own run one after the other, beside all others (`--dist loadgroup`)."""
    for item in items:
        if item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.xdist_group("processes"))


class Address:
    """Where the test database's server is, and the names of databases on it."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """Connect, each statement for itself."""
        return psycopg.connect(dbname=name, autocommit=True, **self.parameters)

    def url(self, name: str) -> str:
        """Return a database's address as DATABASE_URL takes it."""
        user = quote(str(self.parameters.get("user", "")), safe="")
        password = quote(str(self.parameters.get("password", "")), safe="")
        host, port = str(self.parameters.get("host", "")), self.parameters.get("port", "")
        credentials = f"{user}:{password}" if password else user
        if host.startswith("/"):
            return f"postgresql://{credentials}@/{name}?host={quote(host)}"
        return f"postgresql://{credentials}@{host}{f':{port}' if port else ''}/{name}"


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a child process: as this one's, with the same keys, for development."""
    ours = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return {
        **ours,
        "DEBUG": "true",
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "DJANGO_SETTINGS_MODULE": "recallops.settings",
        **changes,
    }


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=ROOT,
        env=child_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # a busy machine is no failure
    )


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Make the test database one that can be emptied after a test."""
    if connection.settings_dict["NAME"].startswith("test_"):  # none is made where no test asks for it
        with django_db_blocker.unblock():
            trail.let_it_be_emptied()


@pytest.fixture(scope="session")
def database_address(django_db_setup: None, django_db_blocker: Any) -> Address:
    """Return where the test database's server is."""
    with django_db_blocker.unblock():
        return Address(connection.get_connection_params())


@pytest.fixture(scope="session")
def migrated_template(database_address: Address) -> Iterator[str]:
    """Make a migrated database that others are copied from."""
    name = f"recallops_template_{os.getpid()}"
    with database_address.connect() as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            done = manage("migrate", "--verbosity", "0", DATABASE_URL=database_address.url(name))
            assert done.returncode == 0, done.stderr
            yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def copied_database(address: Address, template: str) -> Iterator[str]:
    """Make a migrated database for real processes, and drop it in the end."""
    name = f"recallops_process_{os.getpid()}_{next(_numbers)}"
    with address.connect() as server:
        copy = "CREATE DATABASE {} TEMPLATE {}"
        server.execute(sql.SQL(copy).format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def process_database(database_address: Address, migrated_template: str) -> Iterator[str]:
    """Return the name of a migrated database for real processes. It is dropped after the test."""
    with copied_database(database_address, migrated_template) as name:
        yield name


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium. Without one tests are skipped, but never in continuous integration."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        says = "There is no Chromium on the PATH (Debian: apt-get install chromium)."
        if os.environ.get("CI") == "true":
            pytest.fail(says)
        pytest.skip(says)
    from playwright.sync_api import sync_playwright

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright runs an event loop in this very thread
    try:
        with sync_playwright() as playwright:
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=found, args=[*options, "--disable-dev-shm-usage"])
            yield browser
            browser.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before
