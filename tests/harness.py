"""A whole move in one process: sandbox regions behind the in-process door, one clock, drivers run inline.

Time stands still while anything is due and jumps to the next thing that is: what takes 26 hours takes seconds here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from calendars import tasks as calendar_tasks
from calendars.models import ApiKey, RateBudget, Region, Workspace
from calendars.providers.connect import use_transport
from migrations_app import control
from migrations_app import tasks as batch_tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch
from recallops import clock
from recallops.sandbox import fill, truth
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.world import World

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)  # a Monday morning
REGIONS = {"us-west-2": "https://us.sandbox.test", "eu-central-1": "https://eu.sandbox.test"}


class TickingClock(clock.ManualClock):
    """Stands still but for a microsecond at each look: what is read later is later."""

    def now(self) -> datetime:
        """Return the time, a tick after the last look."""
        self.at += timedelta(microseconds=1)
        return self.at


@dataclass(slots=True)
class Move:
    """A filled world, its two workspaces on both sides of the door, and a batch between them."""

    calendars: int = 3
    events: int = 12
    customers: int = 1
    seed: int = 1
    start: datetime = START
    time: TickingClock = field(init=False)
    world: World = field(init=False)
    source: Workspace = field(init=False)
    target: Workspace = field(init=False)
    batch: Batch = field(init=False)
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.time = TickingClock(self.start)
        clock.install(self.time)
        self.world = World(self.time, seed=self.seed)
        for code, url in REGIONS.items():
            self.world.add_region(code, url)
            self.world.regions[code].add_workspace("main", rate_factor=1000.0)
        fill.fill(
            self.world,
            region="us-west-2",
            workspace="main",
            calendars=self.calendars,
            customers=self.customers,
            events=self.events,
            seed=self.seed,
        )
        use_transport(SandboxTransport(self.world))
        self.source = self._workspace("us-west-2", "us")
        self.target = self._workspace("eu-central-1", "eu")
        self.batch = control.create_batch(slug="move", source=self.source, target=self.target)

    def _workspace(self, code: str, slug: str) -> Workspace:
        region, _ = Region.objects.update_or_create(
            provider="recall", code=code, defaults={"label": code, "base_url": REGIONS[code]}
        )
        workspace = Workspace.objects.create(slug=slug, name=slug, region=region)
        there = self.world.regions[code].workspaces["main"]
        ApiKey.objects.create(workspace=workspace, secret=there.api_keys[0])
        RateBudget.objects.fill(workspace, factor=1000.0)
        return workspace

    def allow(self, step: Step) -> None:
        """Press the button of a step."""
        control.set_goal(self.batch, step, actor=None, confirm=self.batch.slug)

    def turn(self) -> bool:
        """Do everything that is due at this moment; return whether there was anything."""
        done = False
        for _ in range(200):
            self.world.advance()
            work = batch_tasks.find_work(self.batch.slug, 4) + calendar_tasks.find_work(self.source.family, 4)
            if not work and (batch_tasks.next_due() or datetime.max.replace(tzinfo=UTC)) > self.time.now():
                return done
            for piece in work:
                piece()
            done = True
        raise AssertionError(f"never at rest: {self.where()}")

    def run(self, *, until: Callable[[], bool] | None = None, longest: timedelta = timedelta(days=4)) -> None:
        """Run until the batch comes to rest (or a condition holds), jumping over waits."""
        end = self.time.now() + longest
        while True:
            self.turn()
            self.batch.refresh_from_db()
            if until() if until else self.batch.reached == self.batch.goal:
                return
            if self.time.now() > end:
                raise AssertionError(f"did not end in time: {self.where()}")
            self._jump()

    def _jump(self) -> None:
        moments = [self.world.next_timer(), calendar_tasks.next_due(), batch_tasks.next_due()]
        coming = [moment for moment in moments if moment is not None]
        later = min(coming, default=self.time.now() + timedelta(minutes=1))
        self.time.at = max(later, self.time.now() + timedelta(seconds=1))

    def where(self) -> str:
        """Say where the batch stands, for a failed test."""
        self.batch.refresh_from_db()
        items = list(self.batch.items.values_list("title", "step", "status", "reason"))
        return f"{self.time.now()} {self.batch.step} {self.batch.status} {self.batch.reason} {items}"

    def proof(self) -> Any:
        """Let the world run out the 28 days without any call of ours, and count from the attendance log."""
        truth.run_out(self.world, self.start + timedelta(days=28))
        return truth.truth(self.world, until=self.start + timedelta(days=28))
