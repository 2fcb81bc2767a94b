"""Which calendars a batch moves.

`inventory.chosen` asks it for the engine; the guided form and the terminal make the lists here.

1. All, or those of some customers: a rule, which also takes what connects before the export.
2. A search, a file, a canary share, the rest after an earlier batch: a list, made once, whatever its length.
3. A line of a file that names no known calendar is kept, and looked for again when the source has been read.

A calendar that is not chosen is not touched. A meeting that it shares with one that is stays in the source until the
last calendar that wants it is in the target (docs/handover.md, 3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import MD5, Cast
from django.utils.translation import gettext_lazy as _

from calendars.models import Calendar, Connection, Customer, Event, Platform, Workspace
from migrations_app import inventory
from migrations_app.calendar_file import CalendarFile, Line, line_of
from migrations_app.models import Batch, Item, SearchBy, SelectedCalendar, Selection
from recallops import clock

CHUNK = 1000
Problem = SelectedCalendar.Problem
PLATFORMS: dict[str, str] = dict(Platform.choices)

WHY = {
    Problem.UNKNOWN: _("No calendar of {source} that was read has this address or id."),
    Problem.DOUBLED: _("It is the calendar of line {note}."),
    Problem.AMBIGUOUS: _("It has several calendars: {note}. Say which in a second column, “platform”."),
    Problem.ELSEWHERE: _("It is in the open batch {note}."),
    Problem.OTHER_WORKSPACE: _("It is in the workspace {note}, not in {source}."),
    Problem.MALFORMED: _("This is neither an e-mail address nor a calendar's id, or its platform is not known."),
}


def pool(batch: Batch) -> QuerySet[Calendar]:
    """Return the calendars of the source that no other open batch has."""
    here = Connection.objects.live().filter(workspace=batch.source_id, calendar=OuterRef("pk"))
    items = _items_of_others(batch).filter(connection__calendar=OuterRef("pk"))
    listed = _lists_of_others(batch).filter(calendar=OuterRef("pk"))
    return Calendar.objects.filter(Exists(here)).exclude(Exists(items)).exclude(Exists(listed))


def matching(batch: Batch, *, by: str, text: str) -> QuerySet[Calendar]:
    """Return the calendars that a search finds."""
    text = text.strip().lower()
    if by == SearchBy.BEGINS:
        return pool(batch).filter(email__startswith=text)
    if by == SearchBy.DOMAIN:
        return pool(batch).filter(email__endswith="@" + text.removeprefix("@"))
    return pool(batch).filter(email__contains=text)


def share(batch: Batch, percent: int) -> list[QuerySet[Calendar]]:
    """Return a canary share: of each platform so many per cent, rounded up, in an order that chance has made once.

    The order is a digest of the calendar's number, so a bigger share holds a smaller one, and asking again finds the
    same.
    """
    parts: list[QuerySet[Calendar]] = []
    for platform, count in pool(batch).order_by().values_list("platform").annotate(Count("pk")).order_by("platform"):
        mixed = pool(batch).filter(platform=platform).annotate(place=MD5(Cast("pk", CharField())))
        first: Any = mixed.order_by("place", "pk")[: -(-count * percent // 100)]
        parts.append(first)
    return parts


# --- making the list


def choose_all(batch: Batch) -> None:
    """Choose every calendar of the source."""
    _replace(batch, [], selection=Selection.ALL)


def choose_customers(batch: Batch, customers: Iterable[Customer]) -> None:
    """Choose the calendars of some customers."""
    _replace(batch, [], selection=Selection.CUSTOMERS, customers=customers)


def choose_by_search(batch: Batch, *, by: str, text: str) -> None:
    """Choose what a search finds now."""
    text = text.strip().lower()[:320]
    rows = _rows(batch, matching(batch, by=by, text=text))
    _replace(batch, rows, selection=Selection.SEARCH, search_by=by, search_text=text)


def choose_share(batch: Batch, percent: int) -> None:
    """Choose a canary share."""
    rows = (row for part in share(batch, percent) for row in _rows(batch, part))
    _replace(batch, rows, selection=Selection.SHARE, share_percent=percent)


def choose_rest(batch: Batch, follows: Batch) -> None:
    """Choose what no open batch has, after an earlier one took its part."""
    _replace(batch, _rows(batch, pool(batch)), selection=Selection.REST, follows=follows)


def choose_by_file(batch: Batch, file: CalendarFile, *, name: str) -> None:
    """Choose what a file lists. Lines that cannot be taken are kept beside it, each with the reason."""
    rows = _rows_of_file(batch, file)
    _replace(batch, rows, selection=Selection.FILE, file_name=name[:200], file_encoding=file.encoding)


def look_for_unknown(batch: Batch) -> int:
    """Look again for the lines that named no known calendar; return how many still do not."""
    if batch.selection != Selection.FILE:
        return 0
    unknown = batch.selected.filter(problem=Problem.UNKNOWN)
    seen: dict[int | None, int | None] = {**dict(_listed(batch).values_list("calendar", "line"))}
    rows = unknown.order_by("line", "pk").iterator(chunk_size=CHUNK)
    while chunk := list(islice(rows, CHUNK)):
        lines = [line_of(row.line or 0, row.text, row.platform) for row in chunk]
        for row, found in zip(chunk, _resolve(batch, lines, seen, {}), strict=True):
            row.calendar_id, row.problem, row.note = found.calendar_id, found.problem, found.note
        SelectedCalendar.objects.bulk_update(
            [row for row in chunk if row.problem != Problem.UNKNOWN], ["calendar", "problem", "note"]
        )
    return unknown.count()


def _replace(batch: Batch, rows: Iterable[SelectedCalendar], *, customers: Iterable[Customer] = (), **how: Any) -> None:
    """Put a new choice in the place of the one before."""
    nothing = {
        "search_by": "",
        "search_text": "",
        "share_percent": None,
        "file_name": "",
        "file_encoding": "",
        "follows": None,
    }
    with transaction.atomic():
        Batch.objects.select_for_update().get(pk=batch.pk)
        batch.selected.all().delete()
        batch.customers.set(customers)
        streamed = iter(rows)
        while chunk := list(islice(streamed, CHUNK)):
            SelectedCalendar.objects.bulk_create(chunk)
        now = clock.now()
        fields = {**nothing, **how, "selected_at": now, "changed_at": now}
        Batch.objects.filter(pk=batch.pk).update(**fields)
    for name, value in fields.items():
        setattr(batch, name, value)


def _rows(batch: Batch, calendars: QuerySet[Calendar]) -> Iterator[SelectedCalendar]:
    for pk, email in calendars.values_list("pk", "email").iterator(chunk_size=CHUNK):
        yield SelectedCalendar(batch=batch, calendar_id=pk, text=email[:400])


def _rows_of_file(batch: Batch, file: CalendarFile) -> Iterator[SelectedCalendar]:
    seen: dict[int | None, int | None] = {}
    texts: dict[tuple[str, str], int] = {}
    lines = iter(file)
    while chunk := list(islice(lines, CHUNK)):
        yield from _resolve(batch, chunk, seen, texts)


# --- looking lines up


def _resolve(
    batch: Batch, lines: list[Line], seen: dict[int | None, int | None], texts: dict[tuple[str, str], int]
) -> Iterator[SelectedCalendar]:
    """Find what lines name: five queries for any number. `seen` and `texts` hold what came before, and are added to."""
    here = _here(batch, lines)
    known = {pk for calendars in here.values() for pk in calendars}
    taken = _taken(batch, known)
    there = _there(batch, [line for line in lines if line.names_one and not _fitting(line, here)])
    for line in lines:
        row = SelectedCalendar(batch=batch, line=line.number, text=line.text, platform=line.platform)
        fitting = _fitting(line, here)
        name = line.address or line.remote_id
        if not line.names_one:
            row.problem = Problem.MALFORMED
        elif (name, line.platform) in texts:
            row.problem, row.note = Problem.DOUBLED, str(texts[name, line.platform])
        elif not fitting and name in there:
            row.problem, row.note = Problem.OTHER_WORKSPACE, there[name]
        elif not fitting:
            row.problem = Problem.UNKNOWN
        elif len(fitting) > 1:
            row.problem = Problem.AMBIGUOUS
            row.note = ", ".join(sorted(PLATFORMS.get(one, one) for one in fitting.values()))
        else:
            row.calendar_id = calendar = next(iter(fitting))
            if calendar in seen:
                row.problem, row.note = Problem.DOUBLED, str(seen[calendar])
            elif calendar in taken:
                row.problem, row.note = Problem.ELSEWHERE, taken[calendar]
            seen.setdefault(calendar, line.number)
        if line.names_one:
            texts.setdefault((name, line.platform), line.number)
        yield row


_Found = dict[str, dict[int, str]]
"""Calendars by the address or id that names them, each with its platform."""


def _here(batch: Batch, lines: list[Line]) -> _Found:
    """Return the source's calendars that lines name."""
    found: _Found = defaultdict(dict)
    columns = ("remote_id", "calendar__email", "calendar", "calendar__platform")
    live = Connection.objects.live().filter(_named(lines), workspace=batch.source_id)
    for remote_id, email, calendar, platform in live.order_by().values_list(*columns):
        found[remote_id][calendar] = platform
        found[email][calendar] = platform
    return found


def _there(batch: Batch, lines: list[Line]) -> dict[str, str]:
    """Return in which other workspace is what lines name."""
    if not lines:
        return {}
    others = Connection.objects.live().filter(_named(lines)).exclude(workspace=batch.source_id)
    found: dict[str, str] = {}
    for remote_id, email, slug in others.order_by("-pk").values_list("remote_id", "calendar__email", "workspace__slug"):
        found[remote_id] = found[email] = slug
    return found


def _named(lines: list[Line]) -> Q:
    addresses = [line.address for line in lines if line.address]
    return Q(calendar__email__in=addresses) | Q(remote_id__in=[line.remote_id for line in lines if line.remote_id])


def _fitting(line: Line, here: _Found) -> dict[int, str]:
    found = here.get(line.address or line.remote_id, {}) if line.names_one else {}
    return {pk: platform for pk, platform in found.items() if line.platform in ("", platform)}


# --- what others have, and what is shared


def _listed(batch: Batch) -> QuerySet[SelectedCalendar]:
    return SelectedCalendar.objects.filter(batch=batch.pk, problem="").order_by()


def _items_of_others(batch: Batch) -> QuerySet[Item]:
    return Item.objects.filter(open=True).exclude(batch=batch.pk).order_by()


def _lists_of_others(batch: Batch) -> QuerySet[SelectedCalendar]:
    """What other open batches will take at their export. What is only a draft takes nothing yet."""
    open_ones = SelectedCalendar.objects.filter(problem="", batch__closed_at=None, batch__draft=False)
    return open_ones.exclude(batch=batch.pk).order_by()


def _taken(batch: Batch, calendars: set[int]) -> dict[int | None, str]:
    """Return which other open batch has some calendars."""
    items = _items_of_others(batch).filter(connection__calendar__in=calendars)
    listed = _lists_of_others(batch).filter(calendar__in=calendars)
    return {
        **dict(listed.values_list("calendar", "batch__slug")),
        **dict(items.values_list("connection__calendar", "batch__slug")),
    }


def left_out(batch: Batch) -> QuerySet[SelectedCalendar]:
    """Return the lines of a batch's file that name no calendar of it."""
    return SelectedCalendar.objects.filter(batch=batch.pk).exclude(problem="").order_by("line", "pk")


def why(row: SelectedCalendar, source: Workspace) -> str:
    """Say why a line is left out."""
    return str(WHY[Problem(row.problem)]).format(source=source, note=row.note)


def split_meetings(batch: Batch) -> int:
    """Count the coming meetings with a bot that calendars of this batch share with others of the source.

    They stay in the source until the others can go, too. Counted from the events that were read.
    """
    if batch.selection == Selection.ALL:
        return 0
    mine = inventory.chosen(batch).order_by().values("pk")
    events = Event.objects.filter(workspace=batch.source_id, start__gt=clock.now(), is_deleted=False)
    shared = (
        events.exclude(Q(url="") | Q(bots=[]))
        .order_by()
        .values("start", "url")
        .annotate(inside=Count("pk", filter=Q(connection__in=mine)), members=Count("pk"))
    )
    return shared.filter(inside__gt=0, members__gt=F("inside")).count()
