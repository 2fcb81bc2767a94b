"""The timeline of one item: everything that is on record about it, in order.

Its steps, the calls about its calendar and its events, what was about to be written and how that was settled, webhooks,
findings, and what people did. Each kind is read in one query, the newest first, so that the page is as quick for a
calendar with a long history as for a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, OuterRef, Q
from django.db.models.functions import JSONObject
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry, Connection, Delivery, Event, Intent, ProviderCall
from migrations_app.models import Batch, Finding, Item, ItemStatus, StepRecord

MOST = 200  # of each kind
MOST_EVENTS = 2_000  # whose calls are looked for

CALL, STEP, WRITE, WEBHOOK, FINDING, ACT = KINDS = ("call", "step", "write", "webhook", "finding", "act")
NAMES = {
    CALL: _("call"),
    STEP: _("step"),
    WRITE: _("write"),
    WEBHOOK: _("webhook"),
    FINDING: _("finding"),
    ACT: _("act"),
}
ROWS: dict[str, type[Model]] = {
    CALL: ProviderCall,
    STEP: Item,
    WRITE: Intent,
    WEBHOOK: Delivery,
    FINDING: Finding,
    ACT: AuditEntry,
}
"""Whose page says the same: who may not open that is not told here either."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `facts` are names and values; `row` is where to read on."""

    at: datetime
    kind: str
    what: str
    detail: str = ""
    colour: str = ""
    facts: tuple[tuple[Any, object], ...] = ()
    row: Model | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is on record of an item, oldest first, and of which kinds there is more than is shown."""

    item: Item
    entries: list[Entry]
    cut: list[str]
    events: int


def of(item_id: int, *, kinds: tuple[str, ...] = KINDS) -> Timeline | None:
    """Return the timeline of an item: of these kinds, at most `MOST` of each. None when there is no such item."""
    known = Event.objects.filter(Q(connection=OuterRef("connection")) | Q(connection=OuterRef("target_connection")))
    newest = known.order_by("-pk").values(one=JSONObject(pk="pk", remote_id="remote_id"))[:MOST_EVENTS]
    rows = Item.objects.select_related("batch", "connection__calendar", "target_connection")
    rows = rows.defer(
        *(f"{side}__{name}" for side in ("connection", "target_connection") for name in Connection.SEALED)
    )
    item = rows.annotate(known_events=ArraySubquery(newest)).filter(pk=item_id).first()
    if item is None:
        return None
    sides = [one for one in (item.connection, item.target_connection) if one is not None]
    events = [(one["pk"], one["remote_id"]) for one in item.known_events]
    readers = {
        STEP: lambda: _steps(item),
        CALL: lambda: _calls(item, [one.remote_id for one in sides] + [remote for _, remote in events]),
        WRITE: lambda: _writes([one.pk for one in sides], [pk for pk, _ in events]),
        WEBHOOK: lambda: _webhooks(item, [one.remote_id for one in sides]),
        FINDING: lambda: _findings(item),
        ACT: lambda: _acts(item),
    }
    entries: list[Entry] = []
    cut = []
    for kind in kinds:
        found = list(readers[kind]())
        if len({one.row.pk for one in found if one.row is not None}) >= MOST:
            cut.append(kind)
        entries += found
    return Timeline(item, sorted(entries, key=lambda one: (one.at, KINDS.index(one.kind))), cut, len(events))


def _steps(item: Item) -> Iterator[Entry]:
    for one in StepRecord.objects.filter(item=item).order_by("-pk")[:MOST]:
        turn = [(_("whose turn"), one.get_error_kind_display())] if one.error_kind else []
        yield Entry(
            at=one.at,
            kind=STEP,
            what=f"{one.get_step_display()}: {one.get_status_display()}",
            detail=one.reason,
            colour=ItemStatus(one.status).colour,
            facts=((_("try"), one.attempt), *turn),
            row=one,
        )


def _calls(item: Item, subjects: list[str]) -> Iterator[Entry]:
    both = [item.batch.source_id, item.batch.target_id]
    calls = ProviderCall.objects.filter(subject__in=subjects, workspace__in=both).select_related("workspace")
    for one in calls.order_by("-pk")[:MOST]:
        facts: list[tuple[Any, object]] = [(_("in"), one.workspace), (_("took"), f"{one.took_ms} ms")]
        facts += [(_("try"), one.attempt)] if one.attempt > 1 else []
        facts += [(_("about"), one.subject)]
        facts += [(_("request id"), one.request_id)] if one.request_id else []
        yield Entry(
            at=one.at,
            kind=CALL,
            what=one.endpoint,
            detail=f"{one.status or ''} {one.error}".strip(),
            colour="warning" if one.error else "success",
            facts=tuple(facts),
            row=one,
        )


def _writes(connections: list[int], events: list[int]) -> Iterator[Entry]:
    rows = Intent.objects.filter(Q(connection__in=connections) | Q(event__in=events)).select_related("workspace")
    for one in rows.order_by("-pk")[:MOST]:
        facts = ((_("in"), one.workspace), (_("about"), one.subject), (_("try"), one.attempt))
        about = one.get_purpose_display()
        yield Entry(at=one.sent_at, kind=WRITE, what=f"{about}: about to be sent", facts=facts, row=one)
        settled = one.settled_at or one.answered_at
        if settled is not None:
            colour = {Intent.State.CONFIRMED.value: "success", Intent.State.FAILED.value: "danger"}
            yield Entry(
                at=settled,
                kind=WRITE,
                what=f"{about}: {one.get_state_display()}",
                detail=one.outcome,
                colour=colour.get(one.state, "info"),
                facts=facts,
                row=one,
            )


def _webhooks(item: Item, subjects: list[str]) -> Iterator[Entry]:
    both = [item.batch.source_id, item.batch.target_id]
    rows = Delivery.objects.filter(subject__in=subjects, workspace__in=both).select_related("workspace").defer("body")
    for one in rows.order_by("-pk")[:MOST]:
        yield Entry(
            at=one.received_at,
            kind=WEBHOOK,
            what=one.event,
            detail=one.reason,
            colour="danger" if one.state == Delivery.State.FAILED else "",
            facts=((_("from"), one.workspace), (_("state"), one.get_state_display())),
            row=one,
        )


def _findings(item: Item) -> Iterator[Entry]:
    for one in Finding.objects.filter(item=item).select_related("waived_by").order_by("-pk")[:MOST]:
        facts = ((_("severity"), one.get_severity_display()),)
        colour = {"warning": "warning", "blocking": "danger"}.get(one.severity, "info")
        yield Entry(one.found_at, FINDING, one.sentence, one.remedy, colour, facts, one)
        if one.gone_at:
            yield Entry(one.gone_at, FINDING, str(_("No longer found: {what}")).format(what=one.sentence), row=one)
        if one.waived_at:
            words = str(_("Waived by {who}: {what}")).format(who=one.waived_by, what=one.sentence)
            yield Entry(one.waived_at, FINDING, words, one.waived_reason, row=one)


def _acts(item: Item) -> Iterator[Entry]:
    """What people did to it, and to its batch as a whole; what names other items only is left out."""
    batch, mine = Batch._meta.label_lower, Item._meta.label_lower
    of_all = ~Q(data__has_any_keys=["items", "findings"])
    of_batch = Q(subject_kind=batch, subject_id=item.batch_id) & (of_all | Q(data__items__contains=item.pk))
    rows = AuditEntry.objects.filter(of_batch | Q(subject_kind=mine, subject_id=item.pk))
    for one in rows.order_by("-pk")[:MOST]:
        said = tuple(
            (name, value) for name, value in one.details.items() if name not in ("items", "findings", "reason")
        )
        yield Entry(
            at=one.at,
            kind=ACT,
            what=one.action,
            detail=one.reason,
            facts=((_("by"), one.actor_name), *said),
            row=one,
        )
