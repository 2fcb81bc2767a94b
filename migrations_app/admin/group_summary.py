"""The share groups of a batch in short, read along with the batch."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Count, F, IntegerField, OuterRef, Value, When
from django.db.models.functions import JSONObject
from django.urls import reverse

from migrations_app.models import ShareGroup
from recallops.admin_display import list_url

MOST = 10
ORDER = {"cut": 0, "fell_back": 1, "waiting": 2}
SHOWN = ("name", "calendars", "state", "meetings", "planned_at", "cut_at", "reason")


def columns() -> dict[str, Any]:
    """Return what a batch is annotated with: the groups on their way, and the counts of all by state."""
    groups = ShareGroup.objects.filter(batch=OuterRef("pk"))
    turn = Case(
        *[When(state=state, then=Value(place)) for state, place in ORDER.items()],
        default=Value(9),
        output_field=IntegerField(),
    )
    on_their_way = (
        groups.exclude(state=ShareGroup.State.SETTLED)
        .annotate(turn=turn)
        .order_by("turn", F("planned_at").asc(nulls_last=True), "pk")
        .values(one=JSONObject(pk="pk", **{name: name for name in SHOWN}))
    )
    counts = groups.order_by("state").values("state").annotate(n=Count("pk"))
    return {
        "groups_json": ArraySubquery(on_their_way[:MOST]),
        "group_counts_json": ArraySubquery(counts.values(one=JSONObject(state="state", count="n"))),
    }


def summary(batch: Any) -> dict[str, Any]:
    """Return what the batch page shows of the groups. Empty where RecallOps schedules."""
    if not batch.handover.external:
        return {}
    counts = {row["state"]: row["count"] for row in batch.group_counts_json}
    return {
        "application": batch.source.application.name if batch.source.application else "",
        "url": groups_url(batch),
        "tallies": [
            {
                "label": state.label,
                "count": counts[state.value],
                "colour": state.colour,
                "url": groups_url(batch, state=state.value),
            }
            for state in ShareGroup.State
            if state.value in counts
        ],
        "rows": [_row(row) for row in batch.groups_json],
    }


def groups_url(batch: Any, **filters: str) -> str:
    """Return the address of a batch's share groups, filtered by columns."""
    named = {f"{name}__exact": value for name, value in filters.items()}
    return list_url(ShareGroup, batch__id__exact=batch.pk, **named)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    state = ShareGroup.State(row["state"])
    return {
        **row,
        "url": reverse("admin:migrations_app_sharegroup_change", args=[row["pk"]]),
        "name": str(ShareGroup(name=row["name"], calendars=row["calendars"])),
        "word": state.label,
        "colour": state.colour,
    }
