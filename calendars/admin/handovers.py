"""Standing orders: what people may set on them; the rest is set on the batch's own page."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin
from calendars.models import Handover
from recallops.admin_display import moment


@admin.register(Handover)
class HandoverAdmin(AuditedAdmin):
    """Which texts inside bots' configurations are rewritten, and how many meetings may have two bots at once."""

    empty_help = (
        _("Each batch has a standing order that says where its meetings shall be. There is no batch yet."),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = ["__str__", "source", "target", moment("cut_line"), "allowed", "paused", "max_both"]
    list_select_related = ["source", "target"]
    fields = ["source", "target", "cut_line", "allowed", "paused", "backwards", "max_both", "rewrites"]
    readonly_fields = ["source", "target", "cut_line", "allowed", "paused", "backwards"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Batches make them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Handover | None = None) -> bool:
        """They stay with their batch."""
        return False
