"""What is kept for ever: which id became which, and who did what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry, IdMapping
from recallops.admin_base import HistoryAdmin
from recallops.admin_display import json_block, moment
from recallops.admin_export import ExportAdmin
from recallops.exporting import Column


@admin.register(IdMapping)
class IdMappingAdmin(HistoryAdmin):
    """The id map."""

    empty_help = (
        _("When a calendar, an event or a bot gets another id by a move, the old and the new one are kept here."),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = ["kind", "source", "source_remote_id", "target", "target_remote_id", "superseded"]
    list_display_links = ["source_remote_id"]
    list_select_related = ["source", "target"]
    list_filter = ["kind", "superseded", "source", "target"]
    search_fields = ["source_remote_id__startswith", "target_remote_id__startswith"]
    search_help_text = "Begin of an id, old or new"
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read both workspaces along."""
        return super().get_queryset(request).select_related("source", "target")


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportAdmin, HistoryAdmin):
    """Who did what."""

    empty_help = (
        _("Whatever somebody does in the admin or from a terminal is on record here. Nobody has done anything yet."),
        "help",
        _("What to do first"),
    )

    list_display = [moment("at", _("when")), "actor_name", "action", "subject_kind", "subject_name"]
    list_filter = ["subject_kind"]
    search_fields = ["actor_name__startswith", "subject_name__startswith", "action__startswith"]
    search_help_text = "Begin of a name, of a subject or of an action"
    ordering = ["-pk"]
    fields = ["at", "created_at", "actor_name", "action", "subject_kind", "subject_id", "subject_name", "data_text"]
    readonly_fields = ["data_text"]
    export_columns = (
        Column(_("number"), "pk"),
        Column(_("when (UTC)"), "at"),
        Column(_("written (UTC)"), "created_at"),
        Column(_("who"), "actor_name"),
        Column(_("what"), "action"),
        Column(_("kind of row"), "subject_kind"),
        Column(_("its number"), "subject_id"),
        Column(_("its name"), "subject_name"),
        Column(_("details"), "data"),
    )

    @admin.display(description=_("details"))
    def data_text(self, obj: AuditEntry) -> SafeString:
        """The details; never a secret."""
        return json_block(obj.data)
