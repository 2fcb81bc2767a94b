"""The demo from the first process to the last, in order.

1. The guard, the clock (standing still), the database, the sandbox, the web server that knows where to find it.
2. A new demo: fill, write the rows, make the batch. One that was stopped: take its rows and its world as they are.
3. Let the clock go, start the workers, conduct until the batch is closed. A customer comes to the status page.
4. Stop the workers, let the world run out, print the proof.
5. Stay up until told to end, or end at once. Whichever way it ends, nothing is left running.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.urls import reverse

from migrations_app.models import Batch
from recallops.clock import FileClock
from recallops.demo import children, setting_up
from recallops.demo.conductor import POLL, Conductor
from recallops.demo.control import Sandbox
from recallops.demo.display import display, say
from recallops.demo.guard import Guard, stop_clock
from recallops.demo.place import DemoError
from recallops.demo.progress import look
from recallops.demo.proof import Proof, prove
from recallops.demo.signals import Interrupted, Signals
from recallops.demo.visitor import Visitor

if TYPE_CHECKING:
    from recallops.demo.children import Child
    from recallops.demo.place import Options, Place
    from recallops.demo.progress import Snapshot

PORTS = range(8000, 8010)
START_SECONDS = 60.0
STANDSTILL_SECONDS = 300.0
LONGEST_MOVE = timedelta(days=10)  # of domain time
STAY_POLL = 0.1
FAILED, CANNOT, TOLD_TO_END = 1, 2, 130

STANDSTILL = "Nothing has moved for {minutes:.0f} minutes. It waits for: {reason}"
ENDLESS = "After {days} days of domain time the batch is not closed. It waits for: {reason}"
STOPPED = "The batch was stopped: {reason}"
HOLDS = "The proof holds."


@dataclass(slots=True)
class Demo:
    """One run of the demo in this process."""

    place: Place
    options: Options
    leave: bool
    signals: Signals = field(default_factory=Signals)
    guard: Guard | None = None
    running: dict[str, Child] = field(default_factory=dict)
    sandbox: Sandbox | None = None
    site: str = ""
    url: str = ""

    def run(self) -> int:
        """Run it all; return the exit code."""
        with self.signals.taken():
            try:
                code = self._run()
            except Interrupted:
                say("\nStopping ...")
                code = TOLD_TO_END
            except DemoError as error:
                say(str(error))
                code = FAILED
            finally:
                self.signals.ending()
                self._end()
        return code

    def _run(self) -> int:
        self._bring_up()
        code = self._move_and_prove()
        if self.leave:
            return code
        self._start_workers()
        self._tell_where()
        try:
            self._stay()
        except Interrupted:
            say("\nStopping ...")
        return code

    # --- up

    def _bring_up(self) -> None:
        began = time.monotonic()
        new = self.place.kept()["phase"] == "making"
        with self.signals.held():
            self.guard = Guard(self.place)
        self._set_clock(new)
        self.place.keep(running={"pid": os.getpid(), "world": self._world_stamp()})
        say("Starting the database ..." if new else "Going on where the last run stopped ...")
        self._start_database()
        setting_up.migrate()
        self.sandbox = sandbox = self._start_sandbox()
        self._start_web(sandbox)
        if new:
            self._fill()
        else:
            setting_up.point_regions(sandbox)
            setting_up.take_back_leases()
        setting_up.lead_back(sandbox, self.site)
        keys = self.place.secrets()
        say(f"Set up in {time.monotonic() - began:.0f} s. Watch it: {self.url} as {keys['user']}, {keys['password']}")
        self._tell_page()

    def _set_clock(self, new: bool) -> None:
        """Let domain time stand still: at the coming Monday, or where the last run stopped."""
        clock = FileClock(self.place.clock_file)
        if new:
            clock.set(at=setting_up.coming_monday(datetime.now(UTC)), speed=0.0)
        elif clock.speed():  # nobody was left to stop it: it stands where the world was saved
            since = timedelta(seconds=time.time() - self.place.world_file.stat().st_mtime)
            clock.set(at=clock.now() - since * clock.speed(), speed=0.0)

    def _world_stamp(self) -> int:
        file = self.place.world_file
        return file.stat().st_mtime_ns if file.exists() else 0

    def _start(self, name: str, *command: str, environment: dict[str, str] | None = None, **options: Any) -> Child:
        with self.signals.held():
            child = children.start(
                name,
                [sys.executable, *command],
                log=self.place.logs / f"{name}.log",
                environment={**os.environ, **(environment or {})},
                cwd=settings.BASE_DIR,
                **options,
            )
            self.running[name] = child
            if self.guard is not None:
                self.guard.watch(child.process.pid)
        return child

    def _start_database(self) -> None:
        if os.environ.get("DATABASE_URL"):
            return
        # In a process and session of its own: a Ctrl-C must not hit PostgreSQL while it comes up.
        child = self._start("database", "manage.py", "database", "start")
        if child.process.wait():
            raise DemoError(children.end_of(child.log))
        del self.running["database"]

    def _start_web(self, sandbox: Sandbox) -> None:
        door = _free_port()
        self.site = f"http://127.0.0.1:{door.getsockname()[1]}"
        self.url = f"{self.site}/admin/"
        debug = {"DEBUG": "on"} if os.environ.get("DATABASE_URL") else {}
        self._start(
            "web",
            *("-m", "gunicorn", "recallops.wsgi:application", "--bind", f"fd://{door.fileno()}"),
            *("--workers", "1", "--threads", "4", "--no-control-socket", "--graceful-timeout", "2"),
            environment={"SITE_URL": self.site, **sandbox.identity(), **debug},
            at_our_death=signal.SIGTERM,
            pass_fds=(door.fileno(),),
        )
        door.close()
        self.place.keep(url=self.url)

    def _start_sandbox(self) -> Sandbox:
        child = self._start(
            "sandbox",
            *("manage.py", "sandbox", "--regions", setting_up.SOURCE, setting_up.TARGET),
            *("--clock-file", str(self.place.clock_file), "--state", str(self.place.world_file)),
            *("--workspace", setting_up.INSIDE, "--seed", str(self.options.seed)),
            at_our_death=signal.SIGTERM,  # it saves its world
            stdout=PIPE,
        )
        output = child.process.stdout
        until = time.monotonic() + START_SECONDS
        while output is not None and time.monotonic() < until:
            if select.select([output], [], [], 0.2)[0] and (line := output.readline()):
                return Sandbox(json.loads(line))
            child.check()
        raise DemoError(f"The sandbox did not come up. {children.end_of(child.log)}")

    def _fill(self) -> None:
        if self.sandbox is None:
            return
        keys = self.place.secrets()
        options = self.options
        say(f"Filling {setting_up.SOURCE} with {options.calendars} calendars and about {options.events} events ...")
        setting_up.make_staff(keys["user"], keys["password"])
        # Also in a small company there is somebody who has to connect a calendar again.
        summary = setting_up.fill(self.sandbox, options, tokenless=int(options.calendars > 1))
        setting_up.make_rows(self.sandbox, summary, options)
        say(_filled(summary))
        setting_up.change_the_world(self.sandbox, options)
        setting_up.make_batch(keys["user"])
        for email in summary["tokenless"]:
            customer, secret = setting_up.make_link(email, keys["user"])
            self.place.keep_secret(status_link=secret)
            self.place.keep(visitor=email, customer=customer)
        self.sandbox.ask("save")
        begun = FileClock(self.place.clock_file).now()
        self.place.keep(phase="moving", begun=begun.isoformat(), seconds=0.0)

    def _start_workers(self) -> None:
        clock = FileClock(self.place.clock_file)
        clock.set(at=clock.now(), speed=self.options.speed)
        self._start("workers", "manage.py", "workers", environment={"SITE_URL": self.site})

    # --- the move

    def _move_and_prove(self) -> int:
        kept = self.place.kept()
        if kept["phase"] == "proven":
            return self.tell(Proof(**json.loads(self.place.proof_file.read_text())))
        batch = Batch.objects.get(slug=setting_up.BATCH)
        if batch.closed_at is None:
            self._start_workers()
            began = time.monotonic()
            try:
                snapshot = self._conduct()
            finally:
                self.place.keep(seconds=kept.get("seconds", 0.0) + time.monotonic() - began)
            if snapshot.stopped:
                raise DemoError(STOPPED.format(reason=snapshot.reason))
        self._stop("workers", grace=15)
        stop_clock(self.place)
        return self._prove()

    def _conduct(self) -> Snapshot:
        """Conduct until the batch is closed, or stopped; return the last moment."""
        conductor = Conductor(FileClock(self.place.clock_file))
        visitor = Visitor(self.place, self._page())
        begun = datetime.fromisoformat(self.place.kept()["begun"])
        shown, moved, sign = 0.0, time.monotonic(), None
        with display() as screen:
            while True:
                try:
                    conductor.look()
                    visitor.look()
                    if time.monotonic() - shown >= screen.every or not _open():
                        shown = time.monotonic()
                        self._check()
                        snapshot = look(setting_up.BATCH)
                        if snapshot is None:
                            raise DemoError(f"The batch “{setting_up.BATCH}” is gone. Start over: make clean-demo.")
                        screen.show(snapshot, jumps=conductor.jumps)
                        if snapshot.closed or snapshot.stopped:
                            return snapshot
                        if sign != (sign := (snapshot.calls, snapshot.track, conductor.jumps)):
                            moved = shown
                        _patience(snapshot, begun=begun, still=shown - moved)
                except (DatabaseError, InterfaceError):
                    self._check()
                    connections.close_all()
                    if time.monotonic() - moved > STANDSTILL_SECONDS:
                        raise
                time.sleep(POLL)

    def _prove(self) -> int:
        if self.sandbox is None:
            return FAILED
        self.sandbox.ask("save")
        kept = self.place.kept()
        self.place.keep(running={"pid": os.getpid(), "world": self._world_stamp()})
        say("The batch is closed and the workers are stopped. The world runs on through the rest of its 28 days ...")
        proof = prove(
            Batch.objects.get(slug=setting_up.BATCH),
            self.place.world_file,
            begun=datetime.fromisoformat(kept["begun"]),
            events=self.options.events,
            seconds=kept["seconds"],
        )
        self.place.proof_file.write_text(json.dumps(proof.as_json(), indent=1))
        self.place.keep(phase="proven")
        return self.tell(proof)

    @staticmethod
    def tell(proof: Proof) -> int:
        """Print the proof; return the exit code it deserves."""
        for line in proof.lines():
            say(line)
        wrong = proof.wrong()
        for sentence in wrong or [HOLDS]:
            say(sentence)
        return FAILED if wrong else 0

    # --- staying

    def _tell_where(self) -> None:
        keys = self.place.secrets()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and not _answers(self.url):
            self._check()
            time.sleep(0.1)
        say(f"\nAdmin: {self.url}\nLogin: {keys['user']}\nPassword: {keys['password']}")
        self._tell_page()
        say("It stays up. Ctrl-C stops everything; `make demo` goes on from there, `make clean-demo` starts over.")

    def _tell_page(self) -> None:
        if page := self._page():
            say(f"What {self.place.kept()['customer']} sees: {page}")

    def _page(self) -> str:
        """Return where a customer's page is; empty where nobody was given a link."""
        secret = self.place.secrets().get("status_link", "")
        return f"{self.site}{reverse('status:page', args=[secret])}" if secret else ""

    def _stay(self) -> None:
        conductor = Conductor(FileClock(self.place.clock_file))
        while True:
            try:
                conductor.look()
            except (DatabaseError, InterfaceError):
                connections.close_all()
            self._check()
            time.sleep(STAY_POLL)

    def _check(self) -> None:
        for child in self.running.values():
            child.check()

    # --- down

    def _stop(self, name: str, *, grace: float) -> None:
        child = self.running.pop(name, None)
        if child is not None:
            child.stop(grace=0 if self.signals.hurry else grace)

    def _end(self) -> None:
        """End everything, those who call before those who are called."""
        self._stop("workers", grace=12)
        self._stop("web", grace=4)
        stop_clock(self.place)
        connections.close_all()
        before = self._world_stamp()
        self._stop("sandbox", grace=30)
        if self._world_stamp() != before:
            self.place.keep(running=None)
        if self.guard is not None:
            self.guard.finish()


def _open() -> bool:
    """Tell whether the batch is still to be closed."""
    return Batch.objects.filter(slug=setting_up.BATCH, closed_at=None).exists()


def _patience(snapshot: Snapshot, *, begun: datetime, still: float) -> None:
    """Give up on a move that does not come to an end. Raises DemoError."""
    reason = snapshot.reason or "nothing that is known"
    if still > STANDSTILL_SECONDS:
        raise DemoError(STANDSTILL.format(minutes=still / 60, reason=reason))
    if snapshot.now - begun > LONGEST_MOVE:
        raise DemoError(ENDLESS.format(days=LONGEST_MOVE.days, reason=reason))


def _free_port() -> socket.socket:
    """Return a bound socket on the loopback: a port that people know if one is free, else any."""
    for port in (*PORTS, 0):
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
            door.listen(64)
        except OSError:
            door.close()
        else:
            return door
    raise DemoError("There is no free port on the loopback.")


def _answers(url: str) -> bool:
    """Tell whether the web server answers."""
    host = url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _filled(summary: dict[str, Any]) -> str:
    """Say what the source was filled with."""
    said = (
        f"{summary['calendars']} calendars ({summary['google']} Google, {summary['outlook']} Outlook) of "
        f"{len(summary['customers'])} customers, {summary['events']} events, {summary['events_with_bot']} of them with "
        f"one of {summary['bots']} bots; disconnected: {len(summary['disconnected'])}, token-less: "
        f"{len(summary['tokenless'])}, with a certificate: {len(summary['certificate'])}."
    )
    for one in summary.get("ics", {}).get("calendars", []):
        said += (
            f"\n{one['file']}: {one['events']} events, {one['events_with_bot']} with a bot, shifted by "
            f"{one['shifted_weeks']} weeks."
        )
    return said
