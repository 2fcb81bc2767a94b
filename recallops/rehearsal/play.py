"""Plays the move: the same steps by the same engine, on virtual time, until the batch is closed or can go no further.

1. Hands take what is due, as many as the drivers have threads; each call takes the time that calls take.
2. While hands work, time passes as their waits say; while only domain waits are left, the clock goes to the next one.
3. Where the move would stop for a person, that is noted; what can be passed over is, so that the rest is seen, too.
4. The world runs on to the end of its 28 days without us, and the attendance log tells who was there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from django.conf import settings

from calendars import tasks as calendar_tasks
from calendars.models import Assignment
from calendars.providers.connect import use_transport
from migrations_app import control
from migrations_app import tasks as batch_tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Finding, Severity
from recallops import clock, waits
from recallops.rehearsal import rows, world
from recallops.rehearsal.hands import Hands, VirtualClock
from recallops.sandbox.transport import SandboxTransport

if TYPE_CHECKING:
    from recallops.rehearsal.document import Document
    from recallops.sandbox.world import World

Work = Callable[[], None]

CALL_TAKES = 0.2  # seconds, as calls to the provider were measured to take
LOOK_EVERY = timedelta(seconds=0.2)  # between two looks for work while hands are free
NOTE_EVERY = timedelta(seconds=5)  # between two looks at how far it is
LONGEST = timedelta(days=40)
MOST_STOPS = 3
PASSED_OVER = "Passed over in the rehearsal, to see what comes after it."
TELL_EVERY = 1.0  # seconds of the wall


class Door(httpx.BaseTransport):
    """The way to the regions: inside this process, and as slow as a network."""

    def __init__(self, of: World, hands: Hands) -> None:
        self.inner, self.hands = SandboxTransport(of), hands

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one call."""
        self.hands.sleep(CALL_TAKES)
        return self.inner.handle_request(request)


@dataclass(slots=True)
class Crew:
    """The hands of one kind of driver."""

    find: Callable[[int], list[Work]]
    size: int
    busy: int = 0
    look_at: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))


@dataclass(slots=True)
class Course:
    """What was seen on the way; times are seconds from the beginning."""

    steps: list[tuple[str, float]] = field(default_factory=list)
    hours: list[dict[str, int]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    ended: str = ""
    seconds: float = 0.0


class Play:
    """One rehearsal on its stage: the tables of this process's database must be empty."""

    def __init__(self, document: Document, tell: Callable[[dict[str, Any]], None]) -> None:
        self.document, self.tell = document, tell
        self.begun = datetime.fromisoformat(document.now)
        self.clock = VirtualClock(self.begun)
        clock.install(self.clock)
        self.hands = Hands(self.clock)
        waits.install(self.hands)
        self.hands.set_machine_time()
        self.world = world.fill(document, self.clock)
        use_transport(Door(self.world, self.hands))
        self.batch = rows.make(document, self.world)
        self.course = Course()
        family = self.batch.source.family
        self.crews = [
            Crew(partial(calendar_tasks.find_work, family), settings.DRIVER_THREADS),
            Crew(partial(batch_tasks.find_work, self.batch.slug), settings.DRIVER_THREADS * document.drivers),
        ]
        self._noted = self.begun - NOTE_EVERY
        self._told = 0.0

    def run(self) -> Course:
        """Play to the end."""
        try:
            while not self.course.ended:
                self.world.advance()
                self._look()
                found = self._find_work()
                self._go_on(found)
        finally:
            use_transport(None)
            waits.install(None)
        self.course.seconds = self._since()
        return self.course

    def _since(self) -> float:
        return (self.clock.at - self.begun).total_seconds()

    # -- working

    def _find_work(self) -> bool:
        """Give free hands what is due; tell whether there was anything."""
        idle = not any(crew.busy for crew in self.crews)
        found = False
        for crew in self.crews:
            if crew.busy >= crew.size or (self.clock.at < crew.look_at and not idle):
                continue
            crew.look_at = self.clock.at + LOOK_EVERY
            for work in crew.find(crew.size - crew.busy):
                crew.busy += 1
                self.hands.take(partial(_piece, work, crew))
                found = True
        return found

    def _go_on(self, found: bool) -> None:
        """Let the next hand go on, or go to when the next thing is due."""
        coming = self.hands.next()
        if coming is not None:
            looks = [crew.look_at for crew in self.crews if crew.busy < crew.size]
            if not found and (look := min(looks, default=coming)) < coming:
                self.hands.pass_to(look)
            else:
                self.hands.go_on()
            return
        dues = [due for due in (calendar_tasks.next_due(), batch_tasks.next_due()) if due is not None]
        if not dues:
            self._note()
            self.course.ended = self.course.ended or "rests"
            return
        self.hands.pass_to(max(min(dues), self.clock.at + timedelta(seconds=1)))

    # -- looking

    def _look(self) -> None:
        """Note how far it is, now and then."""
        if self.clock.at >= self._noted + NOTE_EVERY:
            self._note()

    def _note(self) -> None:
        self._noted = self.clock.at
        batch = Batch.objects.get(pk=self.batch.pk)
        if not self.course.steps or self.course.steps[-1][0] != batch.step:
            self.course.steps.append((batch.step, self._since()))
        self._note_hours(batch)
        if batch.closed_at is not None:
            self.course.ended = "closed"
        elif batch.status == BatchStatus.STOPPED:
            self._pass_over(batch)
        elif self.clock.at > self.begun + LONGEST:
            self.course.ended = "endless"
        if time.monotonic() >= self._told + TELL_EVERY:
            self._told = time.monotonic()
            hours, calls = self._since() / 3600, self.world.log.total
            self.tell({"phase": "playing", "step": Step(batch.step).value, "hours": round(hours, 1), "calls": calls})

    def _note_hours(self, batch: Batch) -> None:
        """Count at every full hour what was called and where things are; an hour that was jumped over is as it was."""
        while len(self.course.hours) <= self._since() // 3600:
            counts = self.world.log.counts
            calls = {role: sum(n for key, n in counts.items() if key[0] == role) for role in self.world.regions}
            done = batch.items.filter(status="done").count()
            moved = Assignment.objects.filter(owner=batch.target_id).count()
            self.course.hours.append({**calls, "calendars": done, "meetings": moved})

    def _pass_over(self, batch: Batch) -> None:
        """Note why a person would be needed, and go on as if one had accepted it."""
        self.course.stops.append(batch.reason)
        if len(self.course.stops) > MOST_STOPS:
            self.course.ended = "stopped"
            return
        blocking = Finding.objects.filter(batch=batch, severity=Severity.BLOCKING, waived_at=None, gone_at=None)
        try:
            for finding in blocking:
                control.waive(finding, actor=None, reason=PASSED_OVER)
            if batch.items.filter(status="failed").exists():
                control.leave_failed(batch, actor=None, reason=PASSED_OVER)
            else:
                control.retry_failed(batch, actor=None)
        except control.Refused as refused:
            self.course.stops.append(str(refused))
            self.course.ended = "stopped"


def _piece(work: Work, crew: Crew) -> None:
    try:
        work()
    finally:
        crew.busy -= 1
