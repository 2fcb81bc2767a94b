"""Reads one calendar export to plain values: the instances that fall into the coming 28 days.

Recurrence, time zones, moved and cancelled instances are the business of `icalendar` and `recurring_ical_events`, which
are not installed in production; here is what they leave open: floating times, whole days, broken events, links, and the
shift of a past export. The shift is by whole weeks in local time, so that a Monday 09:00 stays a Monday 09:00 across a
change of the clocks.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from recallops.sandbox.links import first_link, platform_of

WINDOW = timedelta(days=28)
WEEK = timedelta(days=7)
LONGEST_LOOK_BACK = timedelta(days=5 * 366)
SHORTEST = timedelta(minutes=15)  # an event without a length lasts so long
AS_GOOD_AS_A_DAY = timedelta(hours=12)  # a timed event as long as this is no call
TOO_MANY = 20_000  # instances in the window
_FINE = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_NEEDED = ("UID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
_LINK_FIELDS = ("X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL", "X-MICROSOFT-ONLINEMEETINGCONFLINK")
_TEXT_FIELDS = ("CONFERENCE", "LOCATION", "URL", "DESCRIPTION")
_RESPONSES = {
    "ACCEPTED": "accepted",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "NEEDS-ACTION": "needsAction",
}


class IcsError(ValueError):
    """An export cannot be used; the sentence names the file and what to do."""


@dataclass(slots=True)
class Instance:
    """One event, or one instance of a series, in UTC. `original_start` is set for instances only."""

    uid: str
    start: datetime
    end: datetime
    title: str
    url: str | None
    original_start: datetime | None
    all_day: bool
    organizer: str | None
    attendees: dict[str, str]


@dataclass(slots=True)
class Export:
    """What one file holds."""

    name: str
    program: str
    instances: list[Instance] = field(default_factory=list)
    shifted_weeks: int = 0
    cancelled: int = 0  # instances that were called off: marked so, or taken out of their series
    skipped: list[str] = field(default_factory=list)


def read_export(name: str, text: str, now: datetime) -> Export:
    """Read an export. Single broken events are passed over and named; a file that is no calendar raises `IcsError`."""
    calendars = _parse(name, text)
    export = Export(name, str(calendars[0].get("PRODID", "")))
    for calendar in calendars:
        _drop_broken(calendar, export)
    if not any(calendar.walk("VEVENT") for calendar in calendars):
        reason = f" ({export.skipped[0]})" if export.skipped else ""
        raise IcsError(f"{name}: there is no usable event in it{reason}; export a calendar with events.")
    zone = _zone(calendars)
    try:
        export.shifted_weeks = _weeks_to_shift(calendars, zone, now)
        for calendar in calendars:
            _read_window(calendar, export, zone, now)
    except IcsError:
        raise
    except Exception as trouble:  # whatever a library stumbles over in a strange file
        raise IcsError(f"{name}: its events cannot be worked out ({_brief(trouble)}); export it again.") from None
    export.instances.sort(key=lambda instance: (instance.start, instance.uid))
    return export


def _parse(name: str, text: str) -> list[Any]:
    try:
        import icalendar
    except ImportError:
        raise IcsError(f"{name}: reading .ics files needs `pip install -r requirements/local.txt`.") from None
    try:
        components = icalendar.Calendar.from_ical(text, multiple=True)
    except Exception as trouble:  # the parser raises many kinds
        raise IcsError(f"{name}: this is no calendar export ({_brief(trouble)}); export it again as .ics.") from None
    found = [component for component in components if component.name == "VCALENDAR"]
    if not found:
        raise IcsError(f"{name}: no complete calendar is in it, it may be cut off; export it again as .ics.")
    return found


def _brief(trouble: Exception) -> str:
    return " ".join(str(trouble).split())[:120] or type(trouble).__name__


def _drop_broken(calendar: Any, export: Export) -> None:
    """Take out events that cannot be expanded, and say which."""
    kept = []
    for component in calendar.subcomponents:
        reason = _broken(component) if component.name == "VEVENT" else None
        if reason is None:
            kept.append(component)
        else:
            export.skipped.append(f"event {str(component.get('UID', 'without UID'))[:60]!r}: {reason}")
    calendar.subcomponents = kept


def _broken(event: Any) -> str | None:
    for field_name, _ in event.errors:
        if field_name in _NEEDED:
            return f"its {field_name} cannot be read"
    if "DTSTART" not in event:
        return "it has no start"
    if "UID" not in event:
        return "it has no UID"
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if not all(str(frequency) in _FINE for frequency in rule.get("FREQ", [])):
            return "it recurs more often than daily"
    return None


# --- time -------------------------------------------------------------------------------------------------------------


def _zone(calendars: list[Any]) -> tzinfo:
    """Return the zone of floating times and whole days: the calendar's own, else the only one it defines, else UTC."""
    names = [str(calendar["X-WR-TIMEZONE"]) for calendar in calendars if "X-WR-TIMEZONE" in calendar]
    defined = {str(zone["TZID"]) for calendar in calendars for zone in calendar.walk("VTIMEZONE") if "TZID" in zone}
    if len(defined) == 1:
        names += defined
    for name in names:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            continue
    return UTC


def _local(value: date | datetime, zone: tzinfo) -> datetime:
    """Return a start or end as local time with a zone; a whole day begins at midnight."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), zone)
    if value.tzinfo is None:
        return value.replace(tzinfo=zone)
    in_utc = value.tzinfo is UTC or getattr(value.tzinfo, "key", "") in ("UTC", "Etc/UTC")
    return value.astimezone(zone) if in_utc else value


def _shift(value: datetime, weeks: int) -> datetime:
    """Move a local time by whole weeks on the wall clock and return it in UTC."""
    return (value.replace(tzinfo=None) + weeks * WEEK).replace(tzinfo=value.tzinfo).astimezone(UTC)


def _expand(calendar: Any, begin: datetime, end: datetime) -> list[Any]:
    """Return all instances between two times, whose recurrence the library works out."""
    import recurring_ical_events

    found: list[Any] = recurring_ical_events.of(calendar).between(begin, end)
    return found


def _weeks_to_shift(calendars: list[Any], zone: tzinfo, now: datetime) -> int:
    """Return by how many weeks the export must be moved so that its busiest four weeks are the coming ones.

    A calendar that is in use is not moved: one whose coming four weeks hold at least half as much as its busiest.
    """
    edges = []
    for calendar in calendars:
        for event in calendar.walk("VEVENT"):
            edges += [_local(event[name].dt, zone) for name in ("DTSTART", "DTSTAMP") if name in event]
    first, last = min(edges), max(edges)
    first = max(first, last - LONGEST_LOOK_BACK)
    starts = sorted(
        _local(instance["DTSTART"].dt, zone).astimezone(UTC)
        for calendar in calendars
        for instance in _expand(calendar, first - WEEK, last + WINDOW)
        if not _is_cancelled(instance)
    )
    home = now.astimezone(zone)

    def held(weeks: int) -> int:
        begin = _shift(home, -weeks)
        return bisect_left(starts, begin + WINDOW) - bisect_left(starts, begin)

    past, ahead = (now - first) // WEEK + 1, (last - now) // WEEK + 1
    best = max(range(-max(0, ahead), max(0, past) + 1), key=lambda weeks: (held(weeks), -abs(weeks)))
    coming = sum(
        not _is_cancelled(instance) for calendar in calendars for instance in _expand(calendar, now, now + WINDOW)
    )
    return 0 if coming * 2 >= held(best) else best


# --- instances --------------------------------------------------------------------------------------------------------


def _read_window(calendar: Any, export: Export, zone: tzinfo, now: datetime) -> None:
    weeks = export.shifted_weeks
    begin = _shift(now.astimezone(zone), -weeks)
    series = {
        str(event["UID"])
        for event in calendar.walk("VEVENT")
        if any(name in event for name in ("RRULE", "RDATE", "RECURRENCE-ID"))
    }
    for event in _expand(calendar, begin - timedelta(hours=1), begin + WINDOW + timedelta(hours=1)):
        start = _shift(_local(event["DTSTART"].dt, zone), weeks)
        if not now <= start < now + WINDOW:
            continue
        if _is_cancelled(event):
            export.cancelled += 1
            continue
        export.instances.append(_instance(event, start, zone, weeks, recurring=str(event["UID"]) in series))
        if len(export.instances) > TOO_MANY:
            raise IcsError(f"{export.name}: more than {TOO_MANY} events in four weeks; export a smaller calendar.")
    for event in calendar.walk("VEVENT"):
        lists = event.get("EXDATE", [])
        for dates in lists if isinstance(lists, list) else [lists]:
            taken_out = [_shift(_local(one.dt, zone), weeks) for one in dates.dts]
            export.cancelled += sum(now <= when < now + WINDOW for when in taken_out)


def _instance(event: Any, start: datetime, zone: tzinfo, weeks: int, *, recurring: bool) -> Instance:
    value = event["DTSTART"].dt
    whole_day = not isinstance(value, datetime)
    if "DTEND" in event:
        end = _shift(_local(event["DTEND"].dt, zone), weeks)
    elif "DURATION" in event:
        end = start + event["DURATION"].dt
    else:
        end = start + (timedelta(days=1) if whole_day else SHORTEST)
    end = max(end, start + SHORTEST)
    original = None
    if recurring and "RECURRENCE-ID" in event:
        original = _shift(_local(event["RECURRENCE-ID"].dt, zone), weeks)
    organizer = _email(event.get("ORGANIZER"))
    return Instance(
        uid=str(event["UID"])[:500],
        start=start,
        end=end,
        title=" ".join(str(event.get("SUMMARY", "")).split())[:200] or "Busy",
        url=_own_link(event),
        original_start=original,
        all_day=whole_day or end - start >= AS_GOOD_AS_A_DAY,
        organizer=organizer,
        attendees=_attendees(event),
    )


def _is_cancelled(event: Any) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _own_link(event: Any) -> str | None:
    """Return the link that a bot would take: the conference field's, else the first that counts in the texts."""
    for name in _LINK_FIELDS:
        link = str(event.get(name, "")).strip()
        if platform_of(link):
            return link
    link = first_link("\n".join(str(event.get(name, "")) for name in _TEXT_FIELDS)) or ""
    return link if platform_of(link) else None


def _attendees(event: Any) -> dict[str, str]:
    listed = event.get("ATTENDEE", [])
    responses = {}
    for attendee in (listed if isinstance(listed, list) else [listed])[:100]:
        email = _email(attendee)
        if email:
            answer = str(attendee.params.get("PARTSTAT", "NEEDS-ACTION")).upper()
            responses[email] = _RESPONSES.get(answer, "needsAction")
    return responses


def _email(address: Any) -> str | None:
    email = str(address or "").strip().lower().removeprefix("mailto:")
    return email if email.count("@") == 1 and len(email) <= 254 and " " not in email else None
