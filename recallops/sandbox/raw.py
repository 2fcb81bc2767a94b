"""Events in the shapes of Google Calendar and Microsoft Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallops.sandbox.links import platform_of
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.messages import iso

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.meetings import Account, Copy, Meeting

_OUTLOOK_RESPONSE = {
    "accepted": "accepted",
    "declined": "declined",
    "tentative": "tentativelyAccepted",
    "needsAction": "notResponded",
}


def raw_event(meeting: Meeting, copy: Copy, account: Account) -> dict[str, Any]:
    """Return one account's copy as its provider would give it."""
    shape = _google if account.platform == GOOGLE else _outlook
    return shape(meeting, copy, account)


def _google(meeting: Meeting, copy: Copy, account: Account) -> dict[str, Any]:
    mine = account.email == meeting.organizer
    event: dict[str, Any] = {
        "kind": "calendar#event",
        "etag": f'"{copy.version}"',
        "id": copy.platform_id,
        "status": "cancelled" if copy.deleted else "confirmed",
        "htmlLink": f"https://www.google.com/calendar/event?eid={copy.platform_id}",
        "created": iso(meeting.made_at),
        "summary": meeting.title,
        "creator": {"email": meeting.organizer, **({"self": True} if mine else {})},
        "organizer": {"email": meeting.organizer, **({"self": True} if mine else {})},
        "start": {"dateTime": iso(meeting.start), "timeZone": "UTC"},
        "end": {"dateTime": iso(meeting.end), "timeZone": "UTC"},
        "iCalUID": meeting.ical_uid,
        "sequence": copy.version - 1,
        "reminders": {"useDefault": True},
        "eventType": "default",
    }
    if meeting.series and meeting.original_start:
        event["recurringEventId"] = meeting.series
        event["originalStartTime"] = {"dateTime": iso(meeting.original_start), "timeZone": "UTC"}
    attendees = []
    if len(meeting.attendees) > 1:
        for email, response in meeting.attendees.items():
            attendee: dict[str, Any] = {"email": email, "responseStatus": response}
            if email == meeting.organizer:
                attendee["organizer"] = True
            if email == account.email:
                attendee["self"] = True
            attendees.append(attendee)
        event["attendees"] = attendees
    if meeting.description:
        event["description"] = meeting.description
    if meeting.url:
        if platform_of(meeting.url) == "google_meet":
            event["hangoutLink"] = meeting.url
            event["conferenceData"] = {
                "conferenceId": meeting.url.rpartition("/")[2],
                "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
                "entryPoints": [{"entryPointType": "video", "uri": meeting.url}],
            }
        else:
            event["location"] = meeting.url
    return event


def _outlook(meeting: Meeting, copy: Copy, account: Account) -> dict[str, Any]:
    mine = account.email == meeting.organizer
    response = "organizer" if mine else _OUTLOOK_RESPONSE.get(meeting.attendees.get(account.email, ""), "none")
    body = "<br>".join(text for text in (meeting.description, meeting.url or "") if text)
    event: dict[str, Any] = {
        "@odata.etag": f'W/"{copy.version}"',
        "id": copy.platform_id,
        "createdDateTime": iso(meeting.made_at),
        "changeKey": str(copy.version),
        "iCalUId": meeting.ical_uid,
        "subject": meeting.title,
        "bodyPreview": meeting.description[:255],
        "importance": "normal",
        "isAllDay": False,
        "isCancelled": meeting.cancelled,
        "isOrganizer": mine,
        "showAs": "busy",
        "type": "occurrence" if meeting.series else "singleInstance",
        "responseStatus": {"response": response},
        "body": {"contentType": "html", "content": body},
        "start": {"dateTime": _graph_time(meeting.start), "timeZone": "UTC"},
        "end": {"dateTime": _graph_time(meeting.end), "timeZone": "UTC"},
        "location": {"displayName": ""},
        "organizer": {"emailAddress": _address(meeting.organizer)},
        "isOnlineMeeting": False,
        "onlineMeeting": None,
    }
    if meeting.series:
        event["seriesMasterId"] = meeting.series
    others = [email for email in meeting.attendees if email != meeting.organizer]
    if others:
        event["attendees"] = [
            {
                "type": "required",
                "status": {"response": _OUTLOOK_RESPONSE.get(meeting.attendees[email], "none")},
                "emailAddress": _address(email),
            }
            for email in others
        ]
    if platform_of(meeting.url) == "microsoft_teams":
        event["isOnlineMeeting"] = True
        event["onlineMeetingProvider"] = "teamsForBusiness"
        event["onlineMeeting"] = {"joinUrl": meeting.url}
    elif meeting.url:
        event["location"] = {"displayName": meeting.url}
    return event


def _graph_time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}.0000000"


def _address(email: str) -> dict[str, str]:
    return {"name": email.partition("@")[0].replace(".", " ").title(), "address": email}
