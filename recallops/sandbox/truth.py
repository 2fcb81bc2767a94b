"""The proof: which wanted meetings were held with exactly one bot, counted from the attendance log.

It knows the meetings in the accounts and who joined; it asks no region and no table of the product. What is judged is
an assignment: one start, one link, one scope. Only a meeting's final start counts. Each ends as exactly one of

    held       one bot was there, in time and to the end (a second one that came after the first had left is no double)
    missed     nobody came, or too late, or left early
    doubled    two bots were in it at the same time
    not over   it begins or ends later than now

A bot belongs to the meeting that starts at its own join time, else to the one that was on when it joined: two bots of
back-to-back meetings in one personal room are no double.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.company import company
from recallops.sandbox.links import platform_of
from recallops.sandbox.messages import iso, parse_time

if TYPE_CHECKING:
    from recallops.sandbox.attendance import Attendance
    from recallops.sandbox.meetings import AccountKey, Copy, Meeting
    from recallops.sandbox.world import World

IN_TIME = timedelta(minutes=5)  # so late may a bot come
TO_THE_END = timedelta(minutes=1)  # so early may it leave

Room = tuple[str, datetime]  # a link and a start


@dataclass(slots=True)
class Wanted:
    """One assignment as it was wanted at its start: exactly one bot must attend."""

    start: datetime
    url: str
    scope: str
    end: datetime
    meetings: list[Meeting] = field(default_factory=list)
    accounts: list[AccountKey] = field(default_factory=list)
    known_at: datetime | None = None
    bots: list[Attendance] = field(default_factory=list)


@dataclass(slots=True)
class Case:
    """One thing to look at: a meeting that was missed, doubled or cancelled, or a bot where none was wanted."""

    start: str | None
    url: str
    title: str
    reason: str
    accounts: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Truth:
    """The proof. Lists hold what must be looked at; `wanted` counts all assignments that start until `until`."""

    now: str | None
    until: str | None
    wanted: int = 0
    held: int = 0
    held_share: float = 1.0  # of the wanted ones that are over
    during_move: int = 0
    not_over: int = 0
    unaccounted: int = 0
    missed: list[Case] = field(default_factory=list)
    doubled: list[Case] = field(default_factory=list)
    cancelled: list[Case] = field(default_factory=list)
    stray: list[Case] = field(default_factory=list)
    by_customer: dict[str, dict[str, int]] = field(default_factory=dict)
    by_place: dict[str, int] = field(default_factory=dict)  # held by "region/workspace"

    @property
    def proven(self) -> bool:
        """Tell whether nothing was missed, nothing doubled, and nothing is unaccounted for."""
        return not (self.missed or self.doubled or self.unaccounted)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can carry it; lists with their counts beside them."""
        counts = {f"{name}_count": len(getattr(self, name)) for name in ("missed", "doubled", "cancelled", "stray")}
        return {**asdict(self), **counts, "proven": self.proven}


def truth(
    world: World,
    *,
    until: datetime | None = None,
    move_from: datetime | None = None,
    move_to: datetime | None = None,
) -> Truth:
    """Judge every assignment that starts until a time (now, unless told), and count those held during the move."""
    now = world.now()
    until = until or now
    result = Truth(iso(now), iso(until))
    assignments: dict[tuple[str, datetime, str], Wanted] = {}
    for meeting in world.meetings.values():
        if meeting.start <= max(until, now):
            _take_in(meeting, until, assignments, result)
    _seat(world, assignments, result)
    result.wanted = _count(world, until)
    customers: dict[str, Counter[str]] = {}
    over = 0
    for wanted in assignments.values():
        if wanted.start > until:
            continue
        verdict, reason = _judge(wanted, now)
        if verdict == "held":
            result.held += 1
            if move_from is not None and move_to is not None:
                result.during_move += any(move_from <= bot.joined_at <= move_to for bot in wanted.bots)
            there = f"{wanted.bots[0].region}/{wanted.bots[0].workspace}"
            result.by_place[there] = result.by_place.get(there, 0) + 1
        elif verdict == "not over":
            result.not_over += 1
        elif verdict in ("missed", "doubled"):
            getattr(result, verdict).append(_case(world, wanted, reason))
        over += verdict != "not over"
        for customer in {company(world).customer_of(email) for _, email in wanted.accounts}:
            customers.setdefault(customer, Counter()).update(("wanted", verdict))
    result.unaccounted = result.wanted - result.held - len(result.missed) - len(result.doubled) - result.not_over
    result.held_share = round(result.held / over, 4) if over else 1.0
    result.by_customer = {name: dict(sorted(counts.items())) for name, counts in sorted(customers.items())}
    return result


def _count(world: World, until: datetime) -> int:
    """Count the wanted assignments apart from the judging, so that one which got no verdict shows."""
    found: set[tuple[str | None, datetime, str]] = set()
    for meeting in world.meetings.values():
        url, copies = _as_at_start(meeting)
        if meeting.start <= until and platform_of(url) is not None:
            found.update((url, meeting.start, copy.scope) for copy in copies.values())
    return len(found)


def _take_in(
    meeting: Meeting, until: datetime, assignments: dict[tuple[str, datetime, str], Wanted], result: Truth
) -> None:
    """Add what a meeting wants to the assignments; one that was called off before its start is listed."""
    url, copies = _as_at_start(meeting)
    if url is None or platform_of(url) is None:
        return
    if not copies:
        wanting = [key for key, copy in meeting.copies.items() if copy.wanted]
        if wanting and meeting.start <= until:
            how = "cancelled" if meeting.cancelled else "deleted by all who wanted it"
            result.cancelled.append(Case(iso(meeting.start), url, meeting.title, how, [email for _, email in wanting]))
        return
    for key, copy in copies.items():
        wanted = assignments.setdefault(
            (url, meeting.start, copy.scope), Wanted(meeting.start, url, copy.scope, meeting.end)
        )
        wanted.end = max(wanted.end, meeting.end)
        wanted.accounts.append(key)
        if meeting not in wanted.meetings:
            wanted.meetings.append(meeting)
        if meeting.made_at is not None:
            wanted.known_at = min(wanted.known_at or meeting.made_at, meeting.made_at)


def _as_at_start(meeting: Meeting) -> tuple[str | None, dict[AccountKey, Copy]]:
    """Return the link and the wanting copies that a meeting had when it started: what came later does not count."""
    url = meeting.url
    links = [change for change in meeting.history if change.what in ("made", "url")]
    if any(change.at > meeting.start for change in links[1:]):
        url = [change for change in links if change is links[0] or change.at <= meeting.start][-1].url
    cancelled_later = any(change.what == "cancelled" and change.at > meeting.start for change in meeting.history)
    removed_later = {
        change.account for change in meeting.history if change.what == "removed" and change.at > meeting.start
    }
    copies = {
        key: copy
        for key, copy in meeting.copies.items()
        if copy.wanted and (not copy.deleted or cancelled_later or key in removed_later)
    }
    return url, copies


def _seat(world: World, assignments: dict[tuple[str, datetime, str], Wanted], result: Truth) -> None:
    """Give every bot that joined its place in an assignment; those without one are strays."""
    rooms: dict[str, dict[datetime, list[Wanted]]] = {}
    for wanted in assignments.values():
        rooms.setdefault(wanted.url, {}).setdefault(wanted.start, []).append(wanted)
    for bot in world.attendance:
        starts = rooms.get(bot.meeting_url, {})
        start = bot.meeting_start
        if start is None:  # it came before the meeting had begun and may have waited for it
            left = bot.left_at or world.now()
            start = min((when for when in starts if bot.joined_at <= when < left), default=None)
        served = list(starts.get(start, ())) if start is not None else []
        scopes = _scopes(world, bot, served)
        served = [wanted for wanted in served if wanted.scope in scopes]
        for wanted in served:
            wanted.bots.append(bot)
        if not served:
            result.stray.append(_stray(world, bot))


def _scopes(world: World, bot: Attendance, served: list[Wanted]) -> set[str]:
    """Return the scopes that a bot served: those of the copies it was sent for; if it was sent for none, the first."""
    scopes = {
        meeting.copies[key].scope
        for wanted in served
        for meeting in wanted.meetings
        for key in bot.accounts
        if key in meeting.copies
    }
    return scopes & {wanted.scope for wanted in served} or {wanted.scope for wanted in served[:1]}


def _judge(wanted: Wanted, now: datetime) -> tuple[str, str]:
    bots = sorted(wanted.bots, key=lambda bot: bot.joined_at)
    present = datetime.min.replace(tzinfo=now.tzinfo)
    for bot in bots:
        if bot.joined_at < present:
            return "doubled", f"{len(bots)} bots attended it"
        present = max(present, bot.left_at or max(now, wanted.end))
    if wanted.end > now:
        return "not over", ""
    if not bots:
        return "missed", "no bot came"
    late = bots[0].joined_at - max(wanted.start, wanted.known_at or wanted.start)
    if late > IN_TIME:
        return "missed", f"its bot came {late.total_seconds() / 60:.0f} minutes late"
    if wanted.end - present > TO_THE_END:
        return "missed", f"its bot left {(wanted.end - present).total_seconds() / 60:.0f} minutes before the end"
    return "held", ""


# --- for people -------------------------------------------------------------------------------------------------------


def _case(world: World, wanted: Wanted, reason: str) -> Case:
    emails = sorted({email for _, email in wanted.accounts})
    details = [
        f"{bot.region}/{bot.workspace}: bot {bot.bot_id} joined {iso(bot.joined_at)}, left {iso(bot.left_at)}, key "
        f"{bot.deduplication_key!r}"
        for bot in wanted.bots
    ]
    for meeting in wanted.meetings:
        details += [f"{iso(change.at)} {change.what}" for change in meeting.history if change.what != "made"]
        for key in meeting.copies:
            details += _shown(world, key, meeting.id)
    return Case(
        start=iso(wanted.start),
        url=wanted.url,
        title=wanted.meetings[0].title,
        reason=reason,
        accounts=emails,
        customers=sorted({company(world).customer_of(email) for email in emails}),
        details=details,
    )


def _shown(world: World, account: AccountKey, meeting_id: str) -> list[str]:
    """Say what each region shows of a copy now: a hint for whoever looks for the cause, not part of the proof."""
    lines = []
    for code, region in world.regions.items():
        for slug, workspace in region.workspaces.items():
            for calendar in workspace.calendars.values():
                event = workspace.event_of(calendar.id, meeting_id) if calendar.account == account else None
                if event is not None:
                    bots = ", ".join(f"{entry.bot_id} for {iso(entry.start_time)}" for entry in event.bots)
                    lines.append(
                        f"{code}/{slug}: {account[1]} {calendar.status}, event {event.id} at {iso(event.start)}, "
                        f"bots: {bots or 'none'}"
                    )
    return lines


def _stray(world: World, bot: Attendance) -> Case:
    meeting = world.meetings.get(bot.meeting_id or "")
    reason = "nobody met at this link then" if meeting is None else "nobody wanted a bot in this meeting"
    if meeting is not None and meeting.start != bot.meeting_start:
        reason = "the meeting was moved after this bot had joined"
    return Case(
        start=iso(bot.meeting_start or bot.join_at),
        url=bot.meeting_url,
        title=meeting.title if meeting is not None else "",
        reason=reason,
        accounts=sorted({email for _, email in bot.accounts}),
        details=[f"{bot.region}/{bot.workspace}: bot {bot.bot_id} joined {iso(bot.joined_at)}"],
    )


# --- running on -------------------------------------------------------------------------------------------------------


def run_out(world: World, to: datetime) -> datetime:
    """Let the world run on to a time in one go, its clock jumping there; return the time now."""
    jump = getattr(world.clock, "jump", None)
    if callable(jump):
        jump(to)
    elif hasattr(world.clock, "at"):
        world.clock.at = max(to, world.clock.at)
    else:
        raise ValueError("This clock cannot be set: start the sandbox with a clock file.")
    return world.advance()


def control_truth(world: World, wishes: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `truth` {until?, move_from?, move_to?}."""
    times = {name: parse_time(wishes[name]) for name in ("until", "move_from", "move_to") if wishes.get(name)}
    return truth(world, **times).as_dict()


def control_run_out(world: World, wishes: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `run_out` {to}."""
    now = run_out(world, parse_time(wishes["to"]))
    return {"now": iso(now), "attended": len(world.attendance)}
