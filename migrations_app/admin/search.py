"""Search from anywhere: calendars, ids of the provider, meeting links, batches, customers, pages.

Everything is found by how it begins, through an index, and at most `MOST` of a kind are shown: a search costs the same
whatever the size of the tables. Who may not see a kind of rows finds none of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _

from calendars.admin.ledger import VERDICT_COLOURS
from calendars.models import (
    Assignment,
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerDomain,
    Event,
    Verdict,
    Workspace,
)
from calendars.models.event import URL_BEGIN
from migrations_app.admin.asked import LEAST, LEAST_OF_ID, LONGEST, Asked, goes_on_from, understand
from migrations_app.admin.found import MOST, Group, Hit
from migrations_app.admin.search_ids import by_id, place
from migrations_app.models import Batch, BatchStatus, Item
from recallops import clock
from recallops.admin_base import may_see
from recallops.admin_display import change_url, list_url, utc

MOST_EVENTS = 200  # looked at for a meeting link


def search_view(request: HttpRequest) -> HttpResponse:
    """Show what was found; for the palette (Ctrl K), which asks with `s`, only the rows."""
    if "s" in request.GET:
        return _palette(request, request.GET["s"])
    typed = request.GET.get("q", "")
    asked, groups = find(request, typed)
    context = {
        **admin.site.each_context(request),
        "title": _("Search"),
        "asked": asked,
        "groups": groups,
        "typed": typed[:LONGEST],
        "least": LEAST,
        "least_of_id": LEAST_OF_ID,
    }
    return TemplateResponse(request, "admin/search.html", context)


def find(request: HttpRequest, typed: str) -> tuple[Asked, list[Group]]:
    """Return what a text was understood as, and what was found for it, in a fixed number of queries."""
    may = partial(may_see, request)
    workspaces = {row.pk: row for row in Workspace.objects.select_related("region")} if typed.strip() else {}
    hosts = {urlsplit(row.region.base_url).hostname or "" for row in workspaces.values()}
    asked = understand(typed, provider_hosts=hosts)
    if asked.too_short:
        return asked, []
    groups = [
        _batches(asked) if may(Batch) else None,
        _customers(asked) if may(Customer) else None,
        _calendars(asked, with_items=may(Item)) if may(Calendar) else None,
        *by_id([one for one in asked.ids if len(one) >= LEAST_OF_ID], workspaces=workspaces, may_see=may),
        *(_meetings(asked, workspaces, may) if asked.links else ()),
        _pages(request, asked),
    ]
    return asked, [group for group in groups if group is not None and group.hits]


def _batches(asked: Asked) -> Group | None:
    name = slugify(asked.name)
    if not name:
        return None
    rows = Batch.objects.filter(slug__startswith=name).select_related("source__region", "target__region")
    hits = [
        Hit(
            title=row.slug,
            url=change_url(row),
            where=f"{place(row.source)} → {place(row.target)}",
            state=str(status.label),
            colour=status.colour,
            note=row.get_step_display(),
        )
        for row in rows.order_by("-pk")[: MOST + 1]
        for status in [BatchStatus.DRAFT if row.draft else BatchStatus(row.status)]
    ]
    return Group(_("Batches"), "move_up", hits)


def _customers(asked: Asked) -> Group | None:
    """Customers by name, slug or domain: a union, so that each part goes through its own index."""
    parts: list[QuerySet[Any]] = []
    if asked.name:
        parts.append(Customer.objects.filter(name__istartswith=asked.name))
    if slug := slugify(asked.name):
        parts.append(Customer.objects.filter(slug__startswith=slug))
    if asked.domain:
        owners = CustomerDomain.objects.filter(domain__startswith=asked.domain).values("customer")[: MOST + 1]
        parts.append(Customer.objects.filter(pk__in=owners))
    if not parts:
        return None
    first, *others = [part.order_by().values_list("pk", "name", "slug")[: MOST + 1] for part in parts]
    rows = sorted(first.union(*others) if others else first, key=lambda row: row[1])
    hits = [
        Hit(title=name, url=reverse("admin:calendars_customer_change", args=[pk]), note=slug) for pk, name, slug in rows
    ]
    return Group(_("Customers"), "groups", hits)


def _calendars(asked: Asked, *, with_items: bool) -> Group | None:
    """Calendars by e-mail address, with where each is known and the open batch that moves it."""
    if not asked.email:
        return None
    found = Calendar.objects.filter(email__startswith=asked.email).select_related("customer")
    rows = sorted(found.order_by()[: MOST + 1], key=lambda row: row.email)
    known: dict[int, list[str]] = {}
    moved: dict[int, str] = {}
    if rows:
        places = Connection.objects.filter(calendar__in=rows).order_by("workspace__slug")
        words = dict(ConnectionStatus.choices)
        for calendar, slug, region, status in places.values_list(
            "calendar", "workspace__slug", "workspace__region__code", "status"
        ):
            known.setdefault(calendar, []).append(f"{slug} ({region}): {words.get(status, status)}")
    if rows and with_items:
        items = Item.objects.filter(open=True, connection__calendar__in=rows).select_related("batch")
        for item in items.annotate(calendar=F("connection__calendar")):
            moved[item.calendar] = f"{item.batch.slug}: {item.get_step_display()}, {item.get_status_display()}"
    hits = [
        Hit(
            title=row.email,
            url=change_url(row),
            where=", ".join(known.get(row.pk, [])),
            state=row.get_platform_display(),
            note=" · ".join(text for text in (str(row.customer), moved.get(row.pk, "")) if text),
        )
        for row in rows
    ]
    return Group(_("Calendars"), "calendar_month", hits)


def _meetings(asked: Asked, workspaces: Mapping[int, Workspace], may: Any) -> list[Group]:
    """Meetings and events at a link: the link itself first, then what begins like it."""
    shows_events, shows_meetings = may(Event), may(Assignment)
    if not shows_events and not shows_meetings:
        return []
    rows: list[tuple[Any, ...]] = []
    parts = [
        Event.objects.annotate(begin=Left("url", URL_BEGIN))
        .filter(begin__startswith=link[:URL_BEGIN])
        .order_by()
        .values_list("pk", "url", "start", "workspace", "is_deleted", "occurrence__assignment")[:MOST_EVENTS]
        for link in asked.links
    ]
    rows = [row for row in parts[0].union(*parts[1:], all=True) if row[1].startswith(asked.links)]
    exact = [row for row in rows if goes_on_from(row[1], asked.links)]
    now = clock.now()
    # the nearest to come first, then the newest of the past
    rows = sorted(exact or rows, key=lambda row: (row[2] < now, abs(row[2] - now)))
    groups = []
    if shows_meetings:
        keys = list(dict.fromkeys(row[5] for row in rows if row[5] is not None))[: MOST + 1]
        found = Assignment.objects.select_related("owner__region").defer("bot_config", "keys").in_bulk(keys)
        groups.append(Group(_("Meetings"), "fact_check", [_meeting(found[key]) for key in keys if key in found]))
    if shows_events:
        hits = [
            Hit(
                title=utc(start),
                url=reverse("admin:calendars_event_change", args=[pk]),
                where=place(workspaces.get(workspace)),
                state=_("deleted") if is_deleted else "",
                note=url[:120],
            )
            for pk, url, start, workspace, is_deleted, _meeting_key in rows[: MOST + 1]
        ]
        groups.append(Group(_("Events"), "event", hits))
    return groups


def _meeting(row: Assignment) -> Hit:
    verdict = Verdict(row.verdict)
    return Hit(
        title=f"{utc(row.start)}, {row.url[:80]}",
        url=change_url(row),
        where=place(row.owner),
        state=str(verdict.label),
        colour=VERDICT_COLOURS.get(verdict, ""),
        note=" ".join(text for text in (row.note, row.reason) if text),
    )


def _pages(request: HttpRequest, asked: Asked) -> Group | None:
    """The lists whose name says what was typed."""
    text = asked.name.lower()
    if not text:
        return None
    hits = [
        Hit(title=str(model["name"]), url=list_url(model["model"]), note=str(app["name"]))
        for app in admin.site.get_app_list(request)
        for model in app["models"]
        if text in str(model["name"]).lower()
    ]
    return Group(_("Pages"), "list", sorted(hits, key=lambda hit: hit.title)[: MOST + 1])


def _palette(request: HttpRequest, typed: str) -> HttpResponse:
    """Answer unfold's palette, in the form that its template takes."""
    begun = time.monotonic()
    _asked, groups = find(request, typed)
    rows = [
        {
            "title": hit.title,
            "description": " · ".join(str(text) for text in (group.name, hit.where, hit.state) if text),
            "link": hit.url,
            "icon": group.icon,
        }
        for group in groups
        for hit in group.shown
    ]
    pages = Paginator(rows, max(1, len(rows)))
    context = {
        "page_obj": pages,
        "results": pages.page(1),
        "page_counter": 0,
        "execution_time": time.monotonic() - begun,
        "command_show_history": False,
    }
    return TemplateResponse(request, "unfold/helpers/command_results.html", context, headers={"HX-Trigger": "search"})
