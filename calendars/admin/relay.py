"""Webhooks on their way to the company's application: what became of each, and how one is sent again."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.applications import Refused
from calendars.admin.base import SEALED
from calendars.admin.relay_forms import without_secrets_of
from calendars.admin.webhooks import EventFilter
from calendars.models import AuditEntry, Connection, Relayed
from calendars.relay import outbox, tasks
from recallops.admin_base import FewRelated, HistoryAdmin, computed_once, post_action
from recallops.admin_display import at, badge, coloured, to, utc
from recallops.logs import one_line

State = Relayed.State

STATE_COLOURS = {State.WAITING: "info", State.HELD: "warning", State.DELIVERED: "success", State.DEAD: "danger"}
MOST_TRIES = 50
MOST_NAMED = 100  # ids of webhooks in one audit entry

AGAIN = _("It is sent again within seconds, under its own id.")
AGAIN_HELD = _("It is held now instead of sent: {why}")
AGAIN_PAUSED = _("It is sent again, under its own id, when the relay to {application} goes on.")
WAITS = _("It waits already: its next try is at {at}.")
IS_HELD = _("It is held: {why}")
MANY_AGAIN = _("{count} are sent again.")
MANY_HELD = _("{count} are held instead: their calendars are another region's.")
MANY_LEFT = _("{count} waited or were held already and were left alone.")
NONE_CHOSEN = _("None of the chosen ones was delivered or given up, so nothing was changed.")
HELD_UNKNOWN = _(
    "Nobody knows this calendar yet, and calendars are being moved to {workspace}: it may be one of those. It is sent "
    "or stays here as soon as the calendar is known."
)
HELD_ELSEWHERE = _(
    "{application} gets the webhooks of {calendar} from {workspace} (since {since}). This one is sent if the calendar "
    "comes back to where this one is from."
)
HELD_NO_MORE = _("It is let go at the next look.")


class RelayedEventFilter(EventFilter):
    """By what it says."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one family."""
        return queryset.filter(delivery__event__startswith=self.value()) if self.value() else queryset


@admin.register(Relayed)
class RelayedAdmin(HistoryAdmin):
    """Webhooks that are passed on."""

    empty_help = (
        _("Nothing was passed on yet. It begins when a workspace names its application and webhooks come in."),
        "admin:calendars_workspace_changelist",
        _("Look at the workspaces"),
    )

    list_display = [
        "received",
        "event",
        "workspace",
        coloured(STATE_COLOURS, "state", _("state")),
        "application",
        "subject",
        "attempts",
        "next_try",
        "problem",
    ]
    list_display_links = ["event"]
    list_filter = [
        "state",
        ("application", FewRelated),
        ("delivery__workspace", FewRelated),
        RelayedEventFilter,
    ]
    search_fields = ["delivery__delivery_id__startswith", "delivery__subject__startswith"]
    search_help_text = "Begin of a delivery's id, or of the calendar or bot that it speaks of"
    ordering = ["-pk"]
    actions = ["send_these_again"]
    fields = [
        "event",
        "state",
        "held_because",
        "delivery_link",
        "received",
        "workspace",
        "application_link",
        "subject",
        "lane",
        "attempts",
        "next_try",
        "delivered_at",
        "problem",
        "tries_table",
    ]
    readonly_fields = [
        "event",
        "held_because",
        "delivery_link",
        "received",
        "workspace",
        "application_link",
        "subject",
        "next_try",
        "tries_table",
    ]
    change_form_outer_before_template = "recallops/relayed_again.html"
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("state",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave bodies and URLs where they are."""
        rows = super().get_queryset(request).select_related("application", "delivery__workspace")
        return rows.defer("delivery__body", "application__url")

    def has_redo_permission(self, request: HttpRequest, obj: Relayed | None = None) -> bool:
        """To send a webhook again changes a row that is otherwise read-only."""
        return request.user.has_perm("calendars.change_relayed")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_redo"] = self.has_redo_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    # --- acts

    @post_action(label=_("send again"), permission="redo")
    def send_again(self, request: HttpRequest, obj: Relayed) -> str:
        """Send one again."""
        with transaction.atomic():
            if not outbox.again(Relayed.objects.filter(pk=obj.pk)):
                obj.refresh_from_db(fields=["state", "due_at"])
                held = obj.state == State.HELD
                raise Refused(IS_HELD.format(why=why_held(obj)) if held else WAITS.format(at=utc(obj.due_at)))
            AuditEntry.objects.record(actor=request.user, action="relayed.again", subject=obj)
            transaction.on_commit(tasks.pump)
        obj.refresh_from_db(fields=["state"])
        if obj.state == State.HELD:
            return AGAIN_HELD.format(why=why_held(obj))
        return AGAIN_PAUSED.format(application=obj.application) if obj.application.paused else str(AGAIN)

    @admin.action(description=_("Send again"), permissions=["redo"])
    def send_these_again(self, request: HttpRequest, queryset: Any) -> None:
        """Send the chosen ones again, with one audit entry for each application."""
        chosen: dict[Any, list[tuple[int, str]]] = defaultdict(list)
        left = 0
        for row in queryset:
            if row.state in (State.DEAD, State.DELIVERED):
                chosen[row.application].append((row.pk, row.delivery.delivery_id))
            else:
                left += 1
        count, states = 0, Counter[str]()
        for application, rows in chosen.items():
            mine = Relayed.objects.filter(pk__in=[pk for pk, _ in rows])
            count += (sent := outbox.again(mine))
            states.update(dict(mine.order_by().values_list("state").annotate(n=Count("pk"))))
            named = [delivery_id for _, delivery_id in rows[:MOST_NAMED]]
            AuditEntry.objects.record(
                actor=request.user, action="application.again", subject=application, count=sent, webhooks=named
            )
        if not count:
            messages.warning(request, NONE_CHOSEN)
            return
        transaction.on_commit(tasks.pump)
        if going := count - states[State.HELD]:
            messages.success(request, MANY_AGAIN.format(count=going))
        if states[State.HELD]:
            messages.warning(request, MANY_HELD.format(count=states[State.HELD]))
        if left:
            messages.warning(request, MANY_LEFT.format(count=left))

    # --- what is shown

    @admin.display(description=_("received"))
    def received(self, obj: Relayed) -> str:
        """When it came in."""
        return at(obj.delivery.received_at)

    @admin.display(description=_("event"))
    def event(self, obj: Relayed) -> str:
        """What it says."""
        return obj.delivery.event or "(not known)"

    @admin.display(description=_("workspace"))
    def workspace(self, obj: Relayed) -> str:
        """Where it came from."""
        return str(obj.delivery.workspace)

    @admin.display(description=_("subject"))
    def subject(self, obj: Relayed) -> str:
        """The calendar or bot that it speaks of; those of one subject go one after the other."""
        return obj.delivery.subject or "–"

    @admin.display(description=_("next try"), ordering="due_at")
    def next_try(self, obj: Relayed) -> str:
        """When it is tried next, while it waits."""
        return at(obj.due_at) if obj.state == State.WAITING else "–"

    @admin.display(description=_("webhook"))
    def delivery_link(self, obj: Relayed) -> str | SafeString:
        """What came in."""
        return to(obj.delivery, obj.delivery.delivery_id)

    @admin.display(description=_("application"))
    def application_link(self, obj: Relayed) -> str | SafeString:
        """Whom it is passed on to."""
        return to(obj.application)

    @admin.display(description=_("why it is held"))
    @computed_once
    def held_because(self, obj: Relayed) -> str:
        """What it waits for, when that is no time."""
        return why_held(obj) if obj.state == State.HELD else "it is not held"

    @admin.display(description=_("tries"))
    @computed_once
    def tries_table(self, obj: Relayed) -> str | SafeString:
        """What was answered, newest first. Answers are the text of strangers."""
        rows = list(obj.tries.all()[: MOST_TRIES + 1])
        if not rows:
            return "None yet."
        url = obj.application.url
        listed = format_html_join(
            "",
            '<li><time>{}</time> {} <span class="ro-soft">{} s</span> {}{}</li>',
            (
                (at(row.at), _status(row.status), f"{row.seconds:.2f}", row.problem, _answer(row.answer, url))
                for row in rows[:MOST_TRIES]
            ),
        )
        more = "Older ones are not shown." if len(rows) > MOST_TRIES else ""
        return format_html('<ol class="ro-acts">{}</ol>{}', listed, more)


def why_held(relayed: Relayed) -> str:
    """Say what a webhook that is held waits for."""
    delivery = relayed.delivery
    known = Connection.objects.filter(workspace=delivery.workspace_id, remote_id=delivery.subject)
    found = known.select_related("calendar__relayed_from").defer(*SEALED).first()
    if found is None:
        return HELD_UNKNOWN.format(workspace=delivery.workspace)
    calendar = found.calendar
    if calendar.relayed_from is None or calendar.relayed_from_id == delivery.workspace_id:
        return str(HELD_NO_MORE)
    return HELD_ELSEWHERE.format(
        application=relayed.application,
        calendar=calendar,
        workspace=calendar.relayed_from,
        since=utc(calendar.relayed_since) or "the beginning",
    )


def _answer(text: str, url: str) -> str | SafeString:
    said = one_line(without_secrets_of(text, url))
    return format_html('<br><span class="ro-soft ro-code">{}</span>', said) if said else ""


def _status(status: int | None) -> SafeString:
    if status is None:
        return badge(_("no answer"), "danger")
    return badge(status, "success" if 200 <= status < 300 else "danger")
