"""What has to be done once before a first move: a list whose ticks are read from the rows.

It stands on the dashboard until all of it is done, and on the help page for ever. A step is done when two workspaces
have what it asks for (a move has two sides), so one that is not used for a move holds nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from calendars.models import ApiKey, WebhookEndpoint, WebhookSecret, Workspace
from migrations_app.models import Batch
from recallops.admin_base import may_see
from recallops.models import WorkerHeartbeat
from recallops.staff.models import Authenticator

SIDES = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: what, how, and where."""

    code: str
    title: Any
    how: Any
    model: type[Model] | None = None  # whose list, and whose permission, the link needs
    needed: int = SIDES
    vendor: str = ""  # the page of the vendor's dashboard on which a part of it is done
    lists: bool = False  # the link goes to the list, not to the form for a new one
    page: str = ""  # where it is done, when that is no list


@dataclass(frozen=True, slots=True)
class Line:
    """A step as somebody sees it."""

    step: Step
    done: bool
    count: int
    url: str
    label: Any


FACTOR = Step(
    "factor",
    _("Set up your second factor"),
    _("An app on your phone shows a code for each log-in. Keep the recovery codes on paper."),
    needed=1,
    page="staff:factor",
)
STEPS = (
    Step(
        "workspaces",
        _("Add two workspaces"),
        _("The one that calendars leave and the one that they go to: each is an account in one region of the vendor."),
        Workspace,
    ),
    Step(
        "keys",
        _("Give each an API key"),
        _("Make it in the vendor's dashboard of that region. It is stored encrypted and never shown again."),
        ApiKey,
        vendor="keys",
    ),
    Step(
        "tested",
        _("Test the keys"),
        _("Open each key and press “Test connection”: it reads one page and changes nothing."),
        ApiKey,
        lists=True,
    ),
    Step(
        "endpoints",
        _("Add a webhook endpoint for each workspace"),
        _("Its page shows the address for the vendor's dashboard of that region, and which events to choose."),
        WebhookEndpoint,
        vendor="webhooks",
    ),
    Step(
        "secrets",
        _("Store the webhooks' secrets"),
        _("Without a secret in the vendor's dashboard nothing is signed, and nothing unsigned is let in here."),
        WebhookSecret,
        vendor="webhooks",
    ),
    Step(
        "heard",
        _("See a first webhook from both regions"),
        _("Change an event in a connected calendar, or send a test from there. “Refusals” says what went wrong."),
        WebhookEndpoint,
        lists=True,
    ),
    Step(
        "workers",
        _("Start the workers"),
        _("“manage.py workers” does all the work: without it nothing moves. The dashboard shows its sign of life."),
        needed=1,
    ),
    Step(
        "batch",
        _("Make a first batch"),
        _("It does nothing until you press “Preflight”, which looks around and writes nothing at the provider."),
        Batch,
        needed=1,
    ),
)


def steps() -> tuple[Step, ...]:
    """Return what has to be done here; a second factor only where staff are asked for one."""
    return (FACTOR, *STEPS) if settings.STAFF_SECOND_FACTOR else STEPS


def rows(request: HttpRequest) -> dict[str, QuerySet[Any]]:
    """Return what is counted for the steps, by name; nothing for those who may not see workspaces."""
    if not _may_look(request):
        return {}
    return {
        "first factor": Authenticator.objects.filter(user=request.user.pk),
        "first workspaces": Workspace.objects.all(),
        "first keys": Workspace.objects.filter(api_keys__enabled=True).distinct(),
        "first tested": Workspace.objects.filter(api_keys__enabled=True, api_keys__test_passed=True).distinct(),
        "first endpoints": Workspace.objects.filter(webhook_endpoints__enabled=True).distinct(),
        "first secrets": Workspace.objects.filter(webhook_secrets__enabled=True).distinct(),
        "first heard": Workspace.objects.filter(webhook_endpoints__last_at__isnull=False).distinct(),
        "first workers": WorkerHeartbeat.objects.filter(
            beaten_at__gte=Now() - timedelta(seconds=settings.HEARTBEAT_STALE_SECONDS)
        ),
        "first batch": Batch.objects.filter(draft=False),
    }


def lines(request: HttpRequest, counts: Mapping[str, int]) -> list[Line]:
    """Return the steps as somebody sees them, from what was counted."""
    return [_line(request, step, counts.get(f"first {step.code}", 0)) for step in steps()] if _may_look(request) else []


def unfinished(request: HttpRequest, counts: Mapping[str, int]) -> list[Line]:
    """Return all steps while one of them is to be done; afterwards none."""
    found = lines(request, counts)
    return [] if all(line.done for line in found) else found


def _line(request: HttpRequest, step: Step, count: int) -> Line:
    url = ""
    label: Any = ""
    if step.page:
        url, label = reverse(step.page), _("Look")
    elif step.model is not None:
        kind = f"admin:{step.model._meta.app_label}_{step.model._meta.model_name}"
        options = admin.site.get_model_admin(step.model)
        if not step.lists and options.has_add_permission(request):
            url, label = reverse(f"{kind}_add"), _("Add")
        elif options.has_view_permission(request):
            url, label = reverse(f"{kind}_changelist"), _("Look")
    return Line(step, count >= step.needed, min(count, step.needed), url, label)


def _may_look(request: HttpRequest) -> bool:
    return may_see(request, Workspace)
