"""Builds the model's rows as production loads them from its database."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from calendars.scheduling.ownership import Copy, Order, cancelled, common_order, present, wish
from calendars.scheduling.values import BotEntry, Member, OpenIntent, Row, Side
from tests.scheduling.regions import (
    REGIONS,
    ROOM,
    SOURCE,
    TARGET,
    TICK,
    Cell,
    Kept,
    Sent,
    Setting,
    State,
    View,
    moment,
)


def order_of(state: State, calendars: list[int], setting: Setting) -> Order | None:
    """Return the order that calendars have in common; each batch may go back by itself."""
    return common_order(
        Order(
            source=SOURCE,
            target=TARGET,
            cut_line=moment(setting.cut * TICK),
            allowed=True,
            paused=state.paused,
            backwards=calendar in state.backwards,
        )
        for calendar in calendars
    )


def load(state: State, at: int, setting: Setting) -> Row:
    """Build the row as production loads it."""
    kept = state.rows[at]
    calendars = [calendar for calendar, start in state.placed.items() if start == at]
    wanted = frozenset(calendar for calendar in calendars if not cancelled(copies(state, calendar), kept.owner))
    sides = {region: side(state, region, calendars, kept) for region in REGIONS}
    start = moment(at * TICK)
    return Row(
        assignment=at,
        start=start,
        end=start + timedelta(hours=1),
        url=ROOM,
        wanted=wanted,
        owner=sides[kept.owner],
        other=sides[SOURCE + TARGET - kept.owner],
        keys=dict.fromkeys(REGIONS, f"k{at}"),
        wish=wish(
            owner=kept.owner,
            start=start,
            order=order_of(state, calendars or list(state.placed), setting),
            in_source=present(sides[SOURCE], wanted),
            in_target=present(sides[TARGET], wanted),
        ),
        hold="paused" if state.paused else "",
    )


def copies(state: State, calendar: int) -> list[Copy]:
    views = {region: state.views[region, calendar].shown for region in REGIONS}
    return [Copy(region, shown.connected, shown.deleted) for region, shown in views.items()]


def side(state: State, region: int, calendars: list[int], kept: Kept) -> Side:
    return Side(
        workspace=region,
        members=tuple(member(state.views[region, calendar], (region, calendar), state.now) for calendar in calendars),
        intents=tuple(open_intent(sent) for sent in kept.intents if sent.cell[0] == region),
    )


@cache
def open_intent(sent: Sent) -> OpenIntent:
    at = None if sent.answered_at is None else moment(sent.answered_at)
    return OpenIntent(sent.purpose, number(sent.cell), sent.bot_id, moment(sent.at), at)


def number(cell: Cell) -> int:
    return 10 * cell[0] + cell[1]


def member(view: View, cell: Cell, now: int) -> Member:
    return Member(
        occurrence=cell[1],
        event=number(cell),
        start=moment(view.shown.start * TICK),
        url=ROOM,
        deleted=view.shown.deleted,
        connected=view.shown.connected,
        bots=tuple(
            BotEntry(bot.id, moment(bot.start * TICK), ROOM, bot.key, live=bot.start * TICK <= now) for bot in view.bots
        ),
        read_at=moment(view.read_at),
        changed_at=None if view.changed_at is None else moment(view.changed_at),
    )
