"""A whole move in one process: sandbox regions behind the in-process door, one clock, drivers run inline.

Time stands still while anything is due and jumps to the next thing that is: what takes 26 hours takes seconds here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.db import connection

from calendars import tasks as calendar_tasks
from calendars.models import (
    ApiKey,
    Assignment,
    Bot,
    Connection,
    Driver,
    EndpointLimit,
    Event,
    IdMapping,
    Intent,
    RateBudget,
    Region,
    Sweep,
    Workspace,
)
from calendars.providers import limits
from calendars.providers.connect import use_transport
from calendars.providers.http import Http
from migrations_app import control
from migrations_app import tasks as batch_tasks
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Finding, Item, Severity
from recallops import clock
from recallops.sandbox import company, fill, truth
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.records import SCHEDULED
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.workspaces import Workspace as RemoteWorkspace
from recallops.sandbox.world import World

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)  # a Monday morning
SOURCE, TARGET = "us-west-2", "eu-central-1"
REGIONS = {SOURCE: "https://us.sandbox.test", TARGET: "https://eu.sandbox.test"}
LINK = "https://meet.google.com/aaa-bbbb-cc{}"
OFFICE = ("ada@northwind.example", "ben@northwind.example")
LEASED = (Driver, Sweep, Assignment, Batch, Item)


def set_machine_time(at: datetime | None) -> None:
    """Tell the database what machine time it is, on both connections; None: its own."""
    limits.set_machine_now(at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('recallops.machine_now', %s, false)", [at.isoformat() if at else ""])


class TickingClock(clock.ManualClock):
    """Stands still but for a microsecond at each look: what is read later is later."""

    def now(self) -> datetime:
        """Return the time, a tick after the last look."""
        self.at += timedelta(microseconds=1)
        return self.at


class Crash(BaseException):
    """The process is gone. No handler of errors sees it."""


class Door(httpx.BaseTransport):
    """The way to the sandbox: counts the calls; a test may do something before and after one of them."""

    def __init__(self, world: World) -> None:
        self.inner = SandboxTransport(world)
        self.calls = 0
        self.made: list[tuple[str, str, str]] = []  # host, method, path
        self.before: Callable[[int, httpx.Request], None] | None = None
        self.after: Callable[[int, httpx.Request], None] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one call, with whatever is to happen before and after it."""
        self.calls += 1
        number = self.calls
        self.made.append((request.url.host, request.method, request.url.path))
        if self.before:
            self.before(number, request)
        response = self.inner.handle_request(request)
        if self.after:
            self.after(number, request)
        return response


@dataclass(slots=True)
class Move:
    """A filled world, its two workspaces on both sides of the door, and a batch between them.

    `people`: an office of these calendars with five or so meetings, all more than a day ahead, instead of a company
    by chance. Spans that are None are as the product has them.
    """

    calendars: int = 3
    events: int = 12
    customers: int = 1
    seed: int = 1
    start: datetime = START
    odd: dict[str, int] = field(default_factory=dict)
    people: tuple[str, ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)
    soak: timedelta | None = None
    canary_wait: timedelta | None = None
    sweep_every: timedelta | None = None
    cut: timedelta | None = None
    batches: int = 1
    room: int = 4  # pieces of work that a driver takes at once
    machine: bool = False  # machine time follows domain time
    time: TickingClock = field(init=False)
    world: World = field(init=False)
    door: Door = field(init=False)
    source: Workspace = field(init=False)
    target: Workspace = field(init=False)
    batch: Batch = field(init=False)
    trace: list[str] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.time = TickingClock(self.start)
        clock.install(self.time)
        set_machine_time(self.start if self.machine else None)
        self.world = World(self.time, seed=self.seed)
        self.world.switches.update(self.switches)
        for code, url in REGIONS.items():
            self.world.add_region(code, url)
            self.world.regions[code].add_workspace("main", rate_factor=100_000.0)
        if self.people:
            self._open_office()
        else:
            fill.fill(
                self.world,
                region=SOURCE,
                workspace="main",
                calendars=self.calendars,
                customers=self.customers,
                events=self.events,
                seed=self.seed,
                **self.odd,  # type: ignore[arg-type]
            )
        self.door = Door(self.world)
        use_transport(self.door)
        if not EndpointLimit.objects.exists():  # the flush after an earlier test took what migrations had put there
            import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
        self.source = self._workspace(SOURCE, "us")
        self.target = self._workspace(TARGET, "eu")
        if self.batches:
            self.batch = self.new_batch("move")

    # -- the world

    @property
    def there(self) -> RemoteWorkspace:
        """The source as the provider has it."""
        return self.world.regions[SOURCE].workspaces["main"]

    @property
    def here(self) -> RemoteWorkspace:
        """The target as the provider has it."""
        return self.world.regions[TARGET].workspaces["main"]

    def _open_office(self) -> None:
        """Everybody has a calendar and two meetings, and all meet twice; all of it more than a day ahead."""
        domains = sorted({email.partition("@")[2] for email in self.people})
        for domain in domains:
            company.company(self.world).add(
                company.Customer(slug=domain.partition(".")[0], name=domain, domains=(domain,))
            )
        for email in self.people:
            self.connect(email)
        self.meet("all first", 26.0, *self.people)
        self.meet("all second", 51.0, *self.people)
        for number, email in enumerate(self.people):
            self.meet(f"{email} first", 27.0 + number, email)
            self.meet(f"{email} second", 53.0 + number, email)

    def connect(self, email: str, *, region: str = SOURCE, **options: Any) -> Any:
        """Open an account and connect it to a region, as the company's application does."""
        people = company.company(self.world)
        client = people.clients[GOOGLE]
        account = self.world.add_account(GOOGLE, email, email.partition("@")[0].title())
        metadata = options.pop("metadata", {"customer": people.customer_of(email), "user": email})
        return (
            self.world.regions[region]
            .workspaces["main"]
            .add_calendar(
                account, client_id=client.client_id, client_secret=client.secret, metadata=metadata, **options
            )
        )

    def meet(self, title: str, hours: float, *emails: str, bot: bool = True, minutes: int = 30, **more: Any) -> Any:
        """Make a meeting so many hours after the start, and let the application put a bot on it in the source."""
        start = self.start + timedelta(hours=hours)
        accounts = [self.world.accounts[(GOOGLE, email)] for email in emails]
        more.setdefault("url", LINK.format(chr(ord("a") + len(self.world.meetings))))
        meeting = self.world.make_meeting(
            start=start, end=start + timedelta(minutes=minutes), accounts=accounts, title=title, wanted=False, **more
        )
        if bot:
            for calendar in list(self.there.calendars.values()):
                if calendar.account and calendar.account[1] in emails:
                    self.there.sync_copy(calendar.id, meeting.id)
                    company.ask_for_bot(self.world, self.there, calendar.id, meeting)
        return meeting

    def calendar(self, email: str, *, region: str = SOURCE) -> Any:
        """Return a calendar of a region by its address; None when there is none."""
        found = self.world.regions[region].workspaces["main"].calendars.values()
        return next((one for one in found if one.account and one.account[1] == email), None)

    def bots(self, region: str) -> list[Any]:
        """Return the scheduled bots of a region."""
        return [bot for bot in self.world.regions[region].workspaces["main"].bots.values() if bot.status == SCHEDULED]

    def writes(self, since: int = 0) -> list[tuple[str, str, str]]:
        """Return the calls that were no reads."""
        return [call for call in self.door.made[since:] if call[1] != "GET" and not call[2].endswith("/access-token/")]

    # -- the product

    def _workspace(self, code: str, slug: str) -> Workspace:
        region, _ = Region.objects.update_or_create(
            provider="recall", code=code, defaults={"label": code, "base_url": REGIONS[code]}
        )
        workspace = Workspace.objects.create(slug=slug, name=slug, region=region)
        if self.sweep_every is not None:
            workspace.sweep_every = self.sweep_every
            workspace.save()
        there = self.world.regions[code].workspaces["main"]
        ApiKey.objects.create(workspace=workspace, secret=there.api_keys[0])
        RateBudget.objects.fill(workspace, factor=100_000.0)
        return workspace

    def new_batch(self, slug: str, **options: Any) -> Batch:
        """Make a batch with this move's spans."""
        batch = control.create_batch(slug=slug, source=self.source, target=self.target, **options)
        for name in ("soak", "canary_wait"):
            if getattr(self, name) is not None:
                setattr(batch, name, getattr(self, name))
        batch.save(update_fields=["soak", "canary_wait"])
        if self.cut is not None:
            control.set_cut_line(batch, self.start + self.cut, actor=None)
        return batch

    def allow(self, step: Step, batch: Batch | None = None) -> None:
        """Press the button of a step."""
        batch = batch or self.batch
        control.set_goal(batch, step, actor=None, confirm=batch.slug)

    def retry(self) -> int:
        """Press "retry failed"."""
        self.batch.refresh_from_db()
        return control.retry_failed(self.batch, actor=None)

    # -- running

    def turn(self) -> bool:
        """Do everything that is due at this moment; return whether there was anything."""
        done = False
        for _ in range(200):
            self.world.advance()
            slugs = list(Batch.objects.values_list("slug", flat=True))
            work = [piece for slug in slugs for piece in batch_tasks.find_work(slug, self.room)]
            work += calendar_tasks.find_work(self.source.family, self.room)
            if not work and (batch_tasks.next_due() or datetime.max.replace(tzinfo=UTC)) > self.time.now():
                return done
            for piece in work:
                piece()
            done = True
        raise AssertionError(f"never at rest: {self.where()}")

    def run(
        self,
        *,
        until: Callable[[], bool] | None = None,
        longest: timedelta = timedelta(days=4),
    ) -> None:
        """Run until the batches come to rest (or a condition holds), jumping over waits."""
        end = self.time.now() + longest
        while True:
            self.turn()
            self._listen()
            if until() if until else self.at_rest():
                return
            if self.time.now() > end:
                raise AssertionError(f"did not end in time: {self.where()}")
            self._jump()

    def at_rest(self) -> bool:
        """Tell whether every batch has come as far as it may."""
        self.batch.refresh_from_db()
        return all(goal == reached for goal, reached in Batch.objects.values_list("goal", "reached"))

    def run_for(self, span: timedelta) -> None:
        """Run on for a time, whatever comes."""
        end = self.time.now() + span
        self.run(until=lambda: self.time.now() >= end)

    def finish(self) -> None:
        """Allow everything, and run to the end."""
        for batch in Batch.objects.exclude(goal=Step.CLEAN_UP):
            self.allow(Step.CLEAN_UP, batch)
        self.run()
        self.batch.refresh_from_db()

    def _jump(self) -> None:
        moments = [self.world.next_timer(), calendar_tasks.next_due(), batch_tasks.next_due()]
        coming = [moment for moment in moments if moment is not None]
        later = min(coming, default=self.time.now() + timedelta(minutes=1))
        self.time.at = max(later, self.time.now() + timedelta(seconds=1))
        if self.machine:
            set_machine_time(self.time.at)

    def _listen(self) -> None:
        """Keep what staff could read on the pages at this moment."""
        for rows in (
            Batch.objects.values_list("reason", flat=True),
            Item.objects.values_list("reason", flat=True),
            Assignment.objects.values_list("reason", flat=True).distinct(),
            Workspace.objects.values_list("trouble", flat=True),
            Finding.objects.filter(gone_at=None).values_list("sentence", flat=True),
        ):
            self.said.update(sentence for sentence in rows if sentence)

    def heard(self, *words: str) -> str:
        """Return a sentence with these words that staff could read at some time; fail if there was none."""
        for sentence in self.said:
            if all(word.lower() in sentence.lower() for word in words):
                return sentence
        raise AssertionError(f"nobody said {words}: {sorted(self.said)}")

    def where(self) -> str:
        """Say where the batch stands, for a failed test."""
        self.batch.refresh_from_db()
        items = list(self.batch.items.values_list("title", "step", "status", "reason"))
        rows = list(
            Assignment.objects.filter(over=False).values_list("url", "owner__slug", "verdict", "note", "reason")
        )
        return f"{self.time.now()} {self.batch.step} {self.batch.status} {self.batch.reason} {items} {rows}"

    def proof(self) -> Any:
        """Let the world run out the 28 days without any call of ours, and count from the attendance log."""
        truth.run_out(self.world, self.start + timedelta(days=28))
        return truth.truth(self.world, until=self.start + timedelta(days=28))

    def assert_proven(self, *, wanted: int | None = None) -> Any:
        """Fail unless every wanted meeting was held by exactly one bot, and nobody else was visited."""
        proof = self.proof()
        assert proof.missed == []
        assert proof.doubled == []
        assert proof.unaccounted == 0
        assert proof.held == proof.wanted > 0
        if wanted is not None:
            assert proof.wanted == wanted
        return proof

    # -- how it ended

    def end_state(self) -> dict[str, Any]:
        """Return what there is at the end, ids replaced by what they stand for: equal for every way to the same end."""
        names = self._names()
        slugs = {workspace.pk: workspace.slug for workspace in Workspace.objects.all()}
        items = Item.objects.select_related("batch")
        return {
            "batches": sorted(Batch.objects.values_list("slug", "step", "status", "goal", "reached")),
            "items": sorted(
                (item.batch.slug, item.title, item.step, item.status, item.open, item.created_target) for item in items
            ),
            "findings": sorted(
                Finding.objects.filter(severity=Severity.BLOCKING, gone_at=None).values_list("code", "sentence")
            ),
            "assignments": sorted(
                (row.start, row.url, row.scope, slugs[row.owner_id], row.over, row.both, row.verdict)
                for row in Assignment.objects.all()
            ),
            "connections": sorted(
                (str(row.calendar), slugs[row.workspace_id], row.status, row.closing, row.refresh_token)
                for row in Connection.objects.select_related("calendar")
            ),
            "open intents": Intent.objects.filter(state__in=Intent.OPEN).count(),
            "id map": sorted(
                (row.kind, names.get(row.source_remote_id, "?"), names.get(row.target_remote_id, "?"))
                for row in IdMapping.objects.filter(superseded=False)
            ),
            "provider": {code: self._shown(code) for code in REGIONS},
        }

    def _names(self) -> dict[str, str]:
        """Return what stands behind an id of the provider."""
        names = {row.remote_id: f"calendar {row.calendar}" for row in Connection.objects.select_related("calendar")}
        for event in Event.objects.select_related("connection__calendar"):
            names[event.remote_id] = f"event {event.connection.calendar} {event.start}"
        for bot in Bot.objects.all():
            names[bot.remote_id] = f"bot {bot.join_at} {bot.meeting_url}"
        for code in REGIONS:
            for remote in self.world.regions[code].workspaces["main"].bots.values():
                names[remote.id] = f"bot {remote.join_at} {remote.meeting_url}"
        return names

    def _shown(self, code: str) -> list[Any]:
        workspace = self.world.regions[code].workspaces["main"]
        shown = []
        for calendar in workspace.calendars.values():
            events = [workspace.events[pk] for pk in calendar.events.values()]
            held = sorted(
                (
                    event.start,
                    str(event.meeting_url),
                    [(e.start_time, e.meeting_url, e.deduplication_key) for e in event.bots],
                )
                for event in events
                if not event.is_deleted
            )
            shown.append((calendar.key, calendar.status, sorted(calendar.metadata.items()), held))
        bots = Counter((bot.join_at, bot.meeting_url) for bot in self.bots(code))
        return [sorted(shown), sorted(bots.items())]


def quick(**options: Any) -> Move:
    """Return a small move that takes a second: an office, short waits, the cut line two hours ahead."""
    spans: dict[str, Any] = {
        "people": OFFICE,
        "soak": timedelta(hours=1),
        "canary_wait": timedelta(minutes=10),
        "sweep_every": timedelta(minutes=60),
        "cut": timedelta(hours=2),
    }
    return Move(**{**spans, **options})


@pytest.fixture(autouse=True)
def clock_and_door(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send again at once what is sent again; give the next test the wall's time and the real way out."""
    monkeypatch.setitem(Http.__init__.__kwdefaults__ or {}, "sleep", lambda seconds: None)
    yield
    clock.install(clock.WallClock())
    use_transport(None)
    limits.close()
