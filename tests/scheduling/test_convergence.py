"""Whatever goes wrong, a meeting ends with exactly one bot: production's `decide`, explored in a model of two regions.

docs/handover.md (11) tells what the model knows and what it does not; test_model.py has its larger worlds.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.scheduling.decide import decide
from calendars.scheduling.values import Act, Action, Purpose, Row
from tests.scheduling.explorer import Found, explore
from tests.scheduling.promises import exactly_one_bot
from tests.scheduling.regions import NEAR, NUMBERS, Setting, State
from tests.scheduling.worker import by_the_table

ALONE = (
    "loss",
    "crash",
    "refusal",
    "outage",
    "restore",
    "reverse",
    "pause",
    "lose bot",
    "foreign bot",
    "move",
    "cancel",
    "disconnect",
    "frozen",
)
LATEST = Setting().start - NEAR  # the last tick at which a hand-over may begin
NORMAL = by_the_table(Setting())


def explored(
    *kinds: str, faults: int = 1, mind: Callable[[Row, datetime], Action] | None = None, **changes: object
) -> Found:
    setting = replace(Setting(faults=faults, kinds=frozenset(kinds)), **changes)  # type: ignore[arg-type]
    return explore(setting, judge=exactly_one_bot, mind=mind)


# --- what holds


@pytest.mark.parametrize("calendars", [1, 2])
def test_without_faults_a_meeting_moves_with_six_steps_and_ends_with_one_bot_in_the_target(calendars: int) -> None:
    seen: list[Act] = []

    def noting(row: Row, now: datetime) -> Action:
        action = NORMAL(row, now)
        seen.append(action.act)
        return action

    found = explored(mind=noting, calendars=calendars)
    steps = [act for act, before in zip(seen[1:], seen, strict=False) if act is not before or act is not Act.WAIT]
    assert not found.wrong, str(found)
    assert seen[0] is Act.ADD
    assert steps[:5] == [Act.READ, Act.FLIP, Act.REMOVE, Act.READ, Act.WAIT]


@pytest.mark.parametrize("ordered_at", [0, LATEST])
@pytest.mark.parametrize("kind", ALONE)
def test_after_any_one_fault_at_any_moment_there_is_exactly_one_bot(kind: str, ordered_at: int) -> None:
    found = explored(kind, ordered_at=ordered_at)
    assert not found.wrong, str(found)
    assert found.ends


@pytest.mark.parametrize(
    "kind", ["loss", "outage", "restore", "reverse", "pause", "lose bot", "foreign bot", "cancel", "disconnect"]
)
def test_a_meeting_of_two_calendars_survives_one_fault_as_well(kind: str) -> None:
    found = explored(kind, calendars=2, ordered_at=3)
    assert not found.wrong, str(found)


@pytest.mark.parametrize("kind", ["loss", "move", "foreign bot"])
def test_it_does_not_matter_whether_a_new_key_replaces_the_old_bot(kind: str) -> None:
    found = explored(kind, replaces=False, ordered_at=3)
    assert not found.wrong, str(found)


@pytest.mark.parametrize(
    "kinds",
    [("loss",), ("loss", "outage"), ("loss", "reverse"), ("loss", "pause"), ("loss", "restore"), ("outage", "reverse")],
    ids=" and ".join,
)
def test_two_faults_of_our_own_side_never_miss_and_never_double(kinds: tuple[str, ...]) -> None:
    found = explored(*kinds, faults=2, ordered_at=LATEST - 1)
    assert not found.wrong, str(found)
    assert not found.excused


def test_three_lost_writes_at_the_last_moment_are_survived() -> None:
    found = explored("loss", faults=3, ordered_at=LATEST)
    assert not found.wrong, str(found)
    assert not found.excused


@settings(max_examples=60, deadline=None, print_blob=True)
@given(seed=st.integers(min_value=0, max_value=2**32), calendars=st.sampled_from([1, 2]), replaces=st.booleans())
def test_four_faults_at_random_end_with_exactly_one_bot(seed: int, calendars: int, replaces: bool) -> None:
    dice = random.Random(seed)
    setting = Setting(
        faults=4,
        kinds=frozenset({"loss", "outage", "restore", "reverse", "pause", "lose bot", "foreign bot", "move", "cancel"}),
        calendars=calendars,
        replaces=replaces,
        ordered_at=dice.randrange(LATEST + 1),
    )

    def one_of(following: list[tuple[str, State]]) -> list[tuple[str, State]]:
        return [dice.choice(following)] if dice.random() < 0.1 else following[:1]

    found = explore(setting, judge=exactly_one_bot, choose=one_of)
    assert not found.wrong, f"seed {seed}\n{found}"


# --- planted mistakes: each must be found, and said so that a person can follow


def remove_before_add(row: Row, now: datetime) -> Action:
    action = NORMAL(row, now)
    if action.act is Act.ADD and action.reason == "handing over":
        bots = tuple(entry.bot_id for member in row.owner.members for entry in member.bots)
        events = tuple(member.event for member in row.owner.members)
        return Action(Act.REMOVE, "planted", workspace=row.owner.workspace, events=events, bots=bots)
    return action


def ignore_open_intents(row: Row, now: datetime) -> Action:
    bare = replace(row, owner=replace(row.owner, intents=()))
    if row.other is not None:
        bare = replace(bare, other=replace(row.other, intents=()))
    return NORMAL(bare, now)


def ignore_the_freeze(row: Row, now: datetime) -> Action:
    return decide(row, now=now, numbers=replace(NUMBERS, freeze=timedelta(0), margin=timedelta(0)))


def stop_everything_when_paused(row: Row, now: datetime) -> Action:
    action = NORMAL(row, now)
    if row.hold and action.act in (Act.FLIP, Act.REMOVE):
        return Action(Act.WAIT, "planted", until=row.start)
    return action


def never_look_again(row: Row, now: datetime) -> Action:
    action = NORMAL(row, now)
    if action.act is Act.READ and action.reason == "reading before: covered":
        return Action(Act.WAIT, "planted", until=row.start)
    return action


def never_leave_an_owner_that_cannot(row: Row, now: datetime) -> Action:
    action = NORMAL(row, now)
    if action.act is Act.FLIP and "cannot carry" in action.reason:
        return Action(Act.WAIT, "planted", until=row.start)
    return action


def forget_the_other_side(row: Row, now: datetime) -> Action:
    action = NORMAL(row, now)
    if action.act is Act.REMOVE and action.reason == "the other region owns it":
        return Action(Act.WAIT, "planted", until=row.start)
    return action


def readable(found: Found, wrong: str) -> None:
    """A counter-example tells what is wrong, and how it came to that in the order of time."""
    sys.stdout.write(f"{found}\n")  # seen with -s, or when this fails
    assert wrong in found.wrong
    ticks = [int(line.split()[0]) for line in found.trace]
    assert len(ticks) > 1
    assert all(earlier <= later for earlier, later in pairwise(ticks))


@pytest.mark.parametrize(
    ("mistake", "kinds", "faults", "ordered_at", "wrong"),
    [
        (remove_before_add, (), 0, 0, "a removal of ours took the last bot"),
        (ignore_open_intents, ("loss", "reverse"), 2, 3, "a removal of ours took the last bot"),
        (ignore_the_freeze, (), 0, LATEST + NEAR - 1, "doubled"),
        (stop_everything_when_paused, ("pause",), 1, 3, "doubled"),
        (never_look_again, ("lose bot",), 1, 3, "missed"),
        (never_leave_an_owner_that_cannot, ("disconnect",), 1, 3, "missed"),
        (forget_the_other_side, (), 0, 3, "doubled"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_mistake_is_found(
    mistake: Callable[[Row, datetime], Action], kinds: tuple[str, ...], faults: int, ordered_at: int, wrong: str
) -> None:
    readable(explored(*kinds, faults=faults, mind=mistake, ordered_at=ordered_at), wrong)


def test_believing_a_write_without_reading_it_back_is_found() -> None:
    readable(explored("loss", optimistic=True), "a removal of ours took the last bot")


def test_handing_over_while_the_regions_do_not_agree_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calendars.scheduling.decide.agree", lambda row: True)
    readable(explored("move"), "the owner went to a region that shows the meeting otherwise")


def test_the_model_knows_both_kinds_of_open_writes() -> None:
    seen: set[Purpose] = set()

    def noting(row: Row, now: datetime) -> Action:
        seen.update(intent.purpose for side in (row.owner, row.other) if side for intent in side.intents)
        return NORMAL(row, now)

    explored("loss", mind=noting)
    assert seen == set(Purpose)
