"""The id map: which calendar, event and bot became which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import BigIntegerField, Func, Q, QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from calendars.api import asking, examples
from calendars.api.base import ApiView
from calendars.api.chains import Chain, chains
from calendars.api.errors import BadRequest
from calendars.api.lines import csv_lines, json_lines, row_of
from calendars.api.schema import described, in_path
from calendars.api.shapes import Known, known
from calendars.models import IdMapping, Scope

if TYPE_CHECKING:
    from rest_framework.request import Request

KINDS = ("calendar", "event", "bot")
MOST_IDS = 1000
CHUNK = 2000

NEVER_MOVED = "No {kind} with this id took part in a move. If it exists, its id is still valid."
ELSEWHERE = (
    "This cursor is newer than this database, which was probably restored. Begin again without `after`: all changes "
    "are told once more."
)


class Mapping(serializers.Serializer[Any]):
    """A thing's id before and after a move."""

    kind = serializers.ChoiceField(KINDS)
    source = Known()  # type: ignore[assignment]
    target = Known()
    superseded = serializers.BooleanField(help_text="A later move, or the loss of the target, has made it obsolete.")
    created_at = serializers.DateTimeField()


class MappingPage(serializers.Serializer[Any]):
    """A part of the id map."""

    next = serializers.URLField(allow_null=True, help_text="Where the next page is; null at the end.")
    results = Mapping(many=True)


class Followed(serializers.Serializer[Any]):
    """Where a thing is now."""

    kind = serializers.ChoiceField(KINDS)
    id = serializers.CharField(help_text="The id that was asked for.")
    current = Known(allow_null=True, help_text="Where it is now. Null: its target was lost, and there is no other yet.")
    moves = Mapping(many=True, help_text="All its moves, the oldest first.")


class Found(serializers.Serializer[Any]):
    """Where a thing is now, without the way it took."""

    kind = serializers.ChoiceField(KINDS)
    id = serializers.CharField(help_text="The id that was asked for.")
    current = Known(allow_null=True)


class LookedUp(serializers.Serializer[Any]):
    """Many ids at once."""

    found = Found(many=True)
    unknown = serializers.ListField(
        child=serializers.CharField(), help_text="Ids that took part in no move; if they exist, they are still valid."
    )


class Changes(serializers.Serializer[Any]):
    """What was written since a cursor."""

    results = Mapping(many=True)
    after = serializers.CharField(help_text="Ask with this the next time.")
    more = serializers.BooleanField(help_text="There is more now: ask again at once.")


class Filters(serializers.Serializer[Any]):
    """Which rows."""

    kind = asking.OneOf(KINDS, required=False)
    source = asking.WorkspaceName(  # type: ignore[assignment]
        required=False, help_text="Name of the workspace that it left."
    )
    target = asking.WorkspaceName(required=False, help_text="Name of the workspace that it went to.")
    superseded = asking.TrueOrFalse(required=False)


class ListQuery(asking.Paging, Filters):
    """A part of the list."""


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}$"})
class ChangeCursor(asking.Text):
    """Where the last answer of changes ended: a transaction and a row."""

    form = re.compile("([0-9]{1,18})-([0-9]{1,18})")
    default_error_messages = {"invalid": asking.CURSOR}

    def to_internal_value(self, data: Any) -> Any:
        """Return it as a pair."""
        transaction, _, row = super().to_internal_value(data).partition("-")
        return int(transaction), int(row)


class ChangesQuery(serializers.Serializer[Any]):
    """Which changes."""

    limit = asking.Limit(default=asking.USUAL)
    after = ChangeCursor(required=False, help_text="`after` of the last answer; left out: from the beginning.")


class Ids(serializers.Serializer[Any]):
    """Ids to look up."""

    ids = serializers.ListField(child=asking.RemoteId(), min_length=1, max_length=MOST_IDS)
    kind = asking.OneOf(KINDS, required=False)


def current_of(chain: Chain) -> dict[str, str] | None:
    """Return where the thing of a chain is now."""
    newest = chain.newest
    return known(newest.target, newest.target_remote_id) if newest else None


def _rows(asked: dict[str, Any]) -> QuerySet[IdMapping]:
    rows = IdMapping.objects.select_related("source__region", "target__region").order_by("pk")
    return rows.filter(**{name: asked[name] for name in ("kind", "source", "target", "superseded") if name in asked})


class IdsView(ApiView):
    """The id map as a list."""

    scope = Scope.IDS

    @described("ids_list", MappingPage, parameters=[ListQuery], examples=[examples.MAPPING_PAGE])
    def get(self, request: Request) -> Response:
        """List what became what, in the order in which it was noted."""
        asked = asking.query_of(request, ListQuery)
        rows, onwards = asking.page_of(_rows(asked), asked, request)
        return Response({"next": onwards, "results": [row_of(row) for row in rows]})


class IdView(ApiView):
    """One id."""

    scope = Scope.IDS

    @described(
        "ids_follow",
        Followed,
        parameters=[
            in_path("kind", {"type": "string", "enum": list(KINDS)}, "What it is the id of."),
            in_path("remote_id", {"type": "string", "pattern": "^[!-.0-~]+$", "maxLength": 80}, "An id, old or new."),
        ],
        also=(404,),
        examples=[examples.FOLLOWED],
    )
    def get(self, request: Request, kind: str, remote_id: str) -> Response:
        """Say where a thing is now, asked by any id that it ever had."""
        asking.query_of(request)
        asked = asking.checked(Ids, {"ids": [remote_id], "kind": kind})
        found = chains(asked["ids"], kinds=[kind])
        if not found:
            raise NotFound(NEVER_MOVED.format(kind=kind))
        moves = [row_of(move) for move in found[0].moves]
        return Response({"kind": kind, "id": remote_id, "current": current_of(found[0]), "moves": moves})


class IdsLookupView(ApiView):
    """Many ids."""

    scope = Scope.IDS

    @described("ids_lookup", LookedUp, body=Ids, examples=[examples.IDS, examples.LOOKED_UP])
    def post(self, request: Request) -> Response:
        """Say of up to 1000 ids, old or new, where each thing is now."""
        asked = asking.body_of(request, Ids)
        ids = list(dict.fromkeys(asked["ids"]))
        followed = chains(ids, kinds=[asked["kind"]] if "kind" in asked else KINDS)
        seen = {chain.asked for chain in followed}
        found = [{"kind": one.moves[0].kind, "id": one.asked, "current": current_of(one)} for one in followed]
        return Response({"found": found, "unknown": [one for one in ids if one not in seen]})


class Settled(Func):
    """The oldest transaction that still runs: all before it are over, and what they wrote can be seen."""

    template = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    arity = 0
    output_field = BigIntegerField()


class ChangesView(ApiView):
    """What is new."""

    scope = Scope.IDS

    @described("ids_changes", Changes, parameters=[ChangesQuery], examples=[examples.CHANGES])
    def get(self, request: Request) -> Response:
        """Tell what was written since the last time, without ever leaving out what was committed late.

        Rows are told in the order of the transactions that wrote them, and only when every transaction up to that one
        is over. A row that changes again is told again.
        """
        asked = asking.query_of(request, ChangesQuery)
        transaction, row = after = asked.get("after", (0, 0))
        if transaction > newest_transaction():
            raise BadRequest(ELSEWHERE, code="cursor_of_another_database")
        rows = IdMapping.objects.select_related("source__region", "target__region").filter(
            Q(changed_in__gt=transaction) | Q(changed_in=transaction, pk__gt=row),
            changed_in__gte=transaction,
            changed_in__lt=Settled(),
        )
        found = list(rows.order_by("changed_in", "pk")[: asked["limit"] + 1])
        more = len(found) > asked["limit"]
        found = found[: asked["limit"]]
        if found:
            after = (found[-1].changed_in, found[-1].pk)
        return Response({"results": [row_of(one) for one in found], "after": f"{after[0]}-{after[1]}", "more": more})


def newest_transaction() -> int:
    """Return the number of the newest transaction that this database may have seen."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        number: int = cursor.fetchone()[0]
        return number


# --- files


def _file(request: Request, *, kind: str, name: str, write: Any) -> StreamingHttpResponse:
    """Stream the rows from the database's own cursor, so that no size of the map fills the memory."""
    rows = _rows(asking.query_of(request, Filters)).iterator(chunk_size=CHUNK)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(write(rows), content_type=kind, headers=headers)


class CSVView(ApiView):
    """The id map as a file for spreadsheets."""

    scope = Scope.IDS

    @described("ids_csv", OpenApiTypes.STR, parameters=[Filters], media_type="text/csv", examples=[examples.CSV])
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download the id map as CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
        return _file(request, kind="text/csv; charset=utf-8", name="ids.csv", write=csv_lines)


class NDJSONView(ApiView):
    """The id map as a file for programs."""

    scope = Scope.IDS

    @described(
        "ids_ndjson",
        OpenApiTypes.STR,
        parameters=[Filters],
        media_type="application/x-ndjson",
        examples=[examples.NDJSON],
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download the id map as JSON, one row a line, each as in the list."""
        return _file(request, kind="application/x-ndjson", name="ids.ndjson", write=json_lines)
