"""What stored webhooks lead to. A driver calls `handle` with what waits; rows, not calls, say what is done.

Webhooks are signs, not facts: they come twice, late, in any order, or not at all. So each only says what is to be read
again, or a state with its time, and acting on one twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction

from calendars import ingest, sync
from calendars.models import Delivery, Workspace
from calendars.webhooks import events
from calendars.webhooks.events import Told
from recallops import clock
from recallops.webhook_door import kind_and_place

logger = logging.getLogger("recallops.webhooks")

NOTHING_DEPENDS = "kept: nothing here depends on it"
NOT_IN_CATALOGUE = "kept: not in the vendor's catalogue"
NO_CODE = "kept: it says no state"
BROKE = "It was understood, but acting on it failed ({kind}). Try again; if that fails too, look into the log."

State = Delivery.State


@dataclass(frozen=True, slots=True)
class Read:
    """A delivery and what it tells."""

    delivery: Delivery
    told: Told


def handle(deliveries: Sequence[Delivery]) -> None:
    """Act on deliveries that wait, and note on each what became of it. A database that is away leaves them waiting."""
    waiting: dict[tuple[int, Act], list[Read]] = {}
    for delivery in deliveries:
        told = events.parse(bytes(delivery.body))
        delivery.event, delivery.subject = told.event, told.subject
        act = _act_of(told)
        if act is None:
            delivery.state = State.FAILED if told.problem else State.KEPT
            delivery.reason = told.problem or _why_kept(told)
        else:
            waiting.setdefault((delivery.workspace_id, act), []).append(Read(delivery, told))
    workspaces = Workspace.objects.select_related("region").in_bulk({workspace for workspace, _ in waiting})
    # bots last: they lock assignments, which whoever stores calendars locks after the connections
    for (workspace, act), reads in sorted(waiting.items(), key=lambda one: one[0][1] is _bot_statuses):
        _carry_out(act, workspaces[workspace], reads)
    now = clock.now()
    for delivery in deliveries:
        delivery.handled_at = now
    Delivery.objects.filter(state=State.RECEIVED).bulk_update(
        deliveries, ["state", "event", "subject", "reason", "handled_at"]
    )


def _events_changed(workspace: Workspace, reads: Sequence[Read]) -> None:
    newest: dict[str, datetime | None] = {}  # an old word beside a new one must not hide it; no time at all is news
    for read in reads:
        calendar, told = read.told.calendar_id, read.told.last_updated_ts
        before = newest.get(calendar, told)
        newest[calendar] = max(before, told) if before and told else None
    sync.events_changed(workspace, newest, heard_at=_heard_at(reads))


def _calendars_changed(workspace: Workspace, reads: Sequence[Read]) -> None:
    sync.calendars_changed(workspace, {read.told.calendar_id for read in reads}, heard_at=_heard_at(reads))


def _bot_statuses(workspace: Workspace, reads: Sequence[Read]) -> None:
    told = [(read.told.bot_id, read.told.code, read.told.updated_at or read.delivery.sent_at) for read in reads]
    ingest.bot_statuses(workspace, told)


Act = Callable[[Workspace, Sequence[Read]], None]


def _act_of(told: Told) -> Act | None:
    if told.problem:
        return None
    if told.event == events.CALENDAR_SYNC:
        return _events_changed
    if told.event == events.CALENDAR_UPDATE:
        return _calendars_changed
    if told.is_bot_state and told.code:
        return _bot_statuses
    return None


def _why_kept(told: Told) -> str:
    if not told.known:
        return NOT_IN_CATALOGUE
    return NO_CODE if told.is_bot_state else NOTHING_DEPENDS


def _heard_at(reads: Sequence[Read]) -> datetime:
    """Return when the last of them came: what was read before that may not show what all of them say."""
    return max(read.delivery.received_at for read in reads)


def _carry_out(act: Act, workspace: Workspace, reads: Sequence[Read]) -> None:
    """Act on all at once; if that fails, on each for itself, so that none holds up the others."""
    try:
        with transaction.atomic():
            act(workspace, reads)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(reads) > 1:
            for read in reads:
                _carry_out(act, workspace, [read])
            return
        kind = type(error).__name__
        logger.error("acting on delivery %s failed: %s", reads[0].delivery.pk, kind_and_place(error))
        reads[0].delivery.state, reads[0].delivery.reason = State.FAILED, BROKE.format(kind=kind)
        return
    for read in reads:
        read.delivery.state, read.delivery.reason = State.HANDLED, ""
