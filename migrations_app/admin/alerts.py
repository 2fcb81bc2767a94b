"""Where staff are told of what happens, and of what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin
from calendars.admin.workspaces import KEEP
from calendars.models import AuditEntry
from calendars.relay import hosts
from migrations_app.alerts import outbox, tasks
from migrations_app.control import Refused
from migrations_app.models import Alert, AlertChannel, AlertKind, AlertPost
from recallops import clock
from recallops.admin_base import FewRelated, HistoryAdmin, post_action
from recallops.admin_display import at, badge, moment, to, utc
from recallops.admin_widgets import Select, TextInput, UnseenInput

State = AlertPost.State

GIVE_URL = _("Give the URL of the incoming webhook.")
TAKEN = _("%(channel)s answered %(status)d within %(seconds).1f s: look whether the test is there.")
AGAIN = _("%(count)d alert(s) that were given up are sent again.")
NONE_GIVEN_UP = _("Nothing was given up.")


class AlertChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The URL is typed in and never shown: whoever has it can post."""

    new_url = forms.CharField(label="URL", required=False, max_length=2000, widget=UnseenInput, help_text=KEEP)
    kinds = forms.MultipleChoiceField(
        label=_("Is told of"),
        choices=AlertKind.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=AlertKind.values,
    )

    class Meta:
        model = AlertChannel
        fields = ["name", "format", "kinds", "enabled"]
        widgets: ClassVar = {"name": TextInput, "format": Select}

    def clean_new_url(self) -> str:
        """Refuse where alerts may not go."""
        url: str = (self.cleaned_data["new_url"] or "").strip()
        if not url and not self.instance.pk:
            raise forms.ValidationError(GIVE_URL)
        if url:
            try:
                hosts.check(url, hosts.of_alerts())
            except hosts.Forbidden as error:
                raise forms.ValidationError(str(error)) from None
        return url


@admin.register(AlertChannel)
class AlertChannelAdmin(AuditedAdmin):
    """Places in chat tools."""

    empty_help = (
        _("Nobody is told of anything in a chat tool yet. Make an incoming webhook there, and give its URL here."),
        "admin:migrations_app_alertchannel_add",
        _("Add a channel"),
    )

    form = AlertChannelForm
    list_display = ["name", "format", "state", "told_of", "waiting", "given_up", moment("last_ok_at", _("last taken"))]
    list_filter = ["format", "enabled"]
    search_fields = ["name"]
    readonly_fields = ["state", "last_problem", "last_ok"]
    change_form_outer_before_template = "admin/migrations_app/alert_channel_acts.html"
    controls: ClassVar = ("enabled", "tested_at")
    refusals: ClassVar = (Refused,)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count what is on its way beside each row; leave URLs sealed."""
        counts = {
            "waiting_now": Count("posts", filter=Q(posts__state=State.WAITING)),
            "failed_now": Count("posts", filter=Q(posts__state=State.FAILED)),
        }
        return super().get_queryset(request).defer("url").annotate(**counts)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has nothing to show yet, and whoever only looks gets no field for the URL."""
        fields = ["name", "format", "new_url", "kinds", "enabled"]
        if obj is None:
            return fields
        if not self.has_change_permission(request, obj):
            fields.remove("new_url")
        return [*fields, "state", "last_problem", "last_ok"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a URL that was typed, and forget what was said of the one before."""
        if url := form.cleaned_data["new_url"]:
            obj.url, obj.tested_at, obj.test_result = url, None, ""
            obj.failing_since, obj.last_problem, obj.next_at, obj.attempts = None, "", None, 0
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return what belongs to a new URL."""
        if not form.cleaned_data["new_url"]:
            return ()
        return ("url", "tested_at", "test_result", "failing_since", "last_problem", "next_at", "attempts")

    @post_action(label=_("send a test"))
    def send_test(self, request: HttpRequest, obj: AlertChannel) -> str:
        """Post a test; a channel that is switched off may be tested before it is switched on."""
        outcome = outbox.post(obj, outbox.test_text(obj))
        words = {"channel": obj, "status": outcome.status or 0, "seconds": outcome.seconds}
        said = str(TAKEN) % words if outcome.delivered else outbox.problem_of(obj, outcome)
        with transaction.atomic():
            AlertChannel.objects.filter(pk=obj.pk).update(tested_at=clock.now(), test_result=said[:400])
            AuditEntry.objects.record(
                actor=request.user, action="alertchannel.test", subject=obj, delivered=outcome.delivered
            )
        if not outcome.delivered:
            raise Refused(said)
        return said

    @post_action(label=_("send what was given up again"))
    def send_given_up(self, request: HttpRequest, obj: AlertChannel) -> str:
        """Begin anew with what was given up."""
        with transaction.atomic():
            count = AlertPost.objects.filter(channel=obj, state=State.FAILED).update(state=State.WAITING)
            if not count:
                return str(NONE_GIVEN_UP)
            AlertChannel.objects.filter(pk=obj.pk).update(next_at=None, attempts=0)
            AuditEntry.objects.record(actor=request.user, action="alertchannel.again", subject=obj, count=count)
            transaction.on_commit(tasks.pump)
        return str(AGAIN) % {"count": count}

    @admin.display(description=_("state"))
    def state(self, obj: AlertChannel) -> str | SafeString:
        """Whether it takes alerts."""
        if not obj.enabled:
            return badge(_("off"), "warning")
        if obj.failing_since:
            return badge(_("not taken since %(at)s") % {"at": utc(obj.failing_since)}, "danger")
        return badge(_("well"), "success") if obj.last_ok_at else badge(_("nothing sent yet"))

    @admin.display(description=_("is told of"))
    def told_of(self, obj: AlertChannel) -> str:
        """Its kinds."""
        if set(obj.kinds) >= set(AlertKind.values):
            return str(_("everything"))
        return ", ".join(str(AlertKind(kind).label) for kind in obj.kinds if kind in AlertKind.values)

    @admin.display(description=_("to be sent"))
    def waiting(self, obj: Any) -> str:
        """How many wait."""
        return f"{obj.waiting_now:,}"

    @admin.display(description=_("given up"))
    def given_up(self, obj: Any) -> str | SafeString:
        """How many were given up."""
        return badge(f"{obj.failed_now:,}", "danger") if obj.failed_now else "0"

    @admin.display(description=_("last taken"))
    def last_ok(self, obj: AlertChannel) -> str | SafeString:
        """When it last took a post."""
        return at(obj.last_ok_at) or str(_("never"))


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """What staff were told of."""

    empty_help = (
        _("Staff were told of nothing yet. Facts are looked for once there is a channel to tell."),
        "admin:migrations_app_alertchannel_changelist",
        _("Alert channels"),
    )

    list_display = ["kind", "sentence", "batch", moment("found_at", _("found")), "holds"]
    list_display_links = ["sentence"]
    list_filter = ["kind", ("batch", FewRelated)]
    list_select_related = ["batch"]
    search_fields = ["sentence"]
    ordering = ["-pk"]
    fields = ["kind", "sentence", "batch_link", "found_at", "holds", "ended_at", "went_to"]
    readonly_fields = ["batch_link", "holds", "went_to"]

    @admin.display(description=_("now"))
    def holds(self, obj: Alert) -> SafeString:
        """Whether it still is so."""
        return badge(_("over")) if obj.quiet_since or obj.ended_at else badge(_("holds"), "warning")

    @admin.display(description=_("batch"))
    def batch_link(self, obj: Alert) -> str | SafeString:
        """Its batch."""
        return to(obj.batch)

    @admin.display(description=_("went to"))
    def went_to(self, obj: Alert) -> str | SafeString:
        """Which channels were told."""
        rows = obj.posts.select_related("channel").defer("channel__url")[:50]
        words = [f"{row.channel}: {row.get_state_display()}" for row in rows]
        return format_html("{}", "; ".join(words)) if words else str(_("Nobody was to be told when it was found."))
