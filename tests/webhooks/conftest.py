"""One moment that stands still, and two regions of one family."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recallops import clock
from tests.webhooks.senders import NOON, Place, place


@pytest.fixture(autouse=True)
def time() -> Iterator[clock.ManualClock]:
    moment = clock.ManualClock(NOON)
    with clock.use(moment):
        yield moment


@pytest.fixture
def us(db: None) -> Place:
    return place("acme-us", region="us-west-2")


@pytest.fixture
def eu(db: None) -> Place:
    return place("acme-eu", region="eu-central-1")
