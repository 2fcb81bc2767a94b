"""How the tests are spread over processes."""

from __future__ import annotations

import pytest


@pytest.mark.processes
def test_what_starts_processes_of_its_own_runs_one_after_the_other(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("Nothing is spread: all tests run one after the other.")
    assert request.node.nodeid.endswith("@processes")
