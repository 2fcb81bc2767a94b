"""What a small batch costs: so many calls at each endpoint and not one more, and none while nothing changes."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest

from calendars.providers.recall_endpoints import (
    ACCESS_TOKEN,
    ADD_BOT,
    CREATE_CALENDAR,
    DELETE_CALENDAR,
    GET_CALENDAR,
    GET_EVENT,
    LIST_BOTS,
    LIST_CALENDARS,
    LIST_EVENTS,
    REMOVE_BOT,
)
from migrations_app import inventory
from migrations_app.itineraries import FORWARD, Step
from tests.harness import Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

CALENDARS, MEMBER_EVENTS = 2, 8  # two meetings of each, and two that they share

# Each call with its reason. No sweep falls into these two hours but the first of the target's changes.
NECESSARY = {
    Step.PREFLIGHT: {
        f"us {LIST_BOTS}": 1,  # the key opens the region
        f"eu {LIST_BOTS}": 1,
        f"us {LIST_CALENDARS}": 1,
        f"eu {LIST_CALENDARS}": 1,  # it is empty
        f"us {LIST_EVENTS}": 1,  # how the meetings lie around the cut line
    },
    Step.EXPORT: {
        f"us {LIST_EVENTS}": 2,  # all events; then the changes since, from now on
        f"eu {LIST_EVENTS}": 2,
        f"us {LIST_BOTS}": 1,  # their configurations
        f"eu {LIST_BOTS}": 1,
    },
    Step.RECREATE: {f"eu {CREATE_CALENDAR}": CALENDARS},
    Step.VERIFY: {
        f"eu {LIST_CALENDARS}": 1,  # both connected
        f"eu {LIST_EVENTS}": 1,
    },
    Step.HAND_OVER: {
        f"eu {ADD_BOT}": MEMBER_EVENTS,
        f"eu {GET_EVENT}": MEMBER_EVENTS,  # read back
        f"us {REMOVE_BOT}": MEMBER_EVENTS,
        f"us {GET_EVENT}": MEMBER_EVENTS,  # read back
    },
    Step.DELETE_OLD: {
        f"us {LIST_EVENTS}": 2 * CALENDARS,  # the hour's changes, and each calendar's full list
        f"eu {LIST_EVENTS}": 2 * CALENDARS,
        f"eu {LIST_BOTS}": 2,  # once for the canary; too old for the other
        f"us {DELETE_CALENDAR}": CALENDARS,
        f"us {GET_CALENDAR}": CALENDARS,  # gone
        f"eu {GET_CALENDAR}": 2,  # the canary: looked at, and again when its old token is over
        f"eu {ACCESS_TOKEN}": 3,  # before the delete, and at both looks
    },
    Step.CLEAN_UP: {f"us {LIST_EVENTS}": 1, f"eu {LIST_EVENTS}": 1},  # what changed since the last turn
}

ID = re.compile(r"/[0-9a-f]{8}-[0-9a-f-]{27}/")
SLUGS = {"us.sandbox.test": "us", "eu.sandbox.test": "eu"}


def made(move: Move, since: int = 0) -> Counter[str]:
    """Count the calls that went through the door, by workspace and endpoint."""
    return Counter(f"{SLUGS[host]} {method} {ID.sub('/{id}/', path)}" for host, method, path in move.door.made[since:])


def test_each_step_makes_the_calls_that_it_needs_and_no_other() -> None:
    move = quick()
    for step in FORWARD:
        before = move.door.calls
        move.allow(step)
        move.run()
        assert made(move, before) == NECESSARY[step], step
    move.assert_proven(wanted=6)
    counted = {endpoint: count for endpoint, count in inventory.calls(move.batch).items() if count}
    assert counted == made(move) == sum((Counter(calls) for calls in NECESSARY.values()), Counter())


def test_a_batch_that_rests_reads_and_never_writes() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    before = move.door.calls
    move.run_for(timedelta(hours=11))
    assert move.writes(before) == []
    sweeps = 12  # one an hour on each side, with the connections at every third, from three hours after their last
    assert made(move, before) == {
        f"us {LIST_EVENTS}": sweeps,
        f"eu {LIST_EVENTS}": sweeps,
        f"us {LIST_CALENDARS}": 3,
        f"eu {LIST_CALENDARS}": 3,
    }


def test_a_closed_batch_makes_no_call_at_all() -> None:
    move = quick()
    move.finish()
    before = move.door.calls
    move.run_for(timedelta(days=1))
    assert move.door.calls == before
