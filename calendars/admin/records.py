"""What is kept for ever: which id became which, and who did what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry, IdMapping
from recallops import clock
from recallops.admin_base import MOST_CHOICES, HistoryAdmin
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


# From one value of an indexed column to the next, as often as there are values; not a look at each row.
NEXT_VALUES = """
    WITH RECURSIVE found(value) AS (
        (SELECT min({column}) FROM calendars_auditentry)
        UNION ALL
        SELECT (SELECT min({column}) FROM calendars_auditentry WHERE {column} > found.value)
        FROM found WHERE found.value IS NOT NULL
    )
    SELECT value FROM found WHERE value IS NOT NULL LIMIT %s
"""


class ValueFilter(admin.SimpleListFilter):
    """A filter by the values of an indexed column."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the first hundred values."""
        with connection.cursor() as cursor:
            cursor.execute(NEXT_VALUES.format(column=self.parameter_name), [MOST_CHOICES])
            return [(value, value) for (value,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those with the value."""
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class ActionFilter(ValueFilter):
    """What was done."""

    title = _("what")
    parameter_name = "action"


class ActorFilter(ValueFilter):
    """Who did it."""

    title = _("who")
    parameter_name = "actor_name"


class KindFilter(ValueFilter):
    """What kind of row it was done to."""

    title = _("kind of row")
    parameter_name = "subject_kind"


class DoorFilter(admin.SimpleListFilter):
    """By which door somebody came in."""

    title = _("door")
    parameter_name = "door"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the doors that there are."""
        doors = (_("admin"), _("api"), _("status page"), _("terminal"), _("worker"), _("system"))
        return list(zip(("admin", "api", "status", "terminal", "worker", "system"), doors, strict=True))

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those by one door."""
        return queryset.filter(door=self.value()) if self.value() else queryset


class DayFilter(admin.SimpleListFilter):
    """When it was done, in domain time."""

    title = _("when")
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer days that people ask for."""
        return [("0", _("today (UTC)")), ("1", _("since yesterday")), ("7", _("the last 7 days")), ("30", _("30 days"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those since the day's midnight."""
        if self.value() not in ("0", "1", "7", "30"):
            return queryset
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(at__gte=midnight - timedelta(days=int(str(self.value()))))


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportAdmin, HistoryAdmin):
    """Who did what, why and from where. `manage.py verify_audit` checks that it is as it was written."""

    empty_help = (
        _("Whatever somebody does in the admin or from a terminal is on record here. Nobody has done anything yet."),
        "help",
        _("What to do first"),
    )

    list_display = ["number", moment("at", _("when")), "actor_name", "action", "subject_link", "reason", "whence"]
    list_display_links = ["number", "action"]
    list_filter = [ActionFilter, ActorFilter, DayFilter, DoorFilter, KindFilter]
    search_fields = ["actor_name__startswith", "subject_name__startswith", "action__startswith"]
    search_help_text = "Begin of a name, of a subject or of an action"
    ordering = ["-pk"]
    fields = [
        "number",
        "at",
        "created_at",
        "actor_name",
        "action",
        "subject_link",
        "reason",
        "before_text",
        "after_text",
        "data_text",
        "whence",
        "request_id",
        "previous",
        "hash",
    ]
    readonly_fields = ["subject_link", "before_text", "after_text", "data_text", "whence"]
    export_columns = (
        Column(_("number"), "number"),
        Column(_("when (UTC)"), "at"),
        Column(_("written (UTC)"), "created_at"),
        Column(_("who"), "actor_name"),
        Column(_("what"), "action"),
        Column(_("kind of row"), "subject_kind"),
        Column(_("its number"), "subject_id"),
        Column(_("its name"), "subject_name"),
        Column(_("why"), "reason"),
        Column(_("before"), "before"),
        Column(_("after"), "after"),
        Column(_("details"), "data"),
        Column(_("door"), "door"),
        Column(_("address"), "address"),
        Column(_("request"), "request_id"),
        Column(_("hash"), "hash"),
    )

    @admin.display(description=_("about"))
    def subject_link(self, obj: AuditEntry) -> str | SafeString:
        """The row, and a way to its page where it has one."""
        name = obj.subject_name or f"{obj.subject_kind} {obj.subject_id}"
        try:
            address = reverse(f"admin:{obj.subject_kind.replace('.', '_')}_change", args=[obj.subject_id])
        except NoReverseMatch:
            return name
        return format_html('<a href="{}" class="ro-link">{}</a>', address, name)

    @admin.display(description=_("from where"))
    def whence(self, obj: AuditEntry) -> str:
        """The door, and the address behind it."""
        return f"{obj.door} {obj.address}".strip()

    @admin.display(description=_("before"))
    def before_text(self, obj: AuditEntry) -> SafeString:
        """What it was."""
        return json_block(obj.before)

    @admin.display(description=_("after"))
    def after_text(self, obj: AuditEntry) -> SafeString:
        """What it became."""
        return json_block(obj.after)

    @admin.display(description=_("details"))
    def data_text(self, obj: AuditEntry) -> SafeString:
        """The details; never a secret."""
        return json_block(obj.data)
