"""The world: one clock, accounts at Google and Microsoft, their meetings, and the regions that watch them.

Everything random comes from the seed and every id from a counter and the seed: the same calls at the same times give
the same answers. Objects refer to each other by id, so that a world of any size can be saved (`persistence.py`).
"""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from recallops.sandbox import persistence
from recallops.sandbox.faults import Faults
from recallops.sandbox.identity import Identity
from recallops.sandbox.meetings import (
    GOOGLE,
    OUTLOOK,
    Account,
    AccountKey,
    Change,
    Copy,
    Credentials,
    CredentialsRefused,
    Grant,
    Meeting,
    OAuthClient,
)
from recallops.sandbox.regions import Region
from recallops.sandbox.request_log import RequestLog
from recallops.sandbox.switches import Switches
from recallops.sandbox.timers import Timers
from recallops.sandbox.webhooks import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from recallops.sandbox.attendance import Attendance


class Clock(Protocol):
    """Anything that tells the time."""

    def now(self) -> datetime:
        """Return the domain time, in UTC."""


class World:
    """All that the sandbox knows. Not thread-safe: hold `lock` around every use from several threads."""

    def __init__(self, clock: Clock, seed: int = 0, switches: Switches | None = None) -> None:
        self.clock = clock
        self.seed = seed
        self.switches = switches or Switches()
        self.rng = random.Random(seed)
        self.lock = threading.RLock()
        self.timers = Timers()
        self.faults = Faults(seed)
        self.log = RequestLog()
        self.outbox = Outbox(self)
        self.regions: dict[str, Region] = {}
        self.identity = Identity(self)
        self.clients: dict[tuple[str, str], OAuthClient] = {}
        self.accounts: dict[AccountKey, Account] = {}
        self.grants: dict[str, Grant] = {}
        self.meetings: dict[str, Meeting] = {}
        self.by_url: dict[str, dict[str, None]] = {}  # meeting ids by URL, so that a bot finds its meeting
        self.attendance: list[Attendance] = []
        self.notes: dict[str, Any] = {}  # free room for what fills or plays a world; saved with it
        self._ids = 0
        self._now = clock.now()
        self._advancing = False

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time of what is being done: the timer's, or that of the last `advance()`."""
        return self._now

    def advance(self) -> datetime:
        """Run all timers due by the clock, in order, each at its own time; return the time now."""
        target = max(self._now, self.clock.now())
        if self._advancing:
            return self._now
        self._advancing = True
        try:
            while (due := self.timers.next_due()) is not None and due <= target:
                when, callback, args = self.timers.pop()
                self._now = max(self._now, when)
                callback(*args)
            self._now = target
        finally:
            self._advancing = False
        return target

    def next_timer(self) -> datetime | None:
        """Return when the next timer is due, or None: a clock may jump there without passing anything over."""
        return self.timers.next_due()

    def at(self, when: datetime, callback: Callable[..., Any], *args: Any) -> int:
        """Call a bound method of a world's object at a time; the past means at once."""
        return self.timers.set(max(when, self._now), callback, *args)

    def after(self, seconds: float, callback: Callable[..., Any], *args: Any) -> int:
        """Call a bound method some seconds from now."""
        return self.timers.set(self._now + timedelta(seconds=seconds), callback, *args)

    def between(self, span: tuple[float, float]) -> float:
        """Return a number of seconds inside a span, from the seed."""
        return self.rng.uniform(*span)

    # --- ids ----------------------------------------------------------------------------------------------------

    def digest(self, size: int = 16) -> bytes:
        """Return the next fresh bytes: a counter and the seed, hashed."""
        self._ids += 1
        return hashlib.blake2b(f"{self.seed}:{self._ids}".encode(), digest_size=size).digest()

    def new_id(self) -> str:
        """Return the next id, which looks like a random UUID."""
        return str(uuid.UUID(bytes=self.digest(), version=4))

    # --- accounts -----------------------------------------------------------------------------------------------

    def add_client(
        self,
        platform: str,
        client_id: str,
        *,
        secret: str = "",
        certificate: str = "",
        private_key: str = "",
        redirect_uris: Iterable[str] = (),
    ) -> OAuthClient:
        """Register a company's OAuth client. Credentials of a client that was never registered are not compared."""
        client = OAuthClient(platform, client_id, secret, certificate, private_key, tuple(redirect_uris))
        self.clients[platform, client_id] = client
        return client

    def add_redirect(self, uri: str) -> None:
        """Register a redirect URI for every client that is there."""
        for key, client in self.clients.items():
            if uri not in client.redirect_uris:
                self.clients[key] = replace(client, redirect_uris=(*client.redirect_uris, uri))

    def add_account(self, platform: str, email: str, name: str = "") -> Account:
        """Open an account; the same one twice is the same account."""
        if platform not in (GOOGLE, OUTLOOK):
            raise ValueError(f"no such platform: {platform}")
        key = (platform, email)
        if key not in self.accounts:
            self.accounts[key] = Account(platform, email, name or email.partition("@")[0].title())
        return self.accounts[key]

    def grant(self, account: Account, client_id: str) -> str:
        """Let an OAuth client read the account; return the refresh token."""
        prefix = "1//0" if account.platform == GOOGLE else "0.A"
        token = prefix + self.digest(24).hex()
        self.grants[token] = Grant(token, client_id, account.key)
        account.tokens.append(token)
        return token

    def revoke(self, token: str) -> None:
        """Take a grant back. Regions notice after `switches.revocation_lag`."""
        grant = self.grants[token]
        if grant.revoked_at is not None:
            return
        grant.revoked_at = self._now
        account = self.accounts[grant.account]
        for region, workspace, calendar_id in account.watchers:
            there = self.regions[region].workspaces[workspace]
            self.after(self.switches.revocation_lag, there.check_grant, calendar_id)

    def revoke_account(self, account: Account) -> None:
        """Take back everything that the account has granted."""
        for token in account.tokens:
            self.revoke(token)

    def open(self, credentials: Credentials) -> Account:
        """Return the account that the credentials open, or raise `CredentialsRefused` with the provider's code."""
        outlook = credentials.platform == OUTLOOK
        if not credentials.refresh_token:
            raise CredentialsRefused("AADSTS900144" if outlook else "invalid_grant")
        client = self.clients.get((credentials.platform, credentials.client_id))
        if client is not None and client.certificate:
            if (credentials.certificate, credentials.private_key) != (client.certificate, client.private_key):
                raise CredentialsRefused("AADSTS700027")
        elif client is not None and credentials.client_secret != client.secret:
            raise CredentialsRefused("AADSTS7000215" if outlook else "invalid_client")
        grant = self.grants.get(credentials.refresh_token)
        if (
            grant is None
            or grant.revoked_at is not None
            or grant.client_id != credentials.client_id
            or grant.account[0] != credentials.platform
        ):
            raise CredentialsRefused("invalid_grant")
        return self.accounts[grant.account]

    # --- meetings -----------------------------------------------------------------------------------------------

    def make_meeting(
        self,
        *,
        start: datetime,
        end: datetime,
        accounts: Iterable[Account],
        title: str = "Meeting",
        url: str | None = None,
        organizer: str | None = None,
        attendees: Mapping[str, str] | None = None,
        series: str | None = None,
        original_start: datetime | None = None,
        ical_uid: str | None = None,
        description: str = "",
        wanted: bool = True,
        scope: str = "",
    ) -> Meeting:
        """Put a meeting into the accounts. The organizer is the first account's unless named.

        `wanted` and `scope` are set on every copy; change one copy's with `want()`. Attendees without an account are
        named in `attendees` (email -> response); account holders are attendees anyway. Instances of a series share
        `series` and `ical_uid`.
        """
        holders = list(accounts)
        if not holders:
            raise ValueError("a meeting needs an account")
        if end <= start:
            raise ValueError("a meeting ends after its start")
        organizer = organizer or holders[0].email
        invited = {organizer: "accepted"}
        for account in holders:
            invited.setdefault(account.email, "accepted")
        invited.update(attendees or {})
        token = self.digest(13).hex()
        if series is not None:
            original_start = original_start or start
        meeting = Meeting(
            id=self.new_id(),
            ical_uid=ical_uid or f"{series or token}@google.com",
            start=start.astimezone(UTC),
            end=end.astimezone(UTC),
            title=title,
            organizer=organizer,
            url=url,
            attendees=invited,
            series=series,
            original_start=original_start,
            description=description,
            made_at=self._now,
            google_id=f"{series}_{original_start:%Y%m%dT%H%M%SZ}" if series and original_start else token,
        )
        self.meetings[meeting.id] = meeting
        self._index_url(meeting)
        meeting.history.append(Change(self._now, "made", start=meeting.start, url=url))
        for account in holders:
            self._give_copy(meeting, account, wanted=wanted, scope=scope)
        self._changed(meeting)
        return meeting

    def move(self, meeting: Meeting, start: datetime, end: datetime | None = None) -> None:
        """Move a meeting; it keeps its length unless an end is given."""
        end = end or start + (meeting.end - meeting.start)
        if end <= start:
            raise ValueError("a meeting ends after its start")
        meeting.start, meeting.end = start.astimezone(UTC), end.astimezone(UTC)
        self._changed(meeting, Change(self._now, "moved", start=meeting.start))

    def cancel(self, meeting: Meeting) -> None:
        """Cancel a meeting for everybody."""
        meeting.cancelled = True
        for copy in meeting.copies.values():
            copy.deleted = True
        self._changed(meeting, Change(self._now, "cancelled"))

    def respond(self, meeting: Meeting, email: str, response: str) -> None:
        """Let an attendee answer: accepted, declined, tentative, needsAction. All copies show it."""
        meeting.attendees[email] = response
        self._changed(meeting, Change(self._now, "responded"))

    def decline(self, meeting: Meeting, account: Account) -> None:
        """Let an account holder decline. Whether the meeting is still wanted is up to `want()`."""
        self.respond(meeting, account.email, "declined")

    def change_url(self, meeting: Meeting, url: str | None) -> None:
        """Give the meeting another link, or none."""
        meeting.url = url
        self._index_url(meeting)
        self._changed(meeting, Change(self._now, "url", url=url))

    def retitle(self, meeting: Meeting, title: str) -> None:
        """Change what a meeting is called: a change that moves nothing."""
        meeting.title = title
        self._changed(meeting, Change(self._now, "retitled"))

    def add_copy(self, meeting: Meeting, account: Account, *, wanted: bool = True, scope: str = "") -> None:
        """Invite one more account."""
        meeting.attendees.setdefault(account.email, "needsAction")
        self._give_copy(meeting, account, wanted=wanted, scope=scope)
        self._changed(meeting, Change(self._now, "added", account.key))

    def remove_copy(self, meeting: Meeting, account: Account) -> None:
        """Delete the meeting from one account; the others keep it."""
        copy = meeting.copies[account.key]
        copy.deleted = True
        copy.version += 1
        meeting.history.append(Change(self._now, "removed", account.key))
        self._tell(meeting, account)

    def want(self, meeting: Meeting, account: Account, *, wanted: bool, scope: str | None = None) -> None:
        """Say whether this copy is to be recorded. Known to the proof only: regions see nothing of it."""
        copy = meeting.copies[account.key]
        copy.wanted = wanted
        if scope is not None:
            copy.scope = scope
        meeting.history.append(Change(self._now, "wanted", account.key))

    def meeting_at(self, url: str, when: datetime, start: datetime | None = None) -> Meeting | None:
        """Return the meeting held at a URL: the one that starts at `start`, else one that is on at `when`."""
        running = None
        for meeting_id in self.by_url.get(url, ()):
            meeting = self.meetings[meeting_id]
            if meeting.cancelled or meeting.url != url or all(copy.deleted for copy in meeting.copies.values()):
                continue
            if start is not None and meeting.start == start:
                return meeting
            if meeting.start <= when < meeting.end:
                running = meeting
        return running

    def _index_url(self, meeting: Meeting) -> None:
        if meeting.url:
            self.by_url.setdefault(meeting.url, {})[meeting.id] = None

    def _give_copy(self, meeting: Meeting, account: Account, *, wanted: bool, scope: str) -> None:
        existing = meeting.copies.get(account.key)
        if existing is not None:
            existing.deleted, existing.wanted, existing.scope = False, wanted, scope
            return
        platform_id = meeting.google_id  # Google: one id in all calendars
        if account.platform == OUTLOOK:
            platform_id = "AAMk" + self.digest(30).hex()  # each mailbox has an id of its own
        meeting.copies[account.key] = Copy(platform_id, wanted, scope)
        account.meetings[meeting.id] = None

    def _changed(self, meeting: Meeting, change: Change | None = None) -> None:
        if change is not None:
            meeting.history.append(change)
        for key, copy in meeting.copies.items():
            copy.version += 1
            self._tell(meeting, self.accounts[key])

    def _tell(self, meeting: Meeting, account: Account) -> None:
        """Each region calendar connected to the account learns of the change a little later."""
        for region, workspace, calendar_id in account.watchers:
            there = self.regions[region].workspaces[workspace]
            self.after(self.between(self.switches.sync_delay), there.sync_copy, calendar_id, meeting.id)

    # --- regions ------------------------------------------------------------------------------------------------

    def add_region(self, code: str, base_url: str = "") -> Region:
        """Start a region. `next` links are built on its base URL; it may be set later (`region.base_url = ...`)."""
        region = Region(self, code, base_url or f"https://{code}.recall.ai")
        self.regions[code] = region
        return region

    def door_at(self, netloc: str) -> Region | Identity | None:
        """Return who answers at a host (with its port, when it has one)."""
        doors: list[Region | Identity] = [*self.regions.values(), self.identity]
        for door in doors:
            if door.base_url.partition("//")[2] == netloc:
                return door
        return None

    def save(self, path: Path | str) -> None:
        """Write the world to a file."""
        persistence.save(self, path)

    @staticmethod
    def load(path: Path | str, clock: Clock) -> World:
        """Read a world that `save()` wrote; never one from elsewhere."""
        return persistence.load(path, clock)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["clock"], state["lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()
        if "identity" not in state:  # saved before there was an identity provider
            self.identity = Identity(self)
            for client in self.clients.values():
                object.__setattr__(client, "redirect_uris", ())
