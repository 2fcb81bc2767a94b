"""A meeting as both regions show it, built in one line: no database, no HTTP, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from calendars.scheduling.decide import decide
from calendars.scheduling.ownership import Order
from calendars.scheduling.values import Act, Action, BotEntry, External, Member, Numbers, OpenIntent, Purpose, Row, Side
from calendars.scheduling.verdicts import verdict

SOURCE, TARGET = 1, 2
START = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
ROOM = "https://meet.google.com/abc-defg-hij"
OTHER_ROOM = "https://meet.google.com/xyz-wvut-srq"
KEY = "key-of-the-row"
NUMBERS = Numbers()
F, L, M = NUMBERS.freeze, NUMBERS.late_commit, NUMBERS.margin
NEAR = F + M
FAR = timedelta(hours=5)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)


def bot(bot_id: str = "bot", **changes: Any) -> BotEntry:
    """A scheduled bot that fits, but for what is said."""
    return replace(BotEntry(bot_id=bot_id, start=START, url=ROOM, key=KEY), **changes)


def order(**changes: Any) -> Order:
    """A standing order to hand over from SOURCE to TARGET."""
    return replace(Order(source=SOURCE, target=TARGET, cut_line=START - timedelta(days=1), allowed=True), **changes)


@dataclass
class Meeting:
    """One assignment at a moment, `away` before its start. Readings are a second old, but for what is said."""

    away: timedelta = FAR
    owner: int = SOURCE
    wish: int = SOURCE
    wanted: Iterable[int] = (1,)
    hold: str = ""
    attended: bool | None = None
    outdated: bool = False
    external: External | None = None
    loose: tuple[BotEntry, ...] = ()
    moving: bool = True  # a hand-over is ordered: there is another side
    keys: dict[int, str] = field(default_factory=lambda: {SOURCE: KEY, TARGET: KEY})
    members: dict[int, list[Member]] = field(default_factory=lambda: {SOURCE: [], TARGET: []})
    intents: dict[int, list[OpenIntent]] = field(default_factory=lambda: {SOURCE: [], TARGET: []})
    swept: dict[int, datetime] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return START - self.away

    def shows(
        self,
        workspace: int,
        *bots: BotEntry,
        occurrence: int = 1,
        age: timedelta | None = timedelta(seconds=1),
        **changes: Any,
    ) -> Meeting:
        """Let a workspace show an occurrence, with these bots on its event. Events are 10 * workspace + occurrence."""
        member = Member(
            occurrence=occurrence,
            event=10 * workspace + occurrence,
            start=START,
            url=ROOM,
            bots=bots,
            read_at=None if age is None else self.now - age,
        )
        self.members[workspace].append(replace(member, **changes))
        return self

    def sent(
        self,
        workspace: int,
        purpose: Purpose,
        *,
        ago: timedelta = timedelta(seconds=30),
        answered: timedelta | None = None,
        bot_id: str = "",
    ) -> Meeting:
        """Let a write be open: sent so long ago, and perhaps answered so long ago."""
        self.intents[workspace].append(
            OpenIntent(
                purpose=purpose,
                event=10 * workspace + 1,
                bot_id=bot_id,
                sent_at=self.now - ago,
                answered_at=None if answered is None else self.now - answered,
            )
        )
        return self

    def row(self) -> Row:
        sides = {
            workspace: Side(
                workspace=workspace,
                members=tuple(self.members[workspace]),
                intents=tuple(self.intents[workspace]),
                swept_at=self.swept.get(workspace),
            )
            for workspace in (SOURCE, TARGET)
        }
        other = TARGET if self.owner == SOURCE else SOURCE
        return Row(
            assignment=1,
            start=START,
            end=END,
            url=ROOM,
            wanted=frozenset(self.wanted),
            owner=sides[self.owner],
            other=sides[other] if self.moving else None,
            keys=self.keys,
            wish=self.wish,
            hold=self.hold,
            attended=self.attended,
            outdated=self.outdated,
            external=self.external,
            loose=self.loose,
        )

    def decide(self, numbers: Numbers = NUMBERS) -> Action:
        return decide(self.row(), now=self.now, numbers=numbers)

    def act(self, numbers: Numbers = NUMBERS) -> tuple[Act, int]:
        """What is done next, and in which workspace (0: in none, or in both)."""
        action = self.decide(numbers)
        if action.act is Act.READ:
            return Act.READ, action.workspaces[0] if len(action.workspaces) == 1 else 0
        return action.act, action.workspace

    def verdict(self, given: Order | None = None) -> tuple[str, str]:
        said, note = verdict(self.row(), now=self.now, numbers=NUMBERS, order=given or order())
        return said.value, note


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)
