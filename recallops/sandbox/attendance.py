"""Which bots really joined: the ground truth for *missed* and *doubled*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.meetings import AccountKey


@dataclass(slots=True)
class Attendance:
    """One bot in one call. A bot that came at a wrong time is in here too, without a meeting."""

    region: str
    workspace: str
    bot_id: str
    meeting_url: str
    joined_at: datetime
    left_at: datetime | None  # None while it is in the call
    meeting_id: str | None  # the meeting held at this URL when it joined; None when there was none
    meeting_start: datetime | None  # that meeting's start
    join_at: datetime  # when it was told to join
    deduplication_key: str | None
    accounts: tuple[AccountKey, ...]  # whose events held the bot when it joined
