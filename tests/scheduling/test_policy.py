"""Both platforms' events in one table: what a meeting says, and what a policy makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.scheduling.policy import Choice, Judgement, Meeting, Rule, judge, meeting_of

GOOGLE, OUTLOOK = "google_calendar", "microsoft_outlook"
BOTH = pytest.mark.parametrize("platform", [GOOGLE, OUTLOOK])
ADA, ALIAS, BOB, EVE = "ada@northwind.example", "ada.l@nw.example", "bob@northwind.example", "eve@contoso.example"
INSIDE = {"northwind.example"}
ROOM = "https://meet.google.com/abc-defg-hij"
ICAL, SERIES = "0a1b2c@google.com", "0a1b2c"
OUTLOOK_ANSWER = {"tentative": "tentativelyAccepted", "needsAction": "notResponded"}


def google(
    *,
    organizer: str = ADA,
    people: dict[str, str] | None = None,
    rooms: tuple[str, ...] = (),
    series: str = "",
    all_day: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """An event as Google gives it to Ada."""
    event: dict[str, Any] = {
        "kind": "calendar#event",
        "id": "0a1b2c_20260105T150000Z",
        "status": "confirmed",
        "summary": "Quarterly review",
        "organizer": {"email": organizer, **({"self": True} if organizer == ADA else {})},
        "start": {"date": "2026-01-05"} if all_day else {"dateTime": "2026-01-05T15:00:00Z", "timeZone": "UTC"},
        "iCalUID": ICAL,
        **more,
    }
    if series:
        event["recurringEventId"] = series
    entries: list[dict[str, Any]] = [
        {
            "email": email,
            "responseStatus": answer,
            **({"self": True} if email == ADA else {}),
            **({"organizer": True} if email == organizer else {}),
        }
        for email, answer in (people or {}).items()
    ]
    entries += [{"email": email, "resource": True, "responseStatus": "accepted"} for email in rooms]
    if entries:
        event["attendees"] = entries
    return event


def outlook(
    *,
    organizer: str = ADA,
    people: dict[str, str] | None = None,
    rooms: tuple[str, ...] = (),
    series: str = "",
    all_day: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """An event as Microsoft Graph gives it to Ada: the organizer is not among the attendees."""
    people = people or {}
    mine = "organizer" if organizer == ADA else OUTLOOK_ANSWER.get(people.get(ADA, ""), people.get(ADA, "none"))
    event: dict[str, Any] = {
        "id": "AAMkAGI1",
        "iCalUId": ICAL,
        "subject": "Quarterly review",
        "isAllDay": all_day,
        "isCancelled": False,
        "isOrganizer": organizer == ADA,
        "sensitivity": "normal",
        "type": "occurrence" if series else "singleInstance",
        "seriesMasterId": series or None,
        "responseStatus": {"response": mine, "time": "0001-01-01T00:00:00Z"},
        "start": {"dateTime": "2026-01-05T15:00:00.0000000", "timeZone": "UTC"},
        "organizer": {"emailAddress": {"name": "Somebody", "address": organizer}},
        **more,
    }
    entries = [
        {
            "type": "required",
            "status": {"response": OUTLOOK_ANSWER.get(answer, answer)},
            "emailAddress": {"name": email.partition("@")[0], "address": email},
        }
        for email, answer in people.items()
        if email != organizer
    ]
    entries += [
        {"type": "resource", "status": {"response": "accepted"}, "emailAddress": {"name": "Room", "address": email}}
        for email in rooms
    ]
    if entries:
        event["attendees"] = entries
    return event


def read(
    platform: str,
    raw: Any = None,
    *,
    url: str = ROOM,
    is_deleted: bool = False,
    addresses: tuple[str, ...] = (ADA,),
    **event: Any,
) -> Meeting:
    if raw is None:
        raw = (outlook if platform == OUTLOOK else google)(**event)
    return meeting_of(platform=platform, raw=raw, ical_uid=ICAL, url=url, is_deleted=is_deleted, addresses=addresses)


def said(
    meeting: Meeting,
    which: str = "all",
    *,
    choice: Choice | None = None,
    found: bool = False,
    inside: set[str] | None = None,
    **filters: bool,
) -> Judgement:
    return judge(
        meeting, Rule(which, **filters), inside=INSIDE if inside is None else inside, choice=choice, found=found
    )


def wants(meeting: Meeting, which: str, **more: Any) -> bool:
    return said(meeting, which, **more).wanted


TEAM = {"people": {ADA: "accepted", BOB: "accepted"}}
CLIENT = {"people": {ADA: "accepted", EVE: "needsAction", BOB: "accepted"}}

# what kind of meeting, and which rules want it
KINDS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a meeting of the team": (TEAM, {"all", "internal"}),
    "a meeting with a client": (CLIENT, {"all", "external"}),
    "a client's meeting": ({"organizer": EVE, "people": {ADA: "accepted", EVE: "accepted"}}, {"all", "external"}),
    "a client's that shows no attendees": ({"organizer": EVE}, {"all", "external"}),
    "one's own time": ({}, {"all", "internal"}),
    "a weekly meeting of the team": ({**TEAM, "series": SERIES}, {"all", "internal", "recurring"}),
    "a weekly meeting with a client": ({**CLIENT, "series": SERIES}, {"all", "external", "recurring"}),
    "with a room of another domain": ({**TEAM, "rooms": ("hall@rooms.example",)}, {"all", "internal"}),
    "declined": ({"organizer": EVE, "people": {ADA: "declined", EVE: "accepted"}}, set()),
    "tentative": ({"organizer": EVE, "people": {ADA: "tentative", EVE: "accepted"}}, {"all", "external"}),
    "not answered": ({"organizer": BOB, "people": {ADA: "needsAction", BOB: "accepted"}}, {"all", "internal"}),
    "all-day": ({**CLIENT, "series": SERIES, "all_day": True}, set()),
}


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["all", "external", "internal", "recurring", "manual"])
def test_each_rule_wants_its_kind_of_meeting(platform: str, kind: str, which: str) -> None:
    event, wanted_by = KINDS[kind]
    judgement = said(read(platform, **event), which)
    assert judgement.wanted == (which in wanted_by), judgement.reason


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("found", [True, False])
def test_as_found_follows_the_bot_and_nothing_else(platform: str, kind: str, found: bool) -> None:
    event, _ = KINDS[kind]
    assert wants(read(platform, **event), "as_found", found=found, confirmed_only=True, organizer_only=True) == found


# --- cancelled


@BOTH
def test_a_cancelled_meeting_is_recorded_by_no_rule_and_no_choice(platform: str) -> None:
    word = {"isCancelled": True} if platform == OUTLOOK else {"status": "cancelled"}
    for meeting in (read(platform, **word), read(platform, is_deleted=True), read(platform, url="", **word)):
        for which in ("as_found", "all", "manual"):
            chosen = Choice(record=True, what="event")
            assert said(meeting, which, choice=chosen, found=True) == Judgement(False, "cancelled")


# --- choices


@BOTH
@pytest.mark.parametrize("which", ["as_found", "all", "external", "internal", "recurring", "manual"])
@pytest.mark.parametrize("what", ["event", "series"])
def test_a_choice_wins_over_every_rule(platform: str, which: str, what: str) -> None:
    for kind, (event, _) in KINDS.items():
        meeting = read(platform, **event)
        for record in (True, False):
            choice = Choice(record=record, what=what, reason="the client asked")
            judgement = said(meeting, which, choice=choice, found=not record, confirmed_only=True, organizer_only=True)
            assert judgement == Judgement(record, f"chosen for this {what}: the client asked"), kind


def test_a_choice_without_a_reason_says_only_what_it_was_for() -> None:
    assert said(read(GOOGLE), choice=Choice(record=False, what="series", reason=" ")).reason == "chosen for this series"


@BOTH
def test_a_series_is_named_by_its_ical_uid_and_by_the_platforms_id(platform: str) -> None:
    assert read(platform, series=SERIES).series == {ICAL, SERIES}
    assert read(platform).series == {ICAL}
    assert meeting_of(platform=platform, raw={}, ical_uid="", url="", is_deleted=False, addresses=()).series == set()


def test_recurring_is_told_by_either_sign() -> None:
    assert read(GOOGLE, recurrence=["RRULE:FREQ=WEEKLY"]).recurring
    assert read(OUTLOOK, type="exception").recurring
    assert read(OUTLOOK, type="singleInstance", series=SERIES).recurring
    assert not read(OUTLOOK, seriesMasterId=None).recurring
    assert not read(GOOGLE, recurringEventId="").recurring


# --- filters


@BOTH
@pytest.mark.parametrize("which", ["all", "external"])
@pytest.mark.parametrize(
    ("answer", "confirmed"), [("accepted", True), ("tentative", False), ("needsAction", False), ("declined", False)]
)
def test_confirmed_only_wants_a_clear_yes(platform: str, which: str, answer: str, confirmed: bool) -> None:
    meeting = read(platform, organizer=EVE, people={EVE: "accepted", ADA: answer})
    assert wants(meeting, which, confirmed_only=True) == confirmed
    assert wants(meeting, which) == (answer != "declined")


@BOTH
def test_the_organizer_has_confirmed_without_an_answer(platform: str) -> None:
    for event in ({}, TEAM, {"people": {ADA: "needsAction", EVE: "accepted"}}, {"people": {EVE: "accepted"}}):
        meeting = read(platform, **event)
        assert meeting.my_answer == "accepted"
        assert wants(meeting, "all", confirmed_only=True, organizer_only=True)


def test_an_organizer_who_declines_the_own_meeting_has_declined() -> None:
    assert read(GOOGLE, people={ADA: "declined", BOB: "accepted"}).my_answer == "declined"
    assert read(OUTLOOK, responseStatus={"response": "declined"}).my_answer == "declined"


@BOTH
def test_organizer_only_wants_the_owners_own_meetings(platform: str) -> None:
    theirs = said(read(platform, organizer=BOB, people={ADA: "accepted"}), "all", organizer_only=True)
    assert theirs == Judgement(False, f"organized by {BOB}, not by the calendar's owner")
    assert wants(read(platform, **TEAM), "all", organizer_only=True)
    assert not wants(read(platform, raw={}), "all", organizer_only=True)


@BOTH
def test_filters_only_take_away(platform: str) -> None:
    meeting = read(platform, **TEAM)
    for which in ("external", "recurring", "manual"):
        assert not wants(meeting, which, confirmed_only=True, organizer_only=True)


# --- who is who


@BOTH
def test_addresses_are_compared_in_any_case(platform: str) -> None:
    loud = {"organizer": BOB.upper(), "people": {"ADA@NorthWind.EXAMPLE": "tentative", BOB.upper(): "accepted"}}
    meeting = read(platform, addresses=(" Ada@Northwind.Example ",), **loud)
    assert meeting.organizer == BOB
    assert [attendee.email for attendee in meeting.attendees if attendee.me] == [ADA]
    assert not wants(meeting, "external")


@BOTH
def test_an_alias_in_another_domain_is_the_owner(platform: str) -> None:
    people = {"organizer": BOB, "people": {ALIAS: "tentative", BOB: "accepted"}}
    assert wants(read(platform, **people), "external")
    meeting = read(platform, addresses=(ADA, ALIAS), **people)
    assert not wants(meeting, "external")
    assert meeting.my_answer == "tentative"
    mine = read(platform, organizer=ALIAS, addresses=(ADA, ALIAS))
    assert mine.organized_by_me
    assert wants(mine, "internal", organizer_only=True)


def test_an_unknown_alias_under_which_the_owner_organizes_is_the_owner() -> None:
    raw = google(people={ALIAS: "accepted", BOB: "accepted"}, organizer=ALIAS)
    raw["organizer"]["self"] = True
    assert not wants(read(GOOGLE, raw), "external")
    raw = outlook(people={BOB: "accepted"}, organizer=ALIAS, isOrganizer=True)
    assert not wants(read(OUTLOOK, raw), "external")


def test_the_entry_that_google_calls_self_speaks_before_an_alias() -> None:
    people = {ALIAS: "accepted", ADA: "declined", BOB: "accepted"}
    meeting = read(GOOGLE, organizer=BOB, people=people, addresses=(ADA, ALIAS))
    assert meeting.my_answer == "declined"


@BOTH
def test_a_plus_address_is_another_address(platform: str) -> None:
    meeting = read(platform, organizer=BOB, people={"ada+notes@northwind.example": "declined", BOB: "accepted"})
    assert not any(attendee.me for attendee in meeting.attendees)
    assert meeting.my_answer == "none"


@BOTH
@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("eve@contoso.example", True),
        ("Eve <eve@contoso.example>", True),
        ("Bob <Bob@Northwind.example>", False),
        ("mailto:bob@northwind.example", False),
        ("bob@mail.northwind.example", False),  # a subdomain is inside
        ("bob@northwind.example.", False),
        ("bob@othernorthwind.example", True),
        ("bob@example", True),  # the parent of a domain is not inside
        ("eve@northwind.example@contoso.example", True),
        ("/o=exchangelabs/ou=group (fydibohf23spdlt)/cn=recipients/cn=3f-eve", False),  # cannot be told
        ("imceaex-_o=exchangelabs_cn=3f@eurprd01.prod.outlook.com", False),
        ("Eve", False),
        ("", False),
        ("@", False),
        ("northwind_188@resource.calendar.google.com", False),
        ("c_9f@group.calendar.google.com", False),
        ("unknownorganizer@calendar.google.com", False),
        ("eve@notcalendar.google.com", True),
    ],
)
def test_who_is_from_outside(platform: str, address: str, outside: bool) -> None:
    for meeting in (read(platform, organizer=BOB, people={address: "accepted"}), read(platform, organizer=address)):
        assert wants(meeting, "external") == outside
        assert wants(meeting, "internal") != outside


@BOTH
def test_the_reason_names_the_first_from_outside(platform: str) -> None:
    people = {ADA: "accepted", BOB: "accepted", EVE: "declined", "mallory@fabrikam.example": "accepted"}
    assert said(read(platform, people=people), "external").reason == f"external: {EVE}"
    assert said(read(platform, people=people), "internal").reason == f"not internal: {EVE}"
    everybody = INSIDE | {"contoso.example", "fabrikam.example"}
    assert wants(read(platform, people=people), "internal", inside=everybody)


@BOTH
def test_without_domains_everybody_else_is_from_outside(platform: str) -> None:
    assert wants(read(platform, **TEAM), "external", inside={"", "."})
    assert not wants(read(platform), "external", inside=set())


# --- private, without a link


@BOTH
@pytest.mark.parametrize("word", ["private", "confidential"])
def test_a_private_meeting_is_judged_as_any_other(platform: str, word: str) -> None:
    hidden = {"sensitivity": word} if platform == OUTLOOK else {"visibility": word}
    assert read(platform, **hidden).private
    assert not read(platform).private
    for which in ("all", "external", "internal", "recurring", "manual"):
        assert said(read(platform, **CLIENT, **hidden), which) == said(read(platform, **CLIENT), which)


@BOTH
@pytest.mark.parametrize("which", ["as_found", "all", "external", "internal", "recurring", "manual"])
def test_a_meeting_without_a_link_is_judged_and_says_so(platform: str, which: str) -> None:
    with_link, without = said(read(platform, **CLIENT), which), said(read(platform, url="", **CLIENT), which)
    assert without == Judgement(with_link.wanted, f"{with_link.reason}; no meeting link yet")
    long = Choice(record=True, what="event", reason="because " * 25)
    reason = said(read(platform, url=""), choice=long).reason
    assert reason.endswith("…; no meeting link yet")
    assert len(reason) <= 200


# --- hostile


def test_types_of_another_kind_are_taken_as_absent() -> None:
    nothing = read(GOOGLE, {})
    for raw in (
        [],
        None,
        "x",
        {"attendees": {"email": EVE}, "organizer": [EVE], "start": "2026-01-05", "status": ["cancelled"]},
        {"attendees": [EVE, 7, None, [EVE]], "organizer": {"email": {"self": True}, "self": "yes"}},
        {"recurringEventId": 7, "visibility": ["private"], "start": {"date": {}}, "recurrence": None},
    ):
        meeting = meeting_of(
            platform=GOOGLE,
            raw=raw,  # type: ignore[arg-type]
            ical_uid=ICAL,
            url=ROOM,
            is_deleted=False,
            addresses=[ADA],
        )
        assert meeting == nothing
    for raw in (
        {"isAllDay": "false", "isCancelled": "no", "isOrganizer": 1, "sensitivity": {}, "type": ["occurrence"]},
        {"organizer": {"emailAddress": EVE}, "attendees": "nobody"},
        {"responseStatus": "accepted", "seriesMasterId": {"a": 1}},
    ):
        assert read(OUTLOOK, raw) == read(OUTLOOK, {})


def test_a_reason_is_one_line_whatever_an_invitation_holds() -> None:
    eve = "eve\x00\n\u202e\ud800" + "e" * 3000 + "@contoso.example"
    reason = said(read(GOOGLE, people={eve: "accepted"}), "external").reason
    assert len(reason) == 200
    assert reason.isprintable()
    assert reason.encode()


NAMES = st.sampled_from(
    [
        "attendees",
        "organizer",
        "email",
        "self",
        "resource",
        "responseStatus",
        "emailAddress",
        "address",
        "status",
        "response",
        "type",
        "start",
        "date",
        "dateTime",
        "visibility",
        "sensitivity",
        "isOrganizer",
        "isAllDay",
        "isCancelled",
        "seriesMasterId",
        "recurringEventId",
        "recurrence",
    ]
)
WORDS = st.sampled_from([ADA, EVE, "accepted", "organizer", "cancelled", "resource", "/o=x", "a@b\n", "\ud800@\x00"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)
RULES = st.builds(
    Rule,
    which=st.sampled_from(["as_found", "all", "external", "internal", "recurring", "manual", "", "?\n"]),
    confirmed_only=st.booleans(),
    organizer_only=st.booleans(),
)
CHOICES = st.none() | st.builds(
    Choice, record=st.booleans(), what=st.sampled_from(["event", "series"]), reason=st.text(max_size=400) | WORDS
)


@settings(max_examples=300, deadline=None)
@given(
    platform=st.sampled_from([GOOGLE, OUTLOOK, ""]),
    raw=st.dictionaries(NAMES, JSON, max_size=8) | JSON,
    url=st.sampled_from(["", ROOM]),
    rule=RULES,
    choice=CHOICES,
    found=st.booleans(),
    addresses=st.lists(WORDS | st.text(max_size=8), max_size=3),
)
def test_no_json_makes_judging_fail_or_waver(
    platform: str, raw: Any, url: str, rule: Rule, choice: Choice | None, found: bool, addresses: list[str]
) -> None:
    def once() -> tuple[Meeting, Judgement]:
        meeting = meeting_of(platform=platform, raw=raw, ical_uid=ICAL, url=url, is_deleted=False, addresses=addresses)
        return meeting, judge(meeting, rule, inside=[*addresses, "", "northwind.example"], choice=choice, found=found)

    meeting, judgement = once()
    assert once() == (meeting, judgement)
    assert meeting.my_answer in ("accepted", "declined", "tentative", "none")
    assert 0 < len(judgement.reason) <= 200
    assert judgement.reason.isprintable()
    judgement.reason.encode()
