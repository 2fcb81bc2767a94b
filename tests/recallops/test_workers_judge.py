"""The guard's judgement: a hung cluster is found, a busy one is left alone."""

from __future__ import annotations

import pytest

from recallops.workers import Health, judge, patience


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


@pytest.mark.parametrize(("falls", "seconds"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 240), (100, 240)])
def test_the_oftener_clusters_fell_the_longer_the_next_has_to_come_up(falls: int, seconds: float) -> None:
    assert patience(30, falls=falls) == seconds
