"""The cut: where the company's own application schedules, calendars with common meetings go over at one instant.

The application works per calendar, on webhooks, so a share group goes over when nobody in it meets, now or soon
(docs/handover.md, 5.6). Until then the source's webhooks reach the application, from then on the target's. `reconcile`
takes the source's bot away, meeting by meeting, once the application's is read back in the target.

`look` is level-triggered: it forms the groups anew from the coming meetings, cuts those whose moment has come, and lets
`cut_watch` watch those that were cut.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, Sum

from calendars.models import (
    Application,
    Assignment,
    AuditEntry,
    Calendar,
    Connection,
)
from calendars.relay import outbox
from calendars.relay import tasks as relay
from migrations_app import cut_watch, inventory
from migrations_app.findings import Found, gone, note
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, ItemStatus, Severity, ShareGroup
from migrations_app.share_groups import Common, components, in_the_way, quiet_moment
from recallops import clock

LOOK_EVERY = timedelta(minutes=1)  # while a group is on its way
REST = timedelta(minutes=10)  # else
HORIZON = timedelta(days=7)  # how far ahead a quiet moment is looked for

State = ShareGroup.State

QUIET_AT = "The cut is planned for {at:%Y-%m-%d %H:%M} UTC: then nobody in this group meets, now or soon."
NEVER_QUIET = "There is no quiet moment in the next {days} days. In the way now: {meetings}."
NEVER_QUIET_REMEDY = (
    "Accept some of these meetings as exceptions (they may be doubled, and are shown), or let the application ask the "
    "ownership API before it schedules."
)
SHARES = "It shares meetings with {calendar}, which {why}."
NOT_HERE = "is not in this batch"
NOT_READY = "is not ready yet ({status})"
SHARES_REMEDY = (
    "Move it in the same batch, or accept the common meetings as exceptions: they stay in the source, and the "
    "application may double them."
)
PAUSED = "The relay to {application} is paused."
NOT_ANSWERING = "{application} has not taken webhooks since {since:%Y-%m-%d %H:%M} UTC: {problem}"
BEHIND = "{count} webhook(s) of its calendars have not reached {application} yet."
FULL = "{count} meeting(s) have a bot in both regions; more are not begun before these are through."
GOES_BACK = "The batch goes back."
FIRST_ALONE = "One group goes first, to see how long {application} takes."


def look(batch: Batch, *, watching: bool = False) -> None:
    """Form groups, cut those whose moment has come, watch those that were cut; at most once a minute.

    `watching`: cut nothing. A batch that rests, is paused or stopped is watched as long as a group of it may fall back.
    """
    now = clock.now()
    due = Batch.objects.filter(Q(groups_due_at=None) | Q(groups_due_at__lte=now), pk=batch.pk)
    if not due.update(groups_due_at=now + LOOK_EVERY):
        return
    application = batch.source.application
    if application is None:
        return
    undeleted = Item.objects.filter(batch=batch, deleted_at=None, step__in=[Step.HAND_OVER, Step.DELETE_OLD])
    watched = batch.share_groups.filter(state__in=[State.CUT, State.SETTLED], items__in=undeleted).distinct()
    for group in watched:
        cut_watch.watch(batch, group, application)
    if watched:
        cut_watch.read_again(batch)
    planned = [] if watching else _plan(batch, application)
    if not batch.share_groups.filter(state=State.CUT).exists():
        soonest = min([now + REST, *(max(at, now + LOOK_EVERY) for at in planned)])
        Batch.objects.filter(pk=batch.pk).update(groups_due_at=soonest)


@dataclass(slots=True)
class _Planned:
    """A share group as the meetings make it now."""

    group: ShareGroup
    items: list[Item]
    meetings: list[Common]
    reason: str = ""
    remedy: str = ""
    outside: set[int] = field(default_factory=set)


def _plan(batch: Batch, application: Application) -> list[datetime]:
    """Form the groups of calendars that are ready, and cut those that may go; return when the others may."""
    items = _ready(batch)
    found = _grouped(batch, items)
    numbers, now = inventory.numbers(batch), clock.now()
    before = numbers.near + (application.measured_delay or application.patience)
    for one in found:
        moment = quiet_moment(one.meetings, now=now, until=now + HORIZON, before=before)
        one.group.planned_at = moment
        if one.outside:
            one.reason, one.remedy = _shares(batch, one.outside), SHARES_REMEDY
        elif moment is None:
            names = ", ".join(f"{m.start:%a %H:%M}" for m in in_the_way(one.meetings, at=now, before=before)[:5])
            one.reason = NEVER_QUIET.format(days=HORIZON.days, meetings=names or "one after the other")
            one.remedy = NEVER_QUIET_REMEDY
        elif moment > now:
            one.reason = QUIET_AT.format(at=moment)
        else:
            one.reason = _not_now(batch, one, application)
        if not one.reason:
            _cut(batch, one, before=before)
            continue
        one.group.reason = one.reason
        ShareGroup.objects.filter(pk=one.group.pk, state=State.WAITING).update(
            name=one.group.name,
            calendars=len(one.items),
            meetings=len(one.meetings),
            planned_at=moment,
            reason=one.reason[:600],
        )
        _note_trouble(batch, one)
    return [one.group.planned_at for one in found if one.group.planned_at is not None and one.group.cut_at is None]


def _ready(batch: Batch) -> list[Item]:
    waiting = Item.objects.filter(
        batch=batch, kind=Item.Kind.CONNECTION, step=Step.HAND_OVER, status__in=ItemStatus.active()
    )
    waiting = waiting.exclude(connection__calendar__relayed_from=batch.target_id)
    return list(waiting.select_related("connection__calendar", "group").order_by("pk"))


def _grouped(batch: Batch, items: list[Item]) -> list[_Planned]:
    """Put ready items into groups, and let the rows say so."""
    by_calendar = {item.connection.calendar_id: item for item in items if item.connection}
    meetings = cut_watch.meetings_of(by_calendar)
    cut = set(
        Calendar.objects.filter(handover=batch.handover, relayed_from=batch.target_id).values_list("pk", flat=True)
    )
    of_calendar: dict[int, list[Common]] = defaultdict(list)
    for meeting in meetings:
        for calendar in meeting.calendars:
            of_calendar[calendar].append(meeting)
    found, kept, moved = [], set(), []
    for component in components(list(by_calendar), meetings):
        mine = [by_calendar[calendar] for calendar in sorted(component) if calendar in by_calendar]
        head = mine[0].group
        if head is None or head.state != State.WAITING or head.pk in kept:
            head = ShareGroup.objects.create(batch=batch, name=mine[0].title)
        kept.add(head.pk)
        head.name, head.calendars = mine[0].title, len(mine)
        for item in mine:
            if item.group_id != head.pk:
                item.group = head
                moved.append(item)
        own = {meeting.meeting: meeting for calendar in component for meeting in of_calendar[calendar]}
        found.append(_Planned(head, mine, list(own.values()), outside=set(component) - set(by_calendar) - cut))
    Item.objects.bulk_update(moved, ["group"], batch_size=500)
    batch.share_groups.filter(state=State.WAITING).exclude(pk__in=kept).delete()
    return found


def _shares(batch: Batch, outside: set[int]) -> str:
    """Say with whom meetings are shared that cannot go over now."""
    calendar = Calendar.objects.filter(pk__in=outside).order_by("email")[0]
    item = Item.objects.filter(batch=batch, connection__calendar=calendar, open=True).first()
    why = NOT_READY.format(status=f"{item.get_step_display()}: {item.get_status_display()}") if item else NOT_HERE
    return SHARES.format(calendar=calendar, why=why)


def _not_now(batch: Batch, one: _Planned, application: Application) -> str:
    """Say why a group is not cut at a quiet moment; empty when it may be."""
    application.refresh_from_db(fields=["paused", "failing_since", "last_problem", "measured_delay"])
    if application.paused:
        return PAUSED.format(application=application)
    if application.failing_since is not None:
        return NOT_ANSWERING.format(
            application=application, since=application.failing_since, problem=application.last_problem[:200]
        )
    if behind := cut_watch.waiting_for(
        batch.source_id, [item.connection for item in one.items if item.connection]
    ).count():
        return BEHIND.format(count=behind, application=application)
    if batch.share_groups.filter(state=State.CUT).exists() and not application.measured_delay:
        return FIRST_ALONE.format(application=application)
    on_their_way = batch.share_groups.filter(state=State.CUT).aggregate(sum=Sum("meetings"))["sum"] or 0
    both = Assignment.objects.filter(both=True, over=False, occurrences__calendar__handover=batch.handover)
    if (count := max(on_their_way, both.distinct().count())) and count + len(one.meetings) > batch.handover.max_both:
        return FULL.format(count=count)
    return ""


def _note_trouble(batch: Batch, one: _Planned) -> None:
    """A group that will not go by itself is a finding, until it can."""
    item = one.items[0]
    if one.remedy:
        note(batch, Step.HAND_OVER, Found("no_cut", Severity.WARNING, f"{item}: {one.reason}", one.remedy, item=item))
    else:
        gone(batch, "no_cut", item=item)


def _cut(batch: Batch, one: _Planned, *, before: timedelta) -> None:
    """From now on the target's webhooks reach the application, and the source's do not.

    Looked at once more under the lock: planning many groups takes a while, and somebody else may be at it.
    """
    connections = [item.connection for item in one.items if item.connection]
    calendars = Calendar.objects.filter(pk__in=[connection.calendar_id for connection in connections])
    with outbox.quiet([batch.source.family]):  # no webhook is put into the outbox at this moment
        now = clock.now()
        meetings = cut_watch.meetings_of([connection.calendar_id for connection in connections])
        if in_the_way(meetings, at=now, before=before) or cut_watch.waiting_for(batch.source_id, connections).exists():
            return
        won = ShareGroup.objects.filter(pk=one.group.pk, state=State.WAITING).update(
            state=State.CUT,
            cut_at=now,
            name=one.group.name,
            calendars=len(one.items),
            meetings=len(one.meetings),
            reason="",
        )
        if not won:
            return
        outbox.route(calendars, batch.target_id, at=now)
        targets = Connection.objects.filter(items_as_target__in=one.items).select_related("workspace__region")
        outbox.announce(targets, at=now)
        Item.objects.filter(group=one.group).update(due_at=None)
        AuditEntry.objects.record(
            actor=None, action="share_group.cut", subject=one.group, batch=batch.slug, meetings=len(one.meetings)
        )
        transaction.on_commit(relay.pump)
    one.group.cut_at = now
    for item in one.items:
        gone(batch, "no_cut", "fell_back", item=item)
    cut_watch.wake(calendars)


def take_all_back(batch: Batch) -> None:
    """Let only the source's webhooks reach the application again, for every calendar of a batch that goes back.

    To be called while nobody puts webhooks into the outbox (`outbox.quiet`).
    """
    now = clock.now()
    batch.share_groups.filter(state=State.WAITING).delete()
    batch.share_groups.exclude(state=State.FELL_BACK).update(
        state=State.FELL_BACK, fell_back_at=now, reason=GOES_BACK, lacking=0
    )
    outbox.route(Calendar.objects.filter(handover=batch.handover_id), batch.source_id, at=now)
    transaction.on_commit(relay.pump)


def accept(assignment: Assignment, batch: Batch, *, actor: Any, reason: str) -> None:
    """Accept that a meeting may be live or near when its group is cut, or shared with calendars that stay behind.

    It may be doubled then; it is shown. An empty reason takes the acceptance back.
    """
    with transaction.atomic():
        Assignment.objects.filter(pk=assignment.pk).update(exception=reason.strip()[:300])
        AuditEntry.objects.record(
            actor=actor,
            action="share_group.accept" if reason.strip() else "share_group.accept_no_more",
            subject=assignment,
            batch=batch.slug,
            reason=reason.strip(),
        )
        Batch.objects.filter(pk=batch.pk).update(groups_due_at=None)
