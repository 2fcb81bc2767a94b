"""Rehearsals: asked for on a batch's page, read here. Every page of theirs says that it is one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migrations_app import rehearsals
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import ItemStatus, Rehearsal, RehearsalState
from migrations_app.rehearsal_words import risks, span
from recallops.admin_base import HistoryAdmin, post_action, row_number
from recallops.admin_display import coloured, moment

COLOURS = {state: state.colour for state in RehearsalState}
MOST_HOURS = 48


def phases() -> dict[str, str]:
    """Return what a rehearsal is at, in words."""
    return {
        "copying": _("Copies the inventory, without names."),
        "tables": _("Makes tables of its own."),
        "filling": _("Fills the simulated regions."),
        "playing": _("Plays the move."),
        "counting": _("Counts who attended."),
    }


@admin.register(Rehearsal)
class RehearsalAdmin(HistoryAdmin):
    """One rehearsal."""

    list_display = [
        "__str__",
        coloured(COLOURS, "state", gettext_lazy("state")),
        "took",
        "worst",
        moment("asked_at", gettext_lazy("asked")),
        "asked_by",
    ]
    list_filter = ["state"]
    list_select_related = ["batch", "asked_by"]
    search_fields = ["batch__slug__startswith"]
    ordering = ["-pk"]
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("state",)
    empty_help = (
        gettext_lazy("A rehearsal plays a batch's plan before anything is written. Ask for one on the batch's page."),
        "admin:migrations_app_batch_changelist",
        gettext_lazy("Batches"),
    )

    def has_drive_permission(self, request: HttpRequest, obj: Rehearsal | None = None) -> bool:
        """Who may drive batches may stop their rehearsals."""
        return request.user.has_perm("migrations_app.change_batch")

    def get_urls(self) -> list[URLPattern]:
        """Add the file."""
        view = self.admin_site.admin_view(self.json_view)
        own = [path("<int:object_id>/result.json", view, name="migrations_app_rehearsal_json")]
        return own + super().get_urls()

    @admin.display(description=gettext_lazy("the move took"))
    def took(self, obj: Rehearsal) -> str:
        """How long the move took in it."""
        return span(obj.result["seconds"]) if obj.result else "–"

    @admin.display(description=gettext_lazy("first to know"))
    def worst(self, obj: Rehearsal) -> str:
        """The worst that it has shown."""
        found = risks(obj.result) if obj.result else []
        return found[0].sentence if found else obj.reason or "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show what came of it, or how far it is."""
        row = self._row(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("REHEARSAL of {batch}").format(batch=row.batch),
            "opts": self.opts,
            "original": row,
            "shown": self.shown(row),
            "open": row.state in RehearsalState.open(),
            "colour": RehearsalState(row.state).colour,
            "phase": phases().get(row.progress.get("phase", ""), ""),
            "step": _step(row.progress.get("step", "")),
            "may_change": self.has_drive_permission(request, row),
            **(_shown(row.result) if row.result else {}),
        }
        return TemplateResponse(request, "admin/migrations_app/rehearsal/page.html", context)

    def json_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Hand out the numbers as a file whose name says what it is."""
        row = self._row(request, str(object_id))
        response = JsonResponse(
            {"rehearsal": row.pk, "batch": row.batch.slug, **row.result}, json_dumps_params={"indent": 1}
        )
        response["Content-Disposition"] = f'attachment; filename="REHEARSAL-{row.batch.slug}-{row.pk}.json"'
        return response

    def _row(self, request: HttpRequest, object_id: str) -> Rehearsal:
        rows = Rehearsal.objects.select_related("batch__source", "batch__target", "asked_by")
        row = rows.filter(pk=row_number(object_id) or 0).first()
        if row is None:
            raise Http404(_("There is no such rehearsal."))
        if not self.has_view_permission(request, row):
            raise PermissionDenied(_("Seeing rehearsals needs the permission to view them."))
        return row

    @post_action(label=gettext_lazy("stop the rehearsal"), permission="drive")
    def stop(self, request: HttpRequest, obj: Rehearsal) -> str:
        """End it without a result."""
        rehearsals.stop(obj, actor=request.user)
        return _("The rehearsal is stopped.")


def columns() -> dict[str, Any]:
    """Return what the batch page reads of its last rehearsal along with the batch."""
    kept = ("pk", "state", "asked_at", "reason", "progress", "result")
    rows = Rehearsal.objects.filter(batch=OuterRef("pk")).order_by("-pk")
    return {"last_rehearsal": Subquery(rows.values(one=JSONObject(**{name: name for name in kept}))[:1])}


def card(batch: Any) -> dict[str, Any]:
    """Return what the batch page shows of rehearsals: the last one, and whether another may be asked for."""
    shown: dict[str, Any] = {"refusal": rehearsals.refusal(batch)}
    if (last := batch.last_rehearsal) is None:
        return shown
    state, result = RehearsalState(last["state"]), last["result"]
    return {
        **shown,
        "last": {**last, "state": state.label, "asked_at": datetime.fromisoformat(last["asked_at"])},
        "open": state in RehearsalState.open(),
        "colour": state.colour,
        "phase": phases().get(last["progress"].get("phase", ""), "") if state in RehearsalState.open() else "",
        "took": span(result["seconds"]) if result else "",
        "risks": [risk for risk in (risks(result) if result else []) if risk.level != "info"][:3],
    }


def _shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a result."""
    return {
        "result": result,
        "took": span(result["seconds"]),
        "predicted": span(result["predicted"]["seconds"]),
        "soak": span(result["plan"]["soak"]),
        "canary_wait": span(result["plan"]["canary_wait"]),
        "cut_after": span(result["cut"]["after"]) if result["cut"] else "",
        "risks": risks(result),
        "steps": [
            (_step(one["step"]), span(one["began"]), span(one["lasted"]), round(one["lasted"]))
            for one in result["steps"]
        ],
        "whole": max(1, round(result["seconds"])),
        "hours": _hours(result["hours"]),
        "reasons": [(ItemStatus(status).label, reason, n) for status, reason, n in result["reasons"]],
        "calls": [
            (endpoint, result["calls"]["source"].get(endpoint, 0), result["calls"]["target"].get(endpoint, 0))
            for endpoint in sorted({*result["calls"]["source"], *result["calls"]["target"]})
        ],
    }


def _hours(hours: list[Mapping[str, int]]) -> list[dict[str, Any]]:
    """Return hour by hour what was called and had moved; hours in which nothing changed are left out."""
    shown, before = [], {"source": 0, "target": 0, "calendars": 0, "meetings": 0}
    most = 1
    for number, now in enumerate(hours):
        calls = now["source"] + now["target"] - before["source"] - before["target"]
        moved = (now["calendars"], now["meetings"]) != (before["calendars"], before["meetings"])
        if calls or moved or number == 0:
            shown.append({"hour": number, "calls": calls, "calendars": now["calendars"], "meetings": now["meetings"]})
            most = max(most, calls)
        before = dict(now)
    return [{**one, "most": most} for one in shown[:MOST_HOURS]]


def _step(step: str) -> str:
    return str(Step(step).label) if step else ""
