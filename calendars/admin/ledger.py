"""The coverage ledger row by row, the bots behind it, and what was about to be written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import sealed
from calendars.models import Assignment, Bot, Intent, Occurrence, Verdict
from recallops.admin_base import HistoryAdmin, computed_once
from recallops.admin_display import at, coloured, json_block, link, moment, names_of, table, without_query
from recallops.admin_export import ExportAdmin
from recallops.exporting import Column

VERDICT_COLOURS = {
    Verdict.STALE: "warning",
    Verdict.UNWANTED: "warning",
    Verdict.MISSED: "danger",
    Verdict.DOUBLED: "danger",
    Verdict.NOT_ATTENDED: "danger",
    Verdict.SOURCE: "info",
    Verdict.TARGET: "success",
    Verdict.OWNER: "success",
    Verdict.ATTENDED: "success",
}
SHOWN_MEMBERS = 3


@admin.register(Assignment)
class AssignmentAdmin(ExportAdmin, HistoryAdmin):
    """One row for each meeting that one bot must attend."""

    empty_help = (
        _(
            "The ledger has a row for each meeting that one bot must attend. It fills when a batch's “Export” has read "
            "the events."
        ),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = [
        moment("start"),
        coloured(VERDICT_COLOURS, "verdict", _("verdict")),
        "note",
        "reason",
        "owner",
        "url_text",
        "members",
    ]
    list_select_related = ["owner"]
    list_filter = ["verdict", "owner", "over", "both"]
    search_fields = ["url__startswith", "occurrences__calendar__email__startswith"]
    search_help_text = "Begin of a meeting link or of a member's e-mail address"
    ordering = ["start", "pk"]
    fields = [
        "start",
        "end",
        "meeting_link",
        "owner",
        "epoch",
        "verdict",
        "note",
        "reason",
        "verdict_at",
        "both",
        "exception",
        "over",
        "flipped_at",
        "due_at",
        "attempts",
        "scope",
        "keys_text",
        "members_table",
        "intents_table",
        "config_text",
    ]
    readonly_fields = ["meeting_link", "keys_text", "members_table", "intents_table", "config_text"]
    list_before_template = "recallops/ledger_links.html"
    export_columns = (
        Column(_("number"), "pk"),
        Column(_("start (UTC)"), "start"),
        Column(_("end (UTC)"), "end"),
        Column(_("link"), "url", without_query),
        Column(_("owner"), "owner__slug"),
        Column(_("verdict"), "verdict", Verdict),
        Column(_("note"), "note"),
        Column(_("judged (UTC)"), "verdict_at"),
        Column(_("why it waits"), "reason"),
        Column(_("looked at again (UTC)"), "due_at"),
        Column(_("exception"), "exception"),
        Column(_("handed over (UTC)"), "flipped_at"),
        Column(_("over"), "over"),
    )
    extra_filters: list[Any] = []
    """Filters that other apps bring along: this one knows nothing of batches."""

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the members of a page at once; leave long JSON where it is."""
        members = Occurrence.objects.select_related("calendar")
        rows = super().get_queryset(request).defer("bot_config", "keys")
        return rows.prefetch_related(Prefetch("occurrences", queryset=members))

    def get_urls(self) -> list[URLPattern]:
        """Add the coming hours."""
        view = self.admin_site.admin_view(self.upcoming_view)
        return [path("upcoming/", view, name="calendars_assignment_upcoming"), *super().get_urls()]

    def upcoming_view(self, request: HttpRequest) -> HttpResponse:
        """Show the coming meetings by hour. Titles are shown to whoever may see events."""
        from calendars.admin import upcoming

        if not self.has_view_permission(request):
            raise PermissionDenied("Looking at coming meetings needs the permission to view assignments.")
        hours = upcoming.hours_of(request.GET.get("hours", ""))
        context = {
            **self.admin_site.each_context(request),
            **upcoming.upcoming(hours, with_titles=request.user.has_perm("calendars.view_event")),
            "title": "Coming meetings",
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/calendars/assignment/upcoming.html", context)

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Add the filters of other apps."""
        return [*super().get_list_filter(request), *self.extra_filters]

    @admin.display(description=_("link"), ordering="url")
    def url_text(self, obj: Assignment) -> str:
        """The link, short; it is a link on the row's own page."""
        return obj.url if len(obj.url) <= 60 else f"{obj.url[:59]}…"

    @admin.display(description=_("members"))
    def members(self, obj: Assignment) -> str:
        """Whose meeting it is."""
        names = sorted({str(one.calendar) for one in obj.occurrences.all()})
        more = len(names) - SHOWN_MEMBERS
        return ", ".join(names[:SHOWN_MEMBERS]) + (f" and {more} more" if more > 0 else "")

    @admin.display(description=_("meeting link"))
    def meeting_link(self, obj: Assignment) -> str | SafeString:
        """The link, when it is one."""
        return link(obj.url)

    @admin.display(description=_("deduplication keys"))
    def keys_text(self, obj: Assignment) -> SafeString:
        """The key in each workspace, by the workspace's number."""
        return json_block(obj.keys)

    @admin.display(description=_("members"))
    def members_table(self, obj: Assignment) -> SafeString:
        """The copies of the meeting."""
        return table(
            [_("calendar"), _("wanted"), _("why")],
            [[one.calendar, "yes" if one.wanted else "no", one.reason] for one in obj.occurrences.all()],
        )

    @admin.display(description=_("writes"))
    @computed_once
    def intents_table(self, obj: Assignment) -> SafeString:
        """What was written for it, newest first."""
        rows = obj.intents.select_related("workspace").order_by("-pk")[:50]
        return table(
            [_("sent"), _("workspace"), _("what"), _("state"), _("outcome")],
            [
                [at(one.sent_at), one.workspace, one.get_purpose_display(), one.get_state_display(), one.outcome]
                for one in rows
            ],
        )

    @admin.display(description=_("bot configuration"))
    @computed_once
    def config_text(self, obj: Assignment) -> str:
        """What new bots get, by name: the values may hold tokens and stay sealed."""
        return names_of(obj.bot_config)


@admin.register(Bot)
class BotAdmin(HistoryAdmin):
    """Bots as the provider lists them."""

    empty_help = (
        _("Bots are listed when a workspace is read, and when one is scheduled from here."),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = ["remote_id", "workspace", moment("join_at"), "status", "terminal", "attended", "url_text"]
    list_select_related = ["workspace"]
    list_filter = ["workspace", "terminal", "attended"]
    search_fields = ["remote_id__startswith"]
    search_help_text = "Begin of the provider's id"
    ordering = ["-pk"]
    fields = [
        "remote_id",
        "workspace",
        "status",
        "terminal",
        "attended",
        "join_at",
        "meeting_link",
        "read_begun_at",
        "config_text",
    ]
    readonly_fields = ["meeting_link", "config_text"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the configurations where they are."""
        return super().get_queryset(request).defer("config")

    @admin.display(description=_("link"))
    def url_text(self, obj: Bot) -> str:
        """The link, short."""
        return obj.meeting_url if len(obj.meeting_url) <= 60 else f"{obj.meeting_url[:59]}…"

    @admin.display(description=_("meeting link"))
    def meeting_link(self, obj: Bot) -> str | SafeString:
        """The link, when it is one."""
        return link(obj.meeting_url)

    @admin.display(description=_("configuration"))
    @computed_once
    def config_text(self, obj: Bot) -> str:
        """What the provider showed of its configuration, by name: the values may hold tokens and stay sealed."""
        return names_of(obj.config)


@admin.register(Intent)
class IntentAdmin(HistoryAdmin):
    """What was about to be written, and what became of it."""

    empty_help = (
        _("Before anything is written at the provider, it is noted here. Nothing was written yet."),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = [
        moment("sent_at", _("sent")),
        "workspace",
        "purpose",
        "subject",
        coloured(
            {Intent.State.CONFIRMED: "success", Intent.State.FAILED: "danger", Intent.State.SENT: "warning"},
            "state",
            _("state"),
        ),
        "attempt",
        "outcome",
    ]
    list_select_related = ["workspace"]
    list_filter = ["state", "purpose", "workspace"]
    search_fields = ["bot_id__startswith", "subject__startswith"]
    ordering = ["-pk"]
    fields = [
        "workspace",
        "purpose",
        "subject",
        "state",
        "outcome",
        "assignment",
        "event",
        "connection",
        "bot_id",
        "digest",
        "attempt",
        "sent_at",
        "answered_at",
        "settled_at",
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what it is about along with it, without the connection's secrets."""
        rows = super().get_queryset(request).select_related("workspace", "assignment", "event", "connection__calendar")
        return rows.select_related("connection__workspace").defer(
            *sealed("connection"), "event__raw", "assignment__bot_config"
        )
