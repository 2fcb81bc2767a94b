"""The changes that people make in their calendars: which meeting is chosen, and what becomes of it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.company import ask_for_bot, calendars_of, company, make_link, place
from recallops.sandbox.links import platform_of
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.messages import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.meetings import Account, AccountKey, Meeting
    from recallops.sandbox.world import World

    Wish = Callable[[Meeting], bool]

FARTHEST = timedelta(days=26)  # changed meetings stay well inside the 28-day window
NEAR = timedelta(hours=12)
QUARTER = timedelta(minutes=15)
ASKS = 6  # how often somebody looks for the new event in the source before giving up


class Changes:
    """What may happen to meetings. The script above it says when, and keeps the list of what was done."""

    world: World
    region: str
    workspace: str
    keep_away: timedelta
    rng: random.Random
    reserved: set[str]  # ids of meetings that are moved away and wait to come back

    def plan(self, when: datetime, kind: str, *details: Any) -> None:
        """Make a change later."""
        raise NotImplementedError

    def note(self, kind: str, meeting: Meeting | None, what: str) -> None:
        """Write down what was done."""
        raise NotImplementedError

    # --- which meeting ------------------------------------------------------------------------------------------

    def _free_to_change(self, meeting: Meeting) -> bool:
        ahead = meeting.start - self.world.now()
        return not meeting.cancelled and self.keep_away <= ahead <= FARTHEST and meeting.id not in self.reserved

    def _pick(self, *wishes: Wish, need: Wish | None = None) -> Meeting | None:
        """Choose a wanted meeting that may be changed: one that meets `need`, and the wishes as far as any do."""
        found = [
            meeting
            for meeting in self.world.meetings.values()
            if self._free_to_change(meeting)
            and platform_of(meeting.url)
            and meeting.expected_scopes()
            and (need is None or need(meeting))
        ]
        for wish in wishes:
            found = [meeting for meeting in found if wish(meeting)] or found
        return self.rng.choice(found) if found else None

    def _flavour(self) -> Wish:
        """Return a wish that varies: a shared meeting, an instance of a series, one soon, or any."""
        return self.rng.choice((_is_shared, _is_recurring, self._is_near, _any))

    def _is_near(self, meeting: Meeting) -> bool:
        return meeting.start - self.world.now() < NEAR

    # --- made ---------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """A meeting is made; a little later, when the region shows it, somebody asks for a bot."""
        here = place(self.world, self.region, self.workspace)
        owners = [account for account in self.world.accounts.values() if calendars_of(here, [account])]
        owners = owners or [account for account in self.world.accounts.values() if account.watchers]
        if not owners:
            self.note("skipped", None, "nobody is left to make a meeting")
            return
        owner = self.rng.choice(owners)
        colleagues = [
            account
            for account in owners
            if account is not owner and self._customer(account.email) == self._customer(owner.email)
        ]
        guests = self.rng.sample(colleagues, min(len(colleagues), self.rng.choice((0, 0, 1, 2))))
        start = self._at(self.keep_away + timedelta(minutes=30), timedelta(hours=60))
        meeting = self.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=self.rng.choice((30, 45, 60))),
            accounts=[owner, *guests],
            title="Short notice",
            url=make_link(self.rng, "google_meet" if owner.platform == GOOGLE else "microsoft_teams"),
            wanted=False,
        )
        self.note("made", meeting, f"at {iso(start)} for {', '.join(account.email for account in (owner, *guests))}")
        self._ask_later(meeting.id, ASKS)

    def _ask_later(self, meeting_id: str, tries: int) -> None:
        delay = self.world.switches.sync_delay[1] + self.rng.uniform(10, 60)
        self.plan(self.world.now() + timedelta(seconds=delay), "asked", meeting_id, tries)

    def ask(self, meeting_id: str, tries: int) -> None:
        """Somebody asks for a bot on the source's events, as long as the source has them; else it is not wanted."""
        meeting = self.world.meetings[meeting_id]
        here = place(self.world, self.region, self.workspace)
        calendars = calendars_of(here, [self.world.accounts[key] for key in meeting.copies])
        got = [calendar_id for calendar_id in calendars if ask_for_bot(self.world, here, calendar_id, meeting)]
        if got:
            self.note("asked", meeting, f"a bot on {len(got)} of {len(meeting.copies)} calendars in the source")
        elif calendars and tries > 1:
            self._ask_later(meeting_id, tries - 1)
        else:
            why = "the event never came" if calendars else "no calendar of it is left in the source"
            self.note("not_asked", meeting, f"{why}: not wanted")

    # --- moved --------------------------------------------------------------------------------------------------

    def move_later(self) -> None:
        """A meeting, of the next hours if there is one, is put off by days."""
        longest = FARTHEST - timedelta(days=2)
        meeting = self._pick(
            self._is_near, self._flavour(), need=lambda meeting: meeting.start - self.world.now() < longest
        )
        ahead = meeting.start - self.world.now() if meeting is not None else NEAR
        low = ahead + timedelta(days=1)
        self._move("moved_later", meeting, low, min(low + timedelta(days=11), FARTHEST))

    def move_earlier(self) -> None:
        """A meeting is brought forward to the next hours."""
        meeting = self._pick(self._flavour(), need=lambda meeting: not self._is_near(meeting))
        self._move("moved_earlier", meeting, self.keep_away + timedelta(minutes=5), NEAR)

    def move_a_little(self) -> None:
        """A meeting is moved by an hour or two."""
        meeting = self._pick(self._flavour())
        if meeting is not None:
            ahead = meeting.start - self.world.now()
            low = max(self.keep_away + timedelta(minutes=5), ahead - timedelta(hours=2))
            self._move("moved_a_little", meeting, low, ahead + timedelta(hours=2))
        else:
            self._move("moved_a_little", None, NEAR, NEAR)

    def move_away(self) -> None:
        """A meeting is moved, and comes back to its old time within the hour or so."""
        back = timedelta(minutes=self.rng.uniform(20, 70))
        late_enough = self.keep_away + back + QUARTER
        meeting = self._pick(self._flavour(), need=lambda meeting: meeting.start - self.world.now() > late_enough)
        if meeting is None:
            self.note("skipped", None, "no meeting may be moved away and back")
            return
        home = meeting.start
        soon = self.rng.random() < 0.5 and not self._is_near(meeting)
        low, high = (late_enough, NEAR) if soon else (timedelta(days=1), timedelta(days=9))
        if self._move("moved_and_back", meeting, low, high):
            self.reserved.add(meeting.id)
            self.plan(self.world.now() + back, "moved_back", meeting.id, home)

    def move_back(self, meeting_id: str, home: datetime) -> None:
        """A meeting that was moved away comes back; it was chosen so that its old time is still far enough away."""
        meeting = self.world.meetings[meeting_id]
        self.reserved.discard(meeting_id)
        if not self._free_to_change(meeting):
            self.note("skipped", meeting, "it cannot be moved back any more")
            return
        before = meeting.start
        self.world.move(meeting, home)
        self.note("moved_back", meeting, f"from {iso(before)} to {iso(home)}")

    def _move(self, kind: str, meeting: Meeting | None, low: timedelta, high: timedelta) -> bool:
        """Move a meeting to a time between two spans from now, where its room is free."""
        if meeting is not None:
            for _ in range(20):
                before, start = meeting.start, self._at(low, max(high, low + QUARTER))
                if start != before and self._room_is_free(meeting, start):
                    self.world.move(meeting, start)
                    self.note(kind, meeting, f"from {iso(before)} to {iso(start)}")
                    return True
        self.note("skipped", meeting, f"{kind}: no meeting or no free time found")
        return False

    def _at(self, low: timedelta, high: timedelta) -> datetime:
        """Return a full quarter of an hour between two spans from now, never less than the lower one."""
        start = self.world.now() + low + self.rng.random() * (high - low)
        full = start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)
        return full if full - self.world.now() >= low else full + QUARTER

    def _room_is_free(self, meeting: Meeting, start: datetime) -> bool:
        end = start + (meeting.end - meeting.start)
        return not any(
            other_id != meeting.id and other.url == meeting.url and other.start < end and start < other.end
            for other_id in self.world.by_url.get(meeting.url or "", ())
            if not (other := self.world.meetings[other_id]).cancelled
        )

    # --- other changes ------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """A meeting is cancelled for everybody."""
        meeting = self._pick(self._flavour())
        if meeting is None:
            self.note("skipped", None, "no meeting may be cancelled")
            return
        self.world.cancel(meeting)
        self.note("cancelled", meeting, f"the one at {iso(meeting.start)}")

    def decline_google(self) -> None:
        """At Google a declined event stays where it is: only its content changes, it is wanted as before."""
        chosen = self._pick_guest(GOOGLE)
        if chosen is not None:
            meeting, account = chosen
            self.world.decline(meeting, account)
            self.note("declined_google", meeting, f"by {account.email}: still wanted")

    def decline_outlook(self) -> None:
        """At Outlook a declined event leaves the calendar; the others keep theirs."""
        chosen = self._pick_guest(OUTLOOK)
        if chosen is not None:
            meeting, account = chosen
            self.world.decline(meeting, account)
            self.world.remove_copy(meeting, account)
            left = "still wanted by others" if meeting.expected_scopes() else "nobody else wants it"
            self.note("declined_outlook", meeting, f"by {account.email}: {left}")

    def _pick_guest(self, platform: str) -> tuple[Meeting, Account] | None:
        """Choose a meeting and one who was invited to it, with an account at this platform."""

        def guests(meeting: Meeting) -> list[AccountKey]:
            return [
                key
                for key, copy in meeting.copies.items()
                if key[0] == platform
                and key[1] != meeting.organizer
                and not copy.deleted
                and meeting.attendees.get(key[1]) != "declined"
            ]

        meeting = self._pick(self._flavour(), need=lambda meeting: bool(guests(meeting)))
        if meeting is None:
            self.note("skipped", None, f"nobody at {platform} has an invitation to decline")
            return None
        return meeting, self.world.accounts[self.rng.choice(guests(meeting))]

    def retitle(self) -> None:
        """A meeting gets another title: an update that changes nothing for its bot."""
        meeting = self._pick(self._flavour())
        if meeting is None:
            self.note("skipped", None, "no meeting may be retitled")
            return
        self.world.retitle(meeting, f"{meeting.title} (new agenda)")
        self.note("retitled", meeting, "only the title")

    def relink(self) -> None:
        """A meeting gets another link: its bot has to go elsewhere."""
        meeting = self._pick(self._flavour())
        if meeting is None:
            self.note("skipped", None, "no meeting may get another link")
            return
        self.world.change_url(meeting, make_link(self.rng, platform_of(meeting.url) or "google_meet"))
        self.note("relinked", meeting, f"to {meeting.url}")

    def share(self) -> None:
        """A colleague is invited as well. Nobody asks for a bot there: the meeting has one."""
        staff: dict[str, list[Account]] = {}
        for account in self.world.accounts.values():
            if account.watchers:
                staff.setdefault(self._customer(account.email), []).append(account)

        def colleagues(meeting: Meeting) -> list[Account]:
            host = next(iter(meeting.copies))[1]
            return [account for account in staff.get(self._customer(host), ()) if account.key not in meeting.copies]

        meeting = self._pick(self._flavour(), need=lambda meeting: bool(colleagues(meeting)))
        if meeting is None:
            self.note("skipped", None, "there is no colleague to invite")
            return
        account = self.rng.choice(colleagues(meeting))
        self.world.add_copy(meeting, account, wanted=False)
        self.note("shared", meeting, f"with {account.email}")

    def _customer(self, email: str) -> str:
        return company(self.world).customer_of(email)


def _is_shared(meeting: Meeting) -> bool:
    return sum(not copy.deleted for copy in meeting.copies.values()) > 1


def _is_recurring(meeting: Meeting) -> bool:
    return meeting.series is not None


def _any(meeting: Meeting) -> bool:
    return True
