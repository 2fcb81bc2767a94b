"""Crashes at every commit, workers that freeze, webhooks in any order, and the way back: the model's larger worlds.

Each world is explored to its end. `python -m tests.scheduling.whole_model` explores larger ones, which take minutes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from calendars.scheduling.decide import decide
from calendars.scheduling.ownership import Order, wish
from calendars.scheduling.values import Act, Action, Row
from tests.conftest import ROOT
from tests.scheduling.explorer import Found, explore
from tests.scheduling.faults import WEBHOOKS
from tests.scheduling.promises import exactly_one_bot
from tests.scheduling.regions import NEAR, NUMBERS, SOURCE, TARGET, Setting
from tests.scheduling.worker import Decide, by_the_table

LATEST = Setting().start - NEAR  # the last tick at which a hand-over may begin
FORWARDS: dict[str, Any] = {}
BACKWARDS: dict[str, Any] = {"owner": TARGET, "backwards": True}
BOTH_WAYS = pytest.mark.parametrize("way", [FORWARDS, BACKWARDS], ids=["forwards", "backwards"])
TABLE = by_the_table(Setting())


def explored(*kinds: str, mind: Decide | None = None, **changes: Any) -> Found:
    setting = replace(Setting(kinds=frozenset(kinds)), **changes)
    found = explore(setting, judge=exactly_one_bot, mind=mind)
    if mind is None:
        assert not found.wrong, str(found)
        assert found.ends
    return found


# --- what holds, there and back


@BOTH_WAYS
@pytest.mark.parametrize(
    "kinds",
    [
        ("crash", "crash"),
        ("crash", "loss"),
        ("crash", "outage"),
        ("crash", "refusal"),
        ("crash", "reverse"),
        ("reverse", "reverse"),
    ],
    ids=" and ".join,
)
def test_whatever_dies_between_whichever_commits_nothing_is_missed_or_doubled(
    kinds: tuple[str, ...], way: dict[str, Any]
) -> None:
    found = explored(*kinds, faults=2, ordered_at=LATEST - 2, **way)
    assert not found.excused


@BOTH_WAYS
def test_three_crashes_at_the_last_moment_are_survived(way: dict[str, Any]) -> None:
    assert not explored("crash", faults=3, ordered_at=LATEST, **way).excused


@BOTH_WAYS
@pytest.mark.parametrize("other", ["reverse", "crash"])
def test_a_worker_frozen_past_its_lease_costs_a_meeting_only_if_it_goes_on_after_the_last_look(
    other: str, way: dict[str, Any]
) -> None:
    found = explored("frozen", other, faults=2, ordered_at=LATEST - 1, **way)
    assert set(found.excused) <= {"doubled: late write", "missed: late write"}
    assert explored("frozen", ordered_at=3, **way).excused == {}  # alone it costs nothing


@BOTH_WAYS
def test_webhooks_may_be_lost_doubled_late_or_overtaken(way: dict[str, Any]) -> None:
    found = explored("move", "cancel", webhooks=tuple(WEBHOOKS), ordered_at=LATEST, **way)
    assert set(found.excused) <= {"missed: move", "left over: cancel"}


@BOTH_WAYS
def test_a_moved_meeting_may_be_worked_on_by_two_workers_at_once(way: dict[str, Any]) -> None:
    assert set(explored("move", workers=2, ordered_at=LATEST, **way).excused) <= {"missed: move"}


@BOTH_WAYS
def test_a_meeting_may_move_over_the_cut_line(way: dict[str, Any]) -> None:
    assert set(explored("move", cut=Setting().start, ordered_at=4, **way).excused) <= {"missed: move"}


@BOTH_WAYS
@pytest.mark.parametrize("kinds", [("crash", "reverse one"), ("reverse", "reverse one")])
def test_two_calendars_share_a_meeting_and_one_or_both_of_their_batches_go_back(
    kinds: tuple[str, ...], way: dict[str, Any]
) -> None:
    assert not explored(*kinds, calendars=2, faults=2, ordered_at=LATEST - 1, **way).excused


@BOTH_WAYS
def test_a_calendar_that_is_made_anew_takes_its_meetings_whenever_it_connects(way: dict[str, Any]) -> None:
    place = SOURCE if way else TARGET
    found = explored("connect", "crash", missing=frozenset({(place, 1)}), faults=2, ordered_at=5, **way)
    assert not found.excused


# --- both planted orders, and the mistakes that an earlier checker did not find


def remove_before_add(row: Row, now: datetime) -> Action:
    action = TABLE(row, now)
    if action.act is Act.ADD and action.reason == "handing over":
        bots = tuple(entry.bot_id for member in row.owner.members for entry in member.bots)
        events = tuple(member.event for member in row.owner.members)
        return Action(Act.REMOVE, "planted: first here, then there", row.owner.workspace, events=events, bots=bots)
    return action


def remove_on_old_readings(row: Row, now: datetime) -> Action:
    action = TABLE(row, now)
    if action.act is Act.READ and action.reason.startswith("reading before"):
        hour = timedelta(hours=1)
        old = decide(row, now=now, numbers=replace(NUMBERS, age_for_write=hour, age_near_start=hour))
        return old if old.act is Act.REMOVE else action
    return action


def leave_duplicates(row: Row, now: datetime) -> Action:
    action = TABLE(row, now)
    if action.act is Act.REMOVE and action.reason == "a second bot in one workspace":
        return Action(Act.WAIT, "planted", until=row.start)
    return action


@pytest.mark.parametrize(("way", "name"), [(FORWARDS, "forwards"), (BACKWARDS, "backwards")], ids=["there", "back"])
def test_removing_before_adding_gives_a_trace_that_the_documents_show(way: dict[str, Any], name: str) -> None:
    found = explored(mind=remove_before_add, ordered_at=LATEST - 1, **way)
    assert found.wrong == "a removal of ours took the last bot"
    document = (ROOT / "docs/handover.md").read_text()
    (shown,) = re.findall(rf"```trace {name}\n(.*?)```", document, re.DOTALL)
    assert f"{found}\n" == shown


def test_a_removal_without_a_fresh_reading_is_found() -> None:
    found = explored("outage", "lose bot", faults=2, mind=remove_on_old_readings)
    assert found.wrong == "a removal of ours took the last bot"


def test_a_second_bot_that_is_left_in_a_workspace_is_found() -> None:
    assert "doubled" in explored("foreign bot", mind=leave_duplicates).wrong


def test_a_target_that_does_not_keep_what_moves_back_over_the_cut_line_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_latch(*, owner: int, start: datetime, order: Order, in_source: bool, in_target: bool) -> int:
        asked = SOURCE if owner == TARGET and not order.backwards else owner
        return wish(owner=asked, start=start, order=order, in_source=in_source, in_target=in_target)

    monkeypatch.setattr("tests.scheduling.loading.wish", without_latch)
    found = explored("move", cut=Setting().start - 2, mind=TABLE)
    assert found.wrong == "a bot of the source was put into a meeting that the target owns"
