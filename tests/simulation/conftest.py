"""The stage, set up once for each process of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.stage import Stage, stage


@pytest.fixture(scope="session")
def stage_of_the_session() -> Stage:
    """Return the stage that rehearsed plays are kept for."""
    return Stage()


@pytest.fixture
def on(stage_of_the_session: Stage) -> Iterator[Stage]:
    """Set the stage up."""
    with stage(stage_of_the_session) as found:
        yield found
