from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from recallops.clock import ManualClock
from recallops.sandbox.control import Control
from recallops.sandbox.extras import HANDLERS
from recallops.sandbox.ics import IcsError, IcsSummary, add_ics
from recallops.sandbox.links import platform_of
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.messages import Request
from recallops.sandbox.truth import run_out, truth
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from recallops.sandbox.meetings import Meeting

# A Monday. In Berlin the clocks go forward on Sunday, 29 March.
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ROOM = "https://meet.google.com/abc-defg-hij"
HOUSE_TIME = """BEGIN:VTIMEZONE
TZID:House Time
BEGIN:DAYLIGHT
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE"""


def event(uid: str, start: str, end: str | None = "", *lines: str, summary: str = "Talk") -> str:
    """Return a VEVENT; `start` is what stands behind DTSTART, with its parameters and colon."""
    rows = ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260301T000000Z", f"SUMMARY:{summary}", f"DTSTART{start}"]
    if end:
        rows.append(f"DTEND{end}")
    return "\n".join([*rows, *lines, "END:VEVENT"])


def export(*parts: str, zone: str | None = "Europe/Berlin", program: str = "-//Google Inc//Google Calendar//EN") -> str:
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{program}"]
    if zone:
        head.append(f"X-WR-TIMEZONE:{zone}")
    return "\n".join([*head, *parts, "END:VCALENDAR", ""]).replace("\n", "\r\n")


def a_world() -> World:
    world = World(ManualClock(NOON), seed=2)
    world.add_region("us-west-2").add_workspace("acme")
    return world


def add(world: World, *texts: str, **more: Any) -> IcsSummary:
    named = {f"file {number}.ics": text for number, text in enumerate(texts, 1)}
    return add_ics(world, region="us-west-2", workspace="acme", texts=named, **more)


def meetings(text: str, **more: Any) -> list[Meeting]:
    """Return the meetings of one export, by start."""
    world = a_world()
    add(world, text, **more)
    return sorted(world.meetings.values(), key=lambda meeting: (meeting.start, meeting.title))


def local(*starts: str) -> list[datetime]:
    return [datetime.fromisoformat(start).replace(tzinfo=BERLIN).astimezone(UTC) for start in starts]


def test_an_event_with_a_link_becomes_a_meeting_with_a_bot() -> None:
    world = a_world()
    summary = add(world, export(event("a@google.com", ":20260310T090000Z", ":20260310T100000Z", f"LOCATION:{ROOM}")))
    (calendar,) = summary.calendars
    assert (calendar.instances, calendar.events, calendar.events_with_bot, summary.bots) == (1, 1, 1, 1)
    (meeting,) = world.meetings.values()
    assert (meeting.title, meeting.url, meeting.ical_uid) == ("Talk", ROOM, "a@google.com")
    assert meeting.end - meeting.start == timedelta(hours=1)
    assert meeting.expected_scopes() == {""}
    run_out(world, NOON + timedelta(days=2))
    assert truth(world).held == 1


def test_zones_floating_times_and_utc_all_come_out_right() -> None:
    found = meetings(
        export(
            event("utc", ":20260310T080000Z", summary="1"),
            event("berlin", ";TZID=Europe/Berlin:20260310T100000", summary="2"),
            event("floating", ":20260310T110000", summary="3"),
            event("new york", ";TZID=America/New_York:20260310T080000", summary="4"),
        )
    )
    assert [meeting.title for meeting in found] == ["1", "2", "3", "4"]
    assert [meeting.start for meeting in found] == [
        datetime(2026, 3, 10, 8, tzinfo=UTC),
        *local("2026-03-10T10:00", "2026-03-10T11:00"),
        datetime(2026, 3, 10, 12, tzinfo=UTC),
    ]


def test_a_zone_that_only_the_file_defines_is_used() -> None:
    found = meetings(
        export(
            HOUSE_TIME,
            event("a", ";TZID=House Time:20260310T100000", None, "RRULE:FREQ=WEEKLY;COUNT=4"),
            zone=None,
        )
    )
    assert [meeting.start for meeting in found] == local(
        "2026-03-10T10:00", "2026-03-17T10:00", "2026-03-24T10:00", "2026-03-31T10:00"
    )


def test_the_one_zone_that_a_file_defines_is_that_of_floating_times_and_of_the_shift() -> None:
    zone = HOUSE_TIME.replace("House Time", "Europe/Berlin")
    (meeting,) = meetings(export(zone, event("a", ":20260310T100000"), zone=None))
    assert [meeting.start] == local("2026-03-10T10:00")
    (meeting,) = meetings(export(zone, event("a", ":20240716T080000Z"), zone=None).replace("20260301", "20240720"))
    assert meeting.start.astimezone(BERLIN).hour == 10  # 08:00 UTC was 10:00 in a Berlin summer


def test_a_series_keeps_its_local_time_when_the_clocks_change() -> None:
    found = meetings(export(event("a", ";TZID=Europe/Berlin:20260112T090000", None, "RRULE:FREQ=WEEKLY;BYDAY=MO,WE")))
    assert {meeting.start.astimezone(BERLIN).hour for meeting in found} == {9}
    assert {meeting.start.hour for meeting in found} == {8, 7}
    assert len(found) == 8
    assert len({meeting.series for meeting in found}) == 1


def test_moved_and_cancelled_instances_are_where_they_belong() -> None:
    series = event(
        "a",
        ";TZID=Europe/Berlin:20260310T090000",
        ";TZID=Europe/Berlin:20260310T100000",
        "RRULE:FREQ=DAILY;COUNT=5",
        "EXDATE;TZID=Europe/Berlin:20260311T090000",
    )
    moved = event(
        "a",
        ";TZID=Europe/Berlin:20260312T150000",
        ";TZID=Europe/Berlin:20260312T160000",
        "RECURRENCE-ID;TZID=Europe/Berlin:20260312T090000",
        summary="Talk, later",
    )
    called_off = event(
        "a",
        ";TZID=Europe/Berlin:20260313T090000",
        ";TZID=Europe/Berlin:20260313T100000",
        "RECURRENCE-ID;TZID=Europe/Berlin:20260313T090000",
        "STATUS:CANCELLED",
    )
    world = a_world()
    summary = add(world, export(series, moved, called_off))
    found = sorted(world.meetings.values(), key=lambda meeting: meeting.start)
    assert [meeting.start for meeting in found] == local("2026-03-10T09:00", "2026-03-12T15:00", "2026-03-14T09:00")
    assert found[1].title == "Talk, later"
    assert [found[1].original_start] == local("2026-03-12T09:00")
    (calendar,) = summary.calendars
    assert (calendar.recurring, calendar.moved, calendar.cancelled) == (3, 1, 2)


def test_whole_days_are_there_without_a_link_and_without_a_bot() -> None:
    world = a_world()
    text = export(event("a", ";VALUE=DATE:20260310", ";VALUE=DATE:20260312", summary="Holiday"))
    summary = add(world, text, link="all")
    (meeting,) = world.meetings.values()
    assert [meeting.start, meeting.end] == local("2026-03-10T00:00", "2026-03-12T00:00")
    assert (meeting.url, summary.calendars[0].all_day, summary.bots) == (None, 1, 0)


def test_links_are_found_where_calendars_put_them() -> None:
    teams = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0"
    zoom = "https://acme.zoom.us/j/123456789?pwd=abc"
    fields = {
        "a": f"X-GOOGLE-CONFERENCE:{ROOM}",
        "b": f"DESCRIPTION:Join here: {zoom}\\nSee you",
        "c": f"X-MICROSOFT-SKYPETEAMSMEETINGURL:{teams}",
        "d": "LOCATION:Room 5",
        "e": "URL:https://intranet.example/page",
    }
    found = meetings(
        export(*(event(uid, ":20260310T090000Z", None, line, summary=uid) for uid, line in fields.items()))
    )
    assert [meeting.url for meeting in found] == [ROOM, zoom, teams, None, None]


@pytest.mark.parametrize(("link", "bots"), [(None, 1), ("missing", 3), ("all", 3)], ids=["as it is", "missing", "all"])
def test_a_link_is_given_by_option_and_shared_by_a_series(link: str | None, bots: int) -> None:
    found = meetings(
        export(
            event("a", ":20260310T090000Z", None, f"LOCATION:{ROOM}"),
            event("b", ":20260311T090000Z", None, "RRULE:FREQ=DAILY;COUNT=2"),
        ),
        link=link,
    )
    assert sum(bool(meeting.expected_scopes()) for meeting in found) == bots
    assert (found[0].url == ROOM) is (link != "all")
    assert found[1].url == found[2].url
    assert (platform_of(found[1].url) == "google_meet") is (link is not None)


def test_a_past_export_is_shifted_by_weeks_so_that_its_busiest_month_comes() -> None:
    quiet = event("q", ";TZID=Europe/Berlin:20240105T090000")
    # Autumn: the clocks go back on 27 October 2024, in the middle of the busy weeks.
    busy = event("b", ";TZID=Europe/Berlin:20241015T090000", None, "RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=8")
    world = a_world()
    summary = add(world, export(quiet, busy, event("u", ":20241106T150000Z")).replace("20260301", "20241201"))
    found = sorted(world.meetings.values(), key=lambda meeting: meeting.start)
    assert len(found) == 9
    weeks = summary.calendars[0].shifted_weeks
    assert weeks > 52
    assert all(NOON <= meeting.start < NOON + timedelta(days=28) for meeting in found)
    locals_ = [meeting.start.astimezone(BERLIN) for meeting in found]
    assert [(when.weekday(), when.hour) for when in locals_ if when.hour == 9] == [(1, 9), (3, 9)] * 4
    # an event given in UTC keeps its local time as well: 15:00 UTC was 16:00 in Berlin
    assert [(when.weekday(), when.hour) for when in locals_ if when.hour != 9] == [(2, 16)]
    original = datetime(2024, 10, 15, 9, tzinfo=BERLIN) + timedelta(weeks=weeks)
    assert found[0].start == original.astimezone(UTC)


def test_a_calendar_in_use_is_not_shifted() -> None:
    old = [event(f"o{day}", f":202502{day:02d}T090000Z") for day in range(1, 12)]
    world = a_world()
    summary = add(world, export(*old, event("a", ":20260301T100000Z", None, "RRULE:FREQ=DAILY")))
    assert summary.calendars[0].shifted_weeks == 0
    assert len(world.meetings) == 28


def test_only_the_coming_four_weeks_are_taken() -> None:
    found = meetings(export(event("a", ":20260101T100000Z", None, "RRULE:FREQ=DAILY"), zone=None))
    assert [found[0].start, found[-1].start] == [
        datetime(2026, 3, 10, 10, tzinfo=UTC),
        datetime(2026, 4, 6, 10, tzinfo=UTC),
    ]


def test_each_file_is_a_calendar_and_a_meeting_in_two_files_is_shared() -> None:
    shared = event("a", ":20260310T090000Z", ":20260310T100000Z", f"LOCATION:{ROOM}")
    world = a_world()
    summary = add(
        world,
        export(shared),
        export(shared, event("b", ":20260311T090000Z"), program="Microsoft Exchange Server 2010"),
        customer="Home Team",
    )
    assert [calendar.platform for calendar in summary.calendars] == [GOOGLE, OUTLOOK]
    assert [calendar.email for calendar in summary.calendars] == [
        "file-1@home-team.example",
        "file-2@home-team.example",
    ]
    assert (summary.slug, summary.name, summary.shared_meetings, summary.bots) == ("home-team", "Home Team", 1, 1)
    source = world.regions["us-west-2"].workspaces["acme"]
    assert [calendar.status for calendar in source.calendars.values()] == ["connected", "connected"]
    assert [len(bot.events) for bot in source.bots.values()] == [2]


def test_people_and_their_answers_are_taken_over() -> None:
    (meeting,) = meetings(
        export(
            event(
                "a",
                ":20260310T090000Z",
                None,
                "ORGANIZER;CN=Olga:mailto:Olga@partner.example",
                "ATTENDEE;PARTSTAT=DECLINED:mailto:dan@partner.example",
                "ATTENDEE;PARTSTAT=ACCEPTED:mailto:eve@partner.example",
                "ATTENDEE:not an address",
            )
        )
    )
    assert meeting.organizer == "olga@partner.example"
    assert meeting.attendees["dan@partner.example"] == "declined"
    assert meeting.attendees["eve@partner.example"] == "accepted"
    assert not any("not an address" in email for email in meeting.attendees)


def test_an_event_without_a_length_lasts_a_little() -> None:
    found = meetings(export(event("a", ":20260310T090000Z"), event("b", ":20260311T090000Z", None, "DURATION:PT45M")))
    assert [meeting.end - meeting.start for meeting in found] == [timedelta(minutes=15), timedelta(minutes=45)]


def test_broken_events_are_passed_over_and_named() -> None:
    world = a_world()
    summary = add(
        world,
        export(
            event("good", ":20260310T090000Z"),
            event("bad start", ":tomorrow"),
            event("bad rule", ":20260310T090000Z", None, "RRULE:FREQ=SOMETIMES"),
            event("too often", ":20260310T090000Z", None, "RRULE:FREQ=SECONDLY"),
            "BEGIN:VEVENT\nUID:no start\nEND:VEVENT",
        ),
    )
    assert len(world.meetings) == 1
    assert summary.calendars[0].skipped == [
        "event 'bad start': its DTSTART cannot be read",
        "event 'bad rule': its RRULE cannot be read",
        "event 'too often': it recurs more often than daily",
        "event 'no start': it has no start",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no complete calendar is in it"),
        ("<html>log in first</html>", "this is no calendar export"),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\n", "no complete calendar is in it, it may be cut off"),
        (export("BEGIN:VTODO\nUID:t\nEND:VTODO"), "there is no usable event in it"),
        (export(event("x", ":tomorrow")), "no usable event in it (event 'x': its DTSTART cannot be read)"),
    ],
    ids=["empty", "a page", "cut off", "tasks only", "only broken events"],
)
def test_a_file_that_cannot_be_used_is_named_and_nothing_is_added(text: str, sentence: str) -> None:
    world = a_world()
    good = export(event("a", ":20260310T090000Z"))
    with pytest.raises(IcsError) as trouble:
        add(world, good, text)
    assert str(trouble.value).startswith("file 2.ics: ")
    assert sentence in str(trouble.value)
    assert "export" in str(trouble.value)
    assert not world.meetings
    assert not world.accounts
    assert not world.regions["us-west-2"].workspaces["acme"].calendars


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    world = a_world()

    def sentence(path: Path) -> str:
        with pytest.raises(IcsError) as trouble:
            add_ics(world, region="us-west-2", workspace="acme", paths=[path])
        return str(trouble.value)

    assert "none.ics: there is no such file" in sentence(tmp_path / "none.ics")
    assert "cannot be read" in sentence(tmp_path)
    (tmp_path / "latin.ics").write_bytes(b"BEGIN:VCALENDAR\r\nSUMMARY:\xe4\r\nEND:VCALENDAR\r\n")
    assert "latin.ics: this is no text in UTF-8" in sentence(tmp_path / "latin.ics")
    with pytest.raises(IcsError, match="No file was named"):
        add_ics(world, region="us-west-2", workspace="acme")
    with pytest.raises(IcsError, match="'missing' or 'all'"):
        add_ics(world, region="us-west-2", workspace="acme", link="some")


def test_the_control_command_takes_paths(tmp_path: Path) -> None:
    path = tmp_path / "mine.ics"
    path.write_text(export(event("a", ":20260310T090000Z")), newline="")
    world = a_world()
    control = Control(world, handlers=HANDLERS)
    body = {"region": "us-west-2", "workspace": "acme", "files": [str(path)], "link": "missing"}
    answer = control.handle(Request("POST", "/ics", body=json.dumps(body).encode()))
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    assert (told["slug"], told["bots"], told["calendars"][0]["file"]) == ("rehearsal", 1, "mine.ics")
    answer = control.handle(Request("POST", "/ics", body=json.dumps({**body, "files": ["nowhere.ics"]}).encode()))
    assert answer.status == 400
    assert "nowhere.ics: there is no such file" in json.loads(answer.body)["error"]
