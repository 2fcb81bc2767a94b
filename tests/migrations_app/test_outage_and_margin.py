"""A meeting is doubled only when nothing could run for longer than the margin, between the two writes of its hand-over.

The table of docs/handover.md, twice: explored in the model, whatever the moment of the outage; and with the engine, at
the worst moment there is: the meeting's turn comes at the edge of freeze and margin, the outage begins when its bot was
added in the target, and the provider carries nothing out that comes less than ten minutes before a start.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import pytest
from django.db import connection

from calendars.leases import MachineNow
from calendars.models import Assignment, Verdict
from calendars.providers.connect import use_transport
from calendars.scheduling.rows import numbers_for
from calendars.scheduling.values import Numbers
from migrations_app.itineraries import Step
from tests.conftest import ROOT
from tests.harness import LEASED, Crash, Move, quick
from tests.scheduling.explorer import explore
from tests.scheduling.regions import TARGET, Setting, State, Wrong

MARGINS = (20, 30, 45)  # minutes; with the other numbers as they are, none is shorter than 20
OUTAGES = (0, 15, 20, 21, 30, 31, 45, 46, 60)
FREEZE = timedelta(minutes=10, seconds=20)  # ten minutes and a request's time-out
WITH_THE_ENGINE = [(20, 0), (20, 20), (20, 21), (20, 60), (30, 21), (30, 30), (30, 31), (45, 31), (45, 45), (45, 46)]


BACK: dict[str, Any] = {"owner": TARGET, "backwards": True}


@cache
def doubled_in_the_model(margin: int, outage: int, *, back: bool = False) -> bool:
    """Whether an outage of so many minutes can double a meeting, at whatever moment it begins."""
    numbers = Numbers(freeze=FREEZE, margin=timedelta(minutes=margin), patience=timedelta(0))
    near = margin + 11
    setting = Setting(
        kinds=frozenset({"outage"} if outage else ()), start=near + 1, ordered_at=1, numbers=numbers, frozen=10
    )
    found = explore(replace(setting, outage=outage, **(BACK if back else {})), judge=twice)
    assert not found.wrong, str(found)
    return bool(found.excused)


def twice(state: State, setting: Setting) -> str:
    count = len(state.fitting(setting.start))
    if count == 0:
        raise Wrong("missed")
    return "doubled" if count == 2 else ""


def doubled_by_the_engine(margin: int, outage: int) -> bool:
    """Whether the attendance log shows two bots in the meeting that was caught between its two writes."""
    move = quick(people=("ada@northwind.example",), cut=timedelta(0), switches={"late_changes_applied": False})
    for workspace in (move.source, move.target):
        workspace.margin = timedelta(minutes=margin)
        workspace.save()
    meeting = move.meet("at the edge", 3, "ada@northwind.example")
    move.allow(Step.VERIFY)
    move.run()
    numbers = numbers_for([move.source, move.target])
    assert numbers.margin == timedelta(minutes=margin)
    move.time.at = meeting.start - numbers.near - timedelta(seconds=1)
    move.allow(Step.HAND_OVER)
    stop_after_the_add(move)
    assert meeting.start in [bot.join_at for bot in move.bots("eu-central-1")]
    move.time.at += timedelta(minutes=outage)
    use_transport(move.door)
    let_leases_run_out()
    move.turn()
    seen = Assignment.objects.get(start=meeting.start).verdict == Verdict.DOUBLED
    move.run(until=lambda: move.time.now() > meeting.end)
    proof = move.proof()
    assert proof.missed == []
    assert proof.unaccounted == 0
    assert all(case.title == "at the edge" for case in proof.doubled)
    assert seen == bool(proof.doubled)  # the ledger shows what is doubled, and nothing else as doubled
    return bool(proof.doubled)


def stop_after_the_add(move: Move) -> None:
    """Run until the target has carried out the first bot, and die: not even the answer is stored."""
    dead = False

    def die(number: int, request: httpx.Request) -> None:
        nonlocal dead
        there = request.url.host == "eu.sandbox.test"
        if there and request.method == "POST" and request.url.path.endswith("/bot/"):
            dead = True
            raise Crash

    def guard(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if dead:
            raise Crash
        return execute(sql, params, many, context)

    move.door.after = die
    with pytest.raises(Crash), connection.execute_wrapper(guard):
        move.run()
    move.door.after = None


def let_leases_run_out() -> None:
    """Let machine time pass: what the dead process held is free again."""
    for model in LEASED:
        model.objects.exclude(lease_until=None).update(lease_until=MachineNow() - timedelta(seconds=1))


def test_the_documented_table_is_what_the_model_finds() -> None:
    document = (ROOT / "docs/handover.md").read_text()
    head, *rows = re.findall(r"^\| (?:margin|\d+ min) \|.*$", document, re.MULTILINE)
    assert [int(cell) for cell in re.findall(r"\d+", head)] == list(OUTAGES)
    expected = [[doubled_in_the_model(margin, outage) for outage in OUTAGES] for margin in MARGINS]
    assert [re.findall(r"\d+", row)[0] for row in rows] == [str(margin) for margin in MARGINS]
    assert [[word == "doubled" for word in re.findall(r"doubled|no", row)] for row in rows] == expected


@pytest.mark.parametrize("margin", MARGINS)
def test_the_way_back_has_the_same_table(margin: int) -> None:
    assert not doubled_in_the_model(margin, margin, back=True)
    assert doubled_in_the_model(margin, margin + 1, back=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("margin", "outage"), WITH_THE_ENGINE)
def test_the_engine_doubles_a_meeting_where_the_model_says_so_and_nowhere_else(margin: int, outage: int) -> None:
    assert doubled_by_the_engine(margin, outage) == doubled_in_the_model(margin, outage)
