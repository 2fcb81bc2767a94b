"""A workspace is read page by page, by whoever is there, and nothing that changed is passed over."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from calendars import assignments, sync
from calendars.leases import Lease, take
from calendars.models import Assignment, Connection, ConnectionStatus, Event, Sweep, Workspace
from calendars.providers import errors
from calendars.providers.recall_endpoints import LIST_CALENDARS, LIST_EVENTS
from calendars.scheduling import deduplication
from recallops import clock
from tests.harness import OFFICE, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE


@pytest.fixture
def move() -> Move:
    """Return an office of whose source the calendars were read."""
    found = quick()
    assert sync.run_sweep(sync.open_sweep(found.source, Sweep.Kind.CALENDARS))
    return found


def read_changes(move: Move) -> int:
    """Sweep the source's changes once; return how many calls that took."""
    before = move.door.calls
    move.source.refresh_from_db()
    assert sync.sweep_changes(move.source)
    return move.door.calls - before


def test_one_list_of_changes_serves_all_calendars(move: Move) -> None:
    assert sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    read_changes(move)
    moved = [one for one in move.world.meetings.values() if one.title in (f"{ADA} first", f"{BEN} first")]
    for meeting in moved:
        move.world.move(meeting, meeting.start + timedelta(hours=1))
    move.time.advance(timedelta(minutes=1))
    assert read_changes(move) == 1
    stored = Event.objects.filter(workspace=move.source, url__in=[meeting.url for meeting in moved])
    assert sorted(stored.values_list("start", flat=True)) == sorted(meeting.start for meeting in moved)


def test_a_change_of_the_same_moment_as_the_mark_is_read_again(move: Move) -> None:
    sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    read_changes(move)
    event = Event.objects.filter(workspace=move.source).earliest("pk")
    Event.objects.filter(pk=event.pk).update(digest="", url="https://outdated.example/")
    remote = move.there.events[event.remote_id]
    move.source.refresh_from_db()
    assert move.source.sweep_mark is not None
    remote.updated_at = move.source.sweep_mark - sync.OVERLAP + timedelta(seconds=1)
    move.time.advance(move.source.sweep_every)
    read_changes(move)
    event.refresh_from_db()
    assert event.url == remote.meeting_url


def test_a_read_that_was_cut_off_goes_on_where_it_stopped(move: Move) -> None:
    move.there.page_size = 3
    outage = move.world.faults.add("status", status=500, endpoint=LIST_EVENTS, nth=2, times=None)
    with pytest.raises(errors.ProviderError):
        sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    assert Sweep.objects.get(kind=Sweep.Kind.EVENTS).pages == 1
    assert Event.objects.count() == 3
    move.world.faults.clear(outage)
    before = move.door.calls
    assert sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    assert move.door.calls - before == 2
    assert Sweep.objects.get(kind=Sweep.Kind.EVENTS).pages == 3
    assert Event.objects.count() == 8


def test_two_who_open_a_read_share_one(move: Move) -> None:
    assert sync.open_sweep(move.source, Sweep.Kind.EVENTS) == sync.open_sweep(move.source, Sweep.Kind.EVENTS)


@pytest.mark.parametrize("kind", [Sweep.Kind.CALENDARS, Sweep.Kind.CHANGES])
def test_what_another_reads_or_died_over_is_waited_for_and_not_asked_around(move: Move, kind: Sweep.Kind) -> None:
    sync.watch(move.source, from_mark=clock.now())
    held = sync.open_sweep(move.source, kind, since=clock.now())
    take(Sweep.objects.filter(pk=held.pk), limit=1, lease=Lease(), order_by=["pk"])
    before = move.door.calls
    for _ in range(5):
        move.source.refresh_from_db()
        assert move.source.sweep_due_at is not None
        if move.source.sweep_due_at <= clock.now():
            assert not sync.sweep_changes(move.source)
    assert move.door.calls - before <= 1


def test_a_calendar_that_a_list_does_not_show_is_asked_for_before_it_counts_as_gone(move: Move) -> None:
    hidden, deleted = move.calendar(ADA), move.calendar(BEN)
    move.there.delete_calendar(deleted.id)
    move.world.faults.add("drop_page", endpoint=LIST_CALENDARS)
    assert sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.CALENDARS))
    states = dict(Connection.objects.filter(workspace=move.source).values_list("remote_id", "status"))
    assert states == {hidden.id: ConnectionStatus.CONNECTED, deleted.id: ConnectionStatus.DELETED}


def test_events_of_a_calendar_that_is_gone_cancel_no_meeting(move: Move) -> None:
    sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    wanted = set(Assignment.objects.filter(over=False).values_list("pk", flat=True))
    assert len(wanted) == 6
    move.there.delete_calendar(move.calendar(BEN).id)
    sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.CALENDARS))
    assert set(Assignment.objects.filter(over=False).values_list("pk", flat=True)) == wanted
    assert not Event.objects.filter(connection__calendar__email=BEN).exclude(bots=[]).exists()


def test_few_events_are_read_one_by_one_and_many_by_the_page(move: Move) -> None:
    sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    rows = list(Event.objects.filter(workspace=move.source).order_by("start"))
    today = rows[3].start  # the other four are a day later, and were today when we last looked
    wanted = [sync.Wanted(row.pk, row.remote_id, min(row.start, today)) for row in rows]
    for few, lists, gets in ((1, 0, 1), (4, 0, 4), (8, 1, 4)):
        before = len(move.door.made)
        sync.read_events(move.source, wanted[:few])
        made = [path for _, _, path in move.door.made[before:]]
        assert (made.count("/api/v2/calendar-events/"), len(made)) == (lists, lists + gets)


def test_all_workspaces_are_read_at_the_same_moment_of_their_period(move: Move) -> None:
    for workspace in (move.source, move.target):
        sync.watch(workspace, from_mark=clock.now())
        sync.sweep_changes(workspace)
        move.time.advance(timedelta(minutes=7))
    due = set(Workspace.objects.values_list("sweep_due_at", flat=True))
    assert len(due) == 1


def test_lists_with_budgets_of_their_own_are_read_in_turns(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one waits for its next call, the other reads."""
    pages = {Sweep.Kind.EVENTS: 2, Sweep.Kind.BOTS: 3}
    read: list[str] = []

    def read_page(sweep: Sweep, *_: object) -> bool:
        read.append(sweep.kind)
        return read.count(sweep.kind) == pages[Sweep.Kind(sweep.kind)]

    monkeypatch.setattr(sync, "_read_page", read_page)
    sweeps = [sync.open_sweep(move.source, kind) for kind in pages]
    assert sync.run_sweeps(sweeps)
    assert read == ["events", "bots", "events", "bots", "bots"]


def test_a_list_that_somebody_else_reads_keeps_the_others_from_nothing(move: Move) -> None:
    events, bots = (sync.open_sweep(move.source, kind) for kind in (Sweep.Kind.EVENTS, Sweep.Kind.BOTS))
    Sweep.objects.filter(pk=events.pk).update(lease_token=uuid.uuid4(), lease_until=clock.now() + timedelta(days=9_000))
    assert not sync.run_sweeps([events, bots])
    bots.refresh_from_db()
    assert bots.finished_at is not None


def test_some_of_many_keys_show_their_pattern(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory does not grow with the workspace."""
    assert sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.EVENTS))
    whole = assignments.learn_keys(move.source)
    seen: list[int] = []
    infer = deduplication.infer_template
    monkeypatch.setattr(assignments, "MOST_SAMPLES", 4)
    monkeypatch.setattr(deduplication, "infer_template", lambda samples: seen.append(len(samples)) or infer(samples))
    assert assignments.learn_keys(move.source) == whole != ""
    assert 0 < seen[0] <= 4
