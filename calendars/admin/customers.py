"""Customers, their calendars, and how each calendar is known in each workspace."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import SEALED, AuditedAdmin
from calendars.admin.policies import judge_again
from calendars.judging import policies_of
from calendars.models import (
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerContact,
    CustomerDomain,
    RecordingChoice,
    RecordingPolicy,
)
from recallops.admin_base import FewRelated, HistoryAdmin, TabularInline, computed_once
from recallops.admin_display import badge, json_block, list_url, moment, table, to, without_query

CONTACT_TAKEN = _("This customer has a contact with this address already.")
STATUS_COLOURS = {
    ConnectionStatus.CONNECTED: "success",
    ConnectionStatus.CONNECTING: "info",
    ConnectionStatus.DISCONNECTED: "danger",
}


class DomainForm(forms.ModelForm):  # type: ignore[type-arg]
    """Domains are compared in lower case, so they are checked in lower case, too."""

    def clean_domain(self) -> str:
        """Return the domain as it is stored."""
        return str(self.cleaned_data["domain"]).strip().lower()


class DomainInline(TabularInline):
    """The e-mail domains of a customer."""

    model = CustomerDomain
    form = DomainForm
    fields = ["domain"]


class ContactForm(forms.ModelForm):  # type: ignore[type-arg]
    """Addresses are compared in lower case, so they are checked in lower case, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Let the address of a subscriber be: it was confirmed from there.

        Whether somebody was switched on or off is told from what the page showed, not from what became of it since.
        """
        super().__init__(*args, **kwargs)
        self.fields["enabled"].show_hidden_initial = self.instance.pk is not None
        if self.instance.subscribed_at is not None:
            self.fields["email"].disabled = True

    def clean_email(self) -> str:
        """Return the address as it is stored."""
        return str(self.cleaned_data["email"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        """Refuse an address that the customer has: Django looks at no constraint of a row inside another's page."""
        cleaned: dict[str, Any] = super().clean() or {}
        customer, email = cleaned.get("customer"), cleaned.get("email")
        if customer is not None and customer.pk and email and "email" in self.changed_data:
            same = CustomerContact.objects.filter(customer=customer, email=email)
            if same.exclude(pk=self.instance.pk).exists():
                self.add_error("email", CONTACT_TAKEN)
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Write of a contact what was changed here: the others may unsubscribe meanwhile."""
        if commit and self.instance.pk:
            self.instance.save(update_fields=[name for name in ContactInline.edited if name in self.changed_data])
            return self.instance
        return super().save(commit)


class ContactInline(TabularInline):
    """Who is told of moves."""

    model = CustomerContact
    form = ContactForm
    edited = ("email", "name", "enabled")
    fields = [*edited, "subscribed_at"]
    readonly_fields = ["subscribed_at"]


@admin.register(Customer)
class CustomerAdmin(AuditedAdmin):
    """Whom calendars belong to."""

    empty_help = (
        _(
            "Customers are found by the domains of their e-mail addresses when a workspace is first read. Add them "
            "before, to give them their names."
        ),
        "admin:calendars_customer_add",
        _("Add a customer"),
    )

    list_display = ["name", "slug", "domain_names"]
    search_fields = ["name", "slug", "domains__domain"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["recording"]
    inlines = [DomainInline, ContactInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read all domains of a page at once."""
        return super().get_queryset(request).prefetch_related("domains")

    @admin.display(description=_("domains"))
    def domain_names(self, obj: Customer) -> str:
        """The domains, in one line."""
        return ", ".join(domain.domain for domain in obj.domains.all())

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has no policy yet."""
        return ["name", "slug", "recording"] if obj else ["name", "slug"]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Judge again who is from outside, when the domains changed."""
        changed = any(formset.has_changed() for formset in formsets if formset.model is CustomerDomain)
        super().save_related(request, form, formsets, change)
        if changed:
            judge_again(Calendar.objects.filter(customer=form.instance))

    @admin.display(description=_("recording"))
    @computed_once
    def recording(self, obj: Customer) -> SafeString:
        """Its policy, and what was chosen by hand."""
        policy = RecordingPolicy.objects.filter(customer=obj).first()
        query = urlencode({"customer": str(obj.pk)})
        chosen = list_url(RecordingChoice, customer__id__exact=obj.pk)
        if policy is None:
            add = reverse("admin:calendars_recordingpolicy_add")
            shown = format_html('as found; <a class="ro-link" href="{}?{}">give it a policy</a>', add, query)
        else:
            shown = format_html("{}", to(policy, policy.get_which_display()))
        return format_html('{} · <a class="ro-link" href="{}">chosen by hand</a>', shown, chosen)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A customer with calendars stays."""
        if obj is None or not super().has_delete_permission(request, obj):
            return False
        return not Calendar.objects.filter(customer=obj.pk).exists()


@admin.register(Calendar)
class CalendarAdmin(HistoryAdmin):
    """One person's calendar."""

    empty_help = (
        _(
            "Calendars are found when a workspace is read: make a batch and press “Preflight”, then “Export”. Both "
            "write nothing at the provider."
        ),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = ["email", "platform", "customer", "family", "where"]
    list_select_related = ["customer"]
    list_filter = ["platform", ("customer", FewRelated)]
    search_fields = ["email__startswith", "customer__slug__exact"]
    search_help_text = "Begin of an e-mail address, or a customer's slug"
    fields = ["email", "platform", "customer", "family", "recording", "known_as"]
    readonly_fields = ["recording", "known_as"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the connections of a page at once, without their secrets."""
        from django.db.models import Prefetch

        known = Connection.objects.select_related("workspace", "calendar").defer(*SEALED)
        return super().get_queryset(request).prefetch_related(Prefetch("connections", queryset=known))

    @admin.display(description=_("workspaces"))
    def where(self, obj: Calendar) -> str:
        """Where it is known, and how it is there."""
        return ", ".join(f"{one.workspace}: {one.get_status_display()}" for one in obj.connections.all())

    @admin.display(description=_("recording"))
    @computed_once
    def recording(self, obj: Calendar) -> str | SafeString:
        """The policy that holds for it: its own, else its customer's."""
        policy = policies_of([obj]).get(obj.pk)
        waits = ", waits to be judged again" if obj.judge_at else ""
        if policy is None:
            return f"as found{waits}"
        whose = "its own" if policy.calendar_id else "its customer's"
        return format_html("{} ({}){}", to(policy, policy.get_which_display()), whose, waits)

    @admin.display(description=_("connections"))
    def known_as(self, obj: Calendar) -> SafeString:
        """Its connections."""
        return table(
            [_("workspace"), _("id there"), _("status")],
            [[one.workspace, to(one, one.remote_id), one.get_status_display()] for one in obj.connections.all()],
        )


@admin.register(Connection)
class ConnectionAdmin(HistoryAdmin):
    """How a calendar is known in one workspace. Its secrets are on no page."""

    empty_help = (
        _(
            "Connections are found when a workspace is read: make a batch and press “Preflight”, then “Export”. Both "
            "write nothing at the provider."
        ),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = ["remote_id", "calendar", "customer", "workspace", "state", "closing", moment("read_begun_at")]
    list_select_related = ["calendar__customer", "workspace"]
    list_filter = ["workspace", "status", "calendar__platform", ("calendar__customer", FewRelated)]
    search_fields = ["remote_id__startswith", "calendar__email__startswith"]
    search_help_text = "Begin of the provider's id or of an e-mail address"
    ordering = ["-pk"]
    fields = [
        "calendar",
        "workspace",
        "remote_id",
        "state",
        "platform_email",
        "oauth_email",
        "oauth_client_id",
        "webhook",
        "closing",
        "read_begun_at",
        "changed_at",
        "deleted_at",
        "metadata_text",
        "history_text",
        "extra_text",
    ]
    readonly_fields = ["state", "webhook", "metadata_text", "history_text", "extra_text"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the secrets sealed."""
        return super().get_queryset(request).defer(*SEALED).select_related("calendar__customer", "workspace")

    @admin.display(description=_("status"), ordering="status")
    def state(self, obj: Connection) -> SafeString:
        """The provider's status."""
        return badge(
            obj.get_status_display(),
            STATUS_COLOURS.get(ConnectionStatus(obj.status), "") if obj.status in ConnectionStatus.values else "",
        )

    @admin.display(description=_("customer"))
    def customer(self, obj: Connection) -> str:
        """Whom it belongs to."""
        return str(obj.calendar.customer)

    @admin.display(description=_("webhook address"))
    @computed_once
    def webhook(self, obj: Connection) -> str:
        """The address without its query, where a token may stand."""
        return without_query(obj.webhook_url)

    @admin.display(description=_("metadata"))
    def metadata_text(self, obj: Connection) -> SafeString:
        """The metadata as the provider keeps it."""
        return json_block(obj.metadata)

    @admin.display(description=_("status changes"))
    def history_text(self, obj: Connection) -> SafeString:
        """When its status changed."""
        return json_block(obj.status_changes)

    @admin.display(description=_("other fields"))
    def extra_text(self, obj: Connection) -> SafeString:
        """Fields of the provider that we do not know."""
        return json_block(obj.extra)
