"""What a search found: rows as people read them, in groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST = 10  # of a kind


@dataclass(frozen=True, slots=True)
class Hit:
    """One row that was found."""

    title: str
    url: str
    where: str = ""
    state: str = ""
    colour: str = ""
    note: str = ""


@dataclass(slots=True)
class Group:
    """What was found of one kind: one more than is shown, where there are more."""

    name: Any
    icon: str
    hits: list[Hit] = field(default_factory=list)

    @property
    def shown(self) -> list[Hit]:
        """Return what is shown."""
        return self.hits[:MOST]

    @property
    def more(self) -> bool:
        """Tell whether there is more than is shown."""
        return len(self.hits) > MOST
