"""Which meetings are recorded, and why: the rule of a customer or a calendar, and what people chose. Pure.

The first that applies, as in the vendor's own rules for Calendar V1:

 1. cancelled or deleted: no, whatever anybody chose
 2. a choice for the event, else one for its series: as chosen
 3. as found: yes when a scheduled bot was seen; nothing below applies
 4. the calendar's owner declined: no
 5. an all-day event: no
 6. by hand only: no
 7. external, internal, recurring, all: as the rule says
 8. confirmed only (tentative is not confirmed), organizer only: no to what does not pass

A private meeting is judged as any other; the vendor's rules know no exception. What hides its attendees counts as
internal. A meeting without a link is judged, too: scheduling waits for the link.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from calendars.scheduling.meeting import Attendee, Meeting, meeting_of, no_person

__all__ = ["Attendee", "Choice", "Judgement", "Meeting", "Rule", "judge", "meeting_of"]

MAX_REASON = 200  # what an occurrence row keeps
NO_LINK = "; no meeting link yet"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy as a value. `which`: as_found, all, external, internal, recurring, manual."""

    which: str
    confirmed_only: bool = False
    organizer_only: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody decided for one event or for a series."""

    record: bool
    what: str  # event or series
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a meeting is wanted, and why: one line for staff."""

    wanted: bool
    reason: str


def judge(meeting: Meeting, rule: Rule, *, inside: Collection[str], choice: Choice | None, found: bool) -> Judgement:
    """Judge a meeting. `inside` are the customer's e-mail domains; `found`: a scheduled bot was seen on it."""
    wanted, reason = _judge(meeting, rule, inside=inside, choice=choice, found=found)
    tail = "" if meeting.linked or meeting.cancelled else NO_LINK
    return Judgement(wanted, _line(reason, MAX_REASON - len(tail)) + tail)


def _judge(
    meeting: Meeting, rule: Rule, *, inside: Collection[str], choice: Choice | None, found: bool
) -> tuple[bool, str]:
    if meeting.cancelled:
        return False, "cancelled"
    if choice is not None:
        because = f": {choice.reason}" if choice.reason.strip() else ""
        return choice.record, f"chosen for this {choice.what}{because}"
    if rule.which == "as_found":
        return found, "as found: a bot was scheduled for it" if found else "as found: no bot was scheduled for it"
    if meeting.my_answer == "declined":
        return False, "declined by the calendar's owner"
    if meeting.all_day:
        return False, "all-day event"
    wanted, reason = _which(meeting, rule.which, inside)
    if wanted and rule.confirmed_only and meeting.my_answer != "accepted":
        answer = "answered tentatively" if meeting.my_answer == "tentative" else "not answered"
        return False, f"not confirmed: the calendar's owner has {answer}"
    if wanted and rule.organizer_only and not meeting.organized_by_me:
        return False, f"organized by {meeting.organizer or 'somebody else'}, not by the calendar's owner"
    return wanted, reason


def _which(meeting: Meeting, which: str, inside: Collection[str]) -> tuple[bool, str]:
    match which:
        case "all":
            return True, "all meetings are recorded"
        case "manual":
            return False, "only what was chosen by hand is recorded"
        case "recurring":
            return meeting.recurring, "recurring" if meeting.recurring else "not recurring"
        case "external":
            stranger = next(_outsiders(meeting, inside), "")
            return bool(stranger), f"external: {stranger}" if stranger else "not external: nobody from outside"
        case "internal":
            stranger = next(_outsiders(meeting, inside), "")
            return not stranger, f"not internal: {stranger}" if stranger else "internal: nobody from outside"
    return False, f"the policy is not understood: {which}"


def _outsiders(meeting: Meeting, inside: Collection[str]) -> Iterator[str]:
    """Yield the addresses from outside: attendees in their order, then the organizer. Rooms and the owner are none."""
    domains = {domain.strip(" .").lower() for domain in inside} - {""}
    for attendee in meeting.attendees:
        if not attendee.me and not attendee.resource and _outside(attendee.email, domains):
            yield attendee.email
    if not meeting.organized_by_me and not no_person(meeting.organizer) and _outside(meeting.organizer, domains):
        yield meeting.organizer


def _outside(address: str, domains: Collection[str]) -> bool:
    """Tell whether an address belongs to another domain. Where none can be told (Exchange names), it does not."""
    if address.startswith(("/", "imceaex-")):
        return False
    domain = address.rpartition("@")[2].strip(" .") if "@" in address else ""
    return bool(domain) and not any(domain == ours or domain.endswith("." + ours) for ours in domains)


def _line(text: str, longest: int) -> str:
    """Return text as one line that any database and page takes, cut where it is too long."""
    clean = " ".join("".join(sign if sign.isprintable() else " " for sign in text[:2000]).split())
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"
