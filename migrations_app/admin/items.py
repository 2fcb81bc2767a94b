"""The items of all batches: which one waits for what, and whose turn it is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from calendars.admin.base import sealed
from migrations_app import bulk, timeline
from migrations_app.admin.acts import ACTS
from migrations_app.admin.bulk import Bulk, carry_out
from migrations_app.admin.filters import ReasonFilter
from migrations_app.itineraries import Step
from migrations_app.models import ErrorKind, Item, ItemStatus
from recallops.admin_base import FewRelated, HistoryAdmin, computed_once, may_see
from recallops.admin_display import coloured, list_url, moment, table, to
from recallops.admin_export import ExportAdmin
from recallops.exporting import Column

STATUS_COLOURS = {status.value: status.colour for status in ItemStatus}
ERROR_COLOURS = {
    ErrorKind.PERMANENT: "danger",
    ErrorKind.CONFIGURATION: "danger",
    ErrorKind.OURS: "danger",
    ErrorKind.CUSTOMER: "warning",
}


@admin.register(Item)
class ItemAdmin(ExportAdmin, HistoryAdmin):
    """One thing that a batch moves. The engine writes it; people press “retry failed”."""

    empty_help = (
        _(
            "Items are the calendars that batches move. A batch gets them when its “Export” has listed the calendars "
            "of the source."
        ),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = [
        "title_or_id",
        "customer",
        "batch",
        "step",
        coloured(STATUS_COLOURS, "status", _("status")),
        "reason",
        coloured(ERROR_COLOURS, "error_kind", _("whose turn")),
        moment("due_at", _("looked at again")),
        "attempts",
    ]
    list_display_links = ["title_or_id"]
    list_filter = [
        ("batch", FewRelated),
        "step",
        "status",
        "error_kind",
        ReasonFilter,
        "kind",
        "canary",
        ("connection__calendar__customer", FewRelated),
    ]
    search_fields = ["title__startswith", "source_id__startswith"]
    search_help_text = _("Begin of an e-mail address or of the provider's id in the source")
    ordering = ["pk"]
    actions = ["retry_failed", "skip"]
    fields = [
        "title",
        "timeline_link",
        "kind",
        "batch_link",
        "source_id",
        "step",
        "status",
        "reason",
        "error_kind",
        "due_at",
        "nearest",
        "attempts",
        "source_connection",
        "in_target",
        "group_link",
        "created_target",
        "canary",
        "open",
        "deleted_at",
        "findings_table",
    ]
    readonly_fields = ["timeline_link", "batch_link", "source_connection", "in_target", "group_link", "findings_table"]
    export_columns = (
        Column(_("number"), "pk"),
        Column(_("batch"), "batch__slug"),
        Column(_("kind"), "kind", Item.Kind),
        Column(_("what"), "title"),
        Column(_("customer"), "connection__calendar__customer__name"),
        Column(_("id in the source"), "source_id"),
        Column(_("id in the target"), "target_connection__remote_id"),
        Column(_("step"), "step", Step),
        Column(_("status"), "status", ItemStatus),
        Column(_("reason"), "reason"),
        Column(_("whose turn"), "error_kind", ErrorKind),
        Column(_("attempts"), "attempts"),
        Column(_("looked at again (UTC)"), "due_at"),
        Column(_("nearest meeting (UTC)"), "nearest"),
        Column(_("canary"), "canary"),
        Column(_("deleted where it came from (UTC)"), "deleted_at"),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what the columns need at once, secrets excepted."""
        return (
            super()
            .get_queryset(request)
            .select_related("batch", "connection__calendar__customer", "target_connection", "group")
            .defer(*sealed("connection", "target_connection"))
        )

    def get_urls(self) -> list[URLPattern]:
        """Add the timeline."""
        view = self.admin_site.admin_view(self.timeline_view)
        return [path("<int:object_id>/timeline/", view, name="migrations_app_item_timeline"), *super().get_urls()]

    def timeline_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show everything that is on record about an item, in order."""
        if not self.has_view_permission(request):
            raise PermissionDenied(str(_("Seeing a timeline needs the permission to view items.")))
        kind = request.GET.get("kind", "")
        seen = [name for name in timeline.KINDS if may_see(request, timeline.ROWS[name])]
        kinds = tuple(name for name in seen if name == kind or kind not in timeline.KINDS)
        shown = timeline.of(object_id, kinds=kinds)
        if shown is None:
            raise Http404(str(_("There is no such item.")))
        item = shown.item
        context = {
            **self.admin_site.each_context(request),
            "title": _("Timeline of %(item)s") % {"item": item},
            "opts": self.opts,
            "original": item,
            "timeline": shown,
            "entries": [(one, timeline.NAMES[one.kind], ACTS.get(one.what, one.what)) for one in shown.entries],
            "status_colour": ItemStatus(item.status).colour,
            "cut": [timeline.NAMES[name] for name in shown.cut],
            "most": timeline.MOST,
            "kind": kind,
            "kinds": [(name, timeline.NAMES[name]) for name in seen],
        }
        return TemplateResponse(request, "admin/migrations_app/timeline.html", context)

    @admin.display(description=_("timeline"))
    def timeline_link(self, obj: Item) -> SafeString:
        """Where everything on record about it is, in order."""
        url = reverse("admin:migrations_app_item_timeline", args=[obj.pk])
        words = _("Steps, calls, writes, webhooks and acts in order")
        return format_html('<a href="{}" class="ro-link">{}</a>', url, words)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whoever may change batches may let their items be tried again."""
        return request.user.has_perm("migrations_app.change_batch")

    @admin.display(description=_("what"), ordering="title")
    def title_or_id(self, obj: Item) -> str:
        """Its title, else its id in the source."""
        return obj.title or obj.source_id

    @admin.display(description=_("customer"))
    def customer(self, obj: Item) -> str:
        """Whom it belongs to."""
        return str(obj.connection.calendar.customer) if obj.connection else "–"

    @admin.display(description=_("batch"))
    def batch_link(self, obj: Item) -> str | SafeString:
        """Its batch."""
        return to(obj.batch)

    @admin.display(description=_("in the source"))
    def source_connection(self, obj: Item) -> str | SafeString:
        """The connection that is moved."""
        return to(obj.connection, obj.connection.remote_id) if obj.connection else "–"

    @admin.display(description=_("in the target"))
    def in_target(self, obj: Item) -> str | SafeString:
        """The connection that it became."""
        there = obj.target_connection
        return to(there, there.remote_id) if there else str(_("not yet"))

    @admin.display(description=_("share group"))
    def group_link(self, obj: Item) -> str | SafeString:
        """The calendars that it goes over with, where the company's application schedules."""
        return to(obj.group)

    @admin.display(description=_("findings"))
    @computed_once
    def findings_table(self, obj: Item) -> SafeString:
        """What checks found about it."""
        return table(
            [_("severity"), _("finding"), _("what to do")],
            [[to(one, one.get_severity_display()), one.sentence, one.remedy] for one in obj.findings.all()[:50]],
        )

    @admin.action(description=_("Retry failed"), permissions=["retry"])
    def retry_failed(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Let the chosen failed items be tried again, after a page that says which."""
        return carry_out(
            self,
            request,
            queryset,
            Bulk(
                action="retry_failed",
                title=_("Retry failed calendars"),
                does=_("They begin again with the step that failed; what is done already is found and not done twice."),
                button=_("Retry"),
                plan=lambda ids: bulk.plan_items(ids, bulk.why_no_retry),
                run=lambda ids, _reason: bulk.retry(ids, actor=request.user),
                done=lambda count: (
                    ngettext("%d calendar will be tried again.", "%d calendars will be tried again.", count) % count
                ),
            ),
        )

    @admin.action(description=_("Skip, with a reason"), permissions=["retry"])
    def skip(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Leave the chosen items where they are for good, after a page that says which."""
        return carry_out(
            self,
            request,
            queryset,
            Bulk(
                action="skip",
                title=_("Skip calendars"),
                does=_(
                    "They stay in the source for good, with their meetings and bots, and this batch ends without them. "
                    "Only sending the whole batch back takes that back."
                ),
                button=_("Skip"),
                asks_why=_("Why may they stay where they are? It stays on record."),
                plan=lambda ids: bulk.plan_items(ids, bulk.why_no_skip),
                run=lambda ids, reason: bulk.skip(ids, actor=request.user, reason=reason),
                done=lambda count: (
                    ngettext("%d calendar stays where it is.", "%d calendars stay where they are.", count) % count
                ),
            ),
        )


def items_url(batch: Model, **filters: str | int) -> str:
    """Return the address of a batch's items, filtered by columns."""
    named = {f"{name}__exact": value for name, value in filters.items()}
    return list_url(Item, batch__id__exact=batch.pk, **named)
