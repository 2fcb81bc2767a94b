"""What tests of the relay share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calendars.relay import post
from tests.harness import clock_and_door

__all__ = ["clock_and_door"]


@pytest.fixture(autouse=True)
def private_network(settings: Any) -> Iterator[None]:
    """Let the sample application be on this machine; give the next test the real way out."""
    settings.RELAY_PRIVATE = True
    yield
    post.use_transport(None)
