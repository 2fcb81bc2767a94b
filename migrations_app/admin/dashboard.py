"""The first page: what goes on, what a person must do next, and whether everything that is needed is alive.

It reads few rows, and counts many things in one statement (`bounded_counts`), so that it costs the same at any size.
Each card is for whoever may see the rows behind it. The live part is read again every few seconds; without JavaScript
the page is reloaded.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, DurationField, ExpressionWrapper, F, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from calendars.admin.ledger import VERDICT_COLOURS
from calendars.leases import MachineNow
from calendars.models import Assignment, Delivery, RateBudget, Verdict, Workspace
from calendars.providers import limits
from migrations_app.admin import first_run
from migrations_app.admin.concerns import (
    Listed,
    concerns,
    fallen_off,
    given_up,
    listed,
    not_understood,
    open_findings,
    refused,
)
from migrations_app.admin.items import STATUS_COLOURS, items_url
from migrations_app.itineraries import Step, after
from migrations_app.models import Batch, BatchStatus, Finding, Item, ItemStatus, Severity
from recallops import clock
from recallops.admin_base import may_see
from recallops.admin_counts import bounded_counts, shown
from recallops.admin_display import change_url, list_url
from recallops.models import WorkerHeartbeat

MOST_BATCHES = 8
MOST_WORKSPACES = 12
MOST_ENDPOINTS = 4
POLL_SECONDS = 10
POLL_SHARE = 20  # a page that takes long to read is read less often: at most a twentieth of the time
SOON = timedelta(hours=1)
CHART_HOURS = 24


@dataclass(frozen=True, slots=True)
class Number:
    """A count with its name, and the list that holds exactly the rows that were counted."""

    label: str
    count: int
    url: str
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A batch that is not closed."""

    batch: Batch
    url: str
    status: str
    colour: str
    tallies: list[Number]
    total: int
    done: int
    next: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour of the chart: webhooks that came in, those of them that were not understood, heights in per cent."""

    start: datetime
    came: Number
    failed: Number
    height: int
    failed_height: int


@dataclass(frozen=True, slots=True)
class Spent:
    """One endpoint of a workspace: used of the present hour and minute."""

    endpoint: str
    hour: limits.Hour
    minute: limits.Usage


@dataclass(frozen=True, slots=True)
class Budgets:
    """The endpoints of a workspace that were called in this hour, the busiest first."""

    workspace: Workspace
    url: str
    spent: Sequence[Spent]
    more: int
    refused: int


def index(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the first page what it shows (unfold's DASHBOARD_CALLBACK)."""
    return {**context, **_page(request), "title": _("Dashboard")}


def live_view(request: HttpRequest) -> HttpResponse:
    """Serve the live part again, or only the sign of life when nothing else changed.

    Not behind the login redirect: a login page must not be put into the middle of this one.
    """
    if not admin.site.has_permission(request):
        return HttpResponse(headers={"HX-Refresh": "true"})
    context = {**_page(request), "swap": True}
    same = request.GET.get("seen") == context["seen"]
    part = "_pulse" if same else "_live"
    response = TemplateResponse(request, f"admin/dashboard/{part}.html", context)
    if same:
        response["HX-Reswap"] = "none"
    response["Cache-Control"] = "no-store"
    return response


def _page(request: HttpRequest) -> dict[str, Any]:
    begun = time.monotonic()
    html = render_to_string("admin/dashboard/_cards.html", cards(request), request)
    return {
        "cards": mark_safe(html),  # noqa: S308 - a template of ours, rendered
        "seen": hashlib.sha256(html.encode()).hexdigest()[:16],
        "every": max(POLL_SECONDS, round((time.monotonic() - begun) * POLL_SHARE)),
        "live_url": reverse("dashboard-live"),
        **_pulse(),
    }


def cards(request: HttpRequest) -> dict[str, Any]:
    """Return all that the page shows to its person, from a fixed number of queries."""
    now = clock.now()
    found = concerns(now)
    asked = _numbers(now) | {f"next {one.code}": one.listed for one in found}
    asked = {name: one for name, one in asked.items() if may_see(request, one.rows.model)}
    steps = first_run.rows(request)
    counts = bounded_counts({name: one.rows for name, one in asked.items()} | steps)
    numbers = {name: (counts[name], one.url) for name, one in asked.items()}
    return {
        "next": [
            {
                "code": one.code,
                "colour": one.colour,
                "url": one.listed.url,
                "says": one.says.format(number=int(count), shown=shown(count)),
                "todo": one.todo,
            }
            for one in found
            if (count := counts.get(f"next {one.code}", 0))
        ],
        "tiles": _tiles(numbers),
        "batches": _batches() if may_see(request, Batch) else None,
        "open_batches": numbers.get("open"),
        "meetings": _meetings(numbers) if may_see(request, Assignment) else None,
        "webhooks": _webhooks(numbers, now) if may_see(request, Delivery) else None,
        "budgets": _budgets() if may_see(request, Workspace) else None,
        "first_run": first_run.unfinished(request, counts),
    }


# --- numbers


def _numbers(now: datetime) -> dict[str, Listed]:
    """Return everything that is counted for a card of its own, by name."""
    soon: dict[str, Any] = {"over": False, "start__lt": now + SOON, "end__gt": now}
    upcoming = f"{reverse('admin:calendars_assignment_upcoming')}?hours={round(SOON / timedelta(hours=1))}"
    found = {
        "open": listed(Batch, closed_at__isnull=True, draft=False),
        "meetings": Listed(listed(Assignment, **soon).rows, upcoming),
        "blocking": open_findings(Severity.BLOCKING),
        "warnings": open_findings(Severity.WARNING),
        "fell off": fallen_off(),
        "came in an hour": listed(Delivery, received_at__gte=now - timedelta(hours=1)),
        "came in a day": listed(Delivery, received_at__gte=now - timedelta(days=1)),
        "not looked at": listed(Delivery, state=Delivery.State.RECEIVED.value),
        "not understood": not_understood(now),
        "refused": refused(now),
        "given up": given_up(),
    }
    for verdict in Verdict:
        found[f"verdict {verdict}"] = listed(Assignment, verdict=verdict.value, **soon)
    for start in _hours(now):
        hour = {"received_at__gte": start, "received_at__lt": start + timedelta(hours=1)}
        found[f"came {start}"] = listed(Delivery, **hour)
        found[f"failed {start}"] = listed(Delivery, state=Delivery.State.FAILED.value, **hour)
    return found


def _hours(now: datetime) -> list[datetime]:
    """Return the hours of the chart, the present one last."""
    present = now.replace(minute=0, second=0, microsecond=0)
    return [present - timedelta(hours=back) for back in reversed(range(CHART_HOURS))]


_Numbers = dict[str, tuple[int, str]]


def _number(numbers: _Numbers, name: str, label: str, colour: str = "") -> Number:
    count, url = numbers[name]
    return Number(label, count, url, colour if count else "")


def _tiles(numbers: _Numbers) -> list[Number]:
    """The numbers that are looked at first; those of rows that somebody may not see are left out."""
    tiles = [
        ("open", _("open batches"), "info"),
        ("meetings", _("meetings within the hour"), "info"),
        ("blocking", _("blocking findings"), "danger"),
        ("fell off", _("connections that fell off"), "warning"),
        ("came in an hour", _("webhooks in the last hour"), "info"),
        ("not understood", _("not understood in a day"), "warning"),
        ("refused", _("kinds of refusal since yesterday"), "warning"),
        ("given up", _("given up for an application"), "warning"),
    ]
    return [_number(numbers, name, label, colour) for name, label, colour in tiles if name in numbers]


# --- cards


def _batches() -> list[Running]:
    """The open batches, the newest first, with what each waits for."""
    blocking = (
        Finding.objects.filter(batch=OuterRef("pk"), severity=Severity.BLOCKING, gone_at=None, waived_at=None)
        .order_by()
        .values("batch")
        .annotate(n=Count("pk"))
        .values("n")
    )
    rows = list(
        Batch.objects.filter(closed_at=None, draft=False)
        .select_related("source__region", "target__region", "handover")
        .annotate(blocking=Coalesce(Subquery(blocking), 0, output_field=IntegerField()))
        .order_by("-pk")[:MOST_BATCHES]
    )
    items = Item.objects.filter(batch__in=rows, kind=Item.Kind.CONNECTION).order_by()
    counted: dict[int, dict[str, int]] = defaultdict(dict)
    for batch, status, count in items.values_list("batch", "status").annotate(n=Count("pk")):
        counted[batch][status] = count
    return [_running(row, counted[row.pk]) for row in rows]


def _running(batch: Any, counts: dict[str, int]) -> Running:
    tallies = [
        Number(
            status.label,
            counts[status],
            items_url(batch, kind=Item.Kind.CONNECTION, status=status.value),
            STATUS_COLOURS[status],
        )
        for status in ItemStatus
        if counts.get(status)
    ]
    paused = batch.handover.paused
    return Running(
        batch=batch,
        url=change_url(batch),
        status=_("paused") if paused else batch.get_status_display(),
        colour="warning" if paused else BatchStatus(batch.status).colour,
        tallies=tallies,
        total=sum(counts.values()),
        done=counts.get(ItemStatus.DONE, 0) + counts.get(ItemStatus.BACK, 0),
        next=next_press(batch, blocking=batch.blocking),
    )


def next_press(batch: Batch, *, blocking: int) -> str:
    """Say what a person has to press next for a batch, or that it goes on by itself."""
    if batch.status == BatchStatus.STOPPED:
        return _("Solve the problem, then “Retry failed”.")
    if batch.handover.paused:
        return _("“Resume”, when it shall go on.")
    if batch.goal and batch.reached != batch.goal:
        return _("Nothing: it goes on to “{goal}” by itself.").format(goal=batch.get_goal_display())
    step = after(Step(batch.goal)) if batch.goal else batch.steps[0]
    if step is None:
        return _("Nothing: it is about to be closed.")
    if blocking and step not in (Step.PREFLIGHT, Step.EXPORT):
        return _("Solve or waive what blocks it, then “{step}”.").format(step=step.label)
    return _("“{step}”.").format(step=step.label)


def _meetings(numbers: _Numbers) -> dict[str, Any]:
    """The meetings of the next hour by who covers them, in the ledger's own words."""
    tallies = [
        _number(numbers, f"verdict {verdict}", verdict.label, VERDICT_COLOURS.get(verdict, "plain"))
        for verdict in Verdict
        if numbers[f"verdict {verdict}"][0]
    ]
    total, url = numbers["meetings"]
    return {"tallies": tallies, "total": total, "url": url}


def _webhooks(numbers: _Numbers, now: datetime) -> dict[str, Any]:
    """What came in, as numbers and hour by hour."""
    hours = _hours(now)
    most = max(1, *(numbers[f"came {start}"][0] for start in hours))
    bars = []
    for start in hours:
        came = _number(numbers, f"came {start}", _("came in"))
        failed = _number(numbers, f"failed {start}", _("not understood"), "danger")
        height = -(-100 * came.count // most)
        bars.append(Bar(start, came, failed, height, -(-height * failed.count // max(1, came.count))))
    return {
        "bars": bars,
        "width": 10 * len(bars),
        "numbers": [
            _number(numbers, "came in an hour", _("came in within an hour")),
            _number(numbers, "came in a day", _("came in within a day")),
            _number(numbers, "not looked at", _("wait to be looked at"), "info"),
            _number(numbers, "not understood", _("not understood within a day"), "danger"),
            *(
                [_number(numbers, "refused", _("kinds refused since yesterday"), "danger")]
                if "refused" in numbers
                else []
            ),
        ],
        "any": any(bar.came.count for bar in bars),
    }


def _budgets() -> list[Budgets]:
    """What was used of each workspace's limits in this hour, the busiest workspace first."""
    rows: dict[Workspace, list[Spent]] = defaultdict(list)
    used: Any = RateBudget.objects.annotate(now=MachineNow()).select_related("workspace__region")
    for row in used.filter(hour_start__gt=0).order_by("workspace", "endpoint"):
        hour = limits.hour(row, now=row.now)
        if hour.used or hour.refused:
            rows[row.workspace].append(Spent(row.endpoint, hour, limits.usage(row, now=row.now)))
    found = []
    for workspace, spent in rows.items():
        spent.sort(key=lambda one: -one.hour.percent)
        found.append(
            Budgets(
                workspace=workspace,
                url=change_url(workspace),
                spent=spent[:MOST_ENDPOINTS],
                more=max(0, len(spent) - MOST_ENDPOINTS),
                refused=sum(one.hour.refused for one in spent),
            )
        )
    return sorted(found, key=lambda one: -one.spent[0].hour.percent)[:MOST_WORKSPACES]


def _pulse() -> dict[str, Any]:
    """Whether workers are alive, and for how long due work has been waiting."""
    age = ExpressionWrapper(Now() - F("beaten_at"), DurationField())
    beats = [
        (row.host, None if row.age is None else max(0, round(row.age.total_seconds())))
        for row in WorkerHeartbeat.objects.annotate(age=age).order_by("host")[:20]
    ]
    waits: float | None = import_string(settings.OLDEST_DUE)()
    alive = [host for host, seconds in beats if seconds is not None and seconds <= settings.HEARTBEAT_STALE_SECONDS]
    return {
        "beats": beats,
        "alive": bool(alive),
        "oldest": None if waits is None else round(waits),
        "late": waits is not None and waits > settings.OLDEST_DUE_ALARM_SECONDS,
        "due_url": list_url(Assignment, over__exact=0, due_at__lte=clock.now().isoformat()),
        "read_at": clock.now(),
    }
