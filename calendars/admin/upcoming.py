"""The coming meetings by hour: who owns each, which bot comes, and what is waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Prefetch
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from calendars.admin.ledger import VERDICT_COLOURS
from calendars.models import Assignment, Bot, Event, Occurrence, Workspace
from recallops import clock, viewer_zone
from recallops.admin_display import at, badge, change_url

HOURS = (1, 6, 24, 72)
USUAL = 24
MOST = 500
MOST_TITLES = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One meeting."""

    url: str
    time: str | SafeString
    title: str
    place: str
    calendar: str
    others: int
    owner: str
    bots: str
    verdict: SafeString
    why: str


@dataclass(frozen=True, slots=True)
class Hour:
    """The meetings that start within one hour."""

    name: str
    lines: list[Line]


def hours_of(text: str) -> int:
    """Return how far to look ahead: what was asked for, when it is offered."""
    return next((hours for hours in HOURS if str(hours) == text), USUAL)


def upcoming(hours: int, *, with_titles: bool) -> dict[str, Any]:
    """Read the coming hours in a fixed number of queries: at most `MOST` meetings, the next ones first."""
    now = clock.now()
    members = Occurrence.objects.select_related("calendar").only("assignment", "wanted", "calendar__email")
    coming = Assignment.objects.filter(over=False, end__gt=now, start__lt=now + timedelta(hours=hours))
    rows = list(
        coming.select_related("owner")
        .defer("bot_config", "keys", "scope")
        .prefetch_related(Prefetch("occurrences", queryset=members))
        .order_by("start", "pk")[: MOST + 1]
    )
    shown = rows[:MOST]
    titles, bots = _seen(shown)
    lines = [
        (_hour(row.start, now), _line(row, titles[row.pk] if with_titles else (), bots.get(row.pk, "")))
        for row in shown
    ]
    groups: dict[str, list[Line]] = defaultdict(list)
    for name, line in lines:
        groups[name].append(line)
    return {
        "hours": hours,
        "offered": HOURS,
        "groups": [Hour(name, lines) for name, lines in groups.items()],
        "count": len(shown),
        "cut": len(rows) > MOST,
        "most": MOST,
    }


def _seen(rows: Sequence[Assignment]) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Return the titles of meetings, and how many bots of each workspace wait for them, as their events show it."""
    by_pk = {row.pk: row for row in rows}
    titles: dict[int, list[str]] = defaultdict(list)
    held: dict[int, set[tuple[int, str]]] = defaultdict(set)
    title = Coalesce(KeyTextTransform("summary", "raw"), KeyTextTransform("subject", "raw"))
    events = Event.objects.filter(occurrence__assignment__in=by_pk, is_deleted=False).order_by("pk")
    for pk, workspace, found, name in events.annotate(headline=title).values_list(
        "occurrence__assignment", "workspace", "bots", "headline"
    ):
        if name and name not in titles[pk]:
            titles[pk].append(name)
        held[pk] |= {(workspace, bot_id) for bot_id in _waiting(found, by_pk[pk])}
    ids = {bot_id for entries in held.values() for _, bot_id in entries}
    gone = set(Bot.objects.filter(remote_id__in=ids, terminal=True).values_list("workspace", "remote_id"))
    slugs = dict(Workspace.objects.values_list("pk", "slug"))
    return titles, {pk: _counted((slugs[place] for place, _ in entries - gone)) for pk, entries in held.items()}


def _waiting(found: Any, row: Assignment) -> set[str]:
    """Return the bots among an event's entries that wait for this start and this link."""
    entries = found if isinstance(found, list) else []
    return {
        str(entry.get("bot_id"))
        for entry in entries
        if entry.get("url") == row.url and datetime.fromisoformat(entry["start"]) == row.start
    }


def _counted(places: Iterable[str]) -> str:
    """Return "us" for one bot there, "eu, us: 2" for more."""
    counts: dict[str, int] = defaultdict(int)
    for place in places:
        counts[place] += 1
    return ", ".join(f"{place}: {count}" if count > 1 else place for place, count in sorted(counts.items()))


def _hour(start: datetime, now: datetime) -> str:
    if start <= now:
        return gettext("In progress")
    return date_format(start.astimezone(viewer_zone.current()), "l, d F Y, H:00")


def _line(row: Assignment, titles: Sequence[str], bots: str) -> Line:
    members = list(row.occurrences.all())
    names = sorted({one.calendar.email for one in members if one.wanted} or {one.calendar.email for one in members})
    more = gettext(" and {count} more").format(count=len(titles) - MOST_TITLES) if len(titles) > MOST_TITLES else ""
    place = _place(row.url)
    return Line(
        url=change_url(row),
        time=at(row.start, "%H:%M"),
        title=" / ".join(titles[:MOST_TITLES])[:300] + more if titles else place,
        place=place if titles else "",
        calendar=names[0] if names else gettext("no calendar"),
        others=max(len(names) - 1, 0),
        owner=row.owner.slug,
        bots=bots,
        verdict=badge(row.get_verdict_display(), VERDICT_COLOURS.get(row.verdict, "")),  # type: ignore[call-overload]
        why=" ".join(text for text in (row.note, row.reason) if text),
    )


def _place(url: str) -> str:
    """Return the host of a link, which tells the platform; of anything else its begin."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return (host or url)[:80]
