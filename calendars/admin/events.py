"""Events as each connection shows them. Titles and links are the text of strangers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import sealed
from calendars.admin.policies import judge_again
from calendars.judging import Judge
from calendars.models import AuditEntry, Calendar, Event, RecordingChoice
from calendars.scheduling.policy import meeting_of
from recallops.admin_base import HistoryAdmin, computed_once, post_action
from recallops.admin_display import badge, json_block, link, moment
from recallops.logs import one_line

WILL = _("{who} decided: {what}. Its calendar is judged again within seconds.")
RECORD = _("a bot attends this event, whatever the policy says")
DO_NOT = _("no bot is sent for this calendar; another calendar that wants the meeting still sends one")
POLICY_DECIDES = _("The policy decides again. Its calendar is judged within seconds.")
NOTHING_CHOSEN = _("Nothing was chosen for this event: the policy decides already.")
NOBODY_SAID = _("Nobody has said anything about this calendar: its meetings stay as found.")


@admin.register(Event)
class EventAdmin(HistoryAdmin):
    """One calendar event as one connection shows it."""

    empty_help = (
        _(
            "Events are read with their calendars: make a batch and press “Preflight”, then “Export”, or let a "
            "workspace be always scheduled."
        ),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = [
        moment("start"),
        "shown_title",
        "calendar",
        "workspace",
        "wanted",
        "why",
        "bot_count",
        "is_deleted",
        moment("read_begun_at"),
    ]
    list_display_links = ["shown_title"]
    list_select_related = ["connection__calendar", "workspace", "occurrence"]
    list_filter = ["workspace", "occurrence__wanted", "is_deleted"]
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
        "wanted_text",
        "judgement",
        "choice_text",
        "series_text",
        "read_begun_at",
        "changed_at",
        "bots_text",
        "raw_text",
    ]
    readonly_fields = [
        "shown_title",
        "meeting_link",
        "wanted_text",
        "judgement",
        "choice_text",
        "series_text",
        "bots_text",
        "raw_text",
    ]
    change_form_outer_before_template = "recallops/event_choice.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Take the title out of the provider's JSON in the database, and leave the rest there."""
        rows = super().get_queryset(request)
        rows = rows.select_related(
            "connection__calendar", "connection__workspace", "workspace", "occurrence__recording_choice"
        )
        title = Coalesce(KeyTextTransform("summary", "raw"), KeyTextTransform("subject", "raw"))
        return rows.defer("raw", *sealed("connection")).annotate(headline=title)

    def control_state(self, obj: Event) -> Any:
        """Which meeting it is and what was chosen for it; sweeps write the rest again and again."""
        choice = _choice(obj)
        return [obj.occurrence_id, obj.start, obj.is_deleted, choice and (choice.record, choice.reason, choice.made_by)]

    def has_choose_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        """The event itself is read-only: a choice is a row of its own."""
        return request.user.has_perm("calendars.change_recordingchoice")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page what was chosen, and whether its person may choose."""
        context["may_choose"] = self.has_choose_permission(request)
        if obj := kwargs.get("obj"):
            context["chosen"] = _choice(obj)
            context["title_of_event"] = self.shown_title(obj)
        return super().render_change_form(request, context, *args, **kwargs)

    # --- acts

    @post_action(label=_("record this event"), permission="choose")
    def record(self, request: HttpRequest, obj: Event) -> str:
        """Let a bot attend, whatever the policy says."""
        return self._choose(request, obj, record=True)

    @post_action(label=_("do not record this event"), permission="choose")
    def do_not_record(self, request: HttpRequest, obj: Event) -> str:
        """Let no bot attend for this calendar."""
        return self._choose(request, obj, record=False)

    @post_action(label=_("as the policy says"), permission="choose")
    def as_the_policy_says(self, request: HttpRequest, obj: Event) -> str:
        """Forget what was chosen for this event."""
        with transaction.atomic():
            gone, _rows = RecordingChoice.objects.filter(occurrence=obj.occurrence_id).delete()
            if not gone:
                return str(NOTHING_CHOSEN)
            AuditEntry.objects.record(actor=request.user, action="event.as_policy", subject=obj)
            judge_again(Calendar.objects.filter(pk=obj.occurrence.calendar_id))
        return str(POLICY_DECIDES)

    def _choose(self, request: HttpRequest, obj: Event, *, record: bool) -> str:
        said = one_line(" ".join(request.POST.get("reason", "").replace("\x00", "").split()))[:200]
        who = str(request.user)
        with transaction.atomic():
            before = RecordingChoice.objects.select_for_update().filter(occurrence=obj.occurrence_id).first()
            if before is None or (before.record, before.reason) != (record, said):
                RecordingChoice.objects.update_or_create(
                    occurrence=obj.occurrence, defaults={"record": record, "reason": said, "made_by": who[:200]}
                )
                action = "event.record" if record else "event.do_not_record"
                AuditEntry.objects.record(actor=request.user, action=action, subject=obj, reason=said)
                judge_again(Calendar.objects.filter(pk=obj.occurrence.calendar_id))
        return WILL.format(who=who, what=RECORD if record else DO_NOT)

    # --- what is shown

    @admin.display(description=_("title"))
    def shown_title(self, obj: Any) -> str:
        """The title, which anybody may have written."""
        return obj.headline or "(no title)"

    @admin.display(description=_("calendar"))
    def calendar(self, obj: Event) -> str:
        """Whose calendar."""
        return str(obj.connection.calendar)

    @admin.display(description=_("bots"))
    def bot_count(self, obj: Event) -> int:
        """How many bots it shows."""
        return len(obj.bots)

    @admin.display(description=_("meeting link"))
    def meeting_link(self, obj: Event) -> str | SafeString:
        """The link, when it is one."""
        return link(obj.url)

    @admin.display(description=_("bots"))
    def bots_text(self, obj: Event) -> SafeString:
        """Its bots as read."""
        return json_block(obj.bots)

    @admin.display(description=_("as read"))
    def raw_text(self, obj: Event) -> SafeString:
        """What the calendar's own provider says."""
        return json_block(obj.raw)

    @admin.display(description=_("wanted"), ordering="occurrence__wanted")
    def wanted(self, obj: Event) -> SafeString:
        """Whether a bot shall attend it."""
        return _yes_or_no(obj.occurrence.wanted)

    @admin.display(description=_("why"))
    def why(self, obj: Event) -> str:
        """Why it is or is not."""
        return obj.occurrence.reason or "–"

    @admin.display(description=_("wanted"))
    def wanted_text(self, obj: Event) -> SafeString:
        """What was judged, by the workspace that owns the meeting, and why."""
        return format_html("{} {}", _yes_or_no(obj.occurrence.wanted), obj.occurrence.reason)

    @admin.display(description=_("by what holds now"))
    @computed_once
    def judgement(self, obj: Event) -> str | SafeString:
        """The judgement of the present policy and choices on this event as it is shown here."""
        occurrence = obj.occurrence
        occurrence.calendar = calendar = obj.connection.calendar
        found = occurrence.wanted or bool(obj.bots)
        judged = Judge({calendar}, [occurrence]).judge(occurrence, obj, found=found)
        if judged is None:
            return str(NOBODY_SAID)
        waits = _(" (the calendar waits to be judged again)") if calendar.judge_at else ""
        return format_html("{} {}{}", _yes_or_no(judged.wanted), judged.reason, waits)

    @admin.display(description=_("chosen by hand"))
    def choice_text(self, obj: Event) -> str | SafeString:
        """What somebody decided for this one event."""
        choice = _choice(obj)
        if choice is None:
            return "nothing for this event"
        said = f": {choice.reason}" if choice.reason else ""
        return f"{'record' if choice.record else 'do not record'}{said} ({choice.made_by or 'somebody'})"

    @admin.display(description=_("series"))
    @computed_once
    def series_text(self, obj: Event) -> str | SafeString:
        """What a choice for the whole series may name, and where it is made."""
        calendar, raw = obj.connection.calendar, obj.raw
        meeting = meeting_of(
            platform=calendar.platform,
            raw=raw,
            ical_uid=obj.occurrence.ical_uid,
            url=obj.url,
            is_deleted=obj.is_deleted,
            addresses=(),
        )
        if not meeting.recurring:
            return "none"
        add = reverse("admin:calendars_recordingchoice_add")
        names = (
            (name, urlencode({"customer": str(calendar.customer_id), "series": name}))
            for name in sorted(meeting.series)
        )
        line = '<div class="ro-row"><code>{}</code> <a class="ro-link" href="{}?{}">choose for the series</a></div>'
        return format_html_join("", line, ((name, add, query) for name, query in names))


def _yes_or_no(wanted: bool) -> SafeString:
    return badge(_("wanted"), "success") if wanted else badge(_("not wanted"))


def _choice(event: Event) -> RecordingChoice | None:
    return getattr(event.occurrence, "recording_choice", None)
