"""What people and providers do meanwhile. Lives in the world and is copied with it, so it holds ids and no rows.

The history that excuses are judged by is kept here: what happened when, as the world knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from recallops.sandbox import company
from recallops.sandbox.meetings import OUTLOOK, Account, Meeting
from recallops.sandbox.records import SCHEDULED, Calendar
from recallops.sandbox.workspaces import Workspace
from recallops.sandbox.world import World
from tests.simulation.scenario import Happening, Planned, Scenario

ASKED_AFTER = 60.0  # seconds after which somebody asks for a bot in a new meeting
ASKS = 5


@dataclass(slots=True)
class History:
    """What excuses may rest on."""

    done: list[str] = field(default_factory=list)
    disconnected: list[tuple[str, str, datetime, datetime | None]] = field(default_factory=list)
    outages: list[tuple[str, datetime, datetime | None]] = field(default_factory=list)
    foreign_bots: list[tuple[str, str]] = field(default_factory=list)  # meeting, region
    lost_bots: list[tuple[str, datetime]] = field(default_factory=list)  # meeting, when


class Happenings:
    """Carries a scenario's happenings out, each at its time."""

    def __init__(self, world: World, scenario: Scenario, source: str, target: str) -> None:
        self.world, self.scenario = world, scenario
        self.source, self.target = source, target
        self.began = world.now()
        self.history = History()
        self.meetings: dict[int, str] = {}
        self.made = len(scenario.meetings)
        self.faults: dict[str, int] = {}
        self.over = False
        self.application_answers: int | None = None  # what the company's application answers instead of 200
        for number, planned in enumerate(scenario.meetings):
            self.meetings[number] = self._make(planned).id
            if planned.bot and not scenario.external:
                self._give_bots(self.meetings[number])
        for happening in scenario.happenings:
            world.at(self.began + timedelta(minutes=happening.at), self.happen, happening)

    def stop(self) -> None:
        """From now on everybody leaves their calendars alone."""
        self.over = True

    def happen(self, what: Happening) -> None:
        """Let one thing happen, if it still can."""
        always = what.what in ("reconnect", "outage_ends", "asked", "application_well")
        if self.over and not always:
            return
        if what.what != "made" and what.meeting >= 0 and what.meeting not in self.meetings:
            return  # by chance it comes before the meeting is made
        said = getattr(self, f"_{what.what}")(what)
        if said is not False:
            self.history.done.append(f"{self.world.now():%H:%M:%S} {what.what} {said or ''}".rstrip())

    # -- where

    def place(self, region: str) -> Workspace:
        """Return a region's workspace."""
        return self.world.regions[region].workspaces["main"]

    def meeting(self, what: Happening) -> Meeting:
        """Return the meeting that it happens to."""
        return self.world.meetings[self.meetings[what.meeting]]

    def account(self, number: int) -> Account:
        """Return somebody's account."""
        person = self.scenario.people[number]
        return self.world.accounts[person.platform, person.email]

    def calendar(self, region: str, number: int) -> Calendar | None:
        """Return somebody's calendar in a region, if there is one."""
        found = self.calendars(region, number)
        return found[0] if found else None

    def calendars(self, region: str, number: int) -> list[Calendar]:
        """Return all calendars that somebody has in a region."""
        key = self.account(number).key
        return [one for one in self.place(region).calendars.values() if one.account == key]

    # -- meetings

    def _make(self, planned: Planned) -> Meeting:
        start = self.began.replace(second=0, microsecond=0) + timedelta(minutes=planned.at)
        return self.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=planned.minutes),
            accounts=[self.account(number) for number in planned.who],
            title=planned.name,
            url=planned.link,
            series=planned.series or None,
            wanted=self.scenario.external,  # it records whatever has a link
        )

    def _give_bots(self, meeting_id: str) -> int:
        here, meeting = self.place(self.source), self.world.meetings[meeting_id]
        given = 0
        for calendar in list(here.calendars.values()):
            if calendar.account in meeting.copies:
                here.sync_copy(calendar.id, meeting_id)
                given += company.ask_for_bot(self.world, here, calendar.id, meeting)
        return given

    def _made(self, what: Happening) -> str:
        start = (what.to // 5) * 5
        planned = Planned(f"made {what.meeting}", start, 30, (what.person,), what.region)
        self.meetings[what.meeting] = self._make(planned).id
        if not self.scenario.external:
            self.world.after(ASKED_AFTER, self.happen, Happening(0, "asked", what.meeting, to=ASKS))
        return f"{planned.name} at {self.meeting(what).start:%d %H:%M}"

    def _asked(self, what: Happening) -> str | bool:
        """The application puts a bot on a new meeting in the source, as long as the source has its calendar."""
        meeting, here = self.meeting(what), self.place(self.source)
        there = company.calendars_of(here, [self.world.accounts[key] for key in meeting.copies])
        given = [company.ask_for_bot(self.world, here, calendar, meeting) for calendar in there]
        if any(given):
            return meeting.title
        if there and what.to > 1:
            self.world.after(ASKED_AFTER, self.happen, Happening(0, "asked", what.meeting, to=what.to - 1))
        return False

    def _moved(self, what: Happening) -> str | bool:
        meeting = self.meeting(what)
        start = self.began.replace(second=0, microsecond=0) + timedelta(minutes=what.to)
        if meeting.cancelled or meeting.start <= self.world.now():
            return False
        before = meeting.start
        self.world.move(meeting, start)
        return f"{meeting.title} from {before:%d %H:%M} to {start:%d %H:%M}"

    def _cancelled(self, what: Happening) -> str:
        self.world.cancel(self.meeting(what))
        return self.meeting(what).title

    def _declined(self, what: Happening) -> str | bool:
        """At Outlook a declined event leaves the calendar; at Google it stays, and is wanted as before."""
        meeting, account = self.meeting(what), self.account(what.person)
        copy = meeting.copies.get(account.key)
        if copy is None or copy.deleted:
            return False
        self.world.decline(meeting, account)
        if self.scenario.external:
            self.world.want(meeting, account, wanted=False)
        if account.platform == OUTLOOK:
            self.world.remove_copy(meeting, account)
        return f"{meeting.title} by {account.email}"

    def _left(self, what: Happening) -> str | bool:
        """Somebody deletes a shared meeting from their own calendar."""
        meeting, account = self.meeting(what), self.account(what.person)
        copy = meeting.copies.get(account.key)
        if copy is None or copy.deleted:
            return False
        self.world.remove_copy(meeting, account)
        return f"{meeting.title} by {account.email}"

    def _retitled(self, what: Happening) -> str:
        self.world.retitle(self.meeting(what), f"{self.meeting(what).title}, again")
        return self.meeting(what).title

    def _relinked(self, what: Happening) -> str:
        self.world.change_url(self.meeting(what), what.region)
        return f"{self.meeting(what).title} to {what.region}"

    def _shared(self, what: Happening) -> str | bool:
        meeting, account = self.meeting(what), self.account(what.person)
        if account.key in meeting.copies:
            return False
        self.world.add_copy(meeting, account, wanted=self.scenario.external)
        return f"{meeting.title} with {account.email}"

    # -- providers

    def _disconnect(self, what: Happening) -> str | bool:
        calendar = self.calendar(what.region, what.person)
        if calendar is None or calendar.status != "connected":
            return False
        self.place(what.region).disconnect(calendar.id)
        email = self.account(what.person).email
        self.history.disconnected.append((what.region, email, self.world.now(), None))
        return f"{email} in {what.region}"

    def _reconnect(self, what: Happening) -> str | bool:
        """Its user connects it again: with a new grant."""
        calendar, account = self.calendar(what.region, what.person), self.account(what.person)
        gone = [one for one in self.history.disconnected if one[:2] == (what.region, account.email) and one[3] is None]
        if calendar is None or not gone:
            return False
        token = self.world.grant(account, calendar.client_id)
        self.place(what.region).change_calendar(calendar.id, {"oauth_refresh_token": token})
        self.history.disconnected.remove(gone[0])
        self.history.disconnected.append((*gone[0][:3], self.world.now()))
        return f"{account.email} in {what.region}"

    def connect_all_again(self) -> None:
        """Everybody whose grant was revoked with a delete connects their calendar in the target again."""
        for calendar in self.place(self.target).calendars.values():
            if calendar.status == "disconnected" and calendar.account is not None:
                token = self.world.grant(self.world.accounts[calendar.account], calendar.client_id)
                self.place(self.target).change_calendar(calendar.id, {"oauth_refresh_token": token})

    def _outage_begins(self, what: Happening) -> str:
        self.faults[what.region] = self.world.faults.add("drop", when="connect", region=what.region, times=None)
        self.history.outages.append((what.region, self.world.now(), None))
        return what.region

    def _outage_ends(self, what: Happening) -> str | bool:
        if what.region not in self.faults:
            return False
        self.world.faults.clear(self.faults.pop(what.region))
        began = next(one for one in self.history.outages if one[0] == what.region and one[2] is None)
        self.history.outages.remove(began)
        self.history.outages.append((*began[:2], self.world.now()))
        return what.region

    def _key_revoked(self, what: Happening) -> str | bool:
        there = self.place(what.region)
        if len(there.api_keys) != 1:
            return False
        there.revoke_key(there.api_keys[0])
        self.history.outages.append((what.region, self.world.now(), None))
        return what.region

    def _application_ill(self, what: Happening) -> str:
        self.application_answers = what.to
        return f"answers {what.to}"

    def _application_well(self, what: Happening) -> str:
        self.application_answers = None
        return ""

    def _bot_lost(self, what: Happening) -> str | bool:
        """A region loses a bot without a word: no webhook, and the event's `updated_at` stays."""
        meeting, there = self.meeting(what), self.place(what.region)
        found = [bot for bot in there.bots.values() if bot.meeting_url == meeting.url and bot.join_at == meeting.start]
        if not found or found[0].status != SCHEDULED:
            return False
        there.drop_bot(found[0].id)
        self.history.lost_bots.append((meeting.id, self.world.now()))
        return f"of {meeting.title} in {what.region}"

    def _foreign_bot(self, what: Happening) -> str | bool:
        """Somebody else adds a bot in the target, under a key of their own."""
        meeting, there = self.meeting(what), self.place(self.target)
        for calendar in there.calendars.values():
            event = there.event_of(calendar.id, meeting.id)
            if event is not None and event.meeting_url and not event.is_deleted and event.start > self.world.now():
                there.add_bot(event.id, f"theirs-{event.start.isoformat()}", {"bot_name": "theirs"}, quiet=True)
                self.history.foreign_bots.append((meeting.id, self.target))
                return meeting.title
        return False


def key_replaced(history: History, region: str, now: Any) -> None:
    """Staff have entered a new key: the outage that its revocation was is over."""
    for number, (where, began, ended) in enumerate(history.outages):
        if where == region and ended is None:
            history.outages[number] = (where, began, now)
