"""Which workspace owns an assignment, and where it should be. Pure.

Truth (start, URL, wanted) is read from the OWNER's workspace only; the other side's view serves to see whether both
agree. So two regions that learn of a move at different times never make two assignments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from calendars.scheduling.values import BotEntry, Member, Row, Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True)
class Order:
    """A batch's standing order for a calendar: which pair, from which start, and whether it may be done yet."""

    source: int
    target: int
    cut_line: datetime | None
    allowed: bool
    paused: bool = False
    backwards: bool = False


class Copy(NamedTuple):
    """One occurrence as a workspace shows it: what tells whether it is cancelled."""

    workspace: int
    connected: bool
    deleted: bool


def cancelled(copies: Collection[Copy], owner: int) -> bool:
    """Tell whether a meeting is cancelled, by the owner's view; by whoever shows it when the owner does not."""
    connected = [copy for copy in copies if copy.connected]
    told = [copy for copy in connected if copy.workspace == owner] or connected or copies
    return bool(told) and all(copy.deleted for copy in told)


def is_told_by(workspace: int, *, owner: int, owner_shows: bool) -> bool:
    """Tell whether a workspace says where a calendar's meeting is: the owner does, while it is connected there."""
    return workspace == owner or not owner_shows


def common_order(orders: Iterable[Order | None]) -> Order | None:
    """Return the order that holds for an assignment whose members' calendars have these orders.

    Members of two batches between the same workspaces move when both allow it, from the later cut line. Members that
    are ordered to different places have no common order; in opposite directions, nothing new is handed over.
    """
    given = [order for order in orders if order is not None]
    if not given or len({(order.source, order.target) for order in given}) > 1:
        return None
    opposed = len({order.backwards for order in given}) > 1
    lines = [order.cut_line for order in given]
    return Order(
        source=given[0].source,
        target=given[0].target,
        cut_line=None if None in lines else max(line for line in lines if line is not None),
        allowed=all(order.allowed for order in given) and not opposed,
        paused=any(order.paused for order in given),
        backwards=given[0].backwards and not opposed,
    )


def birth_owner(*, left: int | None, start: datetime, order: Order | None, seen_in: int, all_in_target: bool) -> int:
    """Return the owner of a new assignment.

    A moved meeting keeps the owner of the assignment it left. Otherwise the target owns it from the cut line on, if
    hand-over is allowed and all members are there already; else the source, or where it was seen without an order.
    """
    if left is not None:
        return left
    if order is None:
        return seen_in
    if order.allowed and not order.backwards and order.cut_line and start >= order.cut_line and all_in_target:
        return order.target
    return order.source


def wish(*, owner: int, start: datetime, order: Order | None, in_source: bool, in_target: bool) -> int:
    """Return the workspace where an assignment should be.

    `in_source` and `in_target` tell whether ALL wanted members have a connected event there. A meeting that the target
    owns is not moved back over the cut line: less churn, and the source's calendar can go.
    """
    if order is None or owner not in (order.source, order.target):
        return owner
    if order.backwards:
        return order.source if in_source else owner
    if owner == order.target:
        return order.target
    if order.allowed and order.cut_line is not None and start >= order.cut_line and in_target:
        return order.target
    return order.source


def shows(member: Member, row: Row) -> bool:
    """Tell whether a connected event shows this row's start and URL."""
    return (
        member.connected
        and not member.deleted
        and bool(member.url)
        and member.start == row.start
        and member.url == row.url
    )


def is_lost(row: Row) -> bool:
    """Tell whether only calendars that fell off show a meeting: no bot can hang on it, and it may be long cancelled."""
    sides = [row.owner] if row.other is None else [row.owner, row.other]
    shown = [member for side in sides for member in side.members if member.occurrence in row.wanted]
    return bool(shown) and not any(member.connected and not member.deleted for member in shown)


def able_members(side: Side, row: Row) -> tuple[Member, ...]:
    """Return the members that can carry the bot here; closing ones only when there is nobody else."""
    able = tuple(m for m in side.members if m.occurrence in row.wanted and shows(m, row))
    staying = tuple(member for member in able if not member.closing)
    return staying or able


def present(side: Side, wanted: frozenset[int]) -> bool:
    """Tell whether ALL wanted members have a connected event on this side."""
    there = {m.occurrence for m in side.members if m.connected and not m.deleted}
    return bool(wanted) and wanted <= there


def agree(row: Row) -> bool:
    """Both regions show every wanted member connected, not deleted, with this row's start and URL.

    The owner's region is not asked about calendars that it does not have any more: an earlier batch has moved them. Of
    others than those there must be somebody, who can speak for it.
    """
    if row.other is None:
        return False
    left = row.wanted - _gone(row.owner)
    return bool(left) and left <= _showing(row.owner, row) and row.wanted <= _showing(row.other, row)


def _showing(side: Side, row: Row) -> set[int]:
    return {member.occurrence for member in side.members if shows(member, row)}


def _gone(side: Side) -> set[int]:
    there = {member.occurrence for member in side.members if not member.gone}
    return {member.occurrence for member in side.members} - there


def fits(entry: BotEntry, row: Row, *, now: datetime, freeze: timedelta, patience: timedelta) -> bool:
    """Tell whether a bot attends this row: same start and URL, not over.

    Key equality proves nothing: a bot's join time was filled from its region's event, which may lag. A frozen or
    joined bot at the same URL that comes a little early (patience) fits, too.
    """
    if entry.terminal or entry.url != row.url:
        return False
    if entry.start == row.start:
        return True
    early = row.start - entry.start
    return timedelta(0) < early <= patience and (entry.live or entry.start - now <= freeze)
