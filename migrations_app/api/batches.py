"""Batches: how far a move is, and what became of each calendar. No credentials, no names of staff."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Count, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from calendars.api import asking
from calendars.api.base import ApiView
from calendars.api.schema import described, in_path
from calendars.api.shapes import Place, place
from calendars.models import Scope
from migrations_app.api import examples
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus

if TYPE_CHECKING:
    from rest_framework.request import Request

NO_BATCH = "There is no batch of this name. The list of batches names those that there are."
NAME = in_path("name", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 50}, "Name of the batch.")


class Tally(serializers.Serializer[Any]):
    """How many calendars are at a step, and how they are doing."""

    step = serializers.ChoiceField(Step.values)
    status = serializers.ChoiceField(ItemStatus.values)
    count = serializers.IntegerField()


class Progress(serializers.Serializer[Any]):
    """How far it is. Not movable ones are no part of it."""

    moved = serializers.IntegerField()
    movable = serializers.IntegerField()
    percent = serializers.IntegerField(min_value=0, max_value=100)


class BatchOf(serializers.Serializer[Any]):
    """One move."""

    name = serializers.CharField()
    source = Place()  # type: ignore[assignment]
    target = Place()
    step = serializers.ChoiceField(Step.values, help_text="Where its slowest item is.")
    goal = serializers.ChoiceField(Step.values, allow_null=True, help_text="The furthest step that is allowed.")
    status = serializers.ChoiceField(BatchStatus.values)
    reason = serializers.CharField(allow_blank=True, help_text="Why it waits or was stopped, for people.")
    goes_back = serializers.BooleanField(help_text="It was cancelled or reversed: all goes to the source again.")
    paused = serializers.BooleanField(help_text="No further meeting is handed over for now.")
    cut_line = serializers.DateTimeField(allow_null=True, help_text="Meetings from here on go to the target.")
    started_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    calendars = Tally(many=True)
    progress = Progress()


class BatchPage(serializers.Serializer[Any]):
    """A part of the batches."""

    next = serializers.URLField(allow_null=True, help_text="Where the next page is; null at the end.")
    results = BatchOf(many=True)


class ItemOf(serializers.Serializer[Any]):
    """One calendar of a batch, or one entry of its checklist."""

    kind = serializers.ChoiceField(Item.Kind.values)
    title = serializers.CharField(allow_blank=True)
    step = serializers.ChoiceField(Step.values)
    status = serializers.ChoiceField(ItemStatus.values)
    reason = serializers.CharField(allow_blank=True)
    source_id = serializers.CharField(help_text="Id of the calendar in the source, or code of the entry.")
    target_id = serializers.CharField(allow_null=True, help_text="Id of the calendar in the target, once it has one.")


class ItemPage(serializers.Serializer[Any]):
    """A part of the items."""

    next = serializers.URLField(allow_null=True, help_text="Where the next page is; null at the end.")
    results = ItemOf(many=True)


class BatchesQuery(asking.Paging):
    """Which batches."""

    status = asking.OneOf(BatchStatus.values, required=False)
    source = asking.WorkspaceName(  # type: ignore[assignment]
        required=False, help_text="Name of the workspace that it leaves."
    )
    target = asking.WorkspaceName(required=False, help_text="Name of the workspace that it goes to.")


class ItemsQuery(asking.Paging):
    """Which items."""

    kind = asking.OneOf(Item.Kind.values, required=False)
    step = asking.OneOf(Step.values, required=False)
    status = asking.OneOf(ItemStatus.values, required=False)


class BatchesView(ApiView):
    """All batches."""

    scope = Scope.BATCHES

    @described("batches_list", BatchPage, parameters=[BatchesQuery], examples=[examples.BATCH_PAGE])
    def get(self, request: Request) -> Response:
        """List batches with what became of their calendars."""
        asked = asking.query_of(request, BatchesQuery)
        chosen = {name: asked[name] for name in ("status", "source", "target") if name in asked}
        found, onwards = asking.page_of(_batches().filter(**chosen), asked, request)
        return Response({"next": onwards, "results": _told(found)})


class BatchView(ApiView):
    """One batch."""

    scope = Scope.BATCHES

    @described("batches_one", BatchOf, parameters=[NAME], also=(404,), examples=[examples.BATCH])
    def get(self, request: Request, name: str) -> Response:
        """Tell of one batch."""
        asking.query_of(request)
        return Response(_told([_called(name)])[0])


class ItemsView(ApiView):
    """The items of a batch."""

    scope = Scope.BATCHES

    @described("batches_items", ItemPage, parameters=[NAME, ItemsQuery], also=(404,), examples=[examples.ITEM_PAGE])
    def get(self, request: Request, name: str) -> Response:
        """List the items of a batch: what became of each calendar, and why it waits."""
        asked = asking.query_of(request, ItemsQuery)
        rows = Item.objects.filter(batch=_called(name)).select_related("target_connection")
        rows = rows.filter(**{name: asked[name] for name in ("kind", "step", "status") if name in asked})
        found, onwards = asking.page_of(rows.only(*_SHOWN), asked, request)
        return Response({"next": onwards, "results": [_item(row) for row in found]})


_SHOWN = ("kind", "title", "step", "status", "reason", "source_id", "target_connection__remote_id")


def _batches() -> QuerySet[Batch]:
    return Batch.objects.filter(draft=False).select_related("source__region", "target__region", "handover")


def _called(name: str) -> Batch:
    asking.checked(_Named, {"name": name})
    batch = _batches().filter(slug=name).first()
    if batch is None:
        raise NotFound(NO_BATCH)
    return batch


class _Named(serializers.Serializer[Any]):
    name = asking.Slug()


def _item(row: Item) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "title": row.title,
        "step": row.step,
        "status": row.status,
        "reason": row.reason,
        "source_id": row.source_id,
        "target_id": row.target_connection.remote_id if row.target_connection else None,
    }


def _told(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    tallies: dict[int, list[dict[str, Any]]] = defaultdict(list)
    counted = (
        Item.objects.filter(batch__in=[one.pk for one in batches], kind=Item.Kind.CONNECTION)
        .order_by("batch", "step", "status")
        .values_list("batch", "step", "status")
        .annotate(count=Count("pk"))
    )
    for batch, step, status, count in counted:
        tallies[batch].append({"step": step, "status": status, "count": count})
    return [
        {
            "name": one.slug,
            "source": place(one.source),
            "target": place(one.target),
            "step": one.step,
            "goal": one.goal or None,
            "status": one.status,
            "reason": one.reason,
            "goes_back": one.goes_back,
            "paused": one.handover.paused,
            "cut_line": one.handover.cut_line,
            "started_at": one.started_at,
            "closed_at": one.closed_at,
            "calendars": tallies[one.pk],
            "progress": _progress(tallies[one.pk]),
        }
        for one in batches
    ]


def _progress(tallies: list[dict[str, Any]]) -> dict[str, int]:
    movable = sum(one["count"] for one in tallies if one["status"] != ItemStatus.NOT_MOVABLE)
    moved = sum(one["count"] for one in tallies if one["status"] == ItemStatus.DONE)
    return {"moved": moved, "movable": movable, "percent": 100 * moved // movable if movable else 0}
