"""The heartbeat: a task that goes the whole way that work goes, and leaves a time at its end.

`send` puts it into the queue that only this machine's workers read; the pusher hands it to a worker; the worker's
result goes to the monitor; the monitor writes the time. Any of them that is dead or stuck stops the heartbeat.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Case, IntegerField, Value, When
from django.db.models.functions import Now
from django.dispatch import receiver
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signals import post_execute
from django_q.tasks import async_task

from recallops.models import WorkerHeartbeat

if TYPE_CHECKING:
    from datetime import datetime

TASK = "recallops.heartbeat.beat"


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the database says of this machine's heartbeat: its own time, and when the last one came back."""

    now: datetime
    beaten_at: datetime | None


def host() -> str:
    """Return the name of this machine, as the heartbeat's row knows it."""
    return socket.gethostname()[:64]


def queue() -> str:
    """Return the name of the queue that only this machine's workers read, beside the common one."""
    return f"{settings.Q_CLUSTER['name']}@{host()}"


def begin(pid: int) -> None:
    """Start the row of this machine anew: what an earlier run left says nothing of this one."""
    fresh = {"pid": pid, "started_at": Now(), "sent_at": None, "beaten_at": None}
    WorkerHeartbeat.objects.update_or_create(host=host(), defaults=fresh)


def send() -> None:
    """Send a heartbeat on its way. One that is still waiting is replaced, so that they never pile up."""
    OrmQ.objects.filter(key=queue()).delete()
    WorkerHeartbeat.objects.filter(host=host()).update(sent_at=Now())
    async_task(TASK, host(), cluster=queue(), save=False, task_name="heartbeat")


def free_what_was_taken() -> None:
    """Put back what a cluster that is gone had in its hands; django-q2 would wait for `retry` to be over.

    What another machine works on at this moment is put back, too, and comes twice. That harms nobody: a task only
    wakes, and finds its row leased.
    """
    now = timezone.now()
    OrmQ.objects.filter(key=settings.Q_CLUSTER["name"], lock__gt=now).update(lock=now)


def pulse() -> Pulse | None:
    """Read this machine's heartbeat; None where somebody removed the row."""
    row = WorkerHeartbeat.objects.filter(host=host()).annotate(now=Now()).values("now", "beaten_at").first()
    return Pulse(**row) if row else None


def end() -> None:
    """Remove the row and what is on its way: the workers of this machine were stopped in order."""
    OrmQ.objects.filter(key=queue()).delete()
    WorkerHeartbeat.objects.filter(host=host()).delete()


def beat(host: str) -> str:
    """Go through a worker; the monitor does the rest."""
    return host


@receiver(post_execute, dispatch_uid="recallops.heartbeat")
def _came_back(task: dict[str, Any], **_: Any) -> None:
    """Write the time at which a heartbeat reached the monitor. Runs there."""
    if task["func"] == TASK:
        WorkerHeartbeat.objects.filter(host=task["args"][0]).update(beaten_at=Now())


class Queue(ORM):  # type: ignore[misc]
    """django-q2's broker on the database, with a second queue: this machine's heartbeats, before all work."""

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take what is due for the pusher, heartbeats first, then by age; rest a moment where nothing is."""
        rank = Case(When(key=queue(), then=Value(0)), default=Value(1), output_field=IntegerField())
        due = self.get_connection().filter(key__in=[self.list_key, queue()], lock__lt=timezone.now())
        waiting = list(due.order_by(rank, "id")[: Conf.BULK])
        if not waiting:
            time.sleep(Conf.POLL)
            return None
        return [(row.pk, row.payload) for row in waiting if self._take(row)]

    def _take(self, row: OrmQ) -> bool:
        mine = self.get_connection().filter(pk=row.pk, lock=row.lock)
        return bool(mine.update(lock=self.timeout(row)))
