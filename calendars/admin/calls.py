"""The record of calls to providers: what was asked, and what came back."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.models import ProviderCall
from calendars.providers.recall_endpoints import ENDPOINTS
from recallops.admin_base import FewRelated, HistoryAdmin
from recallops.admin_display import badge, moment
from recallops.admin_export import ExportAdmin
from recallops.exporting import Column


class OutcomeFilter(admin.SimpleListFilter):
    """How calls ended, by the class of their status."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the classes."""
        return [
            ("failed", _("all that failed")),
            ("2", _("2xx: success")),
            ("4", _("4xx: refused")),
            ("429", _("429: too many")),
            ("5", _("5xx: the provider’s trouble")),
            ("none", _("no answer")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one class."""
        chosen = self.value()
        failed = queryset.exclude(error="")
        if chosen in ("4", "5"):  # each of them failed: the index of those that did is a short one
            return failed.filter(status__gte=int(chosen) * 100, status__lt=int(chosen) * 100 + 100)
        if chosen == "429":
            return failed.filter(status=429)
        if chosen == "none":
            return failed.filter(status=None)
        if chosen == "2":
            return queryset.filter(error="")
        return failed if chosen == "failed" else queryset


class EndpointFilter(admin.SimpleListFilter):
    """Calls of one endpoint."""

    title = _("endpoint")
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the endpoints that are known; none is looked for in the table."""
        return [(name, name) for name in ENDPOINTS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one endpoint."""
        return queryset.filter(endpoint=self.value()) if self.value() else queryset


@admin.register(ProviderCall)
class ProviderCallAdmin(ExportAdmin, HistoryAdmin):
    """One try of one call."""

    empty_help = (
        _("Every call to a provider is kept here for some days. There was none yet: test a key, or begin a batch."),
        "admin:calendars_workspace_changelist",
        _("Look at the workspaces"),
    )

    list_display = [
        moment("at", _("sent"), ordering=False),
        "workspace",
        "endpoint",
        "outcome",
        "took_ms",
        "attempt",
        "subject",
        "request_id",
    ]
    list_display_links = ["endpoint"]
    list_filter = [("workspace", FewRelated), OutcomeFilter, EndpointFilter]
    search_fields = ["subject__exact"]
    search_help_text = _("The provider’s id of what the call was about, whole")
    sortable_by: ClassVar = ()
    ordering = ["-pk"]
    export_columns = (
        Column(_("number"), "pk"),
        Column(_("sent (UTC)"), "at"),
        Column(_("workspace"), "workspace__slug"),
        Column(_("endpoint"), "endpoint"),
        Column(_("about"), "subject"),
        Column(_("status"), "status"),
        Column(_("error"), "error"),
        Column(_("milliseconds"), "took_ms"),
        Column(_("milliseconds waited for the budget"), "waited_ms"),
        Column(_("try"), "attempt"),
        Column(_("request id"), "request_id"),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the workspace along."""
        return super().get_queryset(request).select_related("workspace")

    @admin.display(description=_("outcome"))
    def outcome(self, obj: ProviderCall) -> SafeString:
        """Its status, and what that was taken for."""
        return outcome_badge(obj)


def outcome_badge(call: ProviderCall) -> SafeString:
    """Return how a call ended, as a badge."""
    if not call.error:
        return badge(call.status or "", "success")
    words = f"{call.status} {call.error}" if call.status else call.error
    return badge(words, "danger" if call.status and call.status < 500 and call.status != 429 else "warning")
