"""What goes from the keeper to the player: the inventory and the plan, in plain values that name nobody."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Side:
    """One workspace of the move. Spans are seconds."""

    numbers: dict[str, float]
    reserve_percent: int
    limits: dict[str, int]  # calls a minute by endpoint


@dataclass(slots=True)
class Client:
    """An OAuth client: whether the provider shows its secret, and whether staff have entered it."""

    name: str
    platform: str
    shown: bool
    entered: bool


@dataclass(slots=True)
class CalendarCopy:
    """One connection of the source."""

    email: str
    platform: str
    connected: bool
    has_token: bool
    client: int
    chosen: bool
    in_target: bool

    @property
    def domain(self) -> str:
        """Return what stands behind the @: which customer, and whether it moves."""
        return self.email.rpartition("@")[2]


@dataclass(slots=True)
class MeetingCopy:
    """One meeting, with the calendars that hold it: (calendar, key in the source, key in the target), keys or ""."""

    start: str
    end: str
    url: str
    name: str
    of_series: bool
    copies: list[tuple[int, str, str]]


@dataclass(slots=True)
class Document:
    """Everything that a rehearsal is made of."""

    now: str
    source: Side
    target: Side
    soak: float
    canary_wait: float
    drivers: int
    max_both: int
    cut_line: str = ""
    share: float = 1.0  # of the inventory that is played; limits are reduced alike
    clients: list[Client] = field(default_factory=list)
    calendars: list[CalendarCopy] = field(default_factory=list)
    meetings: list[MeetingCopy] = field(default_factory=list)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Document:
        """Read what `text` wrote."""
        values = json.loads(text)
        values["source"], values["target"] = Side(**values["source"]), Side(**values["target"])
        values["clients"] = [Client(**one) for one in values["clients"]]
        values["calendars"] = [CalendarCopy(**one) for one in values["calendars"]]
        meetings = values["meetings"]
        values["meetings"] = [MeetingCopy(**{**one, "copies": [tuple(c) for c in one["copies"]]}) for one in meetings]
        return cls(**values)
