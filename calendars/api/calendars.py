"""Calendars: how each is known in which workspace."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Prefetch, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from calendars.api import asking, examples
from calendars.api.base import ApiView
from calendars.api.schema import described, in_path
from calendars.api.shapes import Known, Place, known, place
from calendars.models import Calendar, Connection, Customer, Occurrence, Scope, Workspace
from recallops import clock

if TYPE_CHECKING:
    from rest_framework.request import Request

NO_CUSTOMER = "There is no customer of this name. The calendars name those that there are."
NO_STATUS = "A status is a word such as connected, connecting, disconnected or deleted."
NO_EMAIL = "Write the whole e-mail address of a calendar, at most 320 characters."
NO_SUCH_CALENDAR = "There is no calendar with this number. The list of calendars has their numbers."


class CustomerName(asking.Slug):
    """The name of a customer that exists. Becomes its key."""

    def to_internal_value(self, data: Any) -> Any:
        """Look it up, so that a typing error is not taken for an empty answer."""
        key = Customer.objects.filter(slug=super().to_internal_value(data)).values_list("pk", flat=True).first()
        if key is None:
            raise serializers.ValidationError(NO_CUSTOMER)
        return key


@extend_schema_field({"type": "string", "pattern": "^[a-z_]{1,24}$"})
class Status(asking.Text):
    """A status of a connection: the provider's word."""

    form = re.compile("[a-z_]{1,24}")
    default_error_messages = {"invalid": NO_STATUS}


@extend_schema_field({"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 320})
class Email(asking.Text):
    """An address as calendars have it: in lower case."""

    form = re.compile("[!-~]{1,320}")
    default_error_messages = {"invalid": NO_EMAIL}

    def to_internal_value(self, data: Any) -> Any:
        """Return it in lower case."""
        return super().to_internal_value(data).lower()


class CustomerOf(serializers.Serializer[Any]):
    """Whom a calendar belongs to."""

    name = serializers.CharField(help_text="Its short name, as the filter takes it.")
    title = serializers.CharField()


class ConnectionOf(Known):
    """How a workspace knows a calendar."""

    status = serializers.CharField(help_text="The provider's word: connected, connecting, disconnected, deleted.")


class Coming(Place):
    """How many coming meetings a workspace owns."""

    meetings = serializers.IntegerField()


class CalendarOf(serializers.Serializer[Any]):
    """One person's calendar."""

    id = serializers.IntegerField(help_text="Its number in RecallOps, which no move changes.")
    customer = CustomerOf()
    platform = serializers.CharField(help_text="google_calendar or microsoft_outlook.")
    email = serializers.CharField()
    connections = ConnectionOf(many=True)
    coming = Coming(many=True, help_text="Its coming meetings that a bot attends, by the workspace that owns them.")


class CalendarPage(serializers.Serializer[Any]):
    """A part of the calendars."""

    next = serializers.URLField(allow_null=True, help_text="Where the next page is; null at the end.")
    results = CalendarOf(many=True)


class CalendarsQuery(asking.Paging):
    """Which calendars. Workspace and status are those of one connection."""

    customer = CustomerName(required=False, help_text="Short name of a customer.")
    workspace = asking.WorkspaceName(required=False, help_text="Name of a workspace that knows it.")
    status = Status(required=False, help_text="Status of a connection, in that workspace if one is named.")
    email = Email(required=False, help_text="Its whole address.")


class CalendarsView(ApiView):
    """All calendars."""

    scope = Scope.CALENDARS

    @described("calendars_list", CalendarPage, parameters=[CalendarsQuery], examples=[examples.CALENDAR_PAGE])
    def get(self, request: Request) -> Response:
        """List calendars with their connections."""
        asked = asking.query_of(request, CalendarsQuery)
        rows = _calendars().filter(**{name: asked[name] for name in ("customer", "email") if name in asked})
        of_one = {name: asked[name] for name in ("workspace", "status") if name in asked}
        if of_one:
            rows = rows.filter(pk__in=Connection.objects.filter(**of_one).values("calendar"))
        found, onwards = asking.page_of(rows, asked, request)
        return Response({"next": onwards, "results": _told(found)})


class CalendarView(ApiView):
    """One calendar."""

    scope = Scope.CALENDARS

    @described(
        "calendars_one",
        CalendarOf,
        parameters=[in_path("number", {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}, "Its number.")],
        also=(404,),
        examples=[examples.CALENDAR],
    )
    def get(self, request: Request, number: str) -> Response:
        """Tell of one calendar."""
        asking.query_of(request)
        found = list(_calendars().filter(pk=int(number))) if re.fullmatch("[0-9]{1,18}", number) else []
        if not found:
            raise NotFound(NO_SUCH_CALENDAR)
        return Response(_told(found)[0])


def _calendars() -> QuerySet[Calendar]:
    shown = ("remote_id", "status", "calendar", "workspace__slug", "workspace__region__code")
    connections = Connection.objects.select_related("workspace__region").only(*shown).order_by("pk")
    return Calendar.objects.select_related("customer").prefetch_related(Prefetch("connections", queryset=connections))


def _told(calendars: Sequence[Calendar]) -> list[dict[str, Any]]:
    counted = (
        Occurrence.objects.filter(
            calendar__in=[one.pk for one in calendars],
            wanted=True,
            assignment__over=False,
            assignment__end__gt=clock.now(),
        )
        .order_by("calendar", "assignment__owner")
        .values_list("calendar", "assignment__owner")
        .annotate(meetings=Count("assignment", distinct=True))
    )
    coming: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for calendar, owner, meetings in counted:
        coming[calendar].append((owner, meetings))
    owners = Workspace.objects.select_related("region").in_bulk({owner for of in coming.values() for owner, _ in of})
    return [
        {
            "id": one.pk,
            "customer": {"name": one.customer.slug, "title": one.customer.name},
            "platform": one.platform,
            "email": one.email,
            "connections": [
                {**known(its.workspace, its.remote_id), "status": its.status} for its in one.connections.all()
            ],
            "coming": [{**place(owners[owner]), "meetings": meetings} for owner, meetings in coming[one.pk]],
        }
        for one in calendars
    ]
