"""Where webhooks come in, what opens that, what came, and what was refused and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, Q, Subquery, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin, vendor_links
from calendars.admin.workspaces import KEEP
from calendars.models import AuditEntry, Delivery, Relayed, WebhookEndpoint, WebhookRefusal, WebhookSecret
from calendars.webhooks.advice import WHAT_TO_DO
from calendars.webhooks.signatures import secret_problem
from recallops import clock
from recallops.admin_base import FewRelated, HistoryAdmin, computed_once, post_action
from recallops.admin_display import at, badge, coloured, moment, table, to
from recallops.admin_widgets import SecretInput
from recallops.encryption import fingerprint
from recallops.logs import one_line

GIVE = _("Give the secret.")
SAME = _("This workspace has this secret already (fingerprint {fingerprint}).")
OTHER_ENDPOINT = _("This endpoint belongs to another workspace.")
WAITS_ALREADY = _("It waits already, so nothing was changed.")
AGAIN = _("It will be looked at again within seconds.")
NOT_YET = _("not yet: it waits to be looked at")
NOT_PASSED_ON = _("no: its workspace had no application when it was handled")
MANY_AGAIN = _("{count} will be looked at again within seconds.")
STEPS = _(
    "In the vendor's dashboard of {region}, under “Webhooks”, add an endpoint with this address and choose the "
    "calendar and bot events. Create a workspace secret there if there is none (without one nothing is signed), copy "
    "it, and add it here under “Webhook secrets”. Accounts from before December 2025 have a secret for each endpoint "
    "instead: add that one for this endpoint only."
)
REFUSAL_DAYS = 7
SHOWN_BYTES = 20_000

STATE_COLOURS = {
    Delivery.State.RECEIVED: "info",
    Delivery.State.HANDLED: "success",
    Delivery.State.FAILED: "danger",
}


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(AuditedAdmin):
    """An address that webhooks are sent to."""

    empty_help = (
        _(
            "An endpoint is the address to which a workspace sends its webhooks. Add one for each workspace; its page "
            "says what to do in the vendor's dashboard."
        ),
        "admin:calendars_webhookendpoint_add",
        _("Add an endpoint"),
    )

    list_display = ["label", "workspace", "region", "enabled", moment("last_at", _("last webhook")), "refused"]
    list_select_related = ["workspace__region"]
    list_filter = ["workspace", "enabled"]
    search_fields = ["label", "workspace__slug"]
    fields = [
        "workspace",
        "label",
        "enabled",
        "address",
        "steps",
        "in_the_dashboard",
        "secrets_table",
        "refusals_table",
        "last_at",
    ]
    readonly_fields = ["address", "steps", "in_the_dashboard", "secrets_table", "refusals_table", "last_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the region along, and the number of refusals."""
        own = _refusals().filter(endpoint=OuterRef("pk")).order_by().values("endpoint")
        rows = super().get_queryset(request).select_related("workspace__region")
        return rows.annotate(refused_lately=Subquery(own.annotate(total=Sum("count")).values("total")))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Let the page know under which host it is seen: the vendor is told the same one."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            path = reverse("recall-webhook", args=[found.token])
            query = urlencode({"region": found.workspace.region.code})
            found.full_address = f"{request.build_absolute_uri(path)}?{query}"
        return found

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has no address yet."""
        return super().get_fields(request, obj) if obj else ["workspace", "label", "enabled"]

    @admin.display(description=_("region"))
    def region(self, obj: WebhookEndpoint) -> str:
        """Where its workspace is."""
        return obj.workspace.region.code

    @admin.display(description=_("refused in 7 days"))
    def refused(self, obj: Any) -> str | SafeString:
        """How many were not let in."""
        return badge(f"{obj.refused_lately:,}", "danger") if obj.refused_lately else "–"

    @admin.display(description=_("address for the dashboard"))
    def address(self, obj: Any) -> SafeString:
        """What is pasted into the vendor's dashboard."""
        return format_html("<code>{}</code>", obj.full_address)

    @admin.display(description=_("what to do there"))
    def steps(self, obj: WebhookEndpoint) -> str:
        """How webhooks are set up."""
        return STEPS.format(region=obj.workspace.region.code)

    @admin.display(description=_("in the vendor's dashboard"))
    @computed_once
    def in_the_dashboard(self, obj: WebhookEndpoint) -> str | SafeString:
        """Where that is."""
        return vendor_links(obj.workspace.region, "webhooks")

    @admin.display(description=_("secrets"))
    @computed_once
    def secrets_table(self, obj: WebhookEndpoint) -> str | SafeString:
        """The secrets that matter here, by what may be seen of them."""
        own = Q(endpoint=None) | Q(endpoint=obj)
        rows = list(WebhookSecret.objects.filter(own, workspace_id=obj.workspace_id).defer("secret")[:50])
        if not rows:
            return badge(_("There is no secret yet: everything is refused."), "danger")
        return table(
            [_("secret"), _("last four"), _("fingerprint"), _("for"), _("state"), _("last used")],
            [
                [
                    to(row, row.label),
                    row.last4,
                    row.fingerprint,
                    "this endpoint" if row.endpoint_id else "the workspace",
                    "in use" if row.enabled else "switched off",
                    at(row.last_used_at) or "never",
                ]
                for row in rows
            ],
        )

    @admin.display(description=_("refused in 7 days"))
    @computed_once
    def refusals_table(self, obj: WebhookEndpoint) -> str | SafeString:
        """What was not let in, most recent cause first, and what to do."""
        rows = list(_refusals().filter(endpoint=obj).order_by("last_at"))
        if not rows:
            return "Nothing."
        last = {row.cause: row for row in rows}
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.cause] = counts.get(row.cause, 0) + row.count
        newest_first = sorted(last.values(), key=lambda row: row.last_at, reverse=True)
        return table(
            [_("likely cause"), _("times"), _("last"), _("of the last one"), _("what to do")],
            [
                [row.get_cause_display(), f"{counts[row.cause]:,}", at(row.last_at), row.detail, advice(row)]
                for row in newest_first
            ],
        )


class WebhookSecretForm(forms.ModelForm):  # type: ignore[type-arg]
    """The secret is typed in and never shown."""

    new_secret = forms.CharField(label=_("Secret"), required=False, widget=SecretInput, help_text=KEEP)

    class Meta:
        model = WebhookSecret
        fields = ["workspace", "endpoint", "label", "enabled"]

    def clean(self) -> dict[str, Any]:
        """Refuse what cannot be a secret, one that is there already, and an endpoint of another workspace."""
        cleaned: dict[str, Any] = super().clean() or {}
        secret = (cleaned.get("new_secret") or "").strip()
        cleaned["new_secret"] = secret
        if secret and (problem := secret_problem(secret)):
            self.add_error("new_secret", problem)
        elif not secret and not self.instance.pk:
            self.add_error("new_secret", GIVE)
        workspace, endpoint = cleaned.get("workspace"), cleaned.get("endpoint")
        if workspace and endpoint and endpoint.workspace_id != workspace.pk:
            self.add_error("endpoint", OTHER_ENDPOINT)
        mark = fingerprint(secret) if secret else self.instance.fingerprint
        if workspace and mark:
            same = WebhookSecret.objects.filter(workspace=workspace, fingerprint=mark).exclude(pk=self.instance.pk)
            if same.exists():
                self.add_error("new_secret", SAME.format(fingerprint=mark))
        return cleaned


@admin.register(WebhookSecret)
class WebhookSecretAdmin(AuditedAdmin):
    """What proves that a webhook comes from a workspace."""

    empty_help = (
        _(
            "Webhooks are let in only when they are signed with a secret from here. Copy it from the vendor's "
            "dashboard."
        ),
        "admin:calendars_webhooksecret_add",
        _("Add a secret"),
    )

    form = WebhookSecretForm
    list_display = ["label", "workspace", "endpoint", "last4", "fingerprint", "enabled", moment("last_used_at")]
    list_select_related = ["workspace", "endpoint__workspace"]
    list_filter = ["workspace", "enabled"]
    search_fields = ["label", "fingerprint", "workspace__slug"]
    fields = ["workspace", "endpoint", "label", "new_secret", "enabled", "last4", "fingerprint", "last_used_at"]
    readonly_fields = ["last4", "fingerprint", "last_used_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the secret sealed: no page needs it."""
        rows = super().get_queryset(request).defer("secret")
        return rows.select_related("workspace", "endpoint__workspace")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Read the workspaces of endpoints along: the choices name them."""
        if db_field.name == "endpoint":
            kwargs["queryset"] = WebhookEndpoint.objects.select_related("workspace")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a secret that was typed."""
        if secret := form.cleaned_data["new_secret"]:
            obj.secret, obj.last_used_at = secret, None
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return what belongs to a new secret."""
        return ("secret", "last4", "fingerprint", "last_used_at") if form.cleaned_data["new_secret"] else ()


class EventFilter(admin.SimpleListFilter):
    """By what it says, without reading the table for the names that occur."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the families of the catalogue."""
        names = ["calendar.sync_events", "calendar.update", "bot.", "recording.", "transcript.", "video_", "audio_"]
        return [(name, f"{name}*" if name[-1] in "._" else name) for name in names]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one family."""
        return queryset.filter(event__startswith=self.value()) if self.value() else queryset


@admin.register(Delivery)
class DeliveryAdmin(HistoryAdmin):
    """Webhooks as they arrived."""

    empty_help = (
        _(
            "No webhook came in yet. Set up an endpoint for each workspace and paste its address into the vendor's "
            "dashboard."
        ),
        "admin:calendars_webhookendpoint_changelist",
        _("Look at the endpoints"),
    )

    list_display = [
        moment("received_at", _("received")),
        "event_text",
        "workspace",
        coloured(STATE_COLOURS, "state", _("state")),
        "subject",
        "times",
        "reason",
    ]
    list_display_links = ["event_text"]
    list_select_related = ["workspace"]
    list_filter = ["state", ("workspace", FewRelated), EventFilter]
    search_fields = ["delivery_id__startswith", "subject__startswith"]
    search_help_text = "Begin of a delivery's id, or of the calendar or bot that it speaks of"
    ordering = ["-pk"]
    actions = ["try_these_again"]
    fields = [
        "event",
        "state",
        "reason",
        "workspace",
        "endpoint",
        "delivery_id",
        "received_at",
        "sent_at",
        "times",
        "region_text",
        "subject",
        "handled_at",
        "passed_on",
        "body_text",
    ]
    readonly_fields = ["region_text", "passed_on", "body_text"]
    change_form_outer_before_template = "recallops/delivery_again.html"
    controls: ClassVar = ("state",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave bodies where they are: a list does not show them, a page reads its own."""
        return super().get_queryset(request).defer("body").select_related("workspace__region", "endpoint__workspace")

    def has_redo_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """To look at a delivery again changes a row that is otherwise read-only."""
        return request.user.has_perm("calendars.change_delivery")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_redo"] = self.has_redo_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(label=_("try again"), permission="redo")
    def try_again(self, request: HttpRequest, obj: Delivery) -> str:
        """Put it among those that wait."""
        return str(AGAIN if _wait_again([obj], request.user) else WAITS_ALREADY)

    @admin.action(description=_("Try again"), permissions=["redo"])
    def try_these_again(self, request: HttpRequest, queryset: Any) -> None:
        """Put the chosen ones among those that wait."""
        messages.success(request, MANY_AGAIN.format(count=_wait_again(list(queryset), request.user)))

    @admin.display(description=_("event"), ordering="event")
    def event_text(self, obj: Delivery) -> str:
        """The event, once it was looked at."""
        return obj.event or "(not known yet)"

    @admin.display(description=_("region in the address"))
    def region_text(self, obj: Delivery) -> str | SafeString:
        """What the address says, and whether that is the workspace's region. The signature decides, not this."""
        own = obj.workspace.region.code
        if not obj.region:
            return "none"
        if obj.region == own:
            return obj.region
        note = f"The workspace is in {own}. Its signature is right, so it was let in; correct the address there."
        return format_html("{} {}", badge(obj.region, "warning"), note)

    @admin.display(description=_("passed on"))
    @computed_once
    def passed_on(self, obj: Delivery) -> str | SafeString:
        """What became of it on its way to the company's application."""
        if row := Relayed.objects.filter(delivery=obj.pk).first():
            return to(row, row.get_state_display())
        return str(NOT_YET if obj.state == Delivery.State.RECEIVED else NOT_PASSED_ON)

    @admin.display(description=_("body"))
    @computed_once
    def body_text(self, obj: Delivery) -> SafeString:
        """The bytes as text: what cannot be seen, or is no text, as escapes."""
        body = bytes(obj.body)
        text = body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
        lines = "\n".join(one_line(line) for line in text.split("\n"))
        more = f"… and {len(body) - SHOWN_BYTES:,} bytes more" if len(body) > SHOWN_BYTES else ""
        return format_html('<pre class="ro-json">{}</pre>{}', lines, more)


@admin.register(WebhookRefusal)
class WebhookRefusalAdmin(HistoryAdmin):
    """What was not let in, by day and cause."""

    empty_help = (
        _("Nothing was refused. If nothing comes in either, look whether the endpoints are set up."),
        "admin:calendars_webhookendpoint_changelist",
        _("Look at the endpoints"),
    )

    list_display = [
        "day",
        "endpoint",
        coloured(dict.fromkeys(WebhookRefusal.Cause, "warning"), "cause", _("likely cause")),
        "count",
        moment("last_at", _("last")),
        "detail",
    ]
    list_select_related = ["endpoint__workspace"]
    list_filter = ["cause", ("endpoint__workspace", admin.RelatedOnlyFieldListFilter)]
    ordering = ["-day", "-last_at"]
    fields = ["day", "endpoint", "cause", "what_to_do", "count", "first_at", "last_at", "detail"]
    readonly_fields = ["what_to_do"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the workspace along."""
        return super().get_queryset(request).select_related("endpoint__workspace")

    @admin.display(description=_("what to do"))
    def what_to_do(self, obj: WebhookRefusal) -> str:
        """The advice for the cause."""
        return advice(obj)


def advice(refusal: WebhookRefusal) -> str:
    """Return what staff do about a refusal."""
    return WHAT_TO_DO[WebhookRefusal.Cause(refusal.cause)]


def _refusals() -> Any:
    """Return the refusals of the last days."""
    return WebhookRefusal.objects.filter(day__gt=(clock.now() - timedelta(days=REFUSAL_DAYS)).date())


def _wait_again(rows: Sequence[Delivery], actor: Any) -> int:
    """Let deliveries be looked at again, on record; those that wait already are left alone."""
    count = 0
    for row in rows:
        done = Delivery.objects.filter(pk=row.pk).exclude(state=Delivery.State.RECEIVED)
        if done.update(state=Delivery.State.RECEIVED, reason="", handled_at=None):
            AuditEntry.objects.record(actor=actor, action="delivery.again", subject=row)
            count += 1
    return count
