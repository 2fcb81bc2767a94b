"""Customers put their move off on their status page: to a later cut line, within limits that staff set on the batch.

The cut line is one for the whole batch, so only the one customer of a batch may; and only while nothing has gone over,
since what the target owns stays there whatever the line says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry, ConnectionStatus, Event
from migrations_app import control, coverage, inventory
from migrations_app.control import Refused
from migrations_app.findings import Found, note
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, Selection, Severity
from migrations_app.steps.hand_over import propose
from recallops import clock
from recallops.admin_display import utc

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from calendars.models import Customer
    from migrations_app.models import StatusLink
    from migrations_app.planner import CutChoice

NOTICE = timedelta(hours=2)  # a cut line that is nearer stays: what is near is on its way
FARTHEST = timedelta(days=28)  # meetings further ahead are not known
MOST_TIMES = 3  # for each batch
MOST_CHOICES = 8

ONE_CUSTOMER = _(
    "The cut line is one for the whole batch, so a customer may put it off only where all calendars are theirs. This "
    "batch moves calendars of several customers, or it is not known yet whose."
)
PAST = _("That moment is over. Choose one to come.")
TOO_FAR = _("Meetings more than four weeks ahead are not known. Choose an earlier moment.")
BEFORE_LINE = _("The cut line is %(line)s. Choose a later moment, or nothing could be put off.")
SAME = _("It is so already.")

PUT_OFF = (
    "The customer put the move off from {before} to {after}, by the status link “{label}”; that was time {number} of "
    "{most}."
)
PUT_OFF_REMEDY = "Set the cut line anew if that does not suit you, and tell the customer."


class Why(StrEnum):
    """Why a customer cannot put a batch off. The status page has the words (status/words.py)."""

    NOT_HERE = "not here"
    BEGUN = "begun"
    TOO_OFTEN = "too often"
    TOO_NEAR = "too near"
    CHANGED = "changed"
    NOT_POSSIBLE = "not possible"


class NotPutOff(Exception):
    """Nothing was done, and why."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Offer:
    """What a customer may do about the time: choose one of `times`, or nothing, and then `refusal` may say why."""

    seen: str  # the cut line that is shown
    until: datetime
    left: int  # how often it can be changed
    times: Sequence[datetime] = ()
    refusal: Why | None = None


# --- the rules


def why_not_allowed(batch: Batch, customers: Sequence[int], *, until: datetime, now: datetime) -> _StrOrPromise:
    """Return why staff cannot let a customer put a batch off; empty when they can. Pure."""
    line = batch.handover.cut_line
    if batch.closed_at:
        return control.CLOSED
    if batch.draft:
        return control.STILL_A_DRAFT
    if batch.handover.external:
        return control.NO_CUT_LINE
    if batch.goes_back:
        return control.GOES_BACK
    if len(customers) != 1:
        return ONE_CUSTOMER
    if until <= now:
        return PAST
    if until > now + FARTHEST:
        return TOO_FAR
    return BEFORE_LINE % {"line": utc(line)} if line is not None and until <= line else ""


def why_not(batch: Batch, *, theirs: bool, begun: bool, now: datetime) -> Why | None:
    """Return why a customer cannot put a batch off; None when they can. Pure.

    `theirs`: all of its calendars are this customer's. `begun`: some meeting has gone over, or is about to.
    """
    order = batch.handover
    if batch.postpone_until is None or batch.closed_at or batch.draft or not theirs:
        return Why.NOT_HERE
    if order.external or order.backwards:
        return Why.NOT_HERE
    if begun:
        return Why.BEGUN
    if batch.postponed >= MOST_TIMES:
        return Why.TOO_OFTEN
    return Why.TOO_NEAR if order.cut_line is not None and order.cut_line <= now + NOTICE else None


def spread(choices: Sequence[CutChoice], *, most: int = MOST_CHOICES) -> list[datetime]:
    """Return the best moment of each of so many equal stretches, from choices that come best first. Pure."""
    if not choices:
        return []
    first, last = min(one.at for one in choices), max(one.at for one in choices)
    stretch = max((last - first) / most, timedelta.resolution)
    best: dict[int, datetime] = {}
    for one in choices:
        best.setdefault(min((one.at - first) // stretch, most - 1), one.at)
    return sorted(best.values())


# --- what is read


def offer(batch: Batch, customer: Customer) -> Offer | None:
    """Return what a customer may do about the time of a batch; None where that is no business of theirs."""
    if batch.postpone_until is None:
        return None
    refusal = _refusal(batch, customer.pk)
    if refusal is Why.NOT_HERE:
        return None
    return Offer(
        seen=_stamp(batch.handover.cut_line),
        until=batch.postpone_until,
        left=MOST_TIMES - batch.postponed,
        times=() if refusal else spread(_later(batch)),
        refusal=refusal,
    )


def acts(batch: Batch) -> QuerySet[AuditEntry]:
    """Return the record of how a customer put a batch off."""
    return AuditEntry.objects.filter(subject_kind=Batch._meta.label_lower, subject_id=batch.pk, action=control.POSTPONE)


def customers_of(batch: Batch) -> list[int]:
    """Return whose calendars a batch moves, as far as that is known: two of them at most."""
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION).order_by()
    if found := list(items.values_list("connection__calendar__customer", flat=True).distinct()[:2]):
        return [pk for pk in found if pk is not None]
    if batch.selection == Selection.CUSTOMERS:
        return list(batch.customers.order_by("pk").values_list("pk", flat=True)[:2])
    connections = inventory.chosen(batch).order_by()
    return list(connections.values_list("calendar__customer", flat=True).distinct()[:2])


def _refusal(batch: Batch, customer: int) -> Why | None:
    return why_not(batch, theirs=customers_of(batch) == [customer], begun=_begun(batch), now=clock.now())


def _begun(batch: Batch) -> bool:
    """Tell whether a meeting to come is with the target, or on its way: the line does not bring it back.

    Those of calendars that are not connected in the source do not count: they are the target's whatever the line says.
    """
    here = Event.objects.filter(
        occurrence__assignment=OuterRef("pk"),
        workspace=batch.source_id,
        connection__status=ConnectionStatus.CONNECTED,
        is_deleted=False,
    )
    gone = (Q(owner=batch.target_id) | Q(both=True)) & Q(Exists(here))
    coming = coverage.assignments_of(batch).filter(gone, over=False, end__gt=clock.now())
    return batch.handover.allowed and coming.exists()


def _later(batch: Batch) -> list[CutChoice]:
    """Return the feasible moments after the present line, up to the limit, best first."""
    line, soonest = batch.handover.cut_line, clock.now() + NOTICE
    if batch.postpone_until is None or batch.postpone_until < soonest:
        return []
    found = propose(batch, most=None, between=(max(line or soonest, soonest), batch.postpone_until))
    return [one for one in found if line is None or one.at > line]


def _stamp(at: datetime | None) -> str:
    return at.isoformat() if at else ""


# --- what is done


def allow(batch: Batch, until: datetime | None, *, actor: Any) -> None:
    """Let the customer of a batch put its cut line off up to a moment; None: not any more. Raises Refused."""
    with transaction.atomic():
        row = _held(batch)
        if row.postpone_until == until:
            raise Refused(SAME)
        if until is not None and (why := why_not_allowed(row, customers_of(row), until=until, now=clock.now())):
            raise Refused(why)
        Batch.objects.filter(pk=row.pk).update(postpone_until=until)
        AuditEntry.objects.record(
            actor=actor,
            action="batch.postpone_until",
            subject=row,
            before=_stamp(row.postpone_until) or None,
            after=_stamp(until) or None,
        )


def postpone(batch: Batch, link: StatusLink, *, seen: str, chosen: str) -> None:
    """Put a batch off to one of the times that were offered, `seen` being the line that the page showed.

    Raises NotPutOff.
    """
    possible = {_stamp(one.at): one.at for one in _later(batch)}  # before anything is held: it looks at all meetings
    with transaction.atomic():
        row = _held(batch)
        if why := _refusal(row, link.customer_id):
            raise NotPutOff(why)
        before, at = row.handover.cut_line, possible.get(chosen)
        if seen != _stamp(before):
            raise NotPutOff(Why.CHANGED)
        if at is None or row.postpone_until is None or at > row.postpone_until:
            raise NotPutOff(Why.NOT_POSSIBLE)
        Batch.objects.filter(pk=row.pk).update(postponed=F("postponed") + 1)
        control.move_cut_line(row, row.handover, at, actor=str(link), action=control.POSTPONE, link=link.pk)
        number = row.postponed + 1
        sentence = PUT_OFF.format(
            before=utc(before) or "no time yet", after=utc(at), label=link.label, number=number, most=MOST_TIMES
        )
        found = Found("postponed", Severity.INFO, sentence, PUT_OFF_REMEDY, subject=f"time {number}")
        note(row, Step.HAND_OVER, found)


def _held(batch: Batch) -> Batch:
    """Return a batch as it is now, held with its standing order until the transaction ends."""
    rows = Batch.objects.select_for_update(of=("self", "handover"))
    return rows.select_related("handover", "source__region", "target__region").get(pk=batch.pk)
