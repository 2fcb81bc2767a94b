"""Finds the milestones of customers that are told of them, and writes notices and e-mails. Calls nobody.

1. What holds of each customer is decided from counts of its items (`holding`, pure).
2. *Planned* and *done* come once for a batch and a customer. *Needs you* and *problem* come once an episode: it begins
   when the first calendar waits or fails, others that join it belong to it, and it ends when none did for an hour.
3. Notice and e-mails are written in one transaction. Who is added as a contact later gets what comes later.
4. A batch that does not tell its customers is told to subscribers alone. When it is switched on later, the others get
   what holds then.
5. A short while passes before *needs you* and *problem* go out: what staff mend at once worries nobody. E-mails that
   are no longer true are not sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps as installed
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from calendars.leases import alone
from calendars.models import Customer, CustomerContact
from migrations_app.itineraries import Step, allows
from migrations_app.mail.texts import DEFAULTS, rendered
from migrations_app.models import Batch, ErrorKind, Item, ItemStatus, MailTemplate, Message, Milestone, Notice
from migrations_app.models.episode import QUIET, follow
from recallops import clock

ONCE = frozenset({Milestone.PLANNED, Milestone.DONE})
PATIENCE = {Milestone.NEEDS_YOU: timedelta(minutes=5), Milestone.PROBLEM: timedelta(minutes=15)}
AFTERWARDS = timedelta(days=7)  # for so long after its end a batch is followed
MOST_NAMES = 10
NO_TIME = "at a quiet moment, which we choose so that no meeting is touched"

Key = tuple[int, str]  # customer, milestone


@dataclass(frozen=True, slots=True)
class Standing:
    """How many calendars of a customer are in a batch, and how they are."""

    calendars: int
    moved: int
    waiting: int  # for the customer
    failed: int
    left: int  # not at their end yet


def followed() -> QuerySet[Batch]:
    """Return the batches of which there may still be something to tell."""
    return Batch.objects.filter(Q(closed_at=None) | Q(closed_at__gte=clock.now() - AFTERWARDS))


def told(asked: Collection[int]) -> QuerySet[Batch]:
    """Return the batches whose customers are told, and those with customers who asked for it."""
    theirs = Item.objects.filter(
        batch=OuterRef("pk"), kind=Item.Kind.CONNECTION, connection__calendar__customer__in=asked
    )
    return (
        followed()
        .filter(Q(tell_customers=True) | Q(Exists(theirs), draft=False))
        .select_related("handover", "source__region", "target__region")
    )


def subscribers() -> QuerySet[CustomerContact]:
    """Return those who asked for it themselves."""
    return CustomerContact.objects.filter(subscribed_at__isnull=False, enabled=True)


def asking() -> set[int]:
    """Return the customers that have subscribers."""
    return set(subscribers().values_list("customer", flat=True))


def standings(batches: Collection[int]) -> dict[tuple[int, int], Standing]:
    """Count the calendars of some batches by batch and customer."""
    items = Item.objects.filter(batch__in=batches, kind=Item.Kind.CONNECTION).order_by()
    waits = Q(status=ItemStatus.USER, error_kind=ErrorKind.CUSTOMER)
    at_end = (ItemStatus.DONE, ItemStatus.BACK, ItemStatus.NOT_MOVABLE)
    rows = items.values_list("batch", "connection__calendar__customer").annotate(
        calendars=Count("pk"),
        moved=Count("pk", filter=Q(status=ItemStatus.DONE)),
        waiting=Count("pk", filter=waits),
        failed=Count("pk", filter=Q(status=ItemStatus.FAILED)),
        left=Count("pk", filter=~Q(status__in=at_end)),
    )
    return {(batch, customer): Standing(*counts) for batch, customer, *counts in rows}


def holding(batch: Batch, standing: Standing, *, was_planned: bool) -> set[Milestone]:
    """Tell which milestones hold for a customer now. Pure."""
    found = set()
    order = batch.handover
    timed = order.cut_line is not None or (order.external and allows(batch.goal, Step.HAND_OVER))
    if timed and not order.backwards and batch.closed_at is None and not standing.moved:
        found.add(Milestone.PLANNED)
    if standing.waiting:
        found.add(Milestone.NEEDS_YOU)
    if standing.moved and not order.backwards and (batch.closed_at is not None or not standing.left):
        found.add(Milestone.DONE)
    if standing.failed or (order.backwards and was_planned):
        found.add(Milestone.PROBLEM)
    return found


def find() -> int:
    """Look at all batches of which somebody is told; return how many e-mails were written."""
    asked = asking()
    batches = {batch.pk: batch for batch in told(asked)}
    if not batches:
        return 0
    notices: dict[int, list[Notice]] = {pk: [] for pk in batches}
    for notice in Notice.objects.filter(batch__in=batches):
        notices[notice.batch_id].append(notice)
    counted = standings(batches)
    changed = [
        batch
        for pk, batch in batches.items()
        if _differs(batch, notices[pk], holding_in(batch, notices[pk], counted), asked, now=clock.now())
    ]
    return sum(_note(batch) for batch in changed)


def holding_in(batch: Batch, notices: Collection[Notice], counted: dict[tuple[int, int], Standing]) -> set[Key]:
    """Return what holds of the customers of a batch now."""
    planned = {one.customer_id for one in notices if one.milestone == Milestone.PLANNED}
    return {
        (customer, milestone.value)
        for (pk, customer), standing in counted.items()
        if pk == batch.pk
        for milestone in holding(batch, standing, was_planned=customer in planned)
    }


def _key(notice: Notice) -> Key:
    return notice.customer_id, notice.milestone


def new(notices: Collection[Notice], now_true: set[Key], *, to_all: bool) -> set[Key]:
    """Return what is to be told: of once-only milestones those never found, of others those without an open episode.

    To all: what only subscribers were told of is new as well.
    """
    known = {
        _key(one)
        for one in notices
        if (one.ended_at is None or one.milestone in ONCE) and not (to_all and one.subscribers_only)
    }
    return now_true - known


def kept(notices: Collection[Notice], fresh: set[Key]) -> list[Notice]:
    """Return the notices of which only subscribers were told, and that are new to the others."""
    return [
        one
        for one in notices
        if one.subscribers_only and _key(one) in fresh and (one.ended_at is None or one.milestone in ONCE)
    ]


def _fresh(batch: Batch, notices: Collection[Notice], now_true: set[Key], asked: set[int]) -> set[Key]:
    """Return what is to be told of a batch: to all, or to those who asked for it.

    These get no worries of a batch that is closed: most of them asked after it was.
    """
    if batch.tell_customers:
        return new(notices, now_true, to_all=True)
    theirs = {
        (customer, milestone)
        for customer, milestone in now_true
        if customer in asked and (batch.closed_at is None or milestone == Milestone.DONE)
    }
    return new(notices, theirs, to_all=False)


def _differs(batch: Batch, notices: Collection[Notice], now_true: set[Key], asked: set[int], *, now: datetime) -> bool:
    if _fresh(batch, notices, now_true, asked):
        return True
    return any(
        bool(one.quiet_since) if _key(one) in now_true else not one.quiet_since or one.quiet_since <= now - QUIET
        for one in notices
        if one.ended_at is None
    )


def _note(batch: Batch) -> int:
    """Write what is new of a batch, as the only one who does."""
    now = clock.now()
    with alone(f"tell customers of {batch.pk}"):
        notices = list(Notice.objects.filter(batch=batch))
        counted = standings([batch.pk])
        # Whoever is told or not: an episode goes on while what it says is true.
        now_true = holding_in(batch, notices, counted)
        open_ones = {_key(one): one for one in notices if one.ended_at is None}
        over = follow(Notice, open_ones, now_true, now=now)
        Message.objects.filter(notice__in=over, state=Message.State.WAITING).update(state=Message.State.WITHDRAWN)
        fresh = _fresh(batch, notices, now_true, asking())
        known = kept(notices, fresh)
        Notice.objects.filter(pk__in=[one.pk for one in known]).update(
            subscribers_only=False, quiet_since=None, ended_at=None
        )
        made = Notice.objects.bulk_create(
            Notice(
                batch=batch,
                customer_id=customer,
                milestone=milestone,
                episode=1 + sum(_key(one) == (customer, milestone) for one in notices),
                subscribers_only=not batch.tell_customers,
                found_at=now,
            )
            for customer, milestone in sorted(fresh - {_key(one) for one in known})
        )
        return len(Message.objects.bulk_create(written(batch, [*known, *made], counted, now=now)))


def written(
    batch: Batch, notices: Collection[Notice], counted: dict[tuple[int, int], Standing], *, now: datetime
) -> list[Message]:
    """Return the e-mails about some notices of a batch, not stored yet: one for each contact who is told of the batch
    and has none about this notice."""
    customers = {one.pk: one for one in Customer.objects.filter(pk__in={one.customer_id for one in notices})}
    people: dict[int, list[CustomerContact]] = {}
    contacts = CustomerContact.objects.filter(enabled=True) if batch.tell_customers else subscribers()
    for contact in contacts.filter(customer__in=customers):
        people.setdefault(contact.customer_id, []).append(contact)
    have = set(Message.objects.filter(notice__in=notices).values_list("notice", "email"))
    texts = templates()
    names = waiting_names(batch, customers)
    found = []
    for notice in notices:
        customer = customers[notice.customer_id]
        standing = counted.get((batch.pk, customer.pk), Standing(0, 0, 0, 0, 0))
        template = texts[notice.milestone]
        for contact in people.get(customer.pk, []):
            if (notice.pk, contact.email) in have:
                continue
            values = values_for(batch, customer, contact, standing, names=names.get(customer.pk, ()))
            found.append(
                Message(
                    notice=notice,
                    contact=contact,
                    email=contact.email,
                    subject=rendered(template.subject, values, subject=True),
                    text=rendered(template.text, values),
                    due_at=now + PATIENCE.get(Milestone(notice.milestone), timedelta(0)),
                )
            )
    return found


def templates() -> dict[str, MailTemplate]:
    """Return the template of each milestone: as staff left it, else ours."""
    ours = {
        name: MailTemplate(milestone=name, subject=subject, text=text) for name, (subject, text) in DEFAULTS.items()
    }
    return ours | {one.milestone: one for one in MailTemplate.objects.all()}


def waiting_names(batch: Batch, customers: Collection[int]) -> dict[int, list[str]]:
    """Return the addresses of calendars that wait for their customers, a few of each."""
    waits = Item.objects.filter(
        batch=batch,
        kind=Item.Kind.CONNECTION,
        status=ItemStatus.USER,
        error_kind=ErrorKind.CUSTOMER,
        connection__calendar__customer__in=customers,
    )
    found: dict[int, list[str]] = {}
    for customer, title in waits.order_by("pk").values_list("connection__calendar__customer", "title")[:1000]:
        listed = found.setdefault(customer, [])
        if len(listed) <= MOST_NAMES:
            listed.append(title)
    return found


def values_for(
    batch: Batch, customer: Customer, contact: CustomerContact | None, standing: Standing, *, names: Collection[str]
) -> dict[str, Any]:
    """Return what stands for each placeholder."""
    line = batch.handover.cut_line
    listed = list(names)
    shown = ", ".join(listed[:MOST_NAMES]) + (", …" if len(listed) > MOST_NAMES else "")
    return {
        "customer": customer.name,
        "contact": (contact.name if contact else "") or customer.name,
        "batch": batch.slug,
        "when": f"from {line:%A %-d %B %Y, %H:%M} UTC on" if line else NO_TIME,
        "source": batch.source.region.label,
        "target": batch.target.region.label,
        "calendars": standing.calendars,
        "moved": standing.moved,
        "waiting": standing.waiting,
        "failed": standing.failed,
        "names": shown,
    }


def fill_templates(sender: Any = None, *, using: str = "default", apps: Any = installed, **_: Any) -> None:
    """Give every milestone its template; what staff edited stays. Runs after every migrate."""
    try:
        model = apps.get_model("migrations_app", "MailTemplate")
    except LookupError:  # migrated to a state before there were any
        return
    model._default_manager.using(using).bulk_create(
        [model(milestone=name, subject=subject, text=text) for name, (subject, text) in DEFAULTS.items()],
        ignore_conflicts=True,
    )
