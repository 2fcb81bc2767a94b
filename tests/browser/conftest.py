"""Stages: a product of its own for each test, ended whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.stage import Stage
from tests.conftest import Address


@pytest.fixture
def stage(tmp_path: Path, database_address: Address, process_database: str) -> Iterator[Stage]:
    """An empty stage. What its processes said last is shown when the test fails."""
    found = Stage(tmp_path / "stage", database_address.url(process_database))
    try:
        yield found
    finally:
        found.close()
        sys.stdout.write(found.said())
