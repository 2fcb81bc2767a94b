"""What the coverage ledger says of an assignment. Pure; the first that applies is taken."""

from __future__ import annotations

from datetime import datetime, timedelta

from calendars.models.assignment import Verdict
from calendars.scheduling.ownership import Order, fits
from calendars.scheduling.values import BotEntry, Numbers, Row, Side

BEING_ADDED, MOVING = "being added", "moving"
STALE_AFTER = 3  # missed sweeps after which a reading counts as too old


def verdict(row: Row, *, now: datetime, numbers: Numbers, order: Order | None) -> tuple[Verdict, str]:
    """Return the verdict, and a note for the reader ("moving", "being added", ...)."""
    if now >= row.end:
        return _after_the_end(row, numbers)
    sides = [side for side in (row.owner, row.other) if side is not None]
    if stale := _stale(sides, now=now, numbers=numbers):
        return Verdict.STALE, stale
    away = row.start - now
    held = {side.workspace: _fitting(side, row, now=now, numbers=numbers) for side in sides}
    count = sum(len(bots) for bots in held.values())
    if not row.wanted:
        scheduled = any(
            not e.terminal and not e.live and e.start > now for s in sides for m in s.members for e in m.bots
        )
        return (Verdict.UNWANTED, "") if scheduled else (Verdict.OVER, "nobody wants it any more")
    if count == 0:
        if away <= timedelta(0) and was_there(row, numbers):
            return Verdict.ATTENDED, "its bot has left already"
        return Verdict.MISSED, BEING_ADDED if away > timedelta(0) else ""
    if any(fits(e, row, now=now, freeze=numbers.freeze, patience=numbers.patience) for e in row.loose):
        return Verdict.DOUBLED, "one was removed too late and may come all the same"
    if count > 1:
        moving = away > numbers.freeze and all(len(bots) <= 1 for bots in held.values())
        return Verdict.DOUBLED, MOVING if moving else ""
    holder = next(workspace for workspace, bots in held.items() if bots)
    if holder == row.owner.workspace and row.wish != holder and away <= numbers.near:
        return Verdict.FROZEN, "stays where it is"
    note = "" if holder == row.owner.workspace else "owner follows"
    if order is None:
        return Verdict.OWNER, note
    return (Verdict.SOURCE if holder == order.source else Verdict.TARGET), note


def _stale(sides: list[Side], *, now: datetime, numbers: Numbers) -> str:
    """Say why a reading cannot be trusted; empty when it can."""
    for side in sides:
        if side.intents:
            return "a write is not read back yet"
        if any(member.read_at is None for member in side.members):
            return "never read"
        if side.overtaken:
            return "a newer change came in after the reading"
        if side.members:
            seen = max(moment for moment in (side.read_at, side.swept_at) if moment is not None)
            if now - seen > STALE_AFTER * numbers.sweep_every:
                return "the reading is too old"
    return ""


def _fitting(side: Side, row: Row, *, now: datetime, numbers: Numbers) -> set[str]:
    return {
        entry.bot_id
        for member in side.members
        for entry in member.bots
        if fits(entry, row, now=now, freeze=numbers.freeze, patience=numbers.patience)
    }


def was_there(row: Row, numbers: Numbers) -> bool:
    """Tell whether a bot of this row was seen in the call; one that came a little early counts."""
    if row.attended is not None:
        return row.attended
    return any(entry.attended for entry in _entries(row, numbers))


def _entries(row: Row, numbers: Numbers) -> list[BotEntry]:
    """Return the bots that were meant for this row, over or not."""
    sides = [side for side in (row.owner, row.other) if side is not None]
    entries = [entry for side in sides for member in side.members for entry in member.bots]
    return [e for e in entries if e.url == row.url and timedelta(0) <= row.start - e.start <= numbers.patience]


def _after_the_end(row: Row, numbers: Numbers) -> tuple[Verdict, str]:
    if not row.wanted:
        return Verdict.OVER, ""
    if was_there(row, numbers):
        return Verdict.ATTENDED, ""
    if row.attended is None and any(not entry.terminal for entry in _entries(row, numbers)):
        return Verdict.STALE, "over, but its bot was not looked at yet"
    return Verdict.NOT_ATTENDED, ""
