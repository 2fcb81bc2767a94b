"""Calendar events and how they follow the accounts (reference 3.1, 3.2, 3.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.meetings import GOOGLE
from tests.sandbox.conftest import NOON, ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

EVENTS = "/api/v2/calendar-events/"


def listed(stage: Stage, **params: Any) -> list[dict[str, Any]]:
    found, page = [], stage.get(EVENTS, **params)
    while True:
        found += page["results"]
        if page["next"] is None:
            return found
        page = stage.call("GET", page["next"]).json()


def test_an_event_has_every_documented_field(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    event = stage.get(f"{EVENTS}{event_id}/")
    assert set(event) == {
        *("id", "start_time", "end_time", "calendar_id", "raw", "platform", "platform_id", "ical_uid"),
        *("meeting_platform", "meeting_url", "created_at", "updated_at", "is_deleted", "bots"),
    }
    assert event["start_time"] == "2026-01-06T12:00:00Z"
    assert (event["meeting_platform"], event["meeting_url"]) == ("google_meet", ROOM)
    assert (event["ical_uid"], event["platform"]) == (meeting.ical_uid, GOOGLE)
    assert (event["is_deleted"], event["bots"]) == (False, [])


def test_raw_has_the_shape_of_google(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    raw = stage.get(f"{EVENTS}{event_id}/")["raw"]
    assert raw["summary"] == "Weekly"
    assert raw["start"]["dateTime"] == "2026-01-06T12:00:00Z"
    assert raw["hangoutLink"] == ROOM
    assert raw["organizer"] == {"email": "alice@acme.example", "self": True}
    assert raw["attendees"] == [
        {"email": "alice@acme.example", "responseStatus": "accepted", "organizer": True, "self": True},
        {"email": "guest@other.example", "responseStatus": "needsAction"},
    ]


def test_raw_has_the_shape_of_outlook(stage: Stage) -> None:
    teams = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0"
    _, (event_id,) = stage.ready(stage.olaf, url=teams)
    raw = stage.get(f"{EVENTS}{event_id}/")["raw"]
    assert raw["subject"] == "Weekly"
    assert raw["onlineMeeting"] == {"joinUrl": teams}
    assert raw["organizer"]["emailAddress"]["address"] == "olaf@acme.example"
    assert raw["attendees"][0]["emailAddress"]["address"] == "guest@other.example"
    assert raw["attendees"][0]["status"] == {"response": "notResponded"}
    assert raw["isCancelled"] is False


def test_a_lonely_event_has_no_attendees_at_all(stage: Stage) -> None:
    start = NOON + timedelta(hours=1)
    meeting = stage.world.make_meeting(start=start, end=start + timedelta(hours=1), accounts=[stage.alice])
    event = stage.us.events[stage.event(stage.connect(stage.alice), meeting)]
    assert "attendees" not in event.raw


def test_instances_of_a_series_share_their_uid_and_name_their_original_start(stage: Stage) -> None:
    calendar = stage.connect(stage.alice)
    for day in (1, 2):
        start = NOON + timedelta(days=day)
        stage.world.make_meeting(
            start=start, end=start + timedelta(hours=1), accounts=[stage.alice], series="standup", url=ROOM
        )
    stage.later(seconds=10)
    first, second = listed(stage, calendar_id=calendar.id)
    assert first["ical_uid"] == second["ical_uid"]
    assert first["platform_id"] == "standup_20260106T120000Z"
    assert first["raw"]["recurringEventId"] == second["raw"]["recurringEventId"]


def test_google_ids_are_equal_in_both_regions_and_among_attendees_but_event_ids_are_not(stage: Stage) -> None:
    meeting = stage.meeting(stage.alice, stage.bob)
    us = stage.us.events[stage.event(stage.connect(stage.alice), meeting)]
    bob = stage.us.events[stage.event(stage.connect(stage.bob), meeting)]
    calendar = stage.connect(stage.alice, stage.eu)
    eu = stage.eu.events[stage.event(calendar, meeting, stage.eu)]
    assert us.platform_id == bob.platform_id == eu.platform_id
    assert len({us.id, bob.id, eu.id}) == 3


def test_a_link_that_no_bot_can_join_is_no_meeting_url(stage: Stage) -> None:
    _, (event_id,) = stage.ready(url="https://intranet.example/room")
    event = stage.get(f"{EVENTS}{event_id}/")
    assert (event["meeting_url"], event["meeting_platform"]) == (None, None)


def test_a_change_arrives_after_a_delay_in_every_region(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    calendar = stage.connect(stage.alice, stage.eu)
    other = stage.event(calendar, meeting, stage.eu)
    stage.world.move(meeting, NOON + timedelta(days=3))
    assert stage.get(f"{EVENTS}{event_id}/")["start_time"] == "2026-01-06T12:00:00Z"
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{event_id}/")["start_time"] == "2026-01-08T12:00:00Z"
    assert stage.get(f"{EVENTS}{other}/", of=stage.eu)["start_time"] == "2026-01-08T12:00:00Z"
    assert listed(stage, start_time__gte="2026-01-08T00:00:00Z")[0]["id"] == event_id


def test_a_cancelled_meeting_stays_as_deleted(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.world.cancel(meeting)
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{event_id}/")["is_deleted"] is True
    assert [event["id"] for event in listed(stage)] == [event_id]
    assert listed(stage, is_deleted="false") == []


def test_a_meeting_removed_from_one_account_stays_in_the_other(stage: Stage) -> None:
    meeting, (alice, bob) = stage.ready(stage.alice, stage.bob)
    stage.world.remove_copy(meeting, stage.bob)
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{alice}/")["is_deleted"] is False
    assert stage.get(f"{EVENTS}{bob}/")["is_deleted"] is True


def test_a_declined_invitation_shows_in_all_copies(stage: Stage) -> None:
    meeting, events = stage.ready(stage.alice, stage.bob)
    stage.world.decline(meeting, stage.bob)
    stage.later(seconds=10)
    for event_id in events:
        attendees = {one["email"]: one for one in stage.get(f"{EVENTS}{event_id}/")["raw"]["attendees"]}
        assert attendees["bob@acme.example"]["responseStatus"] == "declined"


def test_a_changed_link_is_taken_over(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.world.change_url(meeting, "https://acme.zoom.us/j/123456?pwd=x")
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{event_id}/")["meeting_platform"] == "zoom"


def test_events_beyond_28_days_are_shown_when_they_enter_the_window(stage: Stage) -> None:
    stage.connect(stage.alice)
    stage.meeting(hours=24 * 30)
    stage.later(hours=1)
    assert listed(stage) == []
    stage.later(days=2)
    assert len(listed(stage)) == 1


def test_events_that_began_more_than_a_day_ago_are_not_seen_at_connection(stage: Stage) -> None:
    stage.meeting(hours=-30)
    inside = stage.meeting(hours=-20)
    calendar = stage.connect(stage.alice)
    assert [event["id"] for event in listed(stage)] == [stage.event(calendar, inside)]


def test_an_event_moved_out_of_the_window_is_deleted_and_comes_back(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.world.move(meeting, NOON + timedelta(days=40))
    stage.later(seconds=10)
    assert stage.get(f"{EVENTS}{event_id}/")["is_deleted"] is True
    stage.later(days=13)
    event = stage.get(f"{EVENTS}{event_id}/")
    assert (event["is_deleted"], event["start_time"]) == (False, "2026-02-14T12:00:00Z")


def test_an_event_moved_out_of_the_window_may_be_kept_as_it_was(stage: Stage) -> None:
    stage.world.switches.left_window = "kept"
    meeting, (event_id,) = stage.ready()
    stage.world.move(meeting, NOON + timedelta(days=40))
    stage.later(seconds=10)
    event = stage.get(f"{EVENTS}{event_id}/")
    assert (event["is_deleted"], event["start_time"]) == (False, "2026-01-06T12:00:00Z")
    stage.later(days=13)
    assert stage.get(f"{EVENTS}{event_id}/")["start_time"] == "2026-02-14T12:00:00Z"


def test_old_events_are_listed_for_60_days(stage: Stage) -> None:
    stage.ready()
    stage.later(days=60)
    assert len(listed(stage)) == 1
    stage.later(days=2)
    assert listed(stage) == []


def test_pages_of_100_in_the_order_of_start_skip_and_repeat_nothing(stage: Stage) -> None:
    stage.connect(stage.alice)
    for number in range(230):
        stage.meeting(hours=1 + number % 50)
    stage.later(seconds=10)
    events = listed(stage)
    assert len({event["id"] for event in events}) == 230
    assert [event["start_time"] for event in events] == sorted(event["start_time"] for event in events)
    first = stage.get(EVENTS)
    assert len(first["results"]) == 100
    assert first["previous"] is None


def test_each_filter_finds_what_it_says(stage: Stage) -> None:
    early, late = stage.meeting(hours=2), stage.meeting(stage.bob, hours=5)
    a, b = stage.connect(stage.alice), stage.connect(stage.bob)
    first, second = stage.event(a, early), stage.event(b, late)

    def ids(**params: str) -> list[str]:
        return [event["id"] for event in listed(stage, **params)]

    assert ids() == [first, second]
    assert ids(calendar_id=b.id) == [second]
    assert ids(calendar_id="unknown") == []
    assert ids(ical_uid=early.ical_uid[:8]) == [first]
    assert ids(ical_uid=early.ical_uid[:8].upper()) == []
    assert ids(start_time="2026-01-05T14:00:00Z") == [first]
    assert ids(start_time__gte="2026-01-05T14:00:00Z", start_time__lte="2026-01-05T16:59:59Z") == [first]
    assert ids(start_time__gte="2026-01-05T14:00:01Z") == [second]
    stage.world.retitle(late, "Renamed")
    stage.later(seconds=10)
    assert ids(updated_at__gte="2026-01-05T12:00:00.000001Z") == [second]
    assert ids(updated_at__gte="2026-01-05T12:00:00.000001Z", calendar_id=a.id) == []


def test_changed_events_are_found_the_same_way_when_there_are_many(stage: Stage, monkeypatch: Any) -> None:
    stage.connect(stage.alice)
    for number in range(120):
        stage.meeting(hours=1 + number % 7)
    stage.later(seconds=10)
    few = [event["id"] for event in listed(stage, updated_at__gte="2026-01-05T12:00:03Z")]
    monkeypatch.setattr("recallops.sandbox.events._FEW", 0)
    assert [event["id"] for event in listed(stage, updated_at__gte="2026-01-05T12:00:03Z")] == few
    assert 0 < len(few) < 120


def test_a_region_cannot_read_changes_of_a_revoked_account(stage: Stage) -> None:
    meeting, (event_id,) = stage.ready()
    stage.world.switches.revocation_lag = 3_600
    stage.world.revoke_account(stage.alice)
    stage.world.move(meeting, NOON + timedelta(days=3))
    stage.later(minutes=1)
    event = stage.get(f"{EVENTS}{event_id}/")
    assert event["start_time"] == "2026-01-06T12:00:00Z"
    assert stage.get(f"/api/v2/calendars/{event['calendar_id']}/")["status"] == "connected"
    stage.later(hours=1)
    assert stage.get(f"/api/v2/calendars/{event['calendar_id']}/")["status"] == "disconnected"


def test_a_calendar_that_opens_another_account_now_drops_the_events_of_the_old_one(stage: Stage) -> None:
    _, (event_id,) = stage.ready()
    other = stage.meeting(stage.bob, hours=3)
    calendar_id = stage.us.events[event_id].calendar_id
    token = stage.world.grant(stage.bob, stage.us.calendars[calendar_id].client_id)
    stage.call("PATCH", f"/api/v2/calendars/{calendar_id}/", {"oauth_refresh_token": token})
    stage.later(seconds=30)
    assert stage.get(f"/api/v2/calendars/{calendar_id}/")["platform_email"] == "bob@acme.example"
    assert stage.get(f"{EVENTS}{event_id}/")["is_deleted"] is True
    assert stage.us.event_of(calendar_id, other.id) is not None
