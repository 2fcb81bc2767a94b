"""What stored webhooks lead to: in bulk, in any order, twice, and without one holding up another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from calendars.models import Delivery, Workspace
from calendars.webhooks.handling import handle
from recallops import clock
from tests.webhooks.senders import Place, body_of

_number = itertools.count(1)
EARLY, LATE = datetime(2026, 11, 23, 10, tzinfo=UTC), datetime(2026, 11, 23, 11, tzinfo=UTC)


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What handling asked for, instead of doing it."""
    asked: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        def act(workspace: Workspace, what: Any, *, heard_at: datetime | None = None) -> None:
            asked.append((name, workspace.slug, what, heard_at))

        return act

    monkeypatch.setattr("calendars.sync.events_changed", note("events"), raising=False)
    monkeypatch.setattr("calendars.sync.calendars_changed", note("calendars"), raising=False)
    monkeypatch.setattr("calendars.ingest.bot_statuses", note("bots"), raising=False)
    return asked


def came(place: Place, event: str, *, at: datetime | None = None, **data: Any) -> Delivery:
    moment = at or clock.now()
    return Delivery.objects.create(
        workspace=place.workspace,
        endpoint=place.endpoint,
        delivery_id=f"msg_{next(_number)}",
        received_at=moment,
        sent_at=moment,
        body=body_of(event, **data),
    )


def waiting() -> list[Delivery]:
    return list(Delivery.objects.filter(state=Delivery.State.RECEIVED).order_by("pk"))


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def sync(place: Place, calendar: str, ts: datetime | None = None, **fields: Any) -> Delivery:
    told = {} if ts is None else {"last_updated_ts": ts.isoformat()}
    return came(place, "calendar.sync_events", calendar_id=calendar, **told, **fields)


def test_a_burst_becomes_one_act_for_each_workspace(us: Place, eu: Place, acts: list[Any]) -> None:
    for number in range(50):
        sync(us, f"c{number % 5}", LATE)
    sync(eu, "c1", LATE)
    handle(waiting())
    assert acts == [
        ("events", "acme-us", {f"c{number}": LATE for number in range(5)}, clock.now()),
        ("events", "acme-eu", {"c1": LATE}, clock.now()),
    ]
    assert set(states()) == {"handled"}


@pytest.mark.parametrize("order", [(EARLY, LATE), (LATE, EARLY)])
def test_an_old_word_beside_a_new_one_does_not_hide_it(us: Place, acts: list[Any], order: Sequence[datetime]) -> None:
    for moment in order:
        sync(us, "c1", moment)
    handle(waiting())
    assert acts[0][2] == {"c1": LATE}


@pytest.mark.parametrize("order", list(itertools.permutations([EARLY, None, LATE])))
def test_a_change_without_a_time_may_be_any(us: Place, acts: list[Any], order: Sequence[datetime | None]) -> None:
    for moment in order:
        sync(us, "c1", moment)
    handle(waiting())
    assert acts[0][2] == {"c1": None}


def test_what_was_heard_is_as_late_as_the_last_of_them(us: Place, acts: list[Any]) -> None:
    now = clock.now()
    sync(us, "c1", LATE, at=now - timedelta(minutes=1))
    sync(us, "c2", LATE, at=now)
    sync(us, "c3", LATE, at=now - timedelta(minutes=2))
    handle(waiting())
    assert acts[0][3] == now


def test_each_event_has_its_act(us: Place, acts: list[Any]) -> None:
    came(us, "calendar.update", calendar_id="c1")
    state = {"code": "in_call_recording", "updated_at": EARLY.isoformat()}
    came(us, "bot.in_call_recording", bot={"id": "b1"}, data=state)
    came(us, "bot.done", bot={"id": "b2"}, data={"code": "done"})
    came(us, "bot.somersault", bot={"id": "b3"}, data={"code": "somersault"})
    handle(waiting())
    now = clock.now()
    assert acts == [
        ("calendars", "acme-us", {"c1"}, now),
        ("bots", "acme-us", [("b1", "in_call_recording", EARLY), ("b2", "done", now), ("b3", "somersault", now)], None),
    ]
    assert states() == ["handled"] * 4
    assert list(Delivery.objects.order_by("pk").values_list("subject", flat=True)) == ["c1", "b1", "b2", "b3"]


@pytest.mark.parametrize(
    ("event", "data", "reason"),
    [
        ("recording.done", {"bot": {"id": "b1"}, "data": {"code": "done"}}, "nothing here depends on it"),
        ("transcript.failed", {"bot": {"id": "b1"}, "data": {"code": "failed"}}, "nothing here depends on it"),
        ("slack_team.active", {}, "nothing here depends on it"),
        ("sdk_upload.complete", {}, "nothing here depends on it"),
        ("realtime_endpoint.running", {}, "nothing here depends on it"),
        ("bot.log", {"bot_id": "b1"}, "nothing here depends on it"),
        ("bot.breakout_room_entered", {"bot": {"id": "b1"}, "data": {"code": "x"}}, "nothing here depends on it"),
        ("bot.done", {"bot": {"id": "b1"}}, "says no state"),
        ("calendar.event.created", {"calendar_id": "c1"}, "not in the vendor's catalogue"),
        ("something.new", {"data": {}}, "not in the vendor's catalogue"),
    ],
)
def test_what_nothing_depends_on_is_kept_and_never_refused(
    us: Place, acts: list[Any], event: str, data: dict[str, Any], reason: str
) -> None:
    row = came(us, event, **data)
    handle(waiting())
    row.refresh_from_db()
    assert acts == []
    assert (row.state, row.event, row.handled_at) == ("kept", event, clock.now())
    assert reason in row.reason


def test_one_that_breaks_does_not_hold_up_the_others(us: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def act(workspace: Workspace, calendars: dict[str, Any], **_: Any) -> None:
        if "poison" in calendars:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1/0")
        done.extend(calendars)

    monkeypatch.setattr("calendars.sync.events_changed", act, raising=False)
    for calendar in ("c1", "poison", "c2"):
        sync(us, calendar, LATE)
    handle(waiting())
    assert states() == ["handled", "failed", "handled"]
    assert done == ["c1", "c2"]
    assert "DataError" in Delivery.objects.get(state="failed").reason


def test_a_database_that_is_away_leaves_them_waiting(us: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server went away")

    monkeypatch.setattr("calendars.sync.events_changed", act, raising=False)
    sync(us, "c1", LATE)
    with pytest.raises(OperationalError):
        handle(waiting())
    assert states() == ["received"]


def test_handling_the_same_rows_twice_marks_them_once(us: Place, acts: list[Any], time: clock.ManualClock) -> None:
    sync(us, "c1", LATE)
    rows, again = waiting(), waiting()
    handle(rows)
    first = Delivery.objects.get().handled_at
    time.advance(timedelta(minutes=1))
    handle(again)
    assert Delivery.objects.get().handled_at == first, "who came second changes no row"


def test_nothing_to_do_is_no_error(db: None, acts: list[Any]) -> None:
    handle([])
    assert acts == []


def test_two_hundred_take_few_statements(
    us: Place, eu: Place, acts: list[Any], django_assert_max_num_queries: Any
) -> None:
    for number in range(100):
        sync(us, f"c{number}", LATE)
        came(eu, "bot.done", bot={"id": f"b{number}"}, data={"code": "done"})
    rows = waiting()
    with django_assert_max_num_queries(12):
        handle(rows)
    assert set(states()) == {"handled"}
