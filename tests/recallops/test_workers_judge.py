"""The guard's judgement: a hung cluster is found, a busy one is left alone."""

from __future__ import annotations

import pytest

from recallops.workers import Health, judge


@pytest.mark.parametrize(
    ("overdue", "progress", "health"),
    [
        (0, None, Health.FINE),
        (30, None, Health.FINE),
        (31, None, Health.HANGS),
        (31, 31, Health.HANGS),
        (31, 5, Health.FINE),
        (120, 30, Health.FINE),
        (121, 5, Health.HANGS),
    ],
)
def test_it_hangs_when_the_heartbeat_is_away_and_no_lease_is_taken_or_when_it_is_away_for_long(
    overdue: float, progress: float | None, health: Health
) -> None:
    assert judge(overdue=overdue, progress=progress, stale=30, lost=120) is health
