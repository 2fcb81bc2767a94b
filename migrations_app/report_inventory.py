"""What a batch exported, and what became of each piece: nothing may be lost between the two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_datetime

from calendars.models import Connection, Event, IdMapping, Intent, Sweep
from migrations_app.inventory import within
from migrations_app.models import Batch, Item, ItemStatus
from migrations_app.report_format import CHUNK, PAGE_ROWS, iso, listing, said

ADDS_UP = (
    "{exported} exported = {moved} moved{again} + {waiting} waiting + {not_movable} not movable + {failed} failed."
)
AGAIN = " + {back} in the source again"
UNACCOUNTED = "It does not add up: {count} of {exported} exported calendar(s) are unaccounted for: {names}."
ENDED = (ItemStatus.DONE, ItemStatus.BACK)
NOT_EXPORTED = "Nothing has been exported yet."
LOST_ROW = "the source listed it, and no item was made for it"
NO_NEW_ID = "marked as moved, but its id in the target is not on record"
NO_CLASS = "its status “{status}” is none of these"


def _moved_items(batch: Batch) -> QuerySet[Item]:
    return Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)


def inventory(batch: Batch, *, whole: bool) -> dict[str, Any]:
    """Say what was exported. Its rows name what does not change, so that its hash stays."""
    items = _moved_items(batch)
    counted = items.order_by().values_list("connection__calendar__platform", "connection__calendar__customer__slug")
    by_platform: Counter[str] = Counter()
    by_customer: Counter[str] = Counter()
    for platform, customer, number in counted.annotate(n=Count("pk")):
        by_platform[platform] += number
        by_customer[customer] += number
    shown = dict(by_customer) if whole else dict(sorted(by_customer.items())[:PAGE_ROWS])
    rows = items.order_by("source_id").values(
        "source_id", "title", platform=F("connection__calendar__platform"), of=F("connection__calendar__customer__slug")
    )
    listed = (
        {"id": row["source_id"], "calendar": row["title"], "platform": row["platform"], "customer": row["of"]}
        for row in rows.iterator(CHUNK)
    )
    return {
        "calendars": sum(by_customer.values()),
        "by_platform": dict(by_platform),
        "by_customer": shown,
        "customers": len(by_customer),
        "readings": _readings(batch),
    } | listing(listed, total=sum(by_customer.values()), whole=whole, hashed=True)


def _readings(batch: Batch) -> list[dict[str, Any]]:
    """Return the whole lists that the export is made of: the first of each kind since the batch began."""
    if batch.started_at is None:
        return []
    kinds = (Sweep.Kind.CALENDARS, Sweep.Kind.EVENTS, Sweep.Kind.BOTS)
    sweeps = Sweep.objects.filter(
        workspace__in=[batch.source_id, batch.target_id], kind__in=kinds, begun_at__gte=batch.started_at
    ).exclude(finished_at=None)
    firsts = sweeps.order_by("workspace__slug", "kind", "begun_at").distinct("workspace__slug", "kind")
    return [
        {
            "workspace": slug,
            "kind": kind,
            "rows": rows,
            "pages": pages,
            "begun_at": iso(begun),
            "finished_at": iso(end),
        }
        for slug, kind, rows, pages, begun, end in firsts.values_list(
            "workspace__slug", "kind", "rows", "pages", "begun_at", "finished_at"
        )
    ]


# -- nothing lost


def items(batch: Batch, *, whole: bool) -> dict[str, Any]:
    """Count what became of each exported calendar, and name those of which nothing is known."""
    mapped = IdMapping.objects.filter(
        kind="calendar", source=batch.source_id, target=batch.target_id, source_remote_id=OuterRef("source_id")
    )
    counted = (
        Item.objects.filter(batch=batch)
        .order_by()
        .annotate(mapped=Exists(mapped))
        .values_list("kind", "status", "mapped")
        .annotate(n=Count("pk"))
    )
    counts: Counter[tuple[str, str]] = Counter()
    classes: Counter[str] = Counter()
    for kind, status, known, number in counted:
        counts[kind, status] += number
        if kind == Item.Kind.CONNECTION:
            classes[_class_of(status, mapped=known)] += number
    lost = list(_without_item(batch))
    unaccounted = [*lost, *_without_class(batch, mapped)]
    exported = sum(classes.values()) + len(lost)
    sums = {name: classes[name] for name in ("moved", "back", "waiting", "not_movable", "failed")}
    waiting_rows = _moved_items(batch).exclude(status__in=ENDED).order_by("pk")
    not_done = sum(
        number for (kind, status), number in counts.items() if kind == Item.Kind.CONNECTION and status not in ENDED
    )
    return {
        "counts": [
            {"kind": kind, "status": status, "label": _label(status), "count": number}
            for (kind, status), number in sorted(counts.items())
        ],
        "exported": exported,
        **sums,
        "unaccounted": {"total": len(unaccounted), "rows": unaccounted[: None if whole else PAGE_ROWS]},
        "adds_up": exported == sum(sums.values()),
        "sentence": _conservation(exported, sums, unaccounted),
        "not_moved": listing(_not_moved(waiting_rows), total=not_done, whole=whole),
        "checklist": list(
            Item.objects.filter(batch=batch, kind=Item.Kind.CHECKLIST).order_by("pk").values_list("title", flat=True)
        ),
    }


def _class_of(status: str, *, mapped: bool) -> str:
    if status == ItemStatus.DONE:
        return "moved" if mapped else "unaccounted"
    if status in (*ItemStatus.active(), ItemStatus.USER):
        return "waiting"
    return {"failed": "failed", "not_movable": "not_movable", "back": "back"}.get(status, "unaccounted")


def _label(status: str) -> str:
    return ItemStatus(status).label if status in ItemStatus.values else status


def _conservation(exported: int, sums: dict[str, int], unaccounted: list[dict[str, str]]) -> str:
    if not exported:
        return NOT_EXPORTED
    again = AGAIN.format(**sums) if sums["back"] else ""
    words = ADDS_UP.format(exported=exported, again=again, **sums)
    if exported == sum(sums.values()):
        return words
    names = ", ".join(row["calendar"] or row["id"] for row in unaccounted[:10])
    missing = UNACCOUNTED.format(count=len(unaccounted), exported=exported, names=names)
    return f"{missing} ({words.replace(' = ', ' ≠ ', 1).rstrip('.')})"


def _without_item(batch: Batch) -> Iterator[dict[str, str]]:
    """Find calendars that the source listed at the export and that are neither in this batch nor in another."""
    export = next(
        (one for one in _readings(batch) if (one["workspace"], one["kind"]) == (batch.source.slug, "calendars")), None
    )
    if export is None or not _moved_items(batch).exists():
        return
    read_at = parse_datetime(export["begun_at"])
    there = Connection.objects.filter(Q(deleted_at=None) | Q(deleted_at__gte=read_at), workspace=batch.source_id)
    known = within(batch, there)
    named = Item.objects.filter(kind=Item.Kind.CONNECTION, batch__source=batch.source_id).values("source_id")
    for one in (
        known.exclude(remote_id__in=named).filter(items=None).select_related("calendar").order_by("pk").iterator(CHUNK)
    ):
        made = [change["created_at"] for change in one.status_changes if change.get("created_at")]
        if made and read_at and min(datetime.fromisoformat(text) for text in made) > read_at:
            continue  # it was connected after the export
        yield {"id": one.remote_id, "calendar": one.calendar.email, "why": LOST_ROW}


def _without_class(batch: Batch, mapped: QuerySet[IdMapping]) -> Iterator[dict[str, str]]:
    odd = _moved_items(batch).annotate(mapped=Exists(mapped)).order_by("pk")
    odd = odd.filter(Q(status=ItemStatus.DONE, mapped=False) | ~Q(status__in=ItemStatus.values))
    for remote_id, title, status in odd.values_list("source_id", "title", "status"):
        why = NO_NEW_ID if status == ItemStatus.DONE else NO_CLASS.format(status=status)
        yield {"id": remote_id, "calendar": title, "why": why}


def _not_moved(items: QuerySet[Item]) -> Iterator[dict[str, Any]]:
    columns = ("source_id", "title", "step", "status", "reason", "error_kind")
    for row in items.values(*columns).iterator(CHUNK):
        yield {
            "id": row["source_id"],
            "calendar": row["title"],
            "step": row["step"],
            "status": row["status"],
            "label": _label(row["status"]),
            "reason": said(row["reason"]),
            "error_kind": row["error_kind"],
        }


def id_map(batch: Batch, *, whole: bool) -> dict[str, Any]:
    """Return which id became which, for the calendars of this batch, their events and their bots."""
    mine = _moved_items(batch)
    removed = Intent.objects.filter(
        workspace=batch.source_id, purpose=Intent.Purpose.REMOVE_BOT, event__connection__items__batch=batch
    )
    rows = IdMapping.objects.filter(
        Q(kind="calendar", source_remote_id__in=mine.values("source_id"))
        | Q(
            kind="event",
            source_remote_id__in=Event.objects.filter(
                workspace=batch.source_id, connection__in=mine.values("connection")
            ).values("remote_id"),
        )
        | Q(kind="bot", source_remote_id__in=removed.values("bot_id")),
        source=batch.source_id,
        target=batch.target_id,
    )
    counts = dict(rows.order_by("kind").values_list("kind").annotate(n=Count("pk")))
    listed = (
        {"kind": kind, "source": source, "target": target, "superseded": superseded}
        for kind, source, target, superseded in rows.order_by("kind", "source_remote_id", "pk")
        .values_list("kind", "source_remote_id", "target_remote_id", "superseded")
        .iterator(CHUNK)
    )
    return {"counts": counts} | listing(listed, total=sum(counts.values()), whole=whole, hashed=True)
