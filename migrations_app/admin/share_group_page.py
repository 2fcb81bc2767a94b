"""What the page of a share group shows, read in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import sealed
from calendars.models import Assignment, AuditEntry, Calendar, Occurrence, Relayed
from calendars.relay import outbox
from migrations_app import cut_watch, inventory
from migrations_app.models import Batch, Item, ShareGroup
from migrations_app.share_groups import Common, in_the_way
from recallops import clock

MOST_MEETINGS = 50
MOST_ACTS = 50
MOST_NAMES = 3

ACTS = {
    "share_group.cut": _("cut it: the target's webhooks reach the application from here on"),
    "share_group.fall_back": _("let it fall back to the source"),
    "share_group.accept": _("accepted a meeting as an exception"),
    "share_group.accept_no_more": _("took an exception back"),
}
SOON = _("live now, or starts soon")
SHARED = _("shared with {names}, which cannot go over now")


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A meeting because of which a group is not cut now."""

    pk: int
    start: datetime
    end: datetime
    calendars: int
    why: str


@dataclass(frozen=True, slots=True)
class Passed:
    """How many webhooks of a group's calendars are held, and how many were let go, by state."""

    held: int = 0
    waiting: int = 0
    delivered: int = 0
    dead: int = 0

    @property
    def let_go(self) -> int:
        """Those that are not held."""
        return self.waiting + self.delivered + self.dead


def may_change_exceptions(group: ShareGroup) -> bool:
    """Tell whether exceptions still matter: not once it is cut."""
    return group.batch.closed_at is None and group.state in (ShareGroup.State.WAITING, ShareGroup.State.FELL_BACK)


def items_of(groups: Iterable[ShareGroup]) -> QuerySet[Item]:
    """Return the items of some groups with both connections and the calendar, secrets excepted."""
    rows = Item.objects.filter(group__in=[group.pk for group in groups]).order_by("pk")
    return rows.select_related("connection__calendar", "target_connection").defer(
        *sealed("connection", "target_connection")
    )


def calendars_of(items: Iterable[Item]) -> list[int]:
    """Return the calendars of some items."""
    return [item.connection.calendar_id for item in items if item.connection is not None]


def obstacles(group: ShareGroup, members: Collection[int]) -> list[InTheWay]:
    """Return the coming meetings because of which a group is not cut now, the next one first; one more than is shown.

    They are live or near, or shared with calendars that cannot go over with this group.
    """
    batch = group.batch
    application = batch.source.application
    if application is None or not may_change_exceptions(group) or not members:
        return []
    meetings = cut_watch.meetings_of(members)
    before = inventory.numbers(batch).near + (application.measured_delay or application.patience)
    near = {one.meeting for one in in_the_way(meetings, at=clock.now(), before=before)}
    outside = _outside(batch, members, meetings)
    found = [one for one in meetings if one.meeting in near or one.calendars & outside.keys()][: MOST_MEETINGS + 1]
    return [
        InTheWay(one.meeting, one.start, one.end, len(one.calendars), _why(one, outside, is_near=one.meeting in near))
        for one in found
    ]


def with_exceptions(groups: QuerySet[ShareGroup]) -> QuerySet[ShareGroup]:
    """Read the coming meetings that were accepted as exceptions along with some groups, the next one first."""
    theirs = Occurrence.objects.filter(calendar__connections__items__group=OuterRef(OuterRef("pk")))
    rows = Assignment.objects.filter(over=False, end__gt=clock.now(), pk__in=theirs.values("assignment"))
    shown = rows.exclude(exception="").order_by("start", "pk")[:MOST_MEETINGS]
    return groups.annotate(
        accepted_json=ArraySubquery(
            shown.values(one=JSONObject(pk="pk", start="start", end="end", exception="exception"))
        )
    )


def coming_meetings(members: Collection[int]) -> QuerySet[Assignment]:
    """Return the coming meetings of some calendars, each once."""
    theirs = Assignment.objects.filter(occurrences__calendar__in=members, over=False, end__gt=clock.now())
    return Assignment.objects.filter(pk__in=theirs.values("pk"))


def webhooks(items: Iterable[Item]) -> dict[tuple[int, bool], Passed]:
    """Count the webhooks of some groups' calendars, by group and whether they come from the target; one query."""
    lanes: dict[str, tuple[int, bool]] = {}
    for item in items:
        for connection, is_target in ((item.connection, False), (item.target_connection, True)):
            if connection is not None and item.group_id is not None:
                lane = outbox.lane_of_calendar(connection.workspace_id, connection.remote_id)
                lanes[lane] = (item.group_id, is_target)
    counts: dict[tuple[int, bool], Counter[str]] = {}
    rows = Relayed.objects.filter(lane__in=list(lanes)).order_by().values_list("lane", "state")
    for lane, state, count in rows.annotate(n=Count("pk")):
        counts.setdefault(lanes[lane], Counter())[state] += count
    return {key: Passed(**found) for key, found in counts.items()}


def acts(group: ShareGroup, members: Collection[int]) -> list[tuple[AuditEntry, str]]:
    """Return what happened to a group, newest first, each with the act in words."""
    theirs = Assignment.objects.filter(occurrences__calendar__in=members)
    own = Q(subject_kind=ShareGroup._meta.label_lower, subject_id=group.pk)
    meetings = Q(
        subject_kind=Assignment._meta.label_lower,
        action__in=["share_group.accept", "share_group.accept_no_more"],
        subject_id__in=theirs.values("pk"),
        data__batch=group.batch.slug,
    )
    rows = AuditEntry.objects.filter(own | meetings).order_by("-pk")[:MOST_ACTS]
    return [(entry, str(ACTS.get(entry.action, entry.action))) for entry in rows]


def _outside(batch: Batch, members: Collection[int], meetings: Iterable[Common]) -> dict[int, str]:
    """Return the names of calendars that take part in the meetings, are not in the group, and have not gone over."""
    others = {pk for one in meetings for pk in one.calendars} - set(members)
    staying = Calendar.objects.filter(pk__in=others).exclude(handover=batch.handover_id, relayed_from=batch.target_id)
    return dict(staying.values_list("pk", "email"))


def _why(one: Common, outside: dict[int, str], *, is_near: bool) -> str:
    names = sorted(outside[pk] for pk in one.calendars if pk in outside)
    said = [str(SOON)] if is_near else []
    if names:
        more = gettext(" and {count} more").format(count=len(names) - MOST_NAMES) if len(names) > MOST_NAMES else ""
        said.append(SHARED.format(names=", ".join(names[:MOST_NAMES]) + more))
    return "; ".join(said)
