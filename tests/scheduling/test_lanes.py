"""Some of a driver's threads may write at one endpoint at a time, so that others are at another one."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import pytest

from calendars.scheduling import lanes
from calendars.scheduling.lanes import FEW, Lane, Lanes, lane_of
from calendars.scheduling.values import Act, Action

ADDING: Lane = (1, Act.ADD)
REMOVING: Lane = (2, Act.REMOVE)


def nothing() -> None:
    """Nobody has to look after a lease here."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PATIENCE", 0.001)


def test_who_finds_a_lane_free_does_not_wait() -> None:
    roads = Lanes()
    with roads.taken(ADDING, width=1, while_waiting=nothing) as waited:
        assert not waited


def test_one_more_than_a_lane_is_wide_waits_until_somebody_leaves_it() -> None:
    roads, waiting, entered = Lanes(), Event(), Event()
    found: list[bool] = []

    def third() -> None:
        with roads.taken(ADDING, width=2, while_waiting=waiting.set) as waited:
            found.append(waited)
            entered.set()

    with roads.taken(ADDING, width=2, while_waiting=nothing):
        with roads.taken(ADDING, width=2, while_waiting=nothing):
            thread = Thread(target=third)
            thread.start()
            assert waiting.wait(20)
            assert not entered.is_set()
            assert roads.crowded()
        assert entered.wait(20)
    thread.join()
    assert not roads.crowded()
    assert found == [True], "it is told, so that it looks again at what it had decided"


def test_removing_is_another_lane_than_adding() -> None:
    roads = Lanes()
    with (
        roads.taken(ADDING, width=1, while_waiting=nothing),
        roads.taken(REMOVING, width=1, while_waiting=nothing) as waited,
        roads.taken((2, Act.ADD), width=1, while_waiting=nothing) as elsewhere,
    ):
        assert (waited, elsewhere) == (False, False)


def test_who_gives_up_while_it_waits_takes_no_room() -> None:
    roads = Lanes()

    def give_up() -> None:
        raise RuntimeError("the lease is lost")

    with roads.taken(ADDING, width=1, while_waiting=nothing), pytest.raises(RuntimeError):
        enter(roads, give_up)
    with roads.taken(ADDING, width=1, while_waiting=nothing) as waited:
        assert not waited


def enter(roads: Lanes, while_waiting: Any) -> None:
    with roads.taken(ADDING, width=1, while_waiting=while_waiting):
        raise AssertionError("there was no room")


def test_an_error_inside_gives_the_lane_back() -> None:
    roads = Lanes()
    with pytest.raises(ZeroDivisionError), roads.taken(ADDING, width=1, while_waiting=nothing):
        raise ZeroDivisionError
    with roads.taken(ADDING, width=1, while_waiting=nothing) as waited:
        assert not waited


def test_a_single_thread_has_a_lane_all_the_same() -> None:
    with Lanes().taken(ADDING, width=0, while_waiting=nothing) as waited:
        assert not waited


def write(act: Act, workspace: int) -> Action:
    return Action(act, "", workspace=workspace)


def test_few_writes_take_no_lane() -> None:
    assert lane_of([write(Act.ADD, 1)] * FEW + [write(Act.FLIP, 1)] * 30) is None


def test_many_writes_take_the_lane_of_most_of_them() -> None:
    assert lane_of([write(Act.ADD, 1)] * FEW + [write(Act.REMOVE, 2)] * 30) == REMOVING


def test_a_lane_is_as_wide_as_writes_are_slow() -> None:
    roads = Lanes()
    before = roads.width(ADDING, every=0.25)
    for _ in range(100):
        roads.took(ADDING, 1.0)
    assert (before, roads.width(ADDING, every=0.25)) == (1, 4)
    assert roads.width(REMOVING, every=0.25) == 1, "of another lane nothing is known yet"


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_lane_that_is_full_does_not_become_wider(threads: int) -> None:
    roads = Lanes()
    for _ in range(100):
        roads.took(ADDING, threads * 0.25)  # as long as each waits for its slot
    assert roads.width(ADDING, every=0.25) == threads
