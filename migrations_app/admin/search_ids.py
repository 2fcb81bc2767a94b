"""Things of the provider by their ids, whole or by how they begin: all kinds in one statement.

A workspace and an id are the key of each table, and its index also finds ids by how they begin; so all workspaces are
named in the question, and no table is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, CharField, F, Model, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, Left
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from calendars.admin.customers import STATUS_COLOURS
from calendars.admin.webhooks import STATE_COLOURS
from calendars.models import Bot, Connection, ConnectionStatus, Delivery, Event, IdMapping, Workspace
from migrations_app.admin.found import MOST, Group, Hit

_TEXT = CharField()


@dataclass(frozen=True, slots=True)
class Kind:
    """A table whose rows the provider knows by an id, and what is shown of a row."""

    model: type[Model]
    title: Any
    icon: str
    state: Any
    note: Any
    columns: tuple[str, ...] = ("remote_id",)
    workspace: str = "workspace_id"
    narrowed: Mapping[str, Any] = field(default_factory=dict)  # what leads to the index, where that is no workspace
    words: Mapping[str, Any] = field(default_factory=dict)
    colours: Mapping[Any, str] = field(default_factory=dict)


def _moment(column: str) -> Any:
    """Return a moment as text, which is UTC: branches of one statement have columns of one type."""
    return Coalesce(Concat(Left(Cast(column, _TEXT), 19), Value(" UTC")), Value(""))


KINDS = (
    Kind(
        Connection,
        _("Connections"),
        "link",
        state=F("status"),
        note=F("calendar__email"),
        words=dict(ConnectionStatus.choices),
        colours=STATUS_COLOURS,
    ),
    Kind(
        Event,
        _("Events"),
        "event",
        state=Case(When(is_deleted=True, then=Value("deleted")), default=Value(""), output_field=_TEXT),
        note=_moment("start"),
    ),
    Kind(Bot, _("Bots"), "smart_toy", state=F("status"), note=_moment("join_at")),
    Kind(
        Delivery,
        _("Webhooks"),
        "inbox",
        state=F("state"),
        note=F("event"),
        columns=("delivery_id",),
        words=dict(Delivery.State.choices),
        colours=STATE_COLOURS,
    ),
    Kind(
        IdMapping,
        _("Ids that became others"),
        "swap_horiz",
        state=F("kind"),
        note=F("target_remote_id"),
        columns=("source_remote_id", "target_remote_id"),
        workspace="source_id",
        narrowed={"kind__in": ["calendar", "event", "bot"]},
    ),
)


def by_id(ids: Sequence[str], *, workspaces: Mapping[int, Workspace], may_see: Any) -> list[Group]:
    """Return what has one of these ids, or one that begins like it."""
    kinds = [kind for kind in KINDS if may_see(kind.model)]
    branches = [branch for kind in kinds for branch in _branches(kind, ids, workspaces)]
    if not ids or not branches:
        return []
    groups = {kind.model._meta.model_name: Group(kind.title, kind.icon) for kind in kinds}
    by_name = {kind.model._meta.model_name: kind for kind in kinds}
    known: set[tuple[str, int]] = set()
    first, *others = branches
    rows: Iterable[Any] = first.union(*others, all=True) if others else first
    for name, pk, shown, workspace, state, note in rows:
        if (name, pk) not in known:
            known.add((name, pk))
            groups[name].hits.append(_hit(by_name[name], pk, shown, workspaces.get(workspace), state, note))
    for group in groups.values():
        group.hits.sort(key=lambda hit: hit.title not in ids)
    return list(groups.values())


def _branches(kind: Kind, ids: Sequence[str], workspaces: Collection[int]) -> Iterable[QuerySet[Any]]:
    """Return the queries for one kind: what is asked for whole is found however much begins like it."""
    rows: QuerySet[Any] = kind.model._default_manager.order_by().filter(
        **(kind.narrowed or {"workspace__in": list(workspaces)})
    )
    for column in kind.columns:
        yield _columns(kind, rows.filter(**{f"{column}__in": list(ids)}))
        if not kind.narrowed:
            for one in ids:
                yield _columns(kind, rows.filter(**{f"{column}__startswith": one}))


def _columns(kind: Kind, rows: QuerySet[Any]) -> QuerySet[Any]:
    shown: QuerySet[Any] = rows.annotate(
        of_kind=Value(kind.model._meta.model_name, output_field=_TEXT),
        shown=F(kind.columns[0]),
        place=F(kind.workspace),
        state_text=kind.state,
        note_text=kind.note,
    ).values_list("of_kind", "pk", "shown", "place", "state_text", "note_text")
    return shown[: MOST + 1]


def _hit(kind: Kind, pk: int, shown: str, workspace: Workspace | None, state: str, note: str) -> Hit:
    meta = kind.model._meta
    return Hit(
        title=f"{shown} → {note}" if kind.model is IdMapping else shown,
        url=reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[pk]),
        where=place(workspace),
        state=str(kind.words.get(state, state)),
        colour=kind.colours.get(state, ""),
        note="" if kind.model is IdMapping else note,
    )


def place(workspace: Workspace | None) -> str:
    """Return a workspace with its region."""
    return f"{workspace.slug} ({workspace.region.code})" if workspace else ""
