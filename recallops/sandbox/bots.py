"""The life of a bot: scheduled, joining at its time, in the call, done. What it attends goes into the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.attendance import Attendance
from recallops.sandbox.messages import coded, field_errors, iso, not_found, parse_time
from recallops.sandbox.records import SCHEDULED, Bot
from recallops.sandbox.state import TEN_MINUTES, State

if TYPE_CHECKING:
    from recallops.sandbox.meetings import AccountKey
    from recallops.sandbox.records import Entry, Event

# Seconds from one status to the next on the way in.
_WAY_IN = (("in_waiting_room", 5), ("in_call_not_recording", 5), ("in_call_recording", 2))
EMPTY_CALL = timedelta(minutes=20)  # how long a bot waits where nobody meets
POOL_EMPTY = "Not enough bots available in the ad-hoc bot pool. Retry in 30 seconds."
DEFAULT_NAME = "Meeting Notetaker"


class Bots(State):
    """The bots of a workspace."""

    # --- what the API asks for ----------------------------------------------------------------------------------

    def create_bot(self, config: dict[str, Any]) -> Bot:
        """Make a stand-alone bot."""
        url = config.get("meeting_url")
        if not url or not isinstance(url, str):
            raise field_errors(meeting_url="This field is required.")
        now = self.world.now()
        join_at = _join_at(config) or now
        if join_at - now < TEN_MINUTES:
            self.take_from_pool()
        return self.schedule(url, max(join_at, now), config)

    def change_bot(self, bot_id: str, changes: dict[str, Any]) -> Bot:
        """Change a scheduled stand-alone bot; the ten-minute rule holds."""
        bot = self.bot(bot_id)
        if bot.from_calendar:
            raise coded(400, "update_bot_failed", "Bots scheduled via a calendar event cannot be updated here.")
        if not bot.scheduled:
            raise coded(400, "update_bot_failed", "Only non-dispatched bots can be updated")
        join_at = _join_at(changes)
        now = self.world.now()
        if (join_at is not None or bot.join_at - now < TEN_MINUTES) and (join_at or bot.join_at) - now < TEN_MINUTES:
            raise coded(400, "update_bot_failed", "Not enough time to launch new bot")
        bot.config = {**bot.config, **changes}
        self.reschedule(bot, changes.get("meeting_url", bot.meeting_url), join_at or bot.join_at)
        return bot

    def delete_bot(self, bot_id: str) -> None:
        """Delete a scheduled bot; one that is on its way is refused."""
        bot = self.bot(bot_id)
        if not bot.scheduled or (self.is_late(bot) and not self.world.switches.late_changes_applied):
            raise coded(405, "cannot_delete_bot", "Only scheduled bots which have not joined a call can be deleted.")
        self.forget(bot)

    def leave_call(self, bot_id: str) -> Bot:
        """Send a bot home that is on its way or in a call."""
        bot = self.bot(bot_id)
        if bot.scheduled and not self.is_late(bot):
            raise coded(400, "cannot_command_unstarted_bot", "Cannot send a command to a bot which has not started.")
        if not bot.scheduled and not bot.live:
            raise coded(400, "cannot_command_completed_bot", "Cannot send a command to a bot which has completed.")
        self.end_call(bot, "bot_received_leave_call")
        return bot

    def drop_bot(self, bot_id: str, *, shown: bool = False) -> None:
        """Lie: lose a bot without a webhook or a new `updated_at`; with `shown`, events still name it."""
        bot = self.bot(bot_id)
        if not shown:
            for event_id in bot.events:
                event = self.events[event_id]
                event.bots = [entry for entry in event.bots if entry.bot_id != bot_id]
        if bot.attendance is not None and bot.live:
            self.world.attendance[bot.attendance].left_at = self.world.now()
        self._discard(bot)

    def bot(self, bot_id: str) -> Bot:
        """Return a bot or refuse with 404."""
        if bot_id not in self.bots:
            raise not_found()
        return self.bots[bot_id]

    # --- scheduling ---------------------------------------------------------------------------------------------

    def take_from_pool(self) -> None:
        """Take an ad-hoc bot, or refuse with 507 as often as the switch says."""
        chance = self.world.switches.adhoc_507
        if chance and self.world.rng.random() < chance:
            raise coded(507, "insufficient_bots", POOL_EMPTY, **{"Retry-After": "30"})

    def schedule(self, url: str, join_at: datetime, config: dict[str, Any], key: str | None = None) -> Bot:
        """Put a new bot on the timetable."""
        now = self.world.now()
        bot = Bot(self.world.new_id(), url, join_at, config, now, key, from_calendar=key is not None)
        bot.status_changes.append({"code": SCHEDULED, "message": None, "created_at": iso(now), "sub_code": None})
        self.bots[bot.id] = bot
        self.bots_by_join.add(join_at, bot.id)
        bot.timer = self.world.at(join_at, self._join, bot.id)
        if key is not None:
            self.keys[key] = bot.id
        return bot

    def reschedule(self, bot: Bot, url: str, join_at: datetime) -> None:
        """Give a scheduled bot another time or place."""
        bot.meeting_url = url
        if join_at != bot.join_at:
            self.bots_by_join.remove(bot.join_at, bot.id)
            self.world.timers.cancel(bot.timer)
            bot.join_at = join_at
            self.bots_by_join.add(join_at, bot.id)
            bot.timer = self.world.at(join_at, self._join, bot.id)

    def is_late(self, bot: Bot) -> bool:
        """Tell whether a bot joins within ten minutes: it may be under way already."""
        return bot.join_at - self.world.now() < TEN_MINUTES

    def detach(self, event: Event, entry: Entry, *, cascade: bool = False) -> bool:
        """Take a bot off an event; tell whether anything changed.

        A scheduled bot that no other event holds is deleted (with `cascade` also one that others hold). Inside ten
        minutes it may come all the same; a live one stays unless the switches say otherwise.
        """
        bot = self.bots.get(entry.bot_id)
        switches = self.world.switches
        if bot is not None and not bot.scheduled and (not bot.live or switches.live_bots_spared):
            return False
        event.bots.remove(entry)
        if bot is None:
            return True
        bot.events.pop(event.id, None)
        if bot.events and not cascade:
            return True
        if bot.live:
            self.end_call(bot, "call_ended_by_platform_idle")
        elif switches.late_changes_applied or not self.is_late(bot):
            self.forget(bot)
        return True

    def forget(self, bot: Bot) -> None:
        """Delete a scheduled bot and every trace of it on events."""
        for event_id in bot.events:
            event = self.events[event_id]
            event.bots = [entry for entry in event.bots if entry.bot_id != bot.id]
            self.touched(event)
        self._discard(bot)

    def touched(self, event: Event) -> None:
        """Note that an event's bots have changed (the layer above knows what that means)."""
        raise NotImplementedError

    def _discard(self, bot: Bot) -> None:
        self.world.timers.cancel(bot.timer)
        bot.timer = None
        self.bots_by_join.remove(bot.join_at, bot.id)
        self.bots_joined.pop(bot.id, None)
        del self.bots[bot.id]
        if bot.key is not None and self.keys.get(bot.key) == bot.id:
            del self.keys[bot.key]

    # --- in the call --------------------------------------------------------------------------------------------

    def _join(self, bot_id: str) -> None:
        bot = self.bots[bot_id]
        self.bots_by_join.remove(bot.join_at, bot.id)
        self.bots_joined[bot.id] = None
        self._bot_status(bot, "joining_call")
        bot.timer = self.world.after(_WAY_IN[0][1], self._walk_in, bot_id, 0)

    def _walk_in(self, bot_id: str, step: int) -> None:
        bot = self.bots[bot_id]
        self._bot_status(bot, _WAY_IN[step][0])
        if step + 1 < len(_WAY_IN):
            if _WAY_IN[step][0] == "in_call_not_recording":
                self._attend(bot)
            bot.timer = self.world.after(_WAY_IN[step + 1][1], self._walk_in, bot_id, step + 1)
        else:
            meeting = self.world.meetings.get(bot.meeting_id or "")
            until = meeting.end if meeting is not None else self.world.now() + EMPTY_CALL
            bot.timer = self.world.at(until, self._leave, bot_id)

    def _attend(self, bot: Bot) -> None:
        """Write the attendance log: this bot is in this call."""
        now = self.world.now()
        meeting = self.world.meeting_at(bot.meeting_url, now, bot.join_at)
        bot.meeting_id = meeting.id if meeting is not None else None
        accounts: dict[AccountKey, None] = {}
        for event_id in bot.events:
            account = self.calendars[self.events[event_id].calendar_id].account
            if account is not None:
                accounts[account] = None
        bot.attendance = len(self.world.attendance)
        self.world.attendance.append(
            Attendance(
                region=self.region_code,
                workspace=self.slug,
                bot_id=bot.id,
                meeting_url=bot.meeting_url,
                joined_at=now,
                left_at=None,
                meeting_id=bot.meeting_id,
                meeting_start=meeting.start if meeting is not None else None,
                join_at=bot.join_at,
                deduplication_key=bot.key,
                accounts=tuple(accounts),
            )
        )

    def _leave(self, bot_id: str) -> None:
        bot = self.bots[bot_id]
        meeting = self.world.meetings.get(bot.meeting_id or "")
        if meeting is not None and not meeting.cancelled and meeting.start <= self.world.now() < meeting.end:
            bot.timer = self.world.at(meeting.end, self._leave, bot_id)  # it was made longer meanwhile
            return
        self.end_call(bot, "call_ended_by_host" if meeting is not None else "timeout_exceeded_waiting_room")

    def end_call(self, bot: Bot, sub_code: str) -> None:
        """Take a bot out of its call, or off its way there."""
        self.world.timers.cancel(bot.timer)
        if bot.scheduled:
            self.bots_by_join.remove(bot.join_at, bot.id)
            self.bots_joined[bot.id] = None
        if bot.attendance is not None:
            self.world.attendance[bot.attendance].left_at = self.world.now()
        self._bot_status(bot, "call_ended", sub_code)
        bot.timer = self.world.after(5, self._done, bot.id)

    def _done(self, bot_id: str) -> None:
        bot = self.bots[bot_id]
        bot.timer = None
        self._bot_status(bot, "done")

    def _bot_status(self, bot: Bot, code: str, sub_code: str | None = None) -> None:
        now = iso(self.world.now())
        bot.status = code
        bot.status_changes.append({"code": code, "message": None, "created_at": now, "sub_code": sub_code})
        if self.endpoints:
            self.notify(
                f"bot.{code}",
                {
                    "data": {"code": code, "sub_code": sub_code, "updated_at": now},
                    "bot": {"id": bot.id, "metadata": bot.config.get("metadata") or {}},
                },
            )


def _join_at(config: dict[str, Any]) -> datetime | None:
    text = config.get("join_at")
    if text is None:
        return None
    try:
        return parse_time(text)
    except (TypeError, ValueError):
        raise field_errors(join_at="Datetime has wrong format.") from None
