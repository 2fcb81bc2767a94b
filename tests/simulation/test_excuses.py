"""What is excused is what docs/handover.md excuses, and nothing beside it; the ledger shows each double."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.harness import SOURCE, TARGET
from tests.simulation.running import run
from tests.simulation.scenario import Act, Happening, Planned, Scenario, link, small
from tests.simulation.stage import Stage
from tests.simulation.storage import Storage

pytestmark = pytest.mark.django_db(transaction=True)

BEGINS = 1.5  # minutes: the first meetings have a bot in both regions by then, and nothing was removed


def interrupted(*, minutes: float) -> Scenario:
    """Return a hand-over in whose middle both regions are gone for so long; a meeting starts in an hour."""
    base = small()
    near = Planned("near", 60, 30, (0, 1), link(30))
    happenings = [Happening(BEGINS, "outage_begins", region=region) for region in (SOURCE, TARGET)]
    happenings += [Happening(BEGINS + minutes, "outage_ends", region=region) for region in (SOURCE, TARGET)]
    acts = (Act(0, "allow", "clean_up"),)
    return replace(
        base, meetings=(near, *base.meetings), acts=acts, happenings=tuple(happenings), cut=0, takes=5.0, sweep_every=30
    )


def test_an_outage_that_outlasts_the_margin_may_double_a_meeting_and_the_ledger_shows_it(on: Stage) -> None:
    play, verdict = run(on, Storage(), interrupted(minutes=75))
    assert str(verdict) == "well", play.history()
    assert len(verdict.excused) == 1, play.history()
    assert "near" in verdict.excused[0]
    assert "nothing could be written for 75 minutes" in verdict.excused[0]


def test_an_outage_within_the_margin_doubles_nothing_and_needs_no_excuse(on: Stage) -> None:
    play, verdict = run(on, Storage(), interrupted(minutes=13))
    assert str(verdict) == "well", play.history()
    assert verdict.excused == []


def test_a_meeting_that_is_moved_to_the_next_minutes_between_two_sweeps_may_be_missed(on: Stage) -> None:
    moved = Happening(31, "moved", 1, to=40)
    scenario = replace(small(), acts=(Act(0, "allow", "clean_up"),), happenings=(moved,), sweep_every=60)
    play, verdict = run(on, Storage(), scenario)
    assert not verdict.missed, play.history()
    assert len(verdict.excused) == 1
    assert "it changed 9 minutes before its start" in verdict.excused[0]


def sent_back(*happenings: Happening) -> Scenario:
    """Return a move of a company whose own application schedules, sent back in the middle."""
    acts = (Act(0, "allow", "verify"), Act(10, "allow", "clean_up"), Act(20, "go_back"))
    return replace(
        small(), acts=acts, happenings=happenings, cut=None, external=True, webhooks=True, soak=40, sweep_every=30
    )


def test_of_a_calendar_that_falls_off_after_the_way_back_its_application_hears_nothing(on: Stage) -> None:
    fell_off = (
        Happening(60, "disconnect", person=0, region=SOURCE),
        Happening(63, "reconnect", person=0, region=SOURCE),
    )
    play, verdict = run(on, Storage(), sent_back(*fell_off))
    assert not verdict.bad, play.history()
    assert verdict.excused
    assert all("fell off in the source" in one for one in verdict.excused)


def test_a_move_that_was_sent_back_needs_no_excuse(on: Stage) -> None:
    play, verdict = run(on, Storage(), sent_back())
    assert not verdict.bad, play.history()
    assert verdict.excused == []
