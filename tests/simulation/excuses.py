"""What docs/handover.md (8) excuses, from the world's own history: what happened when, never from our tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from recallops.sandbox.meetings import Change, Meeting
from recallops.sandbox.messages import parse_time
from recallops.sandbox.truth import Case
from tests.harness import SOURCE, TARGET
from tests.simulation.play import Play

ACTION = timedelta(minutes=5)  # one action: reading, writing, reading back
LAST_LOOK = timedelta(minutes=2)  # before a batch is closed
FREEZE = timedelta(minutes=12)
MARGIN = timedelta(minutes=20)
CHANGES = ("made", "moved", "url", "added", "removed", "wanted", "cancelled")


def why_missed(play: Play, case: Case) -> str:
    """Return why a meeting may have been missed; empty when it may not."""
    meeting = _meeting(play, case)
    start = _start(case)
    if meeting is None or start is None:
        return ""
    told = _last_change(meeting, start)
    delay = timedelta(minutes=play.scenario.sweep_every) + timedelta(seconds=play.world.switches.sync_delay[1]) + ACTION
    if told is not None and start - told < delay:
        return f"(excused: it changed {(start - told).total_seconds() / 60:.0f} minutes before its start)"
    closed = play.course.closed_at
    last = timedelta(seconds=play.world.switches.sync_delay[1]) + LAST_LOOK
    if not play.scenario.always_on and closed is not None and told is not None and told > closed - last:
        return "(excused: it changed when its batch was being closed, and nobody read any more)"
    emails = {email for _, email in meeting.copies}
    for _, email, began, ended in play.happenings.history.disconnected:
        if email in emails and began < start and (ended is None or ended > start - delay):
            return "(excused: its calendar was disconnected)"
    if _bots_went_and_nobody_was_told(play, emails, start=start, told=told):
        return "(excused: its calendar fell off in the source, and its application hears of changes only)"
    return ""


def _bots_went_and_nobody_was_told(play: Play, emails: set[str], *, start: datetime, told: datetime | None) -> bool:
    """After the way back the source is the application's again; a calendar that falls off there loses its bots.

    When it is connected again, no event has changed: an application that follows the vendor's guide puts none back.
    """
    back = [play.start + timedelta(minutes=act.at) for act in play.scenario.acts if act.what == "go_back"]
    return bool(play.scenario.external and play.course.gone_back) and any(
        region == SOURCE and email in emails and min(back, default=start) <= began < start
        for region, email, began, ended in play.happenings.history.disconnected
        if told is None or told < (ended or start)
    )


def why_doubled(play: Play, case: Case) -> str:
    """Return why a meeting may have been doubled; empty when it may not."""
    meeting = _meeting(play, case)
    start = _start(case)
    if meeting is None or start is None:
        return ""
    history = play.happenings.history
    if any(meeting_id == meeting.id for meeting_id, _ in history.foreign_bots):
        return "(excused: somebody else added a bot)"
    told = _last_change(meeting, start)
    if told is not None and meeting.made_at is not None and told > meeting.made_at and start - told < FREEZE:
        return "(excused: it was moved inside the freeze)"
    emails = {email for _, email in meeting.copies}
    for region, email, began, _ in history.disconnected:
        if play.scenario.external and region == SOURCE and email in emails and start < began < meeting.end:
            return "(excused: its calendar fell off in the source while it was on)"
    added = [bot.joined_at for bot in play.world.attendance if bot.meeting_id == meeting.id]
    written = [
        bot.created_at
        for bot in play.world.regions[TARGET].workspaces["main"].bots.values()
        if bot.meeting_url == case.url and bot.join_at == start
    ]
    for _, began, ended in history.outages:
        lasted = (ended or start) - began
        between = any(at <= began + ACTION for at in written)
        if added and lasted > MARGIN and between and (ended is None or ended > start - FREEZE - MARGIN):
            return f"(excused: nothing could be written for {lasted.total_seconds() / 60:.0f} minutes)"
    return ""


def _start(case: Case) -> datetime | None:
    return parse_time(case.start) if case.start else None


def _meeting(play: Play, case: Case) -> Meeting | None:
    start = _start(case)
    found = [one for one in play.world.meetings.values() if one.url == case.url and one.start == start]
    return found[0] if found else None


def _last_change(meeting: Meeting, start: datetime) -> datetime | None:
    moments = [change.at for change in meeting.history if _matters(change) and change.at < start]
    return max(moments, default=None)


def _matters(change: Change) -> bool:
    return change.what in CHANGES
