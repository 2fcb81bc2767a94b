"""What an event of Google or Outlook says about its meeting: who organizes it, who is asked, who answered what.

The provider's JSON is written by strangers (whoever sends an invitation) and may hold any type anywhere. What does not
have the documented shape is taken as absent; nothing here raises. Pure: no ORM, no HTTP, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OUTLOOK = "microsoft_outlook"

_ANSWERS = {
    "accepted": "accepted",
    "organizer": "accepted",
    "declined": "declined",
    "tentative": "tentative",
    "tentativelyaccepted": "tentative",
}
_HIDDEN = ("private", "confidential", "personal")
_IN_BRACKETS = re.compile(r"<([^<>]*)>\s*$")


@dataclass(frozen=True, slots=True)
class Attendee:
    """One who is asked to come: a person, a group, or a room."""

    email: str  # lower case; empty or an Exchange name when the provider shows no address
    answer: str  # accepted, declined, tentative, none
    resource: bool
    me: bool


@dataclass(frozen=True, slots=True)
class Meeting:
    """One event as its calendar's owner sees it; everything that a policy may ask."""

    cancelled: bool
    all_day: bool
    private: bool
    linked: bool  # it has a meeting URL
    series: frozenset[str]  # what a choice for a series may name: the ical_uid, the platform's series id
    recurring: bool
    organizer: str  # lower case, empty when unknown
    organized_by_me: bool
    my_answer: str  # accepted, declined, tentative, none; an organizer who did not decline has accepted
    attendees: tuple[Attendee, ...]


def meeting_of(
    *, platform: str, raw: Mapping[str, Any], ical_uid: str, url: str, is_deleted: bool, addresses: Collection[str]
) -> Meeting:
    """Read an event. `addresses` are the calendar's own, in any case: its e-mail and what its connections call it."""
    mine = {address_of(address) for address in addresses} - {""}
    event = _map(raw)
    read = _outlook if platform == OUTLOOK else _google
    return read(event, ical_uid=_text(ical_uid), linked=bool(url), deleted=bool(is_deleted), mine=mine)


def address_of(value: object) -> str:
    """Return an address as it is compared: lower case, without a display name around it. "+" parts stay."""
    text = _text(value).strip()
    if found := _IN_BRACKETS.search(text):
        text = found[1].strip()
    return text.lower().removeprefix("mailto:").strip()


def no_person(address: str) -> bool:
    """Tell whether an address is one of Google's own: a room, a shared calendar, an organizer it does not know."""
    domain = address.rpartition("@")[2].rstrip(".")
    return domain == "calendar.google.com" or domain.endswith(".calendar.google.com")


def _google(event: Mapping[str, Any], *, ical_uid: str, linked: bool, deleted: bool, mine: Collection[str]) -> Meeting:
    organizer = _map(event.get("organizer"))
    address = address_of(organizer.get("email"))
    by_me = organizer.get("self") is True or address in mine
    start = _map(event.get("start"))
    series = _text(event.get("recurringEventId"))
    entries = _maps(event.get("attendees"))
    attendees = tuple(
        _attendee(
            address_of(entry.get("email")),
            entry.get("responseStatus"),
            resource=entry.get("resource") is True,
            me=entry.get("self") is True,
            mine={*mine, address} if by_me else mine,
        )
        for entry in entries
    )
    selves = tuple(attendee for attendee, entry in zip(attendees, entries, strict=True) if entry.get("self") is True)
    return Meeting(
        cancelled=deleted or event.get("status") == "cancelled",
        all_day=bool(_text(start.get("date"))) and not start.get("dateTime"),
        private=event.get("visibility") in _HIDDEN,
        linked=linked,
        series=frozenset({ical_uid, series} - {""}),
        recurring=bool(series or event.get("recurrence")),
        organizer=address,
        organized_by_me=by_me,
        my_answer=_my_answer("none", (*selves, *attendees), by_me=by_me),
        attendees=attendees,
    )


def _outlook(event: Mapping[str, Any], *, ical_uid: str, linked: bool, deleted: bool, mine: Collection[str]) -> Meeting:
    address = address_of(_map(_map(event.get("organizer")).get("emailAddress")).get("address"))
    response = _map(event.get("responseStatus")).get("response")
    by_me = event.get("isOrganizer") is True or response == "organizer" or address in mine
    series = _text(event.get("seriesMasterId"))
    attendees = tuple(
        _attendee(
            address_of(_map(entry.get("emailAddress")).get("address")),
            _map(entry.get("status")).get("response"),
            resource=entry.get("type") == "resource",
            me=False,
            mine={*mine, address} if by_me else mine,
        )
        for entry in _maps(event.get("attendees"))
    )
    return Meeting(
        cancelled=deleted or event.get("isCancelled") is True,
        all_day=event.get("isAllDay") is True,
        private=event.get("sensitivity") in _HIDDEN,
        linked=linked,
        series=frozenset({ical_uid, series} - {""}),
        recurring=bool(series) or event.get("type") in ("occurrence", "exception", "seriesMaster"),
        organizer=address,
        organized_by_me=by_me,
        my_answer=_my_answer(_answer(response), attendees, by_me=by_me),
        attendees=attendees,
    )


def _attendee(address: str, response: object, *, resource: bool, me: bool, mine: Collection[str]) -> Attendee:
    return Attendee(
        email=address,
        answer=_answer(response),
        resource=resource or no_person(address),
        me=me or (bool(address) and address in mine),
    )


def _my_answer(said: str, attendees: Sequence[Attendee], *, by_me: bool) -> str:
    """Return the owner's answer: the event's own word for it, else that of the first of the owner's entries."""
    if said == "none":
        answers = (attendee.answer for attendee in attendees if attendee.me and attendee.answer != "none")
        said = next(answers, "none")
    return "accepted" if by_me and said != "declined" else said


def _answer(response: object) -> str:
    return _ANSWERS.get(_text(response).lower(), "none")


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
