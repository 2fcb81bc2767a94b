"""After the cut: how far the company's application has come, and what is done when it does not do its part.

A group whose application does not schedule in time, schedules twice, or goes on writing to the source, falls back: the
source's webhooks again, and `reconcile` brings its meetings back. Calendars of which the application has heard nothing
are taken back before a meeting of theirs comes near.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import (
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)

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
    Workspace,
)
from calendars.providers import errors
from calendars.relay import outbox
from calendars.relay import tasks as relay
from calendars.scheduling.ownership import fits
from calendars.scheduling.rows import Loaded, load
from calendars.scheduling.values import Numbers
from migrations_app import inventory
from migrations_app.findings import Found, note
from migrations_app.itineraries import Step
from migrations_app.models import Batch, ErrorKind, Item, ItemStatus, Severity, ShareGroup
from migrations_app.share_groups import AFTER, Common, in_the_way
from recallops import clock

READ_AGAIN = timedelta(hours=1)
MOST_PUT_BACK = 2  # bots too many, in the source after the cut or in the target; one may be a coincidence
CHUNK = 200

State = ShareGroup.State

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


def watch(batch: Batch, group: ShareGroup, application: Application) -> None:
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
    held = waiting_for(batch.target_id, connections).filter(delivery__received_at__lte=group.cut_at)
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
    wake(Calendar.objects.filter(connections__in=back))


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
        Batch.objects.select_for_update().get(pk=batch.pk)  # the batch before its items, as everywhere
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
    wake(calendars)


def read_again(batch: Batch) -> None:
    """Read both workspaces whole every hour: a bot that somebody puts there need not change its event's time stamp."""
    for workspace in (batch.source, batch.target):
        sweeps = Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.EVENTS)
        if sweeps.filter(finished_at__gte=clock.now() - READ_AGAIN).exists():
            continue
        try:
            sync.run_sweep(sync.open_sweep(workspace, Sweep.Kind.EVENTS))
        except errors.ProviderError:
            continue  # it goes on at the next look; what the error means is said where meetings are read


def meetings_of(calendars: Iterable[int]) -> list[Common]:
    """Return the coming meetings of some calendars that are no exceptions, with all calendars that take part.

    Those that ended just now are among them. They end as late as the provider's clock, and ours, may see it.
    """
    now = clock.now()
    behind = Subquery(Workspace.objects.order_by("-clock_offset").values("clock_offset")[:1])
    seen_to_end = ExpressionWrapper(F("end") + behind, output_field=DateTimeField())
    coming = Q(over=False, end__gt=now) | Q(seen_to_end__gt=now - AFTER, end__lte=now)
    meetings = Assignment.objects.annotate(seen_to_end=seen_to_end)
    theirs = meetings.filter(coming, occurrences__calendar__in=list(calendars), exception="")
    parts: dict[int, set[int]] = defaultdict(set)
    for meeting, calendar in Occurrence.objects.filter(assignment__in=theirs.values("pk"), wanted=True).values_list(
        "assignment", "calendar"
    ):
        parts[meeting or 0].add(calendar)
    rows = meetings.filter(pk__in=theirs.values("pk")).values_list("pk", "start", "seen_to_end").order_by("start")
    return [Common(pk, start, end, frozenset(parts[pk])) for pk, start, end in rows if parts[pk]]


def waiting_for(workspace: int, connections: Iterable[Connection]) -> QuerySet[Relayed]:
    """Return the webhooks of some calendars that are to be sent."""
    lanes = [outbox.lane_of_calendar(workspace, connection.remote_id) for connection in connections]
    return Relayed.objects.filter(lane__in=lanes, state=Relayed.State.WAITING)


def wake(calendars: QuerySet[Calendar]) -> None:
    """Let the coming meetings of some calendars be looked at now."""
    coming = Assignment.objects.filter(occurrences__calendar__in=calendars, over=False, end__gt=clock.now())
    assignments.wake(coming.values_list("pk", flat=True).distinct())
