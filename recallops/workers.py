"""`manage.py workers`: starts a django-q2 cluster, pumps, and replaces the cluster when it no longer works.

1. Start `manage.py qcluster` in a session, so a process group, of its own.
2. Every few seconds run the pump, in this process: it rings for work that is due and that nobody works on.
3. Send a heartbeat through the queue; the last thing that touches it is the cluster's monitor.
4. A cluster whose heartbeat is overdue while no lease is taken either, or that is overdue by far, hangs: end its whole
   process group and start a new one. Its processes being alive is no sign of health.
5. A cluster that ended by itself is started again.
6. SIGTERM or SIGINT: let running work end for some seconds, then end the group.

The rows are the truth, so a cluster may be killed at any moment: leases run out, the pump rings again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.db.backends.signals import connection_created
from django.db.models import DurationField, ExpressionWrapper, Max
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from recallops import heartbeat, orphans
from recallops.embedded_postgres.errors import EmbeddedPostgresError
from recallops.models import WorkerHeartbeat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

logger = logging.getLogger("recallops.workers")

LOOK_SECONDS = 0.5
RESTART_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0)
STEADY_SECONDS = 60.0
MOST_DOUBLED = 3  # from 30 s for the first heartbeat to 240
STATEMENT_SECONDS = 15
DATABASE_TROUBLE = (DatabaseError, InterfaceError, EmbeddedPostgresError)

ALREADY = "The workers of this installation already run on this machine (process {pid}). Stop those first."


class AlreadyRunningError(Exception):
    """Another `manage.py workers` of this installation runs on this machine."""


class Health(Enum):
    """What the guard thinks of a cluster."""

    FINE = "fine"
    HANGS = "hangs"


def judge(*, overdue: float, progress: float | None, stale: float, lost: float) -> Health:
    """Tell whether a cluster hangs.

    `overdue`: seconds since the heartbeat last came back (or the cluster was started); `progress`: seconds since a
    lease was last taken, None when none is held; `stale`: how long the heartbeat may be away while work goes on;
    `lost`: how long it may be away at all, since a lease may be another machine's.
    """
    if overdue <= stale:
        return Health.FINE
    if progress is not None and progress <= stale and overdue <= lost:
        return Health.FINE
    return Health.HANGS


def patience(stale: float, *, falls: int) -> float:
    """Return how many seconds a new cluster has for its first heartbeat, after so many that fell soon.

    The longer the oftener: where a machine is too busy to start one in time, the next would be ended just the same.
    """
    return stale * 2.0 ** min(falls, MOST_DOUBLED)


def workers_alive(*, within: float | None = None) -> bool:
    """Tell whether the heartbeat of any machine's workers came back lately (the guard's limit)."""
    span = timedelta(seconds=settings.HEARTBEAT_STALE_SECONDS if within is None else within)
    return WorkerHeartbeat.objects.filter(beaten_at__gte=Now() - span).exists()


def last_sign() -> timedelta | None:
    """Return how long ago the newest heartbeat of any machine's workers came back; None where none is known."""
    newest = ExpressionWrapper(Now() - Max("beaten_at"), output_field=DurationField())
    found: timedelta | None = WorkerHeartbeat.objects.aggregate(since=newest)["since"]
    return found


def pump() -> int:
    """Ring for all work that is due; return how many doorbells were rung."""
    return sum(import_string(path)() for path in settings.PUMPS)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold this machine's place for the workers of an installation; the system frees it when the holder dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "workers.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(ALREADY.format(pid=file.read().strip() or "unknown")) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Cluster:
    """One run of `manage.py qcluster` and all its processes."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 (our own words)
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            env=orphans.watched_environment(),
            start_new_session=True,
        )
        logger.info("workers started, process group %s", self.process.pid)

    @property
    def age(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.begun

    def ended(self) -> bool:
        """Tell whether the main process is gone."""
        return self.process.poll() is not None

    def stop(self, *, grace: float, hurry: threading.Event | None = None) -> None:
        """End it: running work may end within the grace, then everything in the group is killed."""
        until = time.monotonic() + grace
        if not self.ended():
            self.process.terminate()
        while not self.ended() and time.monotonic() < until and not (hurry is not None and hurry.is_set()):
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End every process of the group at once, also those whose main process is gone, and wait until they are."""
        until = time.monotonic() + 5
        while self._signal(signal.SIGKILL) and time.monotonic() < until:
            self._reap()
            time.sleep(0.05)
        self._reap()

    def _signal(self, number: int) -> bool:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # none is left; on macOS: only zombies are
            return False
        return True

    def _reap(self) -> None:
        self.process.poll()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.process.pid, os.WNOHANG)[0]:
                pass


@dataclass(slots=True)
class Workers:
    """The parent: one machine's cluster, its pump and its guard."""

    stopping: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    cluster: Cluster | None = None
    falls: int = 0
    next_start: float = 0.0
    next_pump: float = 0.0
    next_send: float = 0.0
    trusted_since: float = 0.0
    reachable: bool = True

    def run(self) -> None:
        """Work until told to stop."""
        orphans.adopt_orphans()
        connection_created.connect(_bound_statements)
        before = {number: signal.signal(number, self._told_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._guarded(self._begin)
            while not self.stopping.wait(LOOK_SECONDS if self.cluster else 0.05):
                self._look()
        finally:
            if self.cluster is not None:
                logger.info("stopping: running work has %g seconds to end", settings.WORKERS_GRACE_SECONDS)
                self.cluster.stop(grace=settings.WORKERS_GRACE_SECONDS, hurry=self.hurry)
            self._guarded(heartbeat.end)
            connections.close_all()
            connection_created.disconnect(_bound_statements)
            for number, handler in before.items():
                signal.signal(number, handler)
            logger.info("stopped")

    def _begin(self) -> None:
        heartbeat.begin(os.getpid())

    def _look(self) -> None:
        self._keep_a_cluster()
        now = time.monotonic()
        if now >= self.next_pump:
            self.next_pump = now + settings.PUMP_SECONDS
            self._guarded(self._pump)
        if now >= self.next_send:
            self.next_send = now + settings.HEARTBEAT_SECONDS
            self._guarded(self._check_heartbeat)

    def _keep_a_cluster(self) -> None:
        if self.cluster is not None and self.cluster.ended():
            logger.error("the workers ended by themselves (code %s)", self.cluster.process.returncode)
            self._replace(self.cluster)
        if self.cluster is None and time.monotonic() >= self.next_start:
            self._guarded(heartbeat.free_what_was_taken)
            self.cluster = Cluster()
            self.trusted_since = time.monotonic()
            self.next_send = 0.0

    def _replace(self, cluster: Cluster) -> None:
        """End what is left of a cluster; the next start waits the longer, the quicker they fall."""
        steady = patience(STEADY_SECONDS, falls=self.falls)
        self.falls = 0 if cluster.age > steady else self.falls + 1
        self.next_start = time.monotonic() + RESTART_PAUSES[min(self.falls, len(RESTART_PAUSES) - 1)]
        cluster.kill()
        self.cluster = None

    def _pump(self) -> None:
        rung = pump()
        if rung:
            logger.info("rang %s doorbells", rung)

    def _check_heartbeat(self) -> None:
        if self.cluster is None:
            return
        overdue = time.monotonic() - self.trusted_since
        stale = patience(settings.HEARTBEAT_STALE_SECONDS, falls=self.falls)
        found = heartbeat.pulse()
        if found is None:
            self._begin()
        elif found.beaten_at is not None and (since := (found.now - found.beaten_at).total_seconds()) < overdue:
            overdue, stale = since, settings.HEARTBEAT_STALE_SECONDS
        progress = import_string(settings.LAST_PROGRESS)()
        lost = max(stale, settings.HEARTBEAT_LOST_SECONDS)
        health = judge(overdue=overdue, progress=progress, stale=stale, lost=lost)
        if health is Health.HANGS:
            logger.error("no heartbeat for %.0f seconds and no progress: the workers hang and are replaced", overdue)
            self._replace(self.cluster)
            return
        heartbeat.send()

    def _guarded(self, call: Any) -> None:
        """Do something with the database; trouble with it is said once, and no reason to end a cluster."""
        try:
            close_old_connections()
            call()
        except DATABASE_TROUBLE as error:
            if self.reachable:
                logger.error("the database does not answer, or not as it should: %s", str(error).strip())
            self.reachable = False
            self.trusted_since = time.monotonic()
            connections.close_all()
        except Exception:
            logger.exception("the pump or the guard failed; both go on")
        else:
            if not self.reachable:
                logger.info("the database answers again")
            self.reachable = True

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping.is_set():
            self.hurry.set()
        self.stopping.set()


def _bound_statements(connection: Any, **_: Any) -> None:
    """Let no statement of the parent wait for ever: it has a cluster to watch."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
