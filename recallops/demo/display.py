"""Shows a move in the terminal: a live picture with rich, or a plain line every few seconds where there is none."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from recallops.demo.progress import Snapshot

PLAIN_EVERY = 5.0
LIVE_EVERY = 0.5


class Display(Protocol):
    """Shows snapshots."""

    every: float

    def __enter__(self) -> Display: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None: ...

    def show(self, snapshot: Snapshot, *, jumps: int | None) -> None:
        """Show a moment."""


def display() -> Display:
    """Return what fits this terminal."""
    if sys.stdout.isatty():
        try:
            return Live()
        except ImportError:
            pass
    return Plain()


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(slots=True)
class Pace:
    """Calls a second, over the last seconds."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, calls: int) -> float:
        """Take a count in; return the pace over the last ten seconds."""
        now = time.monotonic()
        self.seen = [(at, count) for at, count in self.seen if now - at < 10] + [(now, calls)]
        (begun, before), (end, after) = self.seen[0], self.seen[-1]
        return (after - before) / (end - begun) if end > begun else 0.0


class Plain:
    """A line every few seconds."""

    def __init__(self) -> None:
        self.every = PLAIN_EVERY
        self._pace = Pace()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, snapshot: Snapshot, *, jumps: int | None) -> None:
        """Print where the move stands."""
        items = ", ".join(f"{count} {name}" for name, count in snapshot.items.items())
        rows = ", ".join(f"{count} {name}" for name, count in snapshot.verdicts.items())
        parts = [
            f"{snapshot.now:%a %H:%M:%S} (x{snapshot.speed:g}{_jumps(jumps)})",
            snapshot.step.lower(),
            f"calendars: {items}" if items else "",
            f"meetings: {rows}" if rows else "",
            f"{snapshot.calls} calls ({self._pace.rate(snapshot.calls):.0f}/s)",
            snapshot.reason[:140],
        ]
        say(" | ".join(part for part in parts if part))


class Live:
    """A picture that renews itself."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        self.every = LIVE_EVERY
        self._pace = Pace()
        self._screen = Screen(console=Console(), auto_refresh=False, transient=False)

    def __enter__(self) -> Display:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.__exit__(kind, error, trace)

    def show(self, snapshot: Snapshot, *, jumps: int | None) -> None:
        """Draw where the move stands."""
        self._screen.update(self._picture(snapshot, jumps), refresh=True)

    def _picture(self, snapshot: Snapshot, jumps: int | None) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        marks = {"done": ("✔", "green"), "now": ("▶", "bold cyan"), "ahead": ("·", "dim")}
        track = Table.grid(padding=(0, 2))
        cells = []
        for label, state, counts in snapshot.track:
            mark, style = marks[state]
            cells.append(Text(f"{mark} {label} {counts}".rstrip(), style=style))
        track.add_row(*cells)
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", justify="right")
        facts.add_column()
        facts.add_row(
            "domain time", f"{snapshot.now:%A %Y-%m-%d %H:%M:%S} UTC, speed {snapshot.speed:g}{_jumps(jumps)}"
        )
        facts.add_row("calendars", _counts(snapshot.items))
        facts.add_row("meetings", _counts(snapshot.verdicts))
        refused = f", {snapshot.refused} refused (429)" if snapshot.refused else ""
        facts.add_row("calls", f"{snapshot.calls}, {self._pace.rate(snapshot.calls):.0f} a second{refused}")
        facts.add_row("findings", f"{snapshot.findings} to look at")
        facts.add_row("waits for", Text(snapshot.reason or "nothing", overflow="ellipsis", no_wrap=True))
        return Panel(Group(track, "", facts), title=f"{snapshot.step}: {snapshot.status}", title_align="left")


def _jumps(jumps: int | None) -> str:
    """Say how often the clock has jumped, where that is known."""
    return "" if jumps is None else f", {jumps} jumps"


def _counts(counts: Any) -> Any:
    from rich.text import Text

    return Text("  ".join(f"{count} {name}" for name, count in counts.items()) or "none yet")
