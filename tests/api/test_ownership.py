"""Which workspace owns a meeting."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from calendars.models import Assignment, Calendar, Connection, Event, Handover, Verdict, Workspace
from recallops import clock
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


@dataclass
class Meeting:
    us: Workspace
    eu: Workspace
    calendar: Calendar
    here: Connection
    there: Connection
    assignment: Assignment
    old: Event
    new: Event


@pytest.fixture
def meeting() -> Meeting:
    return make_meeting()


def make_meeting() -> Meeting:
    us = make.make_workspace(region=make.make_region("us-west-2"), family="move")
    eu = make.make_workspace(region=make.make_region("eu-central-1"), family="move")
    calendar = make.make_calendar()
    here, there = make.make_connection(us, calendar), make.make_connection(eu, calendar)
    assignment = make.make_assignment(us, calendars=(calendar,))
    shown = {"occurrence": assignment.occurrences.get(), "start": assignment.start, "url": assignment.url}
    old, new = make.make_event(here, **shown), make.make_event(there, **shown)
    return Meeting(us, eu, calendar, here, there, assignment, old, new)


def ask(app: Client, **question: str) -> Any:
    response = app.get("/api/v1/ownership/", question)
    assert response.status_code == 200, response.json()
    return response.json()["assignments"]


def test_the_event_of_either_workspace_names_the_owner_and_both_events(app: Client, meeting: Meeting) -> None:
    (told,) = ask(app, event=meeting.old.remote_id)
    assert ask(app, event=meeting.new.remote_id) == [told]
    assert told["owner"] == {"workspace": meeting.us.slug, "region": "us-west-2"}
    assert told["meeting_url"] == meeting.assignment.url
    assert (told["epoch"], told["since"], told["moving"], told["over"]) == (0, None, False, False)
    assert [(one["region"], one["calendar"], one["event"]) for one in told["events"]] == [
        ("us-west-2", meeting.here.remote_id, meeting.old.remote_id),
        ("eu-central-1", meeting.there.remote_id, meeting.new.remote_id),
    ]


def test_a_flip_shows_at_once(app: Client, meeting: Meeting) -> None:
    at = clock.now().replace(microsecond=0)
    Assignment.objects.filter(pk=meeting.assignment.pk).update(owner=meeting.eu, epoch=1, flipped_at=at)
    (told,) = ask(app, event=meeting.old.remote_id)
    assert (told["owner"]["workspace"], told["epoch"]) == (meeting.eu.slug, 1)
    assert told["since"] == at.isoformat().replace("+00:00", "Z")


def test_a_bot_names_the_meeting_that_it_attends(app: Client, meeting: Meeting) -> None:
    bot = meeting.old.bots[0]["bot_id"]
    assert [one["id"] for one in ask(app, bot=bot)] == [meeting.assignment.pk]


def test_a_calendar_and_a_start_name_the_meeting(app: Client, meeting: Meeting) -> None:
    start = meeting.assignment.start
    for calendar in (meeting.here.remote_id, meeting.there.remote_id):
        assert [one["id"] for one in ask(app, calendar=calendar, start=start.isoformat())] == [meeting.assignment.pk]
    assert ask(app, calendar=meeting.here.remote_id, start=(start + timedelta(minutes=1)).isoformat()) == []


def test_the_old_id_of_an_event_that_is_gone_leads_to_the_meeting(app: Client, meeting: Meeting) -> None:
    make.make_mapping(
        meeting.us, meeting.eu, kind="event", source_remote_id="gone", target_remote_id=meeting.new.remote_id
    )
    assert [one["id"] for one in ask(app, event="gone")] == [meeting.assignment.pk]
    answer = lookup(app, ["gone", "never"])
    assert answer["found"] == [{"event": "gone", "assignment": meeting.assignment.pk}]
    assert answer["unknown"] == ["never"]


def test_a_meeting_that_no_bot_attends_has_no_owner(app: Client, meeting: Meeting) -> None:
    unwanted = make.make_event(meeting.here)
    assert ask(app, event=unwanted.remote_id) == []
    assert lookup(app, [unwanted.remote_id])["found"] == [{"event": unwanted.remote_id, "assignment": None}]


@pytest.mark.parametrize(
    ("order", "moving"),
    [
        ({"allowed": True, "cut_line": -1}, True),
        ({"allowed": True, "cut_line": -1, "paused": True}, True),
        ({"allowed": True, "cut_line": 1}, False),
        ({"allowed": False, "cut_line": -1}, False),
        ({"allowed": True}, False),
    ],
)
def test_a_meeting_moves_when_a_standing_order_wants_it_elsewhere(
    app: Client, meeting: Meeting, order: dict[str, Any], moving: bool
) -> None:
    if "cut_line" in order:
        order["cut_line"] = meeting.assignment.start + timedelta(hours=order["cut_line"])
    meeting.calendar.handover = Handover.objects.create(source=meeting.us, target=meeting.eu, **order)
    meeting.calendar.save()
    assert ask(app, event=meeting.old.remote_id)[0]["moving"] is moving
    Assignment.objects.filter(pk=meeting.assignment.pk).update(owner=meeting.eu)
    assert ask(app, event=meeting.old.remote_id)[0]["moving"] is False


@pytest.mark.parametrize("cut", [True, False])
def test_where_the_application_schedules_a_meeting_moves_once_its_calendar_is_cut(
    app: Client, meeting: Meeting, cut: bool
) -> None:
    order = Handover.objects.create(source=meeting.us, target=meeting.eu, allowed=True, external=True)
    meeting.calendar.handover = order
    meeting.calendar.relayed_from = meeting.eu if cut else meeting.us
    meeting.calendar.relayed_since = clock.now() - timedelta(hours=1)
    meeting.calendar.save()
    assert ask(app, event=meeting.old.remote_id)[0]["moving"] is cut


def test_a_meeting_with_a_bot_on_each_side_is_still_moving(app: Client, meeting: Meeting) -> None:
    Assignment.objects.filter(pk=meeting.assignment.pk).update(owner=meeting.eu, verdict=Verdict.DOUBLED)
    assert ask(app, event=meeting.old.remote_id)[0]["moving"] is True


def lookup(app: Client, events: list[str]) -> Any:
    body = json.dumps({"events": events})
    response = app.post("/api/v1/ownership/lookup/", body, content_type="application/json")
    assert response.status_code == 200, response.json()
    return response.json()


def test_a_meeting_that_several_events_show_is_told_once(app: Client, meeting: Meeting) -> None:
    other = make_meeting()
    events = [meeting.old.remote_id, meeting.new.remote_id, other.old.remote_id]
    answer = lookup(app, events)
    assert [one["event"] for one in answer["found"]] == events
    assert {one["id"] for one in answer["assignments"]} == {meeting.assignment.pk, other.assignment.pk}
    assert len(answer["assignments"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "",
        "event=a&bot=b",
        "calendar=a",
        "start=2026-11-23T12:00:00Z",
        "event=a&start=2026-11-23T12:00:00Z",
        "event=a%00",
        "event=",
        "meeting=a",
        "calendar=a&start=2026-11-23T12:00:00",
        "calendar=a&start=2026-11-23T12:00:00+00:00",
        "calendar=a&start=0001-01-01T00:00:00%2B23:59",
        "calendar=a&start=9999-12-31T23:59:59-23:59",
        "calendar=a&start=2026-11-23T12:00:60Z",
        "calendar=a&start=2026-02-30T12:00:00Z",
        "calendar=a&start=2026-11-23T12:00:00%2B25:00",
    ],
)
def test_a_wrong_question_is_400_with_a_sentence(app: Client, query: str) -> None:
    response = app.get(f"/api/v1/ownership/?{query}")
    assert response.status_code == 400
    assert len(response.json()["detail"]) > 20


@pytest.mark.parametrize("query", ["event=a", "bot=a", "calendar=a&start=0001-01-01T00:00:00Z"])
def test_what_is_not_known_is_404_with_a_sentence(app: Client, query: str) -> None:
    assert app.get(f"/api/v1/ownership/?{query}").status_code == 404
