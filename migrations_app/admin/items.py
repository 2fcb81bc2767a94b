"""The items of all batches: which one waits for what, and whose turn it is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import sealed
from migrations_app import control
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import ErrorKind, Item, ItemStatus
from recallops.admin_base import FewRelated, HistoryAdmin, computed_once
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
RETRIED = _("{count} item(s) will be tried again.")
NONE_FAILED = _("None of the chosen items has failed or waits for a person, so nothing was changed.")


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
        "kind",
        "canary",
        ("connection__calendar__customer", FewRelated),
    ]
    search_fields = ["title__startswith", "source_id__startswith"]
    search_help_text = "Begin of an e-mail address or of the provider's id in the source"
    ordering = ["pk"]
    actions = ["retry_failed"]
    fields = [
        "title",
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
    readonly_fields = ["batch_link", "source_connection", "in_target", "group_link", "findings_table"]
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
        return to(obj.target_connection, obj.target_connection.remote_id) if obj.target_connection else "not yet"

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
    def retry_failed(self, request: HttpRequest, queryset: Any) -> None:
        """Let the chosen failed items be tried again; one call for each batch."""
        chosen: dict[Any, list[int]] = {}
        for item in queryset:
            chosen.setdefault(item.batch, []).append(item.pk)
        count = 0
        for batch, items in chosen.items():
            try:
                count += control.retry_failed(batch, actor=request.user, items=items)
            except Refused as refusal:
                messages.error(request, f"{batch}: {refusal}")
        if count:
            messages.success(request, RETRIED.format(count=count))
        else:
            messages.warning(request, NONE_FAILED)


def items_url(batch: Model, **filters: str | int) -> str:
    """Return the address of a batch's items, filtered by columns."""
    named = {f"{name}__exact": value for name, value in filters.items()}
    return list_url(Item, batch__id__exact=batch.pk, **named)
