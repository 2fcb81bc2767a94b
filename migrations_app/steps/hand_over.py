"""Hand over: wait until nothing of this calendar hangs on the source any more. Hand back: the same the other way.

The batch only says where assignments should be; `reconcile` moves them. A calendar has handed over when each of its
coming meetings

- is owned by the workspace that it goes to, and the other one's bot is gone, or
- stays for good because another calendar of the same meeting cannot go, and hangs on that one, or
- is shown by nobody any more but a calendar that fell off where it leaves, or
- is over. What starts before the cut line, or too near it, stays where it is to its end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from calendars import assignments
from calendars.models import Assignment, AuditEntry, Handover, RateBudget
from calendars.providers.recall_endpoints import ADD_BOT
from calendars.scheduling.ownership import is_lost
from calendars.scheduling.rows import Loaded, load
from calendars.scheduling.values import Numbers
from migrations_app import coverage, cuts, inventory, planner
from migrations_app.findings import Found, note
from migrations_app.itineraries import Step
from migrations_app.models import Batch, CoverageReading, Item, ItemStatus, Severity, ShareGroup
from migrations_app.outcomes import DONE, Outcome, wait
from migrations_app.steps import recreate
from recallops import clock
from recallops.prepared import Given, changing, prepared

MOVING = "{count} meeting(s) are being handed over."
STAYING = "{count} meeting(s) stay with {where} to their end; the last one ends {end:%Y-%m-%d %H:%M} UTC."
LINE_PROPOSED = (
    "Meetings that start from {at:%Y-%m-%d %H:%M} UTC on go to the target ({near} start near the freeze there)."
)
GROUP_FIRST = "Others of its share group have not gone over yet."
BEFORE_CUT = "It waits for the cut of its share group."
LOOK_AGAIN = timedelta(minutes=30)  # in case a wake-up was lost; `wake_finished` comes first as a rule
AFTER_END = timedelta(minutes=3)
HANDING = (Step.HAND_OVER, Step.HAND_BACK)
HORIZON = timedelta(hours=12)  # how far ahead the planner looks for a quiet moment


def prepare(batch: Batch) -> None:
    """Choose the cut line where nobody has, and take the ledger's reading at the cut."""
    if batch.handover.external:
        cuts.look(batch)
        if batch.share_groups.exclude(cut_at=None).exists():
            coverage.read(batch, CoverageReading.Moment.CUT)
        return
    if batch.handover.cut_line is None:
        choose_cut_line(batch)
    elif clock.now() >= batch.handover.cut_line:
        coverage.read(batch, CoverageReading.Moment.CUT)


def wake_finished(batch: Batch) -> int:
    """Let calendars be looked at now of which nothing hangs on the workspace that they leave; return how many.

    One statement for all of them, so that a calendar need not ask again and again.
    """
    return _wake(**_of(batch))


def any_finished(batch: Batch) -> bool:
    """Tell whether calendars wait of which nothing hangs on the workspace that they leave."""
    return bool(_finished(limit=1, **_of(batch)))


def _waiting_for_nothing() -> QuerySet[Item]:
    hanging = Assignment.objects.filter(
        Q(owner=Given("leaving")) | Q(both=True), occurrences__calendar=OuterRef("connection__calendar"), over=False
    )
    waiting = Item.objects.filter(
        batch=Given("batch"), step__in=HANDING, status=ItemStatus.WAITING, due_at__gt=Given("now")
    )
    alone = Q(batch__handover__external=False) | Q(batch__handover__backwards=True)
    return waiting.filter(alone | Q(group__state=ShareGroup.State.SETTLED)).filter(~Exists(hanging))


_wake = changing(due_at=None)(_waiting_for_nothing)


@prepared
def _finished() -> QuerySet[Item, tuple[int]]:
    return _waiting_for_nothing().order_by().values_list("pk")


def _of(batch: Batch) -> dict[str, Any]:
    leaving = batch.target_id if batch.goes_back else batch.source_id
    return {"batch": batch.pk, "leaving": leaving, "now": clock.now()}


def choose_cut_line(batch: Batch) -> None:
    """Take the planner's first proposal as the cut line, unless somebody chose one meanwhile."""
    proposals = propose(batch, most=1)
    if not proposals:
        return
    choice = proposals[0]
    with transaction.atomic():
        won = Handover.objects.filter(pk=batch.handover_id, cut_line=None).update(cut_line=choice.at)
        if not won:
            return
        AuditEntry.objects.record(
            actor=None, action="batch.cut_line", subject=batch, before=None, after=choice.at.isoformat()
        )
    batch.handover.cut_line = choice.at
    sentence = LINE_PROPOSED.format(at=choice.at, near=choice.near_the_freeze)
    note(batch, Step.HAND_OVER, Found("cut_line", Severity.INFO, sentence))
    assignments.touch_handover(batch.handover)


def propose(
    batch: Batch,
    *,
    most: int | None = 5,
    numbers: Numbers | None = None,
    between: tuple[datetime, datetime] | None = None,
) -> list[planner.CutChoice]:
    """Return the planner's best cut lines for a batch, best first.

    `numbers`: its own, where they were read already. `between`: only those from the one moment to the other, in place
    of the next hours.
    """
    now, numbers = clock.now(), numbers or inventory.numbers(batch)
    budget = RateBudget.objects.filter(workspace=batch.target, endpoint=ADD_BOT).first()
    per_minute = 60 / budget.emission if budget else 60.0
    meetings = inventory.meetings(batch)
    starts = [start for start, _ in meetings]
    earliest = planner.earliest_feasible_cut(
        starts, now=now, adds_per_minute=per_minute, freeze=numbers.freeze, margin=numbers.margin
    )
    busy = meetings
    if between is not None:  # what goes on now is over by then
        earliest, horizon = max(earliest, between[0]), between[1] - now
    else:
        horizon = max(HORIZON, earliest - now + HORIZON)
        live = coverage.assignments_of(batch).filter(start__lte=now + horizon, end__gte=now)
        busy = list(live.values_list("start", "end")) or meetings
    choices = planner.propose_cut_lines(
        starts,
        now=now,
        earliest=earliest,
        horizon=horizon,
        near=numbers.near,
        busy=busy,
    )
    return choices[:most]


def run(item: Item) -> Outcome:
    """Look whether anything of this calendar still hangs on the source."""
    connection = item.connection
    if connection is None:
        raise ValueError("an item of a calendar needs its connection")
    if (lost := recreate.lost(item)) is not None:
        return lost
    if item.batch.handover.external and connection.calendar.relayed_from_id != item.batch.target_id:
        return wait((item.group.reason if item.group else "") or BEFORE_CUT, clock.now() + LOOK_AGAIN)
    if (waiting := _hanging(item, connection.calendar_id)) is not None:
        return waiting
    if item.group is not None and item.group.state == ShareGroup.State.CUT:
        return wait(item.group.reason or GROUP_FIRST, clock.now() + LOOK_AGAIN)
    return DONE


def back(item: Item) -> Outcome:
    """Look whether anything of this calendar still hangs on the target, on the way back."""
    source, target = item.connection, item.target_connection
    if target is None or source is None or (target.status == "deleted" and source.status != "connected"):
        return DONE
    # also where somebody deleted it in the target: its meetings are to be with the source before the batch lets go
    if (lost := recreate.lost(item)) is not None:
        return lost
    return _hanging(item, target.calendar_id) or DONE


def _hanging(item: Item, calendar: int) -> Outcome | None:
    """Return what of a calendar is waited for; None when nothing hangs on the workspace that it leaves."""
    now, origin, destination = clock.now(), item.batch.origin, item.batch.destination.pk
    coming = Assignment.objects.filter(occurrences__calendar=calendar, over=False).distinct()
    open_rows = coming.exclude(owner=destination, both=False).values_list("pk", flat=True)
    moving, staying = 0, []
    there = item.staying is not None and item.staying.connected
    for one in load(list(open_rows)):
        if now >= one.row.end or not one.row.wanted or (there and is_lost(one.row)):
            continue
        if one.assignment.owner_id == destination:
            moving += _has_bot(one, origin.pk)
        elif one.row.wish == destination:
            if one.row.start - now > inventory.numbers(item.batch).near:
                moving += 1
            else:
                staying.append(one.row.end)
        elif not _hangs_on_another(item, one, calendar):
            staying.append(one.row.end)
    if moving:
        return wait(MOVING.format(count=moving), now + LOOK_AGAIN)
    if staying:
        end = max(staying)
        return wait(STAYING.format(count=len(staying), where=origin, end=end), end + AFTER_END)
    return None


def _has_bot(one: Loaded, workspace: int) -> bool:
    side = next((s for s in (one.row.owner, one.row.other) if s is not None and s.workspace == workspace), None)
    return side is not None and any(
        not entry.terminal and entry.start == one.row.start for member in side.members for entry in member.bots
    )


def _hangs_on_another(item: Item, one: Loaded, calendar: int) -> bool:
    """Tell whether another calendar, which does not leave that workspace, can hold this meeting's bot there."""
    side = one.row.owner
    return side.workspace == item.batch.origin.pk and any(
        one.events[member.event].connection.calendar_id != calendar
        and member.connected
        and not member.deleted
        and not member.closing
        and member.occurrence in one.row.wanted
        and one.events[member.event].connection.calendar_id in _staying_calendars(item, one)
        for member in side.members
    )


def _staying_calendars(item: Item, one: Loaded) -> set[int]:
    """Calendars of this meeting that no open item is going to take away from where this one leaves."""
    calendars = {event.connection.calendar_id for event in one.events.values()}
    leaving = Item.objects.filter(
        connection__calendar__in=calendars,
        open=True,
        status__in=[*ItemStatus.active(), ItemStatus.DONE, ItemStatus.BACK],
        batch__handover__backwards=item.batch.goes_back,
    )
    if item.batch.goes_back:
        leaving = leaving.filter(created_target=True)
    return calendars - set(leaving.values_list("connection__calendar", flat=True))
