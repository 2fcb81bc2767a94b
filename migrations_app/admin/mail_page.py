"""Who of a batch is told what: the page on which it is switched on, and the preview of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from calendars.models import Customer, CustomerContact
from migrations_app.mail import milestones
from migrations_app.mail.texts import rendered
from migrations_app.models import Batch, MailTemplate, Message, Milestone, Notice, StatusLink
from recallops import clock
from recallops.admin_base import row_number
from recallops.admin_display import change_url, list_url

MOST_CUSTOMERS = 100
MOST_BATCHES = 50
SUBSCRIBED = _("%(email)s (subscribed)")
NOBODY = _("found, nobody to tell")

EXAMPLE = milestones.Standing(calendars=12, moved=9, waiting=2, failed=1, left=3)


@dataclass(slots=True)
class Row:
    """A customer of a batch: who is told, and of what."""

    customer: Customer
    standing: milestones.Standing
    contacts: list[str]
    url: str
    at_once: list[str]  # what would be told now
    told: list[tuple[str, str, str]]  # milestone, word, colour
    links: int  # that open its status page


def customers(batch: Batch) -> dict[str, Any]:
    """Return what the page of a batch's customers shows, in a fixed number of queries."""
    counted = milestones.standings([batch.pk])
    ids = [customer for _batch, customer in counted]
    people: dict[int, list[str]] = {}
    addresses: dict[int, list[str]] = {}
    contacts = CustomerContact.objects.filter(customer__in=ids, enabled=True).order_by("email")
    for customer_id, email, subscribed_at in contacts.values_list("customer", "email", "subscribed_at"):
        shown = email if subscribed_at is None else SUBSCRIBED % {"email": email}
        people.setdefault(customer_id, []).append(shown)
        addresses.setdefault(customer_id, []).append(email)
    notices = list(Notice.objects.filter(batch=batch))
    to_tell = milestones.new(notices, milestones.holding_in(batch, notices, counted), to_all=True)
    have = set(
        Message.objects.filter(notice__in=milestones.kept(notices, to_tell)).values_list(
            "notice__customer", "notice__milestone", "email"
        )
    )
    known = list(Customer.objects.filter(pk__in=ids).order_by("name", "pk")[:MOST_CUSTOMERS])
    states: dict[int, set[str]] = {}
    messages = Message.objects.filter(notice__batch=batch, notice__customer__in=known)
    for notice_id, state in messages.order_by().values_list("notice", "state").distinct():
        states.setdefault(notice_id, set()).add(state)
    valid = StatusLink.objects.filter(customer__in=known, revoked_at=None, expires_at__gt=clock.now())
    links = Counter(valid.values_list("customer", flat=True))
    rows = [
        Row(
            customer=customer,
            standing=counted[batch.pk, customer.pk],
            contacts=people.get(customer.pk, []),
            url=change_url(customer),
            at_once=[str(one.label) for one in Milestone if (customer.pk, one.value) in to_tell],
            told=[_told(one, states.get(one.pk, set())) for one in notices if one.customer_id == customer.pk],
            links=links[customer.pk],
        )
        for customer in known
    ]
    return {
        "rows": rows,
        "more": max(0, len(ids) - MOST_CUSTOMERS),
        "without_contact": sum(customer not in people for customer in ids),
        "at_once": sum(
            (customer, milestone, email) not in have
            for customer, milestone in to_tell
            for email in addresses.get(customer, [])
        ),
        "mail_ready": settings.MAIL_READY,
        "sender": settings.DEFAULT_FROM_EMAIL,
        "templates": [(one, _preview_url(one, batch)) for one in MailTemplate.objects.all()],
        "messages_url": list_url(Message, notice__batch__id__exact=batch.pk),
    }


def _told(notice: Notice, states: set[str]) -> tuple[str, str, str]:
    """Return what was told at a milestone: the state that asks most for a look."""
    label = str(notice.get_milestone_display())
    for state in ("failed", "perhaps", "sending", "waiting", "sent", "withdrawn"):
        if state in states:
            chosen = Message.State(state)
            return label, str(chosen.label), chosen.colour
    return label, str(NOBODY), "warning"


def _preview_url(template: MailTemplate, batch: Batch) -> str:
    return f"{change_url(template).removesuffix('change/')}preview/?batch={batch.pk}"


def preview(template: MailTemplate, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a text with the values of a batch and one of its customers; of an example where there is no batch."""
    batches = list(Batch.objects.filter(draft=False).order_by("-pk").values_list("pk", "slug")[:MOST_BATCHES])
    wanted = row_number(str(chosen.get("batch", "")))
    pk = wanted if wanted is not None else batches[0][0] if batches else 0
    batch = Batch.objects.select_related("handover", "source__region", "target__region").filter(pk=pk).first()
    if batch is None:
        return {"batches": batches, "batch": None, "customers": [], "customer": None, **_example(template)}
    counted = milestones.standings([batch.pk])
    ids = [customer for _batch, customer in counted]
    known = list(Customer.objects.filter(pk__in=ids).order_by("name", "pk")[:MOST_CUSTOMERS])
    customer = next((one for one in known if str(one.pk) == chosen.get("customer")), known[0] if known else None)
    shown = {"batches": batches, "batch": batch, "customers": known, "customer": customer}
    if customer is None:
        return {**shown, **_example(template)}
    contact = customer.contacts.filter(enabled=True).first()
    names = milestones.waiting_names(batch, [customer.pk]).get(customer.pk, [])
    values = milestones.values_for(batch, customer, contact, counted[batch.pk, customer.pk], names=names)
    return {**shown, **_texts(template, values), "is_example": False}


def _example(template: MailTemplate) -> dict[str, Any]:
    """Return a text with made-up values."""
    values = {
        "customer": "Example & Sons",
        "contact": "Ann Example",
        "batch": "autumn",
        "when": milestones.NO_TIME,
        "source": "US West",
        "target": "EU Central",
        "names": "ann@example.com, bob@example.com",
        "calendars": EXAMPLE.calendars,
        "moved": EXAMPLE.moved,
        "waiting": EXAMPLE.waiting,
        "failed": EXAMPLE.failed,
    }
    return {**_texts(template, values), "is_example": True}


def _texts(template: MailTemplate, values: Mapping[str, object]) -> dict[str, str]:
    return {
        "subject": rendered(template.subject, values, subject=True),
        "text": rendered(template.text, values),
    }
