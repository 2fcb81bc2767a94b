"""What a workspace keeps: calendars, events, bots. They refer to each other by id."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from recallops.sandbox.links import platform_of
from recallops.sandbox.messages import dumps, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recallops.sandbox.meetings import AccountKey

SCHEDULED = "ready"
LIVE = (
    "joining_call",
    "in_waiting_room",
    "in_call_not_recording",
    "recording_permission_allowed",
    "in_call_recording",
)
OVER = ("call_ended", "recording_done", "done", "fatal")


class Index:
    """Ids in the order of a time; equal times by id. Never sorted anew."""

    def __init__(self) -> None:
        self.items: list[tuple[datetime, str]] = []

    def add(self, when: datetime, item: str) -> None:
        """Put an id in its place."""
        insort(self.items, (when, item))

    def remove(self, when: datetime, item: str) -> None:
        """Take an id out."""
        place = bisect_left(self.items, (when, item))
        if place < len(self.items) and self.items[place] == (when, item):
            del self.items[place]

    def place(self, when: datetime, item: str = "") -> int:
        """Return where a time begins; with an id, where that id stands or would stand."""
        return bisect_left(self.items, (when, item))

    def __iter__(self) -> Iterator[str]:
        return (item for _, item in self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(slots=True)
class Calendar:
    """A V2 calendar: one account as this workspace knows it."""

    id: str
    platform: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    created_at: datetime
    updated_at: datetime
    certificate: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    oauth_email: str | None = None
    webhook_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    hide_token: bool = False
    status: str = "connecting"
    status_changes: list[dict[str, Any]] = field(default_factory=list)
    account: AccountKey | None = None  # None until first connected
    access_token: tuple[str, datetime] | None = field(default=None, repr=False)
    events: dict[str, str] = field(default_factory=dict)  # event id by meeting id
    by_start: Index = field(default_factory=Index, repr=False)
    connecting: int | None = None  # the timer of the coming connection
    dirty_since: datetime | None = None  # oldest change that no webhook has told yet

    @property
    def key(self) -> tuple[str, str]:
        """Return what it is connected as."""
        return self.platform, self.account[1] if self.account else ""


@dataclass(slots=True)
class Entry:
    """One line of an event's `bots`: what was true when the bot was added. It does not follow a moved event."""

    bot_id: str
    start_time: datetime
    deduplication_key: str
    meeting_url: str


@dataclass(slots=True)
class Event:
    """One calendar event as one calendar shows it."""

    id: str
    calendar_id: str
    meeting_id: str
    platform: str
    platform_id: str
    ical_uid: str
    start: datetime
    end: datetime
    meeting_url: str | None
    raw: str  # JSON, as Google or Microsoft gave it at the last sync
    created_at: datetime
    updated_at: datetime
    is_deleted: bool = False
    version: int = 0
    bots: list[Entry] = field(default_factory=list)

    def json(self) -> str:
        """Return the event as the API shows it."""
        rest = {
            "platform": self.platform,
            "platform_id": self.platform_id,
            "ical_uid": self.ical_uid,
            "meeting_platform": platform_of(self.meeting_url),
            "meeting_url": self.meeting_url,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "is_deleted": self.is_deleted,
            "bots": [
                {
                    "bot_id": entry.bot_id,
                    "start_time": iso(entry.start_time),
                    "deduplication_key": entry.deduplication_key,
                    "meeting_url": entry.meeting_url,
                }
                for entry in self.bots
            ],
        }
        return (
            f'{{"id":"{self.id}","start_time":"{iso(self.start)}","end_time":"{iso(self.end)}",'
            f'"calendar_id":"{self.calendar_id}","raw":{self.raw},{dumps(rest)[1:]}'
        )


@dataclass(slots=True)
class Bot:
    """A bot, scheduled or past. `events` names the calendar events that hold it; empty for a stand-alone one."""

    id: str
    meeting_url: str
    join_at: datetime
    config: dict[str, Any]
    created_at: datetime
    key: str | None = None
    events: dict[str, None] = field(default_factory=dict)
    status: str = SCHEDULED
    status_changes: list[dict[str, Any]] = field(default_factory=list)
    timer: int | None = None
    attendance: int | None = None  # its place in the attendance log
    meeting_id: str | None = None
    from_calendar: bool = False

    @property
    def scheduled(self) -> bool:
        """Tell whether it waits for its time."""
        return self.status == SCHEDULED

    @property
    def live(self) -> bool:
        """Tell whether it is joining or in a call."""
        return self.status in LIVE
