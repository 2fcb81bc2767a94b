"""A calendar is deleted in the source only when nothing can be lost by it, whatever the provider turns out to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from calendars.leases import MachineNow
from calendars.models import Assignment, Connection, Intent
from calendars.providers.recall_endpoints import ADD_BOT, DELETE_CALENDAR, GET_CALENDAR
from migrations_app import control
from migrations_app.itineraries import Step
from migrations_app.models import BatchStatus, Finding, Item
from recallops.sandbox.meetings import GOOGLE
from tests.harness import OFFICE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE


def handed_over(**options: Any) -> Move:
    """Return a move that has handed everything over and rests before the delete."""
    move = quick(**options)
    move.allow(Step.HAND_OVER)
    move.run()
    assert {row.owner for row in Assignment.objects.select_related("owner")} == {move.target}
    return move


def left_in_source(move: Move) -> set[str]:
    """Return whose calendars the source still has."""
    return {calendar.account[1] for calendar in move.there.calendars.values() if calendar.account}


def bot_of(move: Move, title: str, region: str = TARGET) -> Any:
    """Return a region's scheduled bot of a meeting."""
    meeting = next(one for one in move.world.meetings.values() if one.title == title)
    return next(bot for bot in move.bots(region) if bot.meeting_url == meeting.url)


# -- the planted lie


@pytest.mark.parametrize("shown", [False, True], ids=["without a trace", "its event still names it"])
def test_a_bot_that_the_target_dropped_is_seen_before_the_delete_which_names_its_meeting(shown: bool) -> None:
    move = handed_over()
    lost = bot_of(move, f"{BEN} first")
    move.here.drop_bot(lost.id, shown=shown)
    # Nobody can mend it for a while, so that it is the delete that has to see it.
    no_bots = move.world.faults.add("status", status=507, region=TARGET, endpoint=ADD_BOT, times=None)
    move.allow(Step.CLEAN_UP)
    move.run_for(timedelta(hours=3))
    assert left_in_source(move) == {BEN}
    finding = Finding.objects.get(code__in=["delete_refused", "not_listed"], item__title=BEN, gone_at=None)
    assert finding.sentence.startswith("Refused: ")
    assert f"{lost.join_at:%Y-%m-%d %H:%M} UTC" in finding.sentence
    assert finding.assignment is not None
    assert finding.assignment.url == lost.meeting_url
    assert Item.objects.get(title=BEN).reason == finding.sentence
    if shown:
        assert move.heard("the provider does not have the bot", f"{lost.join_at:%Y-%m-%d %H:%M} UTC", "its event names")

    move.world.faults.clear(no_bots)
    move.run()
    assert move.batch.status == BatchStatus.CLOSED
    assert left_in_source(move) == set()
    assert not Finding.objects.filter(code__in=["delete_refused", "not_listed"], gone_at=None).exists()
    move.assert_proven()


def test_a_shared_bot_that_the_target_dropped_keeps_both_calendars() -> None:
    move = handed_over()
    move.here.drop_bot(bot_of(move, "all first").id)
    move.world.faults.add("status", status=507, region=TARGET, endpoint=ADD_BOT, times=None)
    move.allow(Step.CLEAN_UP)
    move.run_for(timedelta(hours=2))
    assert left_in_source(move) == {ADA, BEN}
    assert not [call for call in move.writes() if call[1] == "DELETE" and "/calendars/" in call[2]]


# -- what must have happened before


def test_nothing_is_deleted_before_the_name_is_typed() -> None:
    move = handed_over()
    for typed in ("", "mov", "us"):
        with pytest.raises(control.Refused, match="the batch's name"):
            control.set_goal(move.batch, Step.DELETE_OLD, actor=None, confirm=typed)
    move.run_for(timedelta(hours=8))
    assert left_in_source(move) == {ADA, BEN}


def test_a_calendar_stays_in_both_regions_until_its_soak_is_over() -> None:
    move = handed_over(soak=timedelta(hours=5))
    flipped = max(Assignment.objects.values_list("flipped_at", flat=True))
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: bool(len(left_in_source(move)) < 2))
    assert move.time.now() >= flipped + timedelta(hours=5)
    assert move.heard("left in both regions until")


def test_the_bots_of_a_calendar_are_taken_off_before_it_is_deleted() -> None:
    move = handed_over()
    move.allow(Step.CLEAN_UP)
    held: list[int] = []

    def look(number: int, request: Any) -> None:
        if request.method == "DELETE" and "/calendars/" in request.url.path:
            calendar = move.there.calendars[request.url.path.rstrip("/").rpartition("/")[2]]
            events = [move.there.events[pk] for pk in calendar.events.values()]
            held.append(sum(len(event.bots) for event in events))

    move.door.before = look
    move.run()
    assert held == [0, 0]


# -- the canary


def test_one_calendar_goes_first_and_the_others_wait_until_it_has_passed() -> None:
    move = handed_over(canary_wait=timedelta(minutes=10))
    move.allow(Step.CLEAN_UP)
    move.run(until=lambda: bool(len(left_in_source(move)) == 1))
    first = move.time.now()
    canary = Item.objects.get(canary=True)
    assert canary.title not in left_in_source(move)
    move.run_for(timedelta(minutes=9))
    assert len(left_in_source(move)) == 1
    assert move.heard("Waits for the first calendar of its kind", canary.title)
    move.run(until=lambda: not left_in_source(move))
    assert move.time.now() - first >= timedelta(minutes=10)


def test_a_provider_that_revokes_the_grant_with_the_delete_costs_one_calendar_and_not_all() -> None:
    move = handed_over(switches={"delete_revokes_grant": [GOOGLE]})
    move.allow(Step.CLEAN_UP)
    move.run_for(timedelta(hours=12))
    canary = Item.objects.get(canary=True)
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.STOPPED
    assert "could not use its grant any more" in move.batch.reason
    assert canary.title in move.batch.reason
    (other,) = set(OFFICE) - {canary.title}
    assert left_in_source(move) == {other}
    assert Finding.objects.filter(code="canary", gone_at=None, item=canary).exists()
    assert Connection.objects.get(workspace=move.target, calendar__email=other).status == "connected"
    proof = move.proof()
    assert proof.doubled == []
    assert {case.title for case in proof.missed} <= {f"{canary.title} first", f"{canary.title} second"}


# -- a delete whose answer was lost


def test_an_answer_that_comes_when_another_has_settled_it_opens_nothing_again() -> None:
    """A worker is frozen over its delete; another takes over, and deletes it."""
    move = handed_over()
    frozen: list[int] = []

    def freeze(number: int, request: httpx.Request) -> None:
        if request.method != "DELETE" or not request.url.path.startswith("/api/v2/calendars/"):
            return
        frozen.append(number)
        if len(frozen) == 2:  # the first is the canary, which is looked at again anyway
            Item.objects.filter(lease_until__isnull=False).update(lease_until=MachineNow() - timedelta(seconds=1))
            for _ in range(20):
                move.time.advance(timedelta(seconds=30))
                move.turn()
            move.world.faults.add("status", status=500, endpoint=GET_CALENDAR, times=3)  # and it cannot read it back

    move.door.before = freeze
    move.allow(Step.CLEAN_UP)
    move.run()
    assert len(frozen) == 3
    assert not Intent.objects.filter(state__in=Intent.OPEN).exists()
    assert left_in_source(move) == set()
    move.assert_proven(wanted=6)


@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_delete_without_an_answer_is_read_back_and_never_guessed(when: str) -> None:
    move = handed_over()
    move.world.faults.add("drop", when=when, endpoint=DELETE_CALENDAR, times=1, seconds=60.0)
    move.allow(Step.CLEAN_UP)
    move.run()
    assert move.heard("The answer to the delete was lost")
    assert left_in_source(move) == set()
    assert Intent.objects.filter(purpose=Intent.Purpose.DELETE_CALENDAR, state__in=Intent.OPEN).count() == 0
    move.assert_proven()


# -- what is not known about the vendor


@pytest.mark.parametrize(
    "switches",
    [
        {"remove_takes": "latest"},
        {"new_key": "adds"},
        {"delete_spares_shared": False},
        {"live_bots_spared": False},
        {"late_changes_applied": False},
        {"bot_change_touches_event": True},
        {"left_window": "kept"},
        {"svix_headers": True},
        {"certificate_echoed": True},
        {"revocation_lag": 3600.0},
    ],
    ids=lambda switches: next(f"{name}={value}" for name, value in switches.items()),
)
def test_the_move_holds_whichever_way_the_vendor_does_it(switches: dict[str, Any]) -> None:
    move = quick(switches=switches)
    move.finish()
    assert move.batch.status == BatchStatus.CLOSED, move.where()
    assert left_in_source(move) == set()
    move.assert_proven(wanted=6)
