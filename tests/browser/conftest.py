"""Stages: a product of its own for each test, ended whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.stage import Stage
from tests.conftest import Address, copied_database


@pytest.fixture(scope="session")
def furnished(
    tmp_path_factory: pytest.TempPathFactory, database_address: Address, migrated_template: str
) -> Iterator[tuple[Stage, list[tuple[str, str]]]]:
    """A product with a row of everything, which nobody changes, and the names and addresses of its pages."""
    with copied_database(database_address, migrated_template) as name:
        found = Stage(tmp_path_factory.mktemp("furnished"), database_address.url(name))
        try:
            found.open_doors()
            yield found, found.fill_rows()
        finally:
            found.close()


@pytest.fixture(scope="session")
def company(
    tmp_path_factory: pytest.TempPathFactory, database_address: Address, migrated_template: str
) -> Iterator[tuple[Stage, dict[str, str]]]:
    """A company in the middle of a move, and the addresses of its pages by name. Nothing works on it but people.

    Each test changes a batch or a draft of its own.
    """
    with copied_database(database_address, migrated_template) as name:
        found = Stage(tmp_path_factory.mktemp("company"), database_address.url(name))
        try:
            found.open_identity()
            found.open_doors()
            yield found, dict(found.fill_rows("company"))
        finally:
            found.close()


@pytest.fixture
def stage(tmp_path: Path, database_address: Address, process_database: str) -> Iterator[Stage]:
    """An empty stage. What its processes said last is shown when the test fails."""
    found = Stage(tmp_path / "stage", database_address.url(process_database))
    try:
        yield found
    finally:
        found.close()
        sys.stdout.write(found.said())
