"""Processes and the database are killed in the middle of a real move: it resumes by itself and ends as it should.

Sandbox and workers are processes of their own, on a database of their own. This process presses the buttons, conducts
the shared clock, watches the rows, and strikes when they show that somebody is in the middle of a write.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any, TypeVar

import pytest
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.models import F

from calendars.drivers import RING_AGAIN
from calendars.leases import machine_now
from calendars.models import Assignment, Connection, Driver, Intent, Sweep, Workspace
from calendars.providers.recall_endpoints import ADD_BOT, CREATE_CALENDAR, REMOVE_BOT
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus
from recallops import clock
from recallops.demo import setting_up
from recallops.demo.conductor import Conductor
from recallops.demo.control import Sandbox
from recallops.demo.place import Options
from recallops.embedded_postgres import server
from tests.browser.stage import GRACE, PATIENCE, REGIONS, START, Stage
from tests.conftest import Address, manage
from tests.recallops.company import QUICK, children, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

Found = TypeVar("Found")

SOURCE, TARGET = REGIONS
CALENDARS = 4
SIZE = Options(calendars=CALENDARS, customers=2, events=28, speed=30.0, hours=0.0)
SLOWLY = 0.8  # seconds that the provider takes over the calls at which somebody is to be killed
RESUMED = timedelta(seconds=60)
NOTICED = "the database does not answer"
POLL = 0.03
QUICKER = {**QUICK, "LEASE_SECONDS": "5", "PROVIDER_TIMEOUT": "3", "DRIVER_SECONDS": "2", "DRIVERS": "1"}


# -- the stage


@dataclass
class Theatre(Stage):
    """A stage without a web server, conducted from here, with leases of some seconds."""

    address: Address = field(kw_only=True)
    database: str = field(kw_only=True)
    postgres: Path | None = field(default=None, kw_only=True)  # of a server of its own

    @property
    def environment(self) -> Mapping[str, str]:
        """As a stage's, quicker."""
        return {**super().environment, **QUICKER}

    def open(self) -> None:
        """Start the sandbox, fill it and our rows, press every button, and start the workers."""
        told = ("--regions", *REGIONS, "--clock-file", str(self.clock.path), "--rate-factor", "30")
        self._start("sandbox", "manage.py", "sandbox", *told, stdout=PIPE)
        self.sandbox = Sandbox(self._hear("sandbox"))
        setting_up.make_rows(self.sandbox, setting_up.fill(self.sandbox, SIZE), SIZE)
        setting_up.make_staff("dana", "correct horse battery")
        Workspace.objects.update(sweep_every=timedelta(minutes=60))
        batch = setting_up.make_batch("dana")
        Batch.objects.filter(pk=batch.pk).update(soak=timedelta(hours=2), canary_wait=timedelta(minutes=10))
        self.clock.set(at=START, speed=self.speed)
        self.conductor = Conductor(self.clock)

    def start_workers(self) -> None:
        """Start `manage.py workers`."""
        self._start("workers", "manage.py", "workers", at_our_death=signal.SIGTERM)

    def conduct(self, look: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
        """Conduct the clock until there is something to see, and return it."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, f"not seen in {seconds:.0f} seconds: {self.where()}"
            for child in self.running.values():
                child.check()
            self.conductor.look()
            time.sleep(POLL)
        return found

    def slow_down(self, endpoint: str) -> int:
        """Let the provider take its time over an endpoint."""
        assert self.sandbox is not None
        fault = {"kind": "latency", "seconds": SLOWLY, "endpoint": endpoint, "times": None}
        return int(self.sandbox.ask("faults/add", **fault)["number"])

    def speed_up(self, number: int) -> None:
        """Take that back."""
        assert self.sandbox is not None
        self.sandbox.ask("faults/clear", number=number)

    # --- processes

    @property
    def parent(self) -> int:
        """`manage.py workers` itself."""
        return self.running["workers"].process.pid

    def cluster(self) -> int:
        """Return the main process of the cluster, which leads its group."""
        return until(lambda: children(self.parent))[0]

    def busy(self) -> list[int]:
        """Return the worker processes that are connected with the provider."""
        assert self.sandbox is not None
        ports = {int(self.sandbox.base_url(code).rsplit(":", 1)[1].strip("/")) for code in REGIONS}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_ones = {f"socket:[{line[9]}]" for line in lines if int(line[2].split(":")[1], 16) in ports}
        return [pid for pid in self.left() if open_ones & _files(pid)]

    # --- rows

    def where(self) -> str:
        """Say how far it came, for a failed test."""
        batch = Batch.objects.values("step", "status", "reason", "due_at").first()
        items = list(Item.objects.values_list("title", "step", "status", "reason", "due_at", "lease_until"))
        rows = list(Assignment.objects.filter(over=False).values_list("start", "owner__slug", "reason", "due_at"))
        intents = list(Intent.objects.filter(state__in=Intent.OPEN).values_list("purpose", "state", "sent_at"))
        return f"{self.clock.now()} {batch} {items} {rows} {intents}"


def _files(pid: int) -> set[str]:
    try:
        return {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:  # it has just ended
        return set()


@contextmanager
def rows_of(address: Address, name: str) -> Iterator[None]:
    """Let our models read and write another database, the one of the processes."""
    before = connections["default"]
    server_of = {key: str(address.parameters.get(key.lower(), "")) for key in ("HOST", "PORT", "USER", "PASSWORD")}
    other = DatabaseWrapper({**before.settings_dict, **server_of, "NAME": name})  # starts no server of its own accord
    connections["default"] = other
    try:
        yield
    finally:
        other.close()
        connections["default"] = before


@contextmanager
def theatre_on(folder: Path, address: Address, name: str, postgres: Path | None = None) -> Iterator[Theatre]:
    """Open the theatre; whatever happens, everything is ended and what its processes said last is shown."""
    found = Theatre(folder, address.url(name), address=address, database=name, postgres=postgres)
    with rows_of(address, name), clock.use(found.clock):
        try:
            found.open()
            yield found
        finally:
            found.close()
            sys.stdout.write(found.said())


@pytest.fixture
def theatre(
    tmp_path: Path, database_address: Address, process_database: str, django_db_blocker: Any
) -> Iterator[Theatre]:
    """On a database of its own."""
    with django_db_blocker.unblock(), theatre_on(tmp_path / "stage", database_address, process_database) as found:
        yield found


@pytest.fixture
def theatre_with_server(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[Theatre]:
    """On a database server of its own."""
    folder = tmp_path / "postgres"
    address = Address({"host": str(server.start(folder).sockets), "user": server.SUPERUSER})
    try:
        with address.connect() as to_server:
            to_server.execute("CREATE DATABASE recallops")
        migrated = manage("migrate", "--verbosity", "0", DATABASE_URL=address.url("recallops"))
        assert migrated.returncode == 0, migrated.stderr
        with django_db_blocker.unblock(), theatre_on(tmp_path / "stage", address, "recallops", folder) as found:
            yield found
    finally:
        server.stop(folder)


# -- moments: seen in the rows


def recreating() -> bool:
    """Somebody holds an item whose calendar is being made in the target at this moment."""
    sent = Intent.objects.filter(purpose=Intent.Purpose.CREATE_CALENDAR, state=Intent.State.SENT)
    return sent.filter(connection__items__step=Step.RECREATE, lease_token=F("connection__items__lease_token")).exists()


def adding() -> bool:
    """Some meetings have their bot in the target, one is being given it at this moment."""
    return _in_the_middle(Intent.Purpose.ADD_BOT)


def removing() -> bool:
    """Some meetings have lost their bot in the source, one is losing it at this moment."""
    return _in_the_middle(Intent.Purpose.REMOVE_BOT)


def _in_the_middle(purpose: Intent.Purpose) -> bool:
    those = Intent.objects.filter(purpose=purpose)
    sent = those.filter(state=Intent.State.SENT, lease_token=F("assignment__lease_token"))
    return sent.exists() and those.exclude(state=Intent.State.SENT).exists()


SLOW = {recreating: CREATE_CALENDAR, adding: ADD_BOT, removing: REMOVE_BOT}


def interrupted() -> bool:
    """Somebody is in the middle of a write."""
    return any(moment() for moment in SLOW)


# -- trouble: what happens then; False: the moment was over before it could


def kill_the_busy(theatre: Theatre) -> bool:
    """SIGKILL the workers that talk with the provider: what they hold is left as it was."""
    return _killed_in_the_middle(os.kill, theatre.busy())


def kill_the_cluster(theatre: Theatre) -> bool:
    """SIGKILL the whole process group of the cluster."""
    return _killed_in_the_middle(os.killpg, [theatre.cluster()])


def _killed_in_the_middle(send: Callable[[int, int], None], targets: list[int]) -> bool:
    """Let everybody stand still, look whether they are in the middle of a write, and kill them if so."""
    for target in targets:
        send(target, signal.SIGSTOP)
    struck = bool(targets) and interrupted()
    for target in targets:
        send(target, signal.SIGKILL if struck else signal.SIGCONT)
    return struck


def restart_the_database(theatre: Theatre) -> bool:
    """Stop the server under everybody's hands, and start it again once that was noticed."""
    assert theatre.postgres is not None
    connection.close()
    log = theatre.running["workers"].log
    before = log.read_text().count(NOTICED)
    assert server.stop(theatre.postgres)
    until(lambda: log.read_text().count(NOTICED) > before)
    server.start(theatre.postgres)
    return True


def interrupt(theatre: Theatre) -> bool:
    """Press Ctrl-C in the workers' terminal, and start them again."""
    workers = theatre.running.pop("workers")
    os.killpg(workers.process.pid, signal.SIGINT)
    assert workers.process.wait(GRACE) == 0
    assert not theatre.busy()
    theatre.start_workers()
    return True


# -- the play


def held() -> set[tuple[str, int, object]]:
    """Return the leases on items and assignments: what, and whose."""
    return {
        (model.__name__, pk, token)
        for model in (Item, Assignment)
        for pk, token in model._default_manager.exclude(lease_token=None).values_list("pk", "lease_token")
    }


def open_intents() -> set[int]:
    """Return the writes that were begun and are not settled."""
    return set(Intent.objects.filter(state__in=Intent.OPEN).values_list("pk", flat=True))


def play(theatre: Theatre, *script: tuple[Callable[[], bool], Callable[[Theatre], bool]]) -> None:
    """Play the batch to its end, with trouble at each of the moments; each time work resumes soon."""
    slow = {moment: theatre.slow_down(SLOW[moment]) for moment, _ in script}
    theatre.start_workers()
    for moment, trouble in script:
        theatre.conduct(lambda moment=moment, trouble=trouble: moment() and trouble(theatre))  # type: ignore[misc]
        left_at, left = machine_now(), open_intents()
        theatre.speed_up(slow[moment])
        age_the_doorbells()
        theatre.conduct(lambda left=left: not left or left - open_intents())  # type: ignore[misc]
        assert machine_now() - left_at < RESUMED
    theatre.conduct(lambda: Batch.objects.filter(status=BatchStatus.CLOSED).exists())
    assert_ended_well(theatre)


def age_the_doorbells() -> None:
    """Let it be a while since the drivers were rung for: one that was just rung is not rung again for half a minute."""
    Driver.objects.update(rung_at=F("rung_at") - RING_AGAIN)


def assert_ended_well(theatre: Theatre) -> None:
    """Fail unless all is moved, nothing is left open, and every wanted meeting is held by exactly one bot."""
    assert set(Item.objects.filter(kind=Item.Kind.CONNECTION).values_list("status", flat=True)) == {ItemStatus.DONE}
    assert Item.objects.filter(kind=Item.Kind.CONNECTION).count() == CALENDARS
    assert not Connection.objects.live().filter(workspace__slug="us").exists()
    assert Connection.objects.live().filter(workspace__slug="eu").count() == CALENDARS
    proof = theatre.proof()
    assert proof["missed"] == []
    assert proof["doubled"] == []
    assert proof["unaccounted"] == 0
    assert proof["held"] == proof["wanted"] > 0
    assert list(Intent.objects.filter(state__in=Intent.OPEN)) == []
    assert held() == set()
    for model in (Batch, Sweep, Driver):
        assert not model._default_manager.exclude(lease_token=None).exists(), model
    theatre.close()
    assert theatre.left() == []


def test_busy_workers_are_killed_while_calendars_are_made_and_while_meetings_are_handed_over(theatre: Theatre) -> None:
    play(theatre, (recreating, kill_the_busy), (adding, kill_the_busy), (removing, kill_the_busy))


def test_the_whole_cluster_is_killed_while_meetings_are_handed_over(theatre: Theatre) -> None:
    play(theatre, (adding, kill_the_cluster), (removing, kill_the_cluster))


def test_ctrl_c_ends_the_workers_in_the_middle_and_they_are_started_again(theatre: Theatre) -> None:
    play(theatre, (recreating, interrupt), (removing, interrupt))


def test_the_database_is_restarted_while_meetings_are_handed_over(theatre_with_server: Theatre) -> None:
    play(theatre_with_server, (adding, restart_the_database), (removing, restart_the_database))
