"""What a reading says of a write that was sent: whether it answers it, and whether it happened. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from calendars.scheduling.ownership import fits
from calendars.scheduling.values import Member, Numbers, OpenIntent, Purpose, Row

DID_NOT_HAPPEN = "a later reading shows that it did not happen"


def answered(intent: OpenIntent, member: Member | None, *, now: datetime, numbers: Numbers) -> bool:
    """Tell whether an intent can be closed: its event was read late enough, or there is no event any more to read."""
    due = intent.due(numbers.late_commit)
    if member is None:
        return now > due
    return member.read_at is not None and member.read_at > due


def happened(intent: OpenIntent, member: Member | None, row: Row, *, now: datetime, numbers: Numbers) -> bool:
    """Tell whether the reading shows what the intent was about to do."""
    if intent.purpose is Purpose.REMOVE:
        return member is None or all(entry.bot_id != intent.bot_id for entry in member.bots)
    return member is not None and any(
        fits(entry, row, now=now, freeze=numbers.freeze, patience=numbers.patience) for entry in member.bots
    )


def too_late_to_be_sure(intent: OpenIntent, row: Row, numbers: Numbers) -> bool:
    """Tell whether a removal was sent in the freeze: then the event may show no bot, and the bot come all the same."""
    return intent.purpose is Purpose.REMOVE and row.start - numbers.freeze <= intent.sent_at < row.start


def must_name_bot(member: Member | None, bots: Collection[str]) -> bool:
    """Tell whether Remove on the event could take a bot that stays: a live or frozen one, or one that fits.

    Whether Remove takes all bots of an event or only one is not documented.
    """
    if member is None or not member.connected or member.deleted:
        return True
    return any(not entry.terminal and entry.bot_id not in bots for entry in member.bots)
