"""The cut: where the company's own application schedules, calendars with common meetings go over at one instant.

The application works per calendar, on webhooks, so a share group goes over when nobody in it meets, now or soon
(docs/handover.md, 5.6). Until then the source's webhooks reach the application, from then on the target's. `reconcile`
takes the source's bot away, meeting by meeting, once the application's is read back in the target.

`look` is level-triggered: it forms the groups anew from the coming meetings, cuts those whose moment has come, and
watches those that were cut. A group whose application does not schedule in time, schedules twice, or goes on writing to
the source, falls back: the source's webhooks again, and `reconcile` brings its meetings back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum

from calendars import assignments, sync
from calendars.models import (
    Application,
    Assignment,
    AuditEntry,
    Calendar,
    Connection,
    ConnectionStatus,
    Intent,
    Occurrence,
    Relayed,
    Sweep,
    Verdict,
)
from calendars.providers import errors
from calendars.relay import outbox
from calendars.relay import tasks as relay
from calendars.scheduling.ownership import fits
from calendars.scheduling.rows import Loaded, load
from calendars.scheduling.values import Numbers
from migrations_app import inventory
from migrations_app.findings import Found, gone, note
from migrations_app.itineraries import Step
from migrations_app.models import Batch, ErrorKind, Item, ItemStatus, Severity, ShareGroup
from migrations_app.share_groups import Common, components, in_the_way, quiet_moment
from recallops import clock

LOOK_EVERY = timedelta(minutes=1)  # while a group is on its way
READ_AGAIN = timedelta(hours=1)
REST = timedelta(minutes=10)  # else
HORIZON = timedelta(days=7)  # how far ahead a quiet moment is looked for
MOST_PUT_BACK = 2  # bots too many, in the source after the cut or in the target; one may be a coincidence
CHUNK = 200

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
FIRST_ALONE = "One group goes first, to see how long {application} takes."
SCHEDULING = (
    "{lacking} of {meetings} meeting(s) have no bot in the target yet; {application} has until {until:%H:%M} UTC."
)
DELIVERING = "{count} webhook(s) of the target are on their way to {application}."

LATE = "{application} did not schedule {lacking} of {meetings} meeting(s) in the target within {minutes:.0f} minutes."
TWICE = "{application} scheduled {count} meeting(s) twice in the target."
GOES_ON = "{application} goes on writing to the source: it put {count} bot(s) there after the cut."
FELL_BACK = "The group of {group} fell back to the source. {why}"
REMEDY = (
    "Mend the application (region and key by the headers recallops-region and recallops-workspace; schedule on the "
    "target's calendar.sync_events), then press “retry failed”: the group is cut again at its next quiet moment."
)
TOO_LATE = "{why} Some of its calendars are deleted in the source already, so it does not fall back."


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
        _watch(batch, group, application)
    if watched:
        _read_again(batch)
    planned = [] if watching else _plan(batch, application)
    if not batch.share_groups.filter(state=State.CUT).exists():
        soonest = min([now + REST, *(max(at, now + LOOK_EVERY) for at in planned)])
        Batch.objects.filter(pk=batch.pk).update(groups_due_at=soonest)


def _read_again(batch: Batch) -> None:
    """Read both workspaces whole every hour: a bot that somebody puts there need not change its event's time stamp."""
    for workspace in (batch.source, batch.target):
        sweeps = Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.EVENTS)
        if sweeps.filter(finished_at__gte=clock.now() - READ_AGAIN).exists():
            continue
        try:
            sync.run_sweep(sync.open_sweep(workspace, Sweep.Kind.EVENTS))
        except errors.ProviderError:
            continue  # it goes on at the next look; what the error means is said where meetings are read


# --- before the cut


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
    meetings = meetings_of(by_calendar)
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


def meetings_of(calendars: Iterable[int]) -> list[Common]:
    """Return the coming meetings of some calendars that are no exceptions, with all calendars that take part."""
    now = clock.now()
    theirs = Assignment.objects.filter(occurrences__calendar__in=list(calendars), over=False, end__gt=now, exception="")
    parts: dict[int, set[int]] = defaultdict(set)
    for meeting, calendar in Occurrence.objects.filter(assignment__in=theirs.values("pk"), wanted=True).values_list(
        "assignment", "calendar"
    ):
        parts[meeting or 0].add(calendar)
    rows = Assignment.objects.filter(pk__in=theirs.values("pk")).values_list("pk", "start", "end").order_by("start")
    return [Common(pk, start, end, frozenset(parts[pk])) for pk, start, end in rows if parts[pk]]


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
    if behind := _waiting(batch.source_id, [item.connection for item in one.items if item.connection]).count():
        return BEHIND.format(count=behind, application=application)
    if batch.share_groups.filter(state=State.CUT).exists() and not application.measured_delay:
        return FIRST_ALONE.format(application=application)
    on_their_way = batch.share_groups.filter(state=State.CUT).aggregate(sum=Sum("meetings"))["sum"] or 0
    both = Assignment.objects.filter(both=True, over=False, occurrences__calendar__handover=batch.handover)
    if (count := max(on_their_way, both.distinct().count())) and count + len(one.meetings) > batch.handover.max_both:
        return FULL.format(count=count)
    return ""


def _waiting(workspace: int, connections: Iterable[Connection]) -> QuerySet[Relayed]:
    lanes = [outbox.lane_of_calendar(workspace, connection.remote_id) for connection in connections]
    return Relayed.objects.filter(lane__in=lanes, state=Relayed.State.WAITING)


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
        meetings = meetings_of([connection.calendar_id for connection in connections])
        if in_the_way(meetings, at=now, before=before) or _waiting(batch.source_id, connections).exists():
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
    _wake(calendars)


def _wake(calendars: QuerySet[Calendar]) -> None:
    coming = Assignment.objects.filter(occurrences__calendar__in=calendars, over=False, end__gt=clock.now())
    assignments.wake(coming.values_list("pk", flat=True).distinct())


# --- after the cut


def _watch(batch: Batch, group: ShareGroup, application: Application) -> None:
    """Look how far the application has come, and whether it does what it must not."""
    numbers = inventory.numbers(batch)
    calendars = Calendar.objects.filter(connections__items__group=group).distinct()
    # whose calendar somebody deleted in the target: its step puts it right
    lost = Item.objects.filter(group=group, target_connection__status=ConnectionStatus.DELETED)
    lost.filter(status__in=ItemStatus.active()).update(due_at=None)
    if why := _misbehaves(batch, group, calendars, application, numbers):
        _fall_back(batch, group, why)
        return
    if group.state != State.CUT or group.cut_at is None:
        return
    connections = list(Connection.objects.filter(items_as_target__group=group))
    held = _waiting(batch.target_id, connections).filter(delivery__received_at__lte=group.cut_at)
    until = _reached_it(batch, connections, group.cut_at) + application.patience
    before = numbers.near + (application.measured_delay or application.patience)
    open_rows = _open_rows(batch, calendars, numbers)
    lacking = [one for one in open_rows if not _in_target(one, numbers)]
    undelivered = held.count()
    if undelivered and in_the_way(meetings_of(calendars.values_list("pk", flat=True)), at=clock.now(), before=before):
        _take_back(batch, group, connections)
        return
    if undelivered:
        reason = DELIVERING.format(count=undelivered, application=application)
    elif not open_rows:
        _settled(group, calendars, application)
        return
    else:
        if late := sum(_read_at(one) >= _due(one, until, application.patience) for one in lacking):
            minutes = application.patience / timedelta(minutes=1)
            why = LATE.format(application=application, lacking=late, meetings=group.meetings, minutes=minutes)
            _fall_back(batch, group, why)
            return
        reason = SCHEDULING.format(lacking=len(lacking), meetings=group.meetings, application=application, until=until)
    ShareGroup.objects.filter(pk=group.pk).update(lacking=len(lacking), reason=reason[:600])


def _take_back(batch: Batch, group: ShareGroup, connections: Iterable[Connection]) -> None:
    """Give the source back the calendars of which the application has got nothing since the cut, to be cut again later.

    Their meetings come near: what reached it only now would be scheduled beside the source's bots.
    """
    now = clock.now()
    with outbox.quiet([batch.source.family]):
        lanes = {outbox.lane_of_calendar(batch.target_id, one.remote_id): one for one in connections}
        reached = Relayed.objects.filter(lane__in=lanes, delivered_at__gte=group.cut_at).values_list("lane", flat=True)
        back = [one for lane, one in lanes.items() if lane not in set(reached)]
        if not back:
            return
        outbox.route(Calendar.objects.filter(connections__in=back), batch.source_id, at=now)
        Item.objects.filter(target_connection__in=back, batch=batch).update(group=None, due_at=None)
        if not Item.objects.filter(group=group).exists():
            ShareGroup.objects.filter(pk=group.pk, state=State.CUT).delete()
        AuditEntry.objects.record(
            actor=None, action="share_group.take_back", subject=group, batch=batch.slug, calendars=len(back)
        )
        transaction.on_commit(relay.pump)
    _wake(Calendar.objects.filter(connections__in=back))


def _open_rows(batch: Batch, calendars: QuerySet[Calendar], numbers: Numbers) -> list[Loaded]:
    """Return the meetings that are to go over and have not, as far as they are not near their start."""
    soon = clock.now() + numbers.near
    theirs = Assignment.objects.filter(owner=batch.source_id, over=False, start__gt=soon, exception="")
    theirs = theirs.filter(occurrences__calendar__in=calendars)
    ids = list(theirs.order_by("start").values_list("pk", flat=True).distinct())
    loaded = [one for at in range(0, len(ids), CHUNK) for one in load(ids[at : at + CHUNK])]
    return [one for one in loaded if one.row.wish == batch.target_id and one.row.wanted]


def _read_at(one: Loaded) -> datetime:
    """Return when the target was last read for a meeting."""
    side = one.row.other
    return (side.read_at if side is not None else None) or datetime.min.replace(tzinfo=UTC)


def _due(one: Loaded, until: datetime, patience: timedelta) -> datetime:
    """Return until when the application has time for a meeting: longer for one that has just changed."""
    side = one.row.other
    events = [one.events[member.event] for member in side.members] if side is not None else []
    return max([until, *(event.remote_updated_at + patience for event in events)])


def _in_target(one: Loaded, numbers: Numbers) -> bool:
    side = one.row.other
    return side is not None and any(
        fits(entry, one.row, now=clock.now(), freeze=numbers.freeze, patience=numbers.patience)
        for member in side.members
        for entry in member.bots
    )


def _reached_it(batch: Batch, connections: Iterable[Connection], cut_at: datetime) -> datetime:
    """Return when the last webhook that was held until the cut reached the application, or was given up."""
    lanes = [outbox.lane_of_calendar(batch.target_id, one.remote_id) for one in connections]
    came = Relayed.objects.filter(lane__in=lanes, delivery__received_at__lte=cut_at)
    last = came.exclude(state=Relayed.State.HELD).aggregate(at=Max("delivered_at"), dead=Max("due_at"))
    moments: list[datetime] = [cut_at, *(at for at in (last["at"], last["dead"]) if at is not None)]
    return max(moments)


def _misbehaves(
    batch: Batch, group: ShareGroup, calendars: QuerySet[Calendar], application: Application, numbers: Numbers
) -> str:
    """Say what the application does that it must not; empty when it behaves."""
    if group.cut_at is None:
        return ""
    theirs = Assignment.objects.filter(over=False, occurrences__calendar__in=calendars)
    taken = Intent.objects.filter(assignment__in=theirs, purpose=Intent.Purpose.REMOVE_BOT, sent_at__gte=group.cut_at)
    again = taken.filter(workspace=batch.source_id).values("assignment")
    again = again.annotate(bots=Count("bot_id", distinct=True)).filter(bots__gt=1).order_by()
    if (count := sum(row["bots"] - 1 for row in again)) >= MOST_PUT_BACK:
        return GOES_ON.format(application=application, count=count)
    settled = clock.now() - application.patience
    doubled = theirs.filter(
        verdict=Verdict.DOUBLED, both=False, start__gt=clock.now() + numbers.freeze, flipped_at__lte=settled
    )
    # with calendars that have not gone over, and for exceptions, a bot too many in the target is nobody's fault
    behind = Occurrence.objects.filter(assignment=OuterRef("pk"), wanted=True)
    behind = behind.exclude(calendar__relayed_from=batch.target_id)
    extra = Assignment.objects.filter(intents__in=taken.filter(workspace=batch.target_id), exception="")
    extra = extra.filter(~Exists(behind))
    if (count := (doubled | extra).distinct().count()) >= MOST_PUT_BACK:
        return TWICE.format(application=application, count=count)
    return ""


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


def _settled(group: ShareGroup, calendars: QuerySet[Calendar], application: Application) -> None:
    """All of it has gone over; what that took is how long the next ones may take."""
    last = Assignment.objects.filter(occurrences__calendar__in=calendars, flipped_at__gte=group.cut_at)
    at = last.aggregate(at=Max("flipped_at"))["at"] or clock.now()
    took = max(at - (group.cut_at or at), timedelta(seconds=1))
    Application.objects.filter(pk=application.pk, measured_delay__lt=took).update(measured_delay=took)
    ShareGroup.objects.filter(pk=group.pk, state=State.CUT).update(
        state=State.SETTLED, settled_at=clock.now(), lacking=0, reason=""
    )
    Item.objects.filter(group=group, status=ItemStatus.WAITING).update(due_at=None)


def _fall_back(batch: Batch, group: ShareGroup, why: str) -> None:
    """Let the source's webhooks reach the application again; `reconcile` brings back what went over."""
    items = Item.objects.filter(group=group, open=True).exclude(status__in=[ItemStatus.NOT_MOVABLE, ItemStatus.USER])
    first = items.order_by("pk").first()
    if first is None:
        return
    if items.exclude(deleted_at=None).exists():
        note(batch, Step.HAND_OVER, Found("misbehaves", Severity.WARNING, TOO_LATE.format(why=why), REMEDY, item=first))
        return
    now = clock.now()
    calendars = Calendar.objects.filter(connections__items__in=items)
    with outbox.quiet([batch.source.family]):
        won = ShareGroup.objects.filter(pk=group.pk, state__in=[State.CUT, State.SETTLED]).update(
            state=State.FELL_BACK, fell_back_at=now, reason=why[:600]
        )
        if not won:
            return
        calendars = Calendar.objects.filter(pk__in=list(calendars.values_list("pk", flat=True)))
        outbox.route(calendars, batch.source_id, at=now)
        Connection.objects.filter(items__in=items).update(closing=False)
        items.update(
            status=ItemStatus.FAILED,
            step=Step.HAND_OVER,
            reason=why[:600],
            error_kind=ErrorKind.CONFIGURATION,
            due_at=None,
            attempts=0,
            lease_token=None,
            lease_until=None,
        )
        Batch.objects.filter(pk=batch.pk).update(changed_at=now)
        AuditEntry.objects.record(actor=None, action="share_group.fall_back", subject=group, batch=batch.slug, why=why)
        transaction.on_commit(relay.pump)
    sentence = FELL_BACK.format(group=group, why=why)
    note(batch, Step.HAND_OVER, Found("fell_back", Severity.WARNING, sentence, REMEDY, item=first))
    _wake(calendars)
