"""Events as each connection shows them. Titles and links are the text of strangers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString

from calendars.models import Event
from recallops.admin_base import HistoryAdmin
from recallops.admin_display import json_block, link, moment


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    """One calendar event as one connection shows it."""

    list_display = [
        moment("start"),
        "shown_title",
        "calendar",
        "workspace",
        "bot_count",
        "is_deleted",
        moment("read_begun_at"),
    ]
    list_display_links = ["shown_title"]
    list_select_related = ["connection__calendar", "workspace"]
    list_filter = ["workspace", "is_deleted"]
    search_fields = ["remote_id__startswith", "connection__calendar__email__startswith"]
    search_help_text = "Begin of the provider's id or of a calendar's e-mail address"
    ordering = ["-pk"]
    fields = [
        "shown_title",
        "workspace",
        "connection",
        "remote_id",
        "start",
        "end",
        "meeting_link",
        "meeting_platform",
        "is_deleted",
        "read_begun_at",
        "changed_at",
        "bots_text",
        "raw_text",
    ]
    readonly_fields = ["shown_title", "meeting_link", "bots_text", "raw_text"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Take the title out of the provider's JSON in the database, and leave the rest there."""
        rows = super().get_queryset(request).select_related("connection__calendar", "workspace")
        title = Coalesce(KeyTextTransform("summary", "raw"), KeyTextTransform("subject", "raw"))
        return rows.defer(
            "raw", "connection__oauth_client_secret", "connection__refresh_token", "connection__webhook_url"
        ).annotate(headline=title)

    @admin.display(description="title")
    def shown_title(self, obj: Any) -> str:
        """The title, which anybody may have written."""
        return obj.headline or "(no title)"

    @admin.display(description="calendar")
    def calendar(self, obj: Event) -> str:
        """Whose calendar."""
        return str(obj.connection.calendar)

    @admin.display(description="bots")
    def bot_count(self, obj: Event) -> int:
        """How many bots it shows."""
        return len(obj.bots)

    @admin.display(description="meeting link")
    def meeting_link(self, obj: Event) -> str | SafeString:
        """The link, when it is one."""
        return link(obj.url)

    @admin.display(description="bots")
    def bots_text(self, obj: Event) -> SafeString:
        """Its bots as read."""
        return json_block(obj.bots)

    @admin.display(description="as read")
    def raw_text(self, obj: Event) -> SafeString:
        """What the calendar's own provider says."""
        return json_block(obj.raw)
