"""E-mails on their way: taken, sent once, and never a second time by themselves.

1. `claim` leases what is due; `begin` notes *being sent* and commits before the server is called.
2. `finish` notes what came of it. Refused for now: tried again by the ladder. Refused for good: given up.
3. A worker that dies in between leaves *being sent* with a lease that ends: `settle_lost` calls that *perhaps sent*.
   Only a person sends it again.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from calendars.leases import Lease, free, take
from calendars.models import CustomerContact
from migrations_app.mail import milestones
from migrations_app.mail.post import How, Outcome
from migrations_app.models import Message, Subscription
from recallops import clock

LADDER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))
WORKER_DIED = _("The worker that sent it ended before it could note whether the server took it.")
DIALOGUE = 8  # of waits that one e-mail's dialogue with a server may have

State = Message.State

UNWANTED = (
    Exists(CustomerContact.objects.filter(Q(enabled=False) | ~Q(email=OuterRef("email")), pk=OuterRef("contact")))
    | Q(notice__isnull=False, contact=None)
    | Exists(Subscription.objects.filter(pk=OuterRef("subscription"), link__revoked_at__isnull=False))
)
"""To whoever wants no more e-mails; to a contact that has another address since, or is deleted; asking an address that
was named by a link which is revoked since."""


def due() -> QuerySet[Message]:
    """Return the e-mails that may be sent now: still true, and wanted by staff or by their reader."""
    asked = Q(contact__subscribed_at__isnull=False, notice__batch__in=milestones.followed())
    told = Q(notice__batch__tell_customers=True) | asked
    sound = Q(told, notice__quiet_since=None) | Q(subscription__isnull=False)
    return Message.objects.filter(sound, state=State.WAITING, due_at__lte=clock.now()).exclude(UNWANTED)


def lease() -> Lease:
    """Return a lease that outlasts one e-mail, however slow the server is."""
    return Lease(seconds=settings.EMAIL_TIMEOUT * DIALOGUE + 30)


def claim(*, limit: int, lease: Lease) -> list[int]:
    """Lease e-mails that are due, oldest first."""
    return take(due(), limit=limit, lease=lease, order_by=["due_at", "pk"])


def begin(pk: int, lease: Lease) -> Message | None:
    """Note that it is being sent, before it is; None when somebody else has it, or nobody wants it any more."""
    mine = Message.objects.filter(pk=pk, lease_token=lease.token, state=State.WAITING)
    if not mine.filter(pk__in=due().filter(pk=pk)).update(state=State.SENDING, attempts=F("attempts") + 1):
        return None
    return Message.objects.select_related("contact__customer").get(pk=pk)


def finish(message: Message, outcome: Outcome, *, lease: Lease) -> None:
    """Note what came of a try; also of one that was called lost meanwhile."""
    now = clock.now()
    mine = Message.objects.filter(pk=message.pk, lease_token=lease.token, state__in=[State.SENDING, State.PERHAPS])
    problem = outcome.problem[:300]
    free_again = {"lease_token": None, "lease_until": None}
    if outcome.how is How.SENT:
        mine.update(state=State.SENT, sent_at=now, problem="", **free_again)
    elif outcome.how is How.PERHAPS:
        mine.update(state=State.PERHAPS, problem=problem, **free_again)
    elif outcome.how is How.LATER and message.attempts <= len(LADDER):
        mine.update(state=State.WAITING, due_at=now + LADDER[message.attempts - 1], problem=problem, **free_again)
    else:
        mine.update(state=State.FAILED, problem=problem, **free_again)


def settle_lost() -> int:
    """Call *perhaps sent* what a worker that is gone was sending; return how many."""
    lost = Message.objects.filter(free(), state=State.SENDING)
    return lost.update(state=State.PERHAPS, problem=str(WORKER_DIED))


def withdraw() -> int:
    """Withdraw what waits for people who want nothing more; return how many."""
    return Message.objects.filter(UNWANTED, state=State.WAITING).update(state=State.WITHDRAWN)
