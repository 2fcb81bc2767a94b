"""What the queue wakes for the relay: one subject for each application, so that a slow one keeps nobody from work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.db.models import QuerySet

from calendars import drivers
from calendars.leases import Lease
from calendars.models import Application, Relayed
from calendars.relay import outbox
from calendars.relay.post import Parcel, post
from recallops import clock

TASK = "calendars.relay.tasks.drive"


def pump() -> int:
    """Ring for every application that has webhooks to be sent; return how many doorbells were rung."""
    return ring(Application.objects.filter(pk__in=_due().values("application"), paused=False))


def ring(applications: QuerySet[Application]) -> int:
    """Ring for applications."""
    return sum(drivers.ring(TASK, slug, slots=1) for slug in applications.values_list("slug", flat=True))


def drive(slug: str, slot: int) -> None:
    """Pass webhooks on to an application, in a slot."""
    drivers.drive(TASK, slug, slot, find_work=partial(find_work, slug), linger=lambda: _active(slug))


def find_work(slug: str, room: int) -> list[Callable[[], None]]:
    """Claim webhooks that may be sent now."""
    application = Application.objects.defer("url").filter(slug=slug).first()
    if application is None:
        return []
    lease = Lease(seconds=application.timeout.total_seconds() * 2 + 30)
    return [partial(send, pk, lease=lease) for pk in outbox.claim(application, limit=room, lease=lease)]


def send(pk: int, *, lease: Lease) -> None:
    """Try to pass one webhook on."""
    relayed = outbox.begin(pk, lease)
    if relayed is None:
        return
    delivery, application = relayed.delivery, relayed.application
    parcel = Parcel(
        id=delivery.delivery_id,
        body=bytes(delivery.body),
        region=delivery.workspace.region.code,
        workspace=delivery.workspace.slug,
    )
    outcome = post(application, secrets_of(application), parcel, now=clock.now())
    outbox.finish(relayed, outcome, lease=lease)


def secrets_of(application: Application) -> list[str]:
    """Return the secrets in use, the newest first."""
    return [row.secret for row in application.secrets.filter(enabled=True).order_by("-pk")[:5]]


def _due() -> QuerySet[Relayed]:
    return outbox.heads().filter(due_at__lte=clock.now())


def _active(slug: str) -> bool:
    """A driver stays awake while something is due; what waits for a later rung is the pump's to wake."""
    return _due().filter(application__slug=slug, application__paused=False).exists()
