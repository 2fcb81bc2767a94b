"""Calendar events: how they follow the accounts, and how bots are added to and taken off them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.bots import Bots
from recallops.sandbox.links import platform_of
from recallops.sandbox.meetings import CredentialsRefused
from recallops.sandbox.messages import coded, dumps, invalid, not_found, parse_time
from recallops.sandbox.raw import raw_event
from recallops.sandbox.records import Entry, Event
from recallops.sandbox.state import TEN_MINUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recallops.sandbox.meetings import Account, Credentials
    from recallops.sandbox.records import Bot, Calendar

DAYS_BACK = timedelta(days=1)
DAYS_AHEAD = timedelta(days=28)
DAYS_KEPT = timedelta(days=60)
_FEW = 2_000  # so many changed events are sorted rather than searched for along the time line


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What a list of events is asked for."""

    calendar_id: str | None = None
    ical_uid: str | None = None
    is_deleted: bool | None = None
    start: datetime | None = None
    start_gte: datetime | None = None
    start_lte: datetime | None = None
    updated_gte: datetime | None = None


class Events(Bots):
    """The events of a workspace."""

    def event(self, event_id: str) -> Event:
        """Return an event or refuse with 404."""
        if event_id not in self.events:
            raise not_found()
        return self.events[event_id]

    def event_of(self, calendar_id: str, meeting_id: str) -> Event | None:
        """Return a calendar's event of a meeting, if it has one."""
        event_id = self.calendars[calendar_id].events.get(meeting_id)
        return self.events[event_id] if event_id else None

    # --- lists --------------------------------------------------------------------------------------------------

    def list_events(
        self, wanted: EventFilter, *, after: tuple[datetime, str] | None, skip: int = 0, count: int
    ) -> list[Event]:
        """Return up to `count` events in the order of start and id, behind a position."""
        found = []
        for event_id in self._candidates(wanted, after):
            event = self.events[event_id]
            if (
                (wanted.updated_gte is not None and event.updated_at < wanted.updated_gte)
                or (wanted.is_deleted is not None and event.is_deleted is not wanted.is_deleted)
                or (wanted.ical_uid is not None and not event.ical_uid.startswith(wanted.ical_uid))
            ):
                continue
            if skip:
                skip -= 1
                continue
            found.append(event)
            if len(found) == count:
                break
        return found

    def _candidates(self, wanted: EventFilter, after: tuple[datetime, str] | None) -> Iterator[str]:
        low = max(when for when in (wanted.start, wanted.start_gte, self.world.now() - DAYS_KEPT) if when is not None)
        high = min((when for when in (wanted.start, wanted.start_lte) if when is not None), default=None)
        line = self.by_start
        if wanted.calendar_id is not None:
            calendar = self.calendars.get(wanted.calendar_id)
            if calendar is None:
                return
            line = calendar.by_start
        items: Iterable[tuple[datetime, str]]
        if wanted.updated_gte is not None and wanted.calendar_id is None:
            changed = self.by_update.place(wanted.updated_gte)
            if len(self.by_update) - changed <= _FEW:
                ids = (item for _, item in self.by_update.items[changed:])
                items = sorted((self.events[item].start, item) for item in ids)
                for when, item in items:
                    if when >= low and (high is None or when <= high) and (after is None or (when, item) > after):
                        yield item
                return
        place = line.place(low) if after is None or after[0] < low else line.place(*after)
        if after is not None and place < len(line) and line.items[place] == after:
            place += 1
        for index in range(place, len(line)):
            when, item = line.items[index]
            if high is not None and when > high:
                return
            yield item

    # --- following the account ----------------------------------------------------------------------------------

    def sync_copy(self, calendar_id: str, meeting_id: str) -> None:
        """Take over what an account's copy of a meeting says now. The region cannot read a revoked account."""
        calendar = self.calendars.get(calendar_id)
        if calendar is None or calendar.status != "connected":
            return
        try:
            account = self.world.open(self.credentials(calendar))
        except CredentialsRefused:
            return
        if self.take_over(calendar, account, meeting_id):
            self.mark_dirty(calendar)

    def take_over(self, calendar: Calendar, account: Account, meeting_id: str) -> bool:
        """Bring one event up to date; tell whether anything changed."""
        meeting = self.world.meetings[meeting_id]
        copy = meeting.copies[account.key]
        now = self.world.now()
        event = self.event_of(calendar.id, meeting_id)
        if event is not None and event.version == copy.version and event.is_deleted == copy.deleted:
            return False
        inside = now - DAYS_BACK <= meeting.start <= now + DAYS_AHEAD
        was_inside = event is not None and now - DAYS_BACK <= event.start <= now + DAYS_AHEAD
        if not inside:
            if meeting.start > now and not copy.deleted:  # it is shown when it enters the window
                self.world.at(meeting.start - DAYS_AHEAD, self.sync_copy, calendar.id, meeting_id)
            if event is None or not was_inside:
                return False
            if self.world.switches.left_window == "kept":
                return False
            if event.is_deleted:
                return False
        if event is None:
            if copy.deleted:
                return False  # never seen here
            event = Event(
                id=self.world.new_id(),
                calendar_id=calendar.id,
                meeting_id=meeting_id,
                platform=account.platform,
                platform_id=copy.platform_id,
                ical_uid=meeting.ical_uid,
                start=meeting.start,
                end=meeting.end,
                meeting_url=None,
                raw="{}",
                created_at=now,
                updated_at=now,
            )
            self.events[event.id] = event
            calendar.events[meeting_id] = event.id
        else:
            self._unindex(calendar, event)
        event.start, event.end = meeting.start, meeting.end
        event.meeting_url = meeting.url if platform_of(meeting.url) else None
        event.raw = dumps(raw_event(meeting, copy, account))
        event.version = copy.version
        event.is_deleted = copy.deleted or not inside
        event.updated_at = now
        self._index(calendar, event)
        if event.is_deleted:
            self.unschedule(event)
        return True

    def mark_dirty(self, calendar: Calendar) -> None:
        """Tell of a changed event by webhook, soon, together with its neighbours."""
        now = self.world.now()
        if calendar.dirty_since is None:
            calendar.dirty_since = now
            self.world.after(self.world.switches.sync_batch, self._tell_changes, calendar.id)

    def _tell_changes(self, calendar_id: str) -> None:
        calendar = self.calendars.get(calendar_id)
        if calendar is None or calendar.dirty_since is None:
            return
        since, calendar.dirty_since = calendar.dirty_since, None
        self.notify("calendar.sync_events", {"calendar_id": calendar_id, "last_updated_ts": since.isoformat()})

    def credentials(self, calendar: Calendar) -> Credentials:
        """Return what the workspace holds of the account (the layer above knows)."""
        raise NotImplementedError

    def _index(self, calendar: Calendar, event: Event) -> None:
        self.by_start.add(event.start, event.id)
        calendar.by_start.add(event.start, event.id)
        self.by_update.add(event.updated_at, event.id)

    def _unindex(self, calendar: Calendar, event: Event) -> None:
        self.by_start.remove(event.start, event.id)
        calendar.by_start.remove(event.start, event.id)
        self.by_update.remove(event.updated_at, event.id)

    def touched(self, event: Event) -> None:
        """Note that an event's bots have changed: whether that is an update of the event is a switch."""
        if self.world.switches.bot_change_touches_event:
            self.by_update.remove(event.updated_at, event.id)
            event.updated_at = self.world.now()
            self.by_update.add(event.updated_at, event.id)

    # --- bots on events -----------------------------------------------------------------------------------------

    def add_bot(self, event_id: str, key: str, config: dict[str, Any], *, quiet: bool = False) -> Event:
        """Put the bot of a deduplication key on an event; the same key again replaces its configuration.

        `quiet` passes over the 409 and 507 that switches may plan: for filling a world.
        """
        event = self.event(event_id)
        now = self.world.now()
        if event.is_deleted:
            raise invalid(non_field_errors="Cannot schedule bot as calendar event has been deleted.")
        if event.end <= now:
            raise invalid(non_field_errors="Cannot schedule bot as calendar event has ended.")
        url = config.get("meeting_url") or event.meeting_url
        if not url:
            raise invalid(non_field_errors="Cannot schedule bot as calendar event has no meeting url.")
        join_at = _told_join_at(config) or event.start
        if not quiet:
            self._refuse_parallel(key, event_id)
        bot = self.bots.get(self.keys.get(key, ""))
        fits = bot is not None and bot.scheduled and (bot.join_at, bot.meeting_url) == (join_at, url)
        if not fits and not quiet and join_at - now < TEN_MINUTES:
            self.take_from_pool()
        if bot is not None and bot.scheduled:
            if self.world.switches.late_changes_applied or not self.is_late(bot):
                bot.config = config
                self.reschedule(bot, url, join_at)
        else:
            bot = self.schedule(url, join_at, config, key)
        if self.world.switches.new_key == "replaces":
            for entry in [entry for entry in event.bots if entry.bot_id != bot.id]:
                other = self.bots.get(entry.bot_id)
                if other is None or other.scheduled:
                    self.detach(event, entry)
        self._attach(event, bot, Entry(bot.id, event.start, key, url))
        return event

    def remove_bot(self, event_id: str, *, quiet: bool = False) -> Event:
        """Take bots off an event: all, or only the latest one (a switch). Repeating it changes nothing."""
        event = self.event(event_id)
        entries = [entry for entry in event.bots if self._removable(entry)]
        if self.world.switches.remove_takes == "latest":
            entries = entries[-1:]
        if not quiet:
            for entry in entries:
                self._refuse_parallel(entry.deduplication_key, event_id)
        changed = [self.detach(event, entry) for entry in entries]
        if any(changed):
            self.touched(event)
        return event

    def unschedule(self, event: Event, *, cascade: bool = False) -> None:
        """Take all scheduled bots off an event which is deleted, or whose calendar is."""
        for entry in list(event.bots):
            if entry in event.bots and self._removable(entry):
                self.detach(event, entry, cascade=cascade)

    def _removable(self, entry: Entry) -> bool:
        bot = self.bots.get(entry.bot_id)
        return bot is None or bot.scheduled or (bot.live and not self.world.switches.live_bots_spared)

    def _attach(self, event: Event, bot: Bot, entry: Entry) -> None:
        bot.events[event.id] = None
        for place, old in enumerate(event.bots):
            if old.bot_id == bot.id:
                event.bots[place] = entry
                break
        else:
            event.bots.append(entry)
        self.touched(event)

    def _refuse_parallel(self, key: str, event_id: str) -> None:
        """Refuse with 409 when another event has just been written under this key (a switch)."""
        window = self.world.switches.conflict_window
        if not window:
            return
        now = self.world.now()
        last = self.recent.get(key)
        if (
            last is not None
            and last[1] != event_id
            and now - last[0] < timedelta(seconds=window)
            and self.world.rng.random() < self.world.switches.conflict_probability
        ):
            raise coded(409, "conflict", "Another request for this deduplication key is being processed.")
        self.recent[key] = (now, event_id)


def _told_join_at(config: dict[str, Any]) -> datetime | None:
    text = config.get("join_at")
    if text is None:
        return None
    try:
        return parse_time(text)
    except (TypeError, ValueError):
        raise invalid(bot_config="join_at: Datetime has wrong format.") from None
