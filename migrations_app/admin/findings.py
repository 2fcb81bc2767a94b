"""What checks found, and the pages on which a person accepts it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from migrations_app import bulk, control
from migrations_app.admin.bulk import Bulk, carry_out
from migrations_app.admin.filters import BatchIsFilter, CheckFilter
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import Finding, Severity
from recallops.admin_base import FewRelated, HistoryAdmin, post_action
from recallops.admin_display import coloured, moment, to
from recallops.admin_export import ExportAdmin
from recallops.exporting import Column

SEVERITY_COLOURS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.BLOCKING: "danger"}
WAIVED = _("Waived, with your reason on record.")


class StateFilter(admin.SimpleListFilter):
    """Whether anybody has to look at it."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the three states."""
        return [("open", _("open")), ("waived", _("waived")), ("gone", _("gone"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one state."""
        if self.value() == "open":
            return queryset.filter(gone_at=None, waived_at=None)
        if self.value() == "waived":
            return queryset.filter(waived_at__isnull=False)
        if self.value() == "gone":
            return queryset.filter(gone_at__isnull=False)
        return queryset


@admin.register(Finding)
class FindingAdmin(ExportAdmin, HistoryAdmin):
    """Something that a check found."""

    empty_help = (
        _(
            "Checks note here what is not as it should be. There is nothing: press “Preflight” on a batch to let them "
            "look."
        ),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = [
        coloured(SEVERITY_COLOURS, "severity", _("severity")),
        "sentence",
        "remedy",
        "batch",
        "step",
        "state",
        moment("found_at", _("found")),
    ]
    list_display_links = ["sentence"]
    list_filter = [
        ("batch", FewRelated),
        "severity",
        StateFilter,
        BatchIsFilter,
        "step",
        CheckFilter,
        ("item__connection__calendar__customer", FewRelated),
    ]
    search_fields = ["sentence", "subject__startswith"]
    search_help_text = _("Words of the finding, or the begin of what it is about")
    ordering = ["-pk"]
    actions = ["waive_chosen"]
    fields = [
        "severity",
        "sentence",
        "remedy",
        "subject",
        "batch_link",
        "item_link",
        "assignment_link",
        "step",
        "code",
        "found_at",
        "gone_at",
        "waived_by",
        "waived_at",
        "waived_reason",
    ]
    readonly_fields = ["batch_link", "item_link", "assignment_link"]
    change_form_outer_before_template = "admin/migrations_app/finding_waive.html"
    export_columns = (
        Column(_("number"), "pk"),
        Column(_("batch"), "batch__slug"),
        Column(_("severity"), "severity", Severity),
        Column(_("finding"), "sentence"),
        Column(_("what to do"), "remedy"),
        Column(_("about"), "subject"),
        Column(_("item"), "item__title"),
        Column(_("id in the source"), "item__source_id"),
        Column(_("meeting (UTC)"), "assignment__start"),
        Column(_("step"), "step", Step),
        Column(_("check"), "code"),
        Column(_("found (UTC)"), "found_at"),
        Column(_("gone (UTC)"), "gone_at"),
        Column(_("waived (UTC)"), "waived_at"),
        Column(_("waived by"), "waived_by__username"),
        Column(_("why it was waived"), "waived_reason"),
    )
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("severity", "gone_at", "waived_at")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what the page names along with it."""
        return super().get_queryset(request).select_related("batch", "item", "assignment", "waived_by")

    def has_waive_permission(self, request: HttpRequest, obj: Finding | None = None) -> bool:
        """Accepting a finding changes a row that is otherwise read-only; a blocking one takes a right of its own."""
        if obj is not None and obj.severity == Severity.BLOCKING:
            return request.user.has_perm("migrations_app.waive_blocking")
        return request.user.has_perm("migrations_app.change_finding")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may waive."""
        context["may_waive"] = self.has_waive_permission(request, kwargs.get("obj"))
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("state"))
    def state(self, obj: Finding) -> str:
        """Whether it still counts."""
        if obj.gone_at:
            return str(_("gone"))
        return str(_("waived") if obj.waived_at else _("open"))

    @admin.display(description=_("batch"))
    def batch_link(self, obj: Finding) -> str | SafeString:
        """Its batch."""
        return to(obj.batch)

    @admin.display(description=_("item"))
    def item_link(self, obj: Finding) -> str | SafeString:
        """Its item."""
        return to(obj.item)

    @admin.display(description=_("meeting"))
    def assignment_link(self, obj: Finding) -> str | SafeString:
        """Its meeting."""
        return to(obj.assignment)

    @post_action(label=_("waive"), permission="waive")
    def waive(self, request: HttpRequest, obj: Finding) -> str:
        """Accept it, with a reason."""
        control.waive(obj, actor=request.user, reason=request.POST.get("reason", ""))
        return str(WAIVED)

    @admin.action(description=_("Waive, with a reason"), permissions=["waive"])
    def waive_chosen(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Accept the chosen findings with one reason, after a page that says which."""
        may_blocking = request.user.has_perm("migrations_app.waive_blocking")
        return carry_out(
            self,
            request,
            queryset,
            Bulk(
                action="waive_chosen",
                title=_("Waive findings"),
                does=_(
                    "They are accepted as they are and stop the batch no longer. Your name and reason stay on record."
                ),
                button=_("Waive"),
                asks_why=_("Why may they be waived?"),
                plan=lambda ids: bulk.plan_waive(ids, may_blocking=may_blocking),
                run=lambda ids, reason: bulk.waive(ids, actor=request.user, reason=reason, may_blocking=may_blocking),
                done=lambda count: ngettext("%d finding is waived.", "%d findings are waived.", count) % count,
            ),
        )
