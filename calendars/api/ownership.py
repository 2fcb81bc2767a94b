"""Which workspace owns a meeting: the one that has to send its bot."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db.models import Prefetch
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from calendars.api import asking, examples
from calendars.api.base import ApiView
from calendars.api.chains import chains
from calendars.api.errors import BadRequest
from calendars.api.ids import current_of
from calendars.api.schema import described
from calendars.api.shapes import Place, place
from calendars.assignments import order_of
from calendars.models import Assignment, Calendar, Connection, Event, Occurrence, Scope, Verdict, Workspace
from calendars.scheduling.ownership import common_order, wish

if TYPE_CHECKING:
    from datetime import datetime

    from rest_framework.request import Request

MOST_EVENTS = 500
MOST_ASSIGNMENTS = 100

HOW = "Ask with one of: event, bot, or calendar and start."
BOTH = "Give calendar and start together: which calendar, and when the meeting starts."
NO_EVENT = "No event with this id is known. RecallOps knows events of workspaces that it moves or schedules."
NO_BOT = "No event is known that this bot is to attend, or attended."
NO_CALENDAR = "No calendar with this id is known."


class Copy(Place):
    """An event that shows the meeting in one workspace."""

    calendar = serializers.CharField(help_text="The provider's id of its calendar there.")
    event = serializers.CharField(help_text="The provider's id of the event there.")


class Owned(serializers.Serializer[Any]):
    """A meeting that one bot must attend, and whose it is."""

    id = serializers.IntegerField(help_text="Number of the assignment in RecallOps.")
    owner = Place(help_text="The workspace that has to send the bot. No other one is to.")
    epoch = serializers.IntegerField(help_text="How often the owner has changed.")
    since = serializers.DateTimeField(allow_null=True, help_text="When it changed last. Null: never.")
    moving = serializers.BooleanField(help_text="A hand-over is under way or ordered: the owner is about to change.")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    meeting_url = serializers.CharField()
    over = serializers.BooleanField()
    events = Copy(many=True, help_text="The events that show this meeting, in all workspaces.")


class Ownership(serializers.Serializer[Any]):
    """The answer to one question."""

    assignments = Owned(many=True, help_text="Empty: the meeting is known, and no bot is to attend it.")


class OwnershipQuery(serializers.Serializer[Any]):
    """Which meeting."""

    event = asking.RemoteId(required=False, help_text="The provider's id of an event, old or new.")
    bot = asking.RemoteId(required=False, help_text="The provider's id of a bot.")
    calendar = asking.RemoteId(required=False, help_text="The provider's id of a calendar, old or new; with `start`.")
    start = asking.Moment(required=False, help_text="Exact start of the meeting; with `calendar`.")


class Events(serializers.Serializer[Any]):
    """Events to look up."""

    events = serializers.ListField(child=asking.RemoteId(), min_length=1, max_length=MOST_EVENTS)


class EventFound(serializers.Serializer[Any]):
    """Which assignment an event belongs to."""

    event = serializers.CharField()
    assignment = serializers.IntegerField(allow_null=True, help_text="Null: no bot is to attend it.")


class OwnershipFound(serializers.Serializer[Any]):
    """The answer to many questions; a meeting that several events show is told once."""

    found = EventFound(many=True)
    unknown = serializers.ListField(child=serializers.CharField())
    assignments = Owned(many=True)


class OwnershipView(ApiView):
    """One question."""

    scope = Scope.OWNERSHIP

    @described("ownership_ask", Ownership, parameters=[OwnershipQuery], also=(404,), examples=[examples.OWNERSHIP])
    def get(self, request: Request) -> Response:
        """Say which workspace owns a meeting: by an event, by a bot, or by a calendar and a start."""
        asked = asking.query_of(request, OwnershipQuery)
        if len(asked.keys() & {"event", "bot", "calendar"}) != 1:
            raise BadRequest(BOTH if "start" in asked and len(asked) == 1 else HOW)
        if ("calendar" in asked) != ("start" in asked):
            raise BadRequest(BOTH)
        keys: Collection[int | None]
        if "event" in asked:
            found = assignments_of_events([asked["event"]])
            if not found:
                raise NotFound(NO_EVENT)
            keys = found.values()
        elif "bot" in asked:
            keys = _assignments_of_bot(asked["bot"])
        else:
            keys = _assignments_of_calendar(asked["calendar"], asked["start"])
        return Response({"assignments": told([key for key in keys if key is not None])})


class OwnershipLookupView(ApiView):
    """Many questions."""

    scope = Scope.OWNERSHIP

    @described("ownership_lookup", OwnershipFound, body=Events, examples=[examples.EVENTS, examples.OWNERSHIP_FOUND])
    def post(self, request: Request) -> Response:
        """Say of up to 500 events which workspaces own their meetings."""
        events = list(dict.fromkeys(asking.body_of(request, Events)["events"]))
        found = assignments_of_events(events)
        return Response(
            {
                "found": [{"event": one, "assignment": found[one]} for one in events if one in found],
                "unknown": [one for one in events if one not in found],
                "assignments": told({key for key in found.values() if key is not None}),
            }
        )


def assignments_of_events(events: Collection[str]) -> dict[str, int | None]:
    """Return the assignment of each event that is known; the id of an event that was moved leads to the new one."""
    workspaces = _everywhere()
    found = _known_events(events, workspaces)
    missing = [one for one in events if one not in found]
    if missing:
        now_called = {
            chain.asked: current["id"] for chain in chains(missing, kinds=["event"]) if (current := current_of(chain))
        }
        moved = _known_events(set(now_called.values()), workspaces)
        found |= {asked: moved[current] for asked, current in now_called.items() if current in moved}
    return found


def _everywhere() -> list[int]:
    """Return all workspaces: the indexes by the provider's ids begin with the workspace, and there are few."""
    return list(Workspace.objects.order_by("pk").values_list("pk", flat=True))


def _known_events(events: Collection[str], workspaces: list[int]) -> dict[str, int | None]:
    rows = Event.objects.filter(workspace__in=workspaces, remote_id__in=events).order_by("pk")
    return dict(rows.values_list("remote_id", "occurrence__assignment"))


def _assignments_of_bot(bot: str) -> Collection[int | None]:
    rows = Event.objects.filter(bots__contains=[{"bot_id": bot}]).order_by("occurrence__assignment")
    found = list(rows.values_list("occurrence__assignment", flat=True).distinct()[:MOST_ASSIGNMENTS])
    if not found:
        raise NotFound(NO_BOT)
    return found


def _assignments_of_calendar(calendar: str, start: datetime) -> Collection[int | None]:
    names = {
        calendar,
        *(current["id"] for one in chains([calendar], kinds=["calendar"]) if (current := current_of(one))),
    }
    calendars = list(
        Connection.objects.filter(workspace__in=_everywhere(), remote_id__in=names).values_list("calendar", flat=True)
    )
    if not calendars:
        raise NotFound(NO_CALENDAR)
    rows = Occurrence.objects.filter(calendar__in=calendars, assignment__start=start).order_by("assignment")
    return list(rows.values_list("assignment", flat=True).distinct()[:MOST_ASSIGNMENTS])


def told(keys: Collection[int]) -> list[dict[str, Any]]:
    """Return assignments as they are told, by their start, in three queries."""
    if not keys:
        return []
    shown = ("remote_id", "occurrence", "workspace__slug", "workspace__region__code", "connection__remote_id")
    events = Event.objects.filter(is_deleted=False).select_related("workspace__region", "connection").only(*shown)
    members = Occurrence.objects.select_related("calendar__handover").order_by("pk")
    rows = Assignment.objects.filter(pk__in=keys).select_related("owner__region").defer("bot_config", "keys")
    rows = rows.prefetch_related(
        Prefetch("occurrences", queryset=members), Prefetch("occurrences__events", queryset=events.order_by("pk"))
    )
    return [_told(row) for row in rows.order_by("start", "pk")]


def _told(row: Assignment) -> dict[str, Any]:
    members = list(row.occurrences.all())
    return {
        "id": row.pk,
        "owner": place(row.owner),
        "epoch": row.epoch,
        "since": row.flipped_at,
        "moving": _moving(row, [one.calendar for one in members if one.wanted]),
        "start": row.start,
        "end": row.end,
        "meeting_url": row.url,
        "over": row.over,
        "events": [
            {**place(event.workspace), "calendar": event.connection.remote_id, "event": event.remote_id}
            for member in members
            for event in member.events.all()
        ],
    }


def _moving(row: Assignment, calendars: list[Calendar]) -> bool:
    """Tell whether the owner is about to change, or the other workspace's bot is not gone yet."""
    if row.over:
        return False
    if row.verdict == Verdict.DOUBLED:
        return True
    order = common_order(order_of(calendar) for calendar in calendars)
    return wish(owner=row.owner_id, start=row.start, order=order, in_source=True, in_target=True) != row.owner_id
