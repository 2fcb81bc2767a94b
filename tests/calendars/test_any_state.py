"""From any state, two passes make the bots what policies and events say, and a third one writes nothing."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from calendars import assignments, sync
from calendars.models import Assignment, Calendar, Sweep
from calendars.providers.recall_endpoints import ADD_BOT, REMOVE_BOT
from recallops.sandbox.records import SCHEDULED
from tests.harness import SOURCE
from tests.standing import ADA, BEN, CAT, OUTSIDER, Stand

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = (ADA, BEN, CAT)
QUARTER = timedelta(minutes=15)
LINKS = tuple(f"https://meet.google.com/abc-defg-hi{letter}" for letter in "jklm")
FAULTS: dict[str, dict[str, Any]] = {
    "lost before it was carried out": {"kind": "drop", "when": "before"},
    "lost after it was carried out": {"kind": "drop", "when": "after"},
    "refused": {"kind": "status", "status": 503},
    "conflict": {"kind": "status", "status": 409},
    "no bots": {"kind": "status", "status": 507},
}
people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True)
slots = st.integers(min_value=0, max_value=40)
numbers = st.integers(min_value=0, max_value=1000)


class World(RuleBasedStateMachine):
    """What people, the company's application and the network may do to a workspace, in any order."""

    stand: Stand

    @initialize(scheme=st.sampled_from(("as_found", "all", "domain")))
    def begin(self, scheme: str) -> None:
        """Three people, nothing in their calendars."""
        self.stand = Stand(people=PEOPLE, batches=0)
        self.stand.keep(dedup_scheme=scheme)
        self.stand.settle()
        self.which = "as_found"
        self.set_policy("all")

    # -- what may happen

    @rule(who=people, slot=slots, link=st.sampled_from((*LINKS, None)), outside=st.booleans(), bot=st.booleans())
    def meet(self, who: list[str], slot: int, link: str | None, outside: bool, bot: bool) -> None:
        """Somebody makes a meeting; the company's application may put a bot on it."""
        hours = (self.at(slot) - self.stand.start) / timedelta(hours=1)
        attendees = {OUTSIDER: "accepted"} if outside else {}
        self.stand.meet("meeting", hours, *who, bot=bot and link is not None, url=link, attendees=attendees)

    @precondition(lambda self: self.stand.world.meetings)
    @rule(number=numbers, slot=slots)
    def move(self, number: int, slot: int) -> None:
        """A meeting is moved."""
        self.stand.world.move(self.meeting(number), self.at(slot))

    @precondition(lambda self: self.stand.world.meetings)
    @rule(number=numbers, what=st.sampled_from(("cancel", "decline", "accept", "relink", "unlink")))
    def change(self, number: int, what: str) -> None:
        """Something else happens to a meeting."""
        meeting, world = self.meeting(number), self.stand.world
        someone = sorted(meeting.copies)[number % len(meeting.copies)][1]
        if what == "cancel":
            world.cancel(meeting)
        elif what in ("decline", "accept"):
            world.respond(meeting, someone, {"decline": "declined", "accept": "accepted"}[what])
        else:
            world.change_url(meeting, LINKS[number % len(LINKS)] if what == "relink" else None)

    @precondition(lambda self: self.stand.bots(SOURCE))
    @rule(number=numbers)
    def lose_a_bot(self, number: int) -> None:
        """The provider loses a bot."""
        bots = sorted(self.stand.bots(SOURCE), key=lambda bot: bot.join_at)
        self.stand.there.drop_bot(bots[number % len(bots)].id)

    @rule(email=st.sampled_from(PEOPLE))
    def fall_off_or_come_back(self, email: str) -> None:
        """A calendar is disconnected, or connected again."""
        calendar = self.stand.calendar(email)
        if calendar.status == "connected":
            self.stand.there.disconnect(calendar.id)
        else:
            self.stand.there.change_calendar(calendar.id, {})

    @rule(which=st.sampled_from(("all", "external", "internal", "manual")))
    def set_policy(self, which: str) -> None:
        """Staff choose another policy."""
        self.which = which
        self.stand.policy(which)

    @rule(name=st.sampled_from(("Scribe", "Minutes")))
    def set_profile(self, name: str) -> None:
        """Staff edit the bot profile."""
        self.stand.profile(bot_name=name)

    @rule(
        kind=st.sampled_from(sorted(FAULTS)),
        endpoint=st.sampled_from((ADD_BOT, REMOVE_BOT)),
    )
    def trouble(self, kind: str, endpoint: str) -> None:
        """The next write of a kind does not go well."""
        self.stand.world.faults.add(endpoint=endpoint, **FAULTS[kind])

    @rule()
    def some_passes_of_time(self) -> None:
        """We go on working for a while."""
        self.stand.run_for(timedelta(minutes=4))

    # -- what must hold

    def teardown(self) -> None:
        """Let two passes go over it, and look; then nothing more is written."""
        try:
            if hasattr(self, "stand"):
                self.stand.world.faults.clear()
                self.one_pass()
                self.one_pass()
                wanted, doubtful = self.wanted()
                assert {one: n for one, n in self.bots().items() if one not in doubtful} == wanted, self.stand.where()
                calls = self.stand.door.calls
                self.one_pass()
                assert self.stand.writes(calls) == []
        finally:
            call_command("flush", interactive=False, verbosity=0)

    def one_pass(self) -> None:
        """Read everything, and look at every meeting once it is read."""
        self.stand.run_for(timedelta(minutes=1))  # regions follow their accounts after some seconds
        for kind in (Sweep.Kind.CALENDARS, Sweep.Kind.EVENTS):
            assert sync.run_sweep(sync.open_sweep(self.stand.source, kind), seconds=60)
        assignments.wake(Assignment.objects.values_list("pk", flat=True))
        self.stand.run_for(timedelta(minutes=3))

    def bots(self) -> dict[tuple[datetime, str], int]:
        """Return what the scheduled bots wait for."""
        there = self.stand.there.bots.values()
        return Counter((bot.join_at, bot.meeting_url) for bot in there if bot.status == SCHEDULED)

    def wanted(self) -> tuple[dict[tuple[datetime, str], int], set[tuple[datetime, str]]]:
        """Return what they should wait for: everybody is of one domain, so each start and link has one.

        Where nobody who wants it is connected, a bot that somebody else's event holds may stay.
        """
        wanted, doubtful = set(), set()
        for meeting in self.stand.world.meetings.values():
            outside = OUTSIDER in meeting.attendees
            fits = {"all": True, "external": outside, "internal": not outside, "manual": False}[self.which]
            if not fits or not meeting.url or meeting.cancelled:
                continue
            for _, email in meeting.copies:
                if meeting.attendees[email] != "declined":
                    connected = self.stand.calendar(email).status == "connected"
                    (wanted if connected else doubtful).add((meeting.start, meeting.url))
        return dict.fromkeys(wanted, 1), doubtful - wanted

    def at(self, slot: int) -> datetime:
        """Return one of some starts that are hours away, whatever has happened."""
        return self.stand.start + timedelta(hours=12) + slot % 6 * QUARTER

    def meeting(self, number: int) -> Any:
        """Pick a meeting."""
        meetings = list(self.stand.world.meetings.values())
        return meetings[number % len(meetings)]


@pytest.mark.parametrize("examples", [12, pytest.param(40, marks=pytest.mark.thorough)])
def test_two_passes_make_it_right_from_any_state_and_a_third_writes_nothing(examples: int) -> None:
    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert not Calendar.objects.exists()
