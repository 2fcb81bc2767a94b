"""One run of a scenario: the real engine, scheduler, relay, webhooks and database, on virtual clocks, from a seed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Min

from calendars import sync
from calendars import tasks as calendar_tasks
from calendars.models import Customer, RateBudget, Sweep, Workspace
from calendars.providers.connect import use_transport
from calendars.relay import outbox
from calendars.relay import tasks as relay
from migrations_app import tasks as batch_tasks
from migrations_app.models import Finding
from recallops.sandbox import company
from recallops.sandbox.records import SCHEDULED
from tests.harness import LEASED, SOURCE, TARGET, set_machine_time
from tests.relaying import TARGETS_SECRET, WithApplication
from tests.simulation.happenings import Happenings
from tests.simulation.scenario import Act, Scenario, Strike
from tests.simulation.staff import Staff
from tests.simulation.wire import Logged, SkewedClock, Wire
from tests.simulation.workers import Workers
from tests.standing import SECRET, carry

LONGEST = timedelta(days=2)  # a batch that is not closed by then, or in so many turns, is stuck
MOST_TURNS = 1_500
MOST_ROUNDS = 60  # of looking for work at one moment: then the engine runs in circles
AFTERWARDS = timedelta(hours=3)  # workers run on for so long after the last batch has closed
TICK = timedelta(seconds=1)
NOTHING_FOUND = timedelta(seconds=20)  # until we look again, when something is due that nobody may take
MACHINE_STEP = 0.5  # seconds by which machine time may be behind


@dataclass(slots=True)
class Course:
    """What a run has come to so far; pickled into checkpoints."""

    rng: random.Random
    log: list[Logged] = field(default_factory=list)
    turns: int = 0
    acted: int = 0
    pressed: int = 0
    pressed_at: datetime | None = None
    told: list[str] = field(default_factory=list)  # what staff did
    doubled_seen: set[tuple[datetime, str]] = field(default_factory=set)
    gone_back: set[str] = field(default_factory=set)  # batches that were cancelled or reversed
    forged: int = 0
    forged_taken: int = 0
    broken: list[str] = field(default_factory=list)  # rules of the engine's that were broken
    stuck: str = ""
    closed_at: datetime | None = None


class Play(WithApplication):
    """A scenario on its stage. Use inside `stage()`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.course = Course(random.Random(f"order {scenario.seed}"))
        super().__init__(
            people=tuple(person.email for person in scenario.people),
            seed=scenario.seed,
            switches=dict(scenario.switches),
            soak=timedelta(minutes=scenario.soak),
            canary_wait=timedelta(minutes=scenario.canary_wait),
            sweep_every=timedelta(minutes=scenario.sweep_every),
            cut=None if scenario.cut is None else timedelta(minutes=scenario.cut),
            batches=0,
            machine=True,
        )
        for region in self.world.regions.values():
            there = region.workspaces["main"]
            there.rate_factor, there.page_size = scenario.rate_factor, scenario.page_size
        for workspace in (self.source, self.target):
            Workspace.objects.filter(pk=workspace.pk).update(sweep_every=self.sweep_every)
        self.set_up()
        if scenario.rate_factor < 1000:
            for workspace in (self.source, self.target):
                RateBudget.objects.filter(workspace=workspace).delete()
                type(workspace.budgets.model.objects).fill(
                    workspace.budgets.model.objects, workspace, factor=scenario.rate_factor
                )
        if scenario.always_on:
            self.keep(self.source)
        if scenario.external:
            self.begin(answers=lambda request: self.happenings.application_answers)
        elif scenario.webhooks:
            self.hear(SOURCE, self.source, secret=SECRET)
            self.hear(TARGET, self.target, secret=TARGETS_SECRET)
        self.world.outbox.deliver_to(None)  # they wait in the outbox until we carry them
        self.batch_slugs: list[str] = []
        self._open_batches()
        self.expect(self.scenario.strikes)

    def expect(self, strikes: Iterable[Strike]) -> None:
        """Let trouble come at calls."""
        for strike in strikes:
            self.strikes.setdefault(strike.call, []).append(strike)

    def _open_office(self) -> None:
        """Let the scenario's people, meetings and bots be there."""
        people = company.company(self.world)
        for domain in sorted({email.partition("@")[2] for email in self.people}):
            people.add(company.Customer(slug=domain.partition(".")[0], name=domain, domains=(domain,)))
        for person in self.scenario.people:
            client = people.clients[person.platform]
            account = self.world.add_account(person.platform, person.email)
            self.there.add_calendar(
                account,
                client_id=client.client_id,
                client_secret=client.secret,
                metadata={"customer": people.customer_of(person.email), "user": person.email},
            )
        if self.scenario.skew:
            self.world.clock = SkewedClock(self.time, self.scenario.skew)
        self.world.notes["happenings"] = Happenings(self.world, self.scenario, SOURCE, TARGET)

    def set_up(self) -> None:
        """Make what is not part of a checkpoint: workers and the way out."""
        self.strikes: dict[int, list[Strike]] = {}
        self.workers = Workers(self.course.rng, shuffled=self.scenario.shuffled)
        self.machine_at = self.time.at
        self.dues: tuple[datetime | None, ...] = ()
        self.staff = Staff(self)
        self.door = Wire(self)
        use_transport(self.door)

    def _open_batches(self) -> None:
        if self.scenario.batches == 1:
            self.batch = self.new_batch("move")
            self.batch_slugs = ["move"]
            return
        sync.run_sweep(sync.open_sweep(self.source, Sweep.Kind.CALENDARS))  # customers are known by their calendars
        for customer in Customer.objects.order_by("slug"):
            self.batch = self.new_batch(customer.slug, customers=[customer])
            self.batch_slugs.append(customer.slug)

    @property
    def happenings(self) -> Happenings:
        """What happens in the world."""
        found: Happenings = self.world.notes["happenings"]
        return found

    # -- time

    def pass_time(self, seconds: float) -> None:
        """Let time go by, on both clocks."""
        self.time.at += timedelta(seconds=seconds)
        self._follow()

    def _follow(self) -> None:
        if abs((self.time.at - self.machine_at).total_seconds()) >= MACHINE_STEP:
            self.machine_at = self.time.at
            set_machine_time(self.machine_at)

    # -- at each call

    def before(self, strikes: Any) -> None:
        """A call goes out."""
        if self.scenario.takes:
            self.pass_time(self.course.rng.uniform(0.0, self.scenario.takes))
        if self.scenario.shuffled and self.course.rng.random() < 0.2:
            self.workers.come_between()
            self.workers.go_on()
        for strike in strikes:
            if strike.kind == "asleep_before":
                self._sleep(strike.details["seconds"])
            elif strike.kind == "shift":
                self._shift()
            elif strike.kind == "gone_back":
                self.staff.press(Act(0, "go_back"))
            elif not hasattr(self, f"_{strike.kind}"):
                self.world.faults.add(strike.kind, **strike.details)

    def after(self, strikes: Any) -> None:
        """It has come back, or not."""
        for strike in strikes:
            if strike.kind == "asleep_after":
                self._sleep(strike.details["seconds"])
            elif strike.kind == "vanish":
                self._lose_the_newest_bot()
            elif strike.kind == "database_lost" and self.workers.running:
                self.workers.lose_database(strike.details["statements"])
            elif strike.kind == "crash_after_commit" and self.workers.running:
                self.workers.doom()
            elif strike.kind == "crash_before_commit" and self.workers.running:
                self.workers.die()
            elif strike.kind == "latency" and strike.details["seconds"] < settings.PROVIDER_TIMEOUT:
                self.pass_time(strike.details["seconds"])

    _asleep_before = _asleep_after = _database_lost = _crash_after_commit = _crash_before_commit = _vanish = (
        _gone_back
    ) = None

    def _sleep(self, seconds: float) -> None:
        """Who makes this call is frozen for so long; everybody else goes on."""
        if len(self.workers.running) != 1:
            return
        end = self.time.at + timedelta(seconds=seconds)
        while self.time.at < end:
            self.turn()
            self._jump(end)
        self.workers.go_on()

    def _lose_the_newest_bot(self) -> None:
        """The target said that it had taken a bot, and has not."""
        scheduled = [bot for bot in self.here.bots.values() if bot.status == SCHEDULED]
        if scheduled:
            self.here.drop_bot(max(scheduled, key=lambda bot: bot.created_at).id)

    def _shift(self) -> None:
        """While lists are read, an event changes: pages shift."""
        number = self.course.rng.choice(sorted(self.happenings.meetings))
        meeting = self.world.meetings[self.happenings.meetings[number]]
        if not meeting.cancelled:
            self.world.retitle(meeting, f"{meeting.title}.")
            self.pass_time(self.world.switches.sync_delay[1] + 1)

    # -- running

    def turn(self) -> bool:
        """Do everything that is due at this moment; return whether there was anything."""
        done = False
        for round_ in range(MOST_ROUNDS):
            if self.course.broken:
                return done
            self.world.advance()
            self._deliver()
            self.dues = (calendar_tasks.next_due(), batch_tasks.next_due(), self._next_to_send())
            meetings, batches, sends = (due is not None and due <= self.time.now() for due in self.dues)
            finders: list[Any] = []
            if sends:
                finders.append(partial(relay.find_work, self.application.slug))
            if meetings:
                finders.append(partial(calendar_tasks.find_work, self.source.family))
            if batches or round_ == 0:  # a driver that lingers looks for work also when nothing is due
                finders += [partial(batch_tasks.find_work, slug) for slug in self.batch_slugs]
            if self.scenario.shuffled:
                self.course.rng.shuffle(finders)
            found = [self.workers.claim(find, self.room) for find in finders]
            self.workers.work()
            if not any(found):
                return done
            done = True
        self.course.broken.append("never at rest")
        return done

    def _next_to_send(self) -> datetime | None:
        return outbox.next_due() if self.scenario.external else None

    def _jump(self, latest: datetime | None = None) -> None:
        """Go to when something is due next, letting the world run meanwhile."""
        dues = [*self.dues, self.staff.next_act(), latest]  # as the turn that has just ended found them
        now = self.time.at
        target = min((due for due in dues if due is not None), default=now + timedelta(minutes=1))
        if target <= now:  # what is due is held by somebody who died
            held = [model.objects.aggregate(at=Min("lease_until"))["at"] for model in LEASED]
            target = min((at for at in held if at is not None and at > now), default=now + NOTHING_FOUND) + TICK
        if latest is not None:
            target = max(min(target, latest), now)
        while (timer := self.world.next_timer()) is not None and self._ours(timer) < target:
            self.time.at = max(self._ours(timer), now)
            self.world.advance()
            if self.world.outbox.queue:
                break
        else:
            self.time.at = max(target, now)
        self._follow()
        self._look()

    def _ours(self, moment: datetime) -> datetime:
        """Return a moment of the provider's clock on ours."""
        return moment - timedelta(seconds=self.scenario.skew)

    def _look(self) -> None:
        """Look at the ledger as staff may: which meetings does it show as doubled?"""
        with connection.cursor() as cursor:
            cursor.execute("SELECT start, url FROM calendars_assignment WHERE verdict = 'doubled' AND note <> 'moving'")
            self.course.doubled_seen.update(cursor.fetchall())

    def play(self) -> None:
        """Run until every batch is closed, and on until the near meetings are over."""
        deadline = self.time.at + LONGEST
        while not self.course.closed_at:
            self.step(deadline)
        if not self.course.broken:
            self.finish_off()
        self.batch.refresh_from_db()

    def finish_off(self) -> None:
        """Let the workers run on until the near meetings are over, in a world where nobody changes anything."""
        self.happenings.stop()
        self.happenings.connect_all_again()
        for happening in self.scenario.happenings:
            if happening.what in ("reconnect", "outage_ends", "application_well"):
                self.happenings.happen(happening)
        self.strikes.clear()
        self.course.acted = len(self.scenario.acts)  # nobody presses what is left
        repaired = [self.world.meetings[meeting].end for meeting, _ in self.happenings.history.lost_bots]
        if self._canary_failed():  # its batch stays open: all are looked at before their start
            repaired = [meeting.end for meeting in self.world.meetings.values()]
        self._run_on(max([self.time.at + AFTERWARDS, *map(self._ours, repaired)]))

    def step(self, deadline: datetime) -> None:
        """Do what is due, and jump to what is due next."""
        self.course.turns += 1
        self.turn()
        if self._canary_failed():
            self.course.closed_at = self.time.at
            return
        if self.staff.look():
            return  # and look what follows from it, at once
        if not self._any_open():
            self.course.closed_at = self.time.at
        elif self.course.broken:
            self.course.stuck = "ended at once"  # what follows is no news
            self.course.closed_at = self.time.at
        elif self.time.at > deadline or self.course.turns > MOST_TURNS or self.course.stuck:
            self.course.stuck = self.course.stuck or f"not closed in time: {self.where()}"
            self.course.closed_at = self.time.at
        else:
            self._jump()

    @staticmethod
    def _any_open() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM migrations_app_batch WHERE status <> 'closed')")
            return bool(cursor.fetchone()[0])

    def _canary_failed(self) -> bool:
        """Where a delete revokes the grant, the move ends with the first calendar; its user connects it again."""
        if not self.scenario.switches.get("delete_revokes_grant"):
            return False
        return Finding.objects.filter(code="canary", gone_at=None).exists()

    def _run_on(self, end: datetime) -> None:
        while self.time.at < end:
            self.turn()
            self._jump(end)

    # -- webhooks

    def _deliver(self) -> None:
        """Carry what the regions have sent to our endpoint, in seeded order, some of it lost, late or twice."""
        outbox = self.world.outbox
        while outbox.queue:
            waiting = list(outbox.queue)
            outbox.queue.clear()
            rng, often = self.course.rng, self.scenario.disturbed
            if often:
                rng.shuffle(waiting)
            for one in waiting:
                lot = rng.random() if often else 1.0
                if lot < often / 3:
                    outbox.report(one.number, 200)  # lost on the way: its sender believes that it came
                    continue
                if lot < often / 2:
                    outbox.report(one.number, 503)  # late: sent again on the ladder
                    continue
                if lot < often * 2 / 3:
                    carry(one)  # twice
                elif lot < often:
                    self._forge(one)
                outbox.report(one.number, carry(one))

    def _forge(self, one: Any) -> None:
        """Somebody sends what looks like one, without the secret."""
        self.course.forged += 1
        headers = {
            name: "v1," + "A" * 43 + "=" if name.endswith("signature") else text for name, text in one.headers.items()
        }
        if carry(type(one)(one.number, one.url, headers, one.body)) < 400:
            self.course.forged_taken += 1

    # -- what it was

    def digest(self) -> str:
        """Return one text for the whole call log."""
        lines = "\n".join(f"{one} {one.query} {one.body}" for one in self.course.log)
        return hashlib.sha256(lines.encode()).hexdigest()

    def history(self, last: int = 25) -> str:
        """Return the end of the story, for a failed test."""
        happened = self.happenings.history.done + self.course.told
        return "\n".join([*sorted(happened), *map(str, self.course.log[-last:])])
