"""Mistakes on purpose, each switched on by a test only: the simulation is worth what it finds.

To add one: write how to plant it, name it in `PLANTED`, and say in which runs it may show (docs/simulation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest import mock

from django.db.models import Q

from calendars import leases
from calendars import tasks as calendar_tasks
from calendars.models import Event, Intent
from calendars.providers import http
from calendars.providers.recall import RecallClient
from calendars.scheduling import decide, reconcile
from calendars.scheduling.values import Act, Action
from calendars.scheduling.writes import Writer
from migrations_app import inventory
from migrations_app.steps import delete_old
from recallops import clock
from recallops.prepared import prepared
from recallops.sandbox.bots import Bots
from recallops.sandbox.events import Events
from recallops.sandbox.meetings import GOOGLE
from tests.harness import TARGET
from tests.simulation.scenario import HOUR, Happening, Planned, Scenario, Strike, link, small
from tests.simulation.scenario import Act as StaffAct

NO_TIME = timedelta(0)
ALL_AT_ONCE = (StaffAct(0, "allow", "clean_up"),)


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake: how to plant it, and scenarios in which it may show, the most likely first."""

    name: str
    plant: Callable[[], AbstractContextManager[Any]]
    scenarios: Callable[[], Iterator[Scenario]]


# -- where they may show


def _plain() -> Iterator[Scenario]:
    yield replace(small(), acts=ALL_AT_ONCE)


def _paged() -> Iterator[Scenario]:
    yield replace(small(), acts=ALL_AT_ONCE, page_size=3)


def _struck(kind: str, calls: range, **details: Any) -> Callable[[], Iterator[Scenario]]:
    def scenarios() -> Iterator[Scenario]:
        for call in calls:
            yield replace(small(), acts=ALL_AT_ONCE, strikes=(Strike(call, kind, details),))

    return scenarios


def _asleep(seconds: float) -> Callable[[], Iterator[Scenario]]:
    return _struck("asleep_after", range(17, 44), seconds=seconds)


def _vanishing() -> Iterator[Scenario]:
    for call in range(28, 16, -1):
        yield replace(small(), acts=ALL_AT_ONCE, strikes=(Strike(call, "vanish"),))


def _bot_lost_before_the_last_look() -> Iterator[Scenario]:
    """A meeting of the target loses its bot there, without a word, while both sides are kept."""
    for at in (100, 110, 120):
        lost = Happening(at, "bot_lost", len(small().meetings) - 1, region=TARGET)
        yield replace(small(), acts=ALL_AT_ONCE, happenings=(lost,), soak=5 * HOUR)


def _soon() -> Iterator[Scenario]:
    """Meetings start while they could be handed over; what is removed too late joins all the same."""
    people, plain = small().people, small().meetings
    for first in (5, 4, 8):
        near = tuple(Planned(f"near {n}", first + 3 * n, 30, (n,), link(20 + n)) for n in range(3))
        yield Scenario(
            1,
            people,
            plain[:3] + near,
            acts=ALL_AT_ONCE,
            sweep_every=60,
            cut=0,
            switches={"late_changes_applied": False},
        )


def _revoking() -> Iterator[Scenario]:
    yield replace(small(), acts=ALL_AT_ONCE, switches={"delete_revokes_grant": [GOOGLE]})


# -- mistakes of the engine


def _fitting(row: Any) -> list[tuple[int, str]]:
    return [
        (member.event, entry.bot_id)
        for member in row.owner.members
        for entry in member.bots
        if entry.start == row.start and entry.url == row.url
    ]


def _remove_before_add() -> AbstractContextManager[Any]:
    true = decide.decide

    def wrong(row: Any, **more: Any) -> Action:
        action = true(row, **more)
        if action.act is Act.ADD and action.reason == "handing over" and (held := _fitting(row)):
            events, bots = tuple(event for event, _ in held), tuple({bot for _, bot in held})
            return Action(Act.REMOVE, "handing over", workspace=row.owner.workspace, events=events, bots=bots)
        return action

    return mock.patch.object(reconcile, "decide", wrong)


def _no_read_back() -> AbstractContextManager[Any]:
    true = Writer._send

    def wrong(self: Any, intent: Intent, one: Any, call: Any) -> None:
        true(self, intent, one, call)
        if intent.purpose == Intent.Purpose.ADD_BOT:
            entry = {"bot_id": f"believed-{one.row.assignment}", "start": one.row.start.isoformat()}
            entry |= {"key": one.assignment.keys[str(intent.workspace_id)], "url": one.row.url}
            Event.objects.filter(pk=intent.event_id).update(bots=[entry], read_begun_at=clock.now())

    return mock.patch.object(Writer, "_send", wrong)


def _no_fence() -> AbstractContextManager[Any]:
    return mock.patch.object(Writer, "hold_lease")


@contextmanager
def _lease_ignored() -> Iterator[None]:
    leases._made_once.cache_clear()
    anew = prepared(calendar_tasks._waiting._make)
    try:
        with (
            mock.patch.object(leases, "free", Q),
            mock.patch.object(calendar_tasks, "free", Q),
            mock.patch.object(calendar_tasks, "_waiting", anew),
        ):
            yield
    finally:
        leases._made_once.cache_clear()


def _intent_not_written() -> AbstractContextManager[Any]:
    def wrong(self: Any, one: Any, workspace: Any, purpose: Any, event: Any, bot_id: str, body: Any) -> Intent:
        return Intent(workspace=workspace, assignment=one.assignment, event=event, purpose=purpose, bot_id=bot_id)

    return mock.patch.object(Writer, "_intent", wrong)


def _retry_on_unknown() -> AbstractContextManager[Any]:
    true = http._lost
    return mock.patch.object(http, "_lost", lambda trouble, call: replace(true(trouble, call), again=True))


def _stale_accepted() -> AbstractContextManager[Any]:
    return mock.patch.object(decide, "_too_old", return_value=())


def _key_re_formatted() -> AbstractContextManager[Any]:
    true = Writer._key
    return mock.patch.object(Writer, "_key", lambda self, one, workspace: true(self, one, workspace).replace("T", " "))


def _canary_skipped() -> AbstractContextManager[Any]:
    return mock.patch.object(delete_old, "_canary_first", return_value=None)


@contextmanager
def _freeze_ignored() -> Iterator[None]:
    true = reconcile.numbers_for

    def wrong(workspaces: Any) -> Any:
        return replace(true(workspaces), freeze=NO_TIME, margin=NO_TIME)

    with mock.patch.object(reconcile, "numbers_for", wrong), mock.patch.object(inventory, "numbers_for", wrong):
        yield


def _sweep_loses_a_page() -> AbstractContextManager[Any]:
    true = RecallClient._page
    return mock.patch.object(RecallClient, "_page", lambda *args: replace(true(*args), next=None))


def _retry_after_ignored() -> AbstractContextManager[Any]:
    return mock.patch.object(http, "parse_retry_after", return_value=None)


def _source_never_emptied() -> AbstractContextManager[Any]:
    return mock.patch.object(decide, "_both", lambda view, other: Action(Act.WAIT, "both", until=view.row.end))


# -- mistakes of the sandbox


def _sandbox_forgets_keys() -> AbstractContextManager[Any]:
    true = Bots.schedule

    def wrong(self: Any, url: str, join_at: Any, config: Any, key: str | None = None) -> Any:
        bot = true(self, url, join_at, config, key)
        self.keys.clear()
        return bot

    return mock.patch.object(Bots, "schedule", wrong)


def _sandbox_does_not_join() -> AbstractContextManager[Any]:
    return mock.patch.object(Bots, "_walk_in", lambda self, bot_id, step: self.end_call(self.bots[bot_id], "lost"))


def _sandbox_lists_one_less() -> AbstractContextManager[Any]:
    true = Events.list_events
    return mock.patch.object(Events, "list_events", lambda self, *args, **more: true(self, *args, **more)[:-1])


PLANTED = (
    Planted("remove before add", _remove_before_add, _plain),
    Planted("no read-back", _no_read_back, _vanishing),
    Planted("no fence", _no_fence, _asleep(120.0)),
    Planted("lease ignored", _lease_ignored, _asleep(10.0)),
    Planted("intent not written", _intent_not_written, _plain),
    Planted("retry on unknown", _retry_on_unknown, _struck("drop", range(12, 46), when="after")),
    Planted("stale accepted", _stale_accepted, _bot_lost_before_the_last_look),
    Planted("key re-formatted", _key_re_formatted, _plain),
    Planted("canary skipped", _canary_skipped, _revoking),
    Planted("freeze ignored", _freeze_ignored, _soon),
    Planted("sweep loses a page", _sweep_loses_a_page, _paged),
    Planted("Retry-After ignored", _retry_after_ignored, _struck("status", range(17, 44), status=429, retry_after=30)),
    Planted("source never emptied", _source_never_emptied, _plain),
    Planted("sandbox forgets deduplication keys", _sandbox_forgets_keys, _plain),
    Planted("sandbox bots do not join", _sandbox_does_not_join, _plain),
    Planted("sandbox lists leave out the last one", _sandbox_lists_one_less, _plain),
)
MOST_RUNS = 30
