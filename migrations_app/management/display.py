"""Shows a batch in a terminal: live with rich where both are there, plain lines everywhere else."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from calendars.management.terminal import plain
from migrations_app import watch
from migrations_app.itineraries import OF_THE_ITEM
from migrations_app.models import Finding, ItemStatus

EVERY = 3  # looks between two plain lines
AGAIN = 30  # looks after which a line that says the same is printed again
NO_WORKER_YET = "no worker is alive yet; start “manage.py workers”"


class Display(Protocol):
    """Somewhere to show what was seen."""

    def show(self, seen: watch.Look, found: Sequence[Finding], *, workers: bool, last: bool) -> None:
        """Show a look and the findings that are new in it."""


@contextmanager
def display_for(stdout: Any) -> Iterator[Display]:
    """Return the display that fits where the output goes."""
    if stdout.isatty() and importlib.util.find_spec("rich"):
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False, markup=False)
        with Live(console=console, refresh_per_second=4) as live:
            yield RichDisplay(console, live)
    else:
        yield PlainDisplay(stdout)


def describe(finding: Finding) -> str:
    """Return a finding as one line."""
    remedy = f" {finding.remedy}" if finding.remedy else ""
    return plain(f"{finding.get_severity_display()}: {finding.sentence}{remedy}")


def describe_wait(wait: watch.Wait) -> str:
    """Return a wait as one line."""
    return plain(f"{wait.count} wait: {wait.reason}")


def _headline(seen: watch.Look, *, workers: bool) -> str:
    return plain(watch.progress(seen)) + ("" if workers else f" ({NO_WORKER_YET})")


class PlainDisplay:
    """A line every few seconds when something is new, and every wait once."""

    def __init__(self, stdout: Any) -> None:
        self.stdout = stdout
        self.looks = 0
        self.said = ""
        self.said_at = 0
        self.waits: set[str] = set()

    def show(self, seen: watch.Look, found: Sequence[Finding], *, workers: bool, last: bool) -> None:
        """Print what is new."""
        stamp = f"{seen.at:%Y-%m-%d %H:%M:%S}"
        for finding in found:
            self.stdout.write(f"{stamp}  {describe(finding)}")
        since, self.looks = self.looks - self.said_at, self.looks + 1
        if since % EVERY and not last:
            return
        headline = _headline(seen, workers=workers)
        if headline != self.said or since >= AGAIN or last:
            self.said, self.said_at = headline, self.looks - 1
            self.stdout.write(f"{stamp}  {headline}")
        for wait in seen.waits:
            text = describe_wait(wait)
            if wait.reason not in self.waits:
                self.waits.add(wait.reason)
                self.stdout.write(f"{stamp}    {text}")
        self.stdout.flush()


class RichDisplay:
    """A table that stays in its place; findings run through above it."""

    def __init__(self, console: Any, live: Any) -> None:
        self.console = console
        self.live = live

    def show(self, seen: watch.Look, found: Sequence[Finding], *, workers: bool, last: bool) -> None:
        """Print new findings and draw the table anew."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        colours = {"blocking": "bold red", "warning": "yellow"}
        for finding in found:
            self.console.print(Text(describe(finding), style=colours.get(finding.severity, "dim")))
        table = Table(title=f"{seen.batch.slug}   {seen.at:%Y-%m-%d %H:%M:%S} UTC", title_justify="left")
        columns = [(step.label, seen.at_step(step)) for step in seen.batch.steps if step in OF_THE_ITEM]
        ended = ("Back", ItemStatus.BACK) if seen.batch.goes_back else ("Moved", ItemStatus.DONE)
        columns += [(ended[0], seen.having(ended[1])), ("For a person", seen.having("user", "not_movable"))]
        columns += [("Failed", seen.having(ItemStatus.FAILED)), ("All", seen.total)]
        for label, _ in columns:
            table.add_column(label, justify="right")
        table.add_row(*[str(number) for _, number in columns])
        lines = [Text(_headline(seen, workers=workers))]
        lines += [Text(f"  {describe_wait(wait)}", style="dim") for wait in seen.waits]
        self.live.update(Group(table, *lines), refresh=last)
