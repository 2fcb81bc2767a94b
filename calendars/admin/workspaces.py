"""Workspaces with their budgets, and what opens them. Secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars import assignments, sync
from calendars.admin.base import AuditedAdmin, vendor_links
from calendars.leases import machine_now
from calendars.models import ApiKey, Application, AuditEntry, Calendar, OAuthClient, RateBudget, Workspace
from calendars.providers import connect, identity, limits
from recallops.admin_base import TabularInline, computed_once, post_action
from recallops.admin_display import badge, moment, table, to
from recallops.admin_widgets import SecretInput, SecretText
from recallops.encryption import fingerprint

KEEP = _("Stored encrypted and never shown again. Leave empty to keep what is stored.")
SAME_KEY = _("This workspace has this key already (fingerprint {fingerprint}).")
GIVE_KEY = _("Give the key.")
NUMBERS = (
    "freeze",
    "late_commit",
    "margin",
    "age_for_write",
    "age_for_wait",
    "age_near_start",
    "patience",
    "sweep_every",
    "webhook_gather",
    "full_every",
)


class RateBudgetInline(TabularInline):
    """The limit of each endpoint here, and how much of it is used in the present minute."""

    model = RateBudget
    fields = ["endpoint", "per_minute", "this_minute", "taken", "refused", "note"]
    readonly_fields = ["endpoint", "this_minute", "taken", "refused", "note"]
    verbose_name_plural = "rate budgets"
    ordering = ["endpoint"]
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows come from the provider's stated limits."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A limit is changed, not taken away."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change the workspace may change its limits."""
        return request.user.has_perm("calendars.change_workspace")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see the workspace may see its limits."""
        return request.user.has_perm("calendars.view_workspace") or self.has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the machine's time once for all rows."""
        self.now = machine_now()
        return super().get_queryset(request)

    @admin.display(description=_("this minute"))
    def this_minute(self, obj: RateBudget) -> SafeString:
        """Used and left, and how long the next call would wait."""
        usage = limits.usage(obj, now=self.now)
        wait = f", next call in {usage.wait:.0f} s" if usage.wait >= 1 else ""
        return format_html(
            '<meter class="ro-meter" min="0" max="{}" value="{}">{}</meter> {} used, {} left{}',
            usage.allowed,
            usage.used,
            usage.used,
            usage.used,
            usage.left,
            wait,
        )


@admin.register(Workspace)
class WorkspaceAdmin(AuditedAdmin):
    """Accounts in a region."""

    empty_help = (
        _(
            "A workspace is one account in one region of the vendor. A move needs two: the one that calendars leave, "
            "and the one that they go to."
        ),
        "admin:calendars_workspace_add",
        _("Add a workspace"),
    )

    list_display = ["slug", "name", "region", "family", "scheduler", "reserve_percent", "state"]
    list_select_related = ["region"]
    list_filter = ["region", "scheduler", ("trouble", admin.EmptyFieldListFilter)]
    search_fields = ["slug", "name", "family"]
    inlines = [RateBudgetInline]
    readonly_fields = ["state", "keys", "in_the_dashboard", "clock_offset", "sweep_due_at", "full_read_at"]
    fieldsets = [
        (None, {"fields": ["slug", "name", "region", "family", "state", "keys", "in_the_dashboard"]}),
        (
            "Scheduling",
            {
                "fields": [
                    "scheduler",
                    "application",
                    "always_on",
                    "dedup_scheme",
                    "bot_profile",
                    "reserve_percent",
                    "second_person",
                    "full_read_at",
                ]
            },
        ),
        ("Numbers of the hand-over", {"fields": [*NUMBERS, "clock_offset", "sweep_due_at"]}),
    ]

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Let the family be empty: the workspace then gets one of its own."""
        formfield = super().formfield_for_dbfield(db_field, request, **kwargs)
        if formfield is not None and db_field.name == "family":
            formfield.required = False
            formfield.help_text = f"{formfield.help_text} Empty: a family of its own."
        return formfield

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave the URLs of applications sealed: the choices name them only."""
        if db_field.name == "application":
            kwargs["queryset"] = Application.objects.defer("url")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the region and the application along."""
        return super().get_queryset(request).select_related("region", "application").defer("application__url")

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Budgets exist once the workspace does."""
        return [RateBudgetInline] if obj else []

    @admin.display(description=_("state"))
    def state(self, obj: Workspace) -> SafeString:
        """Why nothing can be called here, if that is so."""
        return (
            format_html("{} {}", badge(_("stopped"), "danger"), obj.trouble)
            if obj.trouble
            else badge(_("ok"), "success")
        )

    @admin.display(description=_("API keys"))
    @computed_once
    def keys(self, obj: Workspace) -> str | SafeString:
        """The keys, by what may be seen of them."""
        keys = list(obj.api_keys.defer("secret"))
        if not keys:
            return "None yet. Save the workspace, then add one under “API keys”."
        return table(
            [_("key"), _("fingerprint"), _("enabled"), _("last test")],
            [[to(key), key.fingerprint, "yes" if key.enabled else "no", key.test_result or "never"] for key in keys],
        )

    @admin.display(description=_("in the vendor's dashboard"))
    @computed_once
    def in_the_dashboard(self, obj: Workspace) -> str | SafeString:
        """Where a person does there what has no API."""
        return vendor_links(obj.region) if obj.pk else str(_("Save the workspace first."))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Give a new workspace its budgets; recompute the distance of calls after a limit or the reserve changed."""
        super().save_related(request, form, formsets, change)
        if not change:
            RateBudget.objects.fill(form.instance)
        RateBudget.objects.apply_limits(form.instance)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Begin or end the reading of a workspace that is always scheduled; its meetings get another bot profile."""
        super().save_model(request, obj, form, change)
        if "always_on" in form.changed_data:
            sync.keep_reading(obj)
        if "bot_profile" in form.changed_data:
            assignments.judge_again(Calendar.objects.filter(connections__workspace=obj))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Write the limits and nothing else: the counters beside them belong to the callers."""
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        for row in formset.forms:
            if row.has_changed() and row.instance.pk:
                RateBudget.objects.filter(pk=row.instance.pk).update(per_minute=row.cleaned_data["per_minute"])
                formset.changed_objects.append((row.instance, row.changed_data))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A workspace that holds or held calendars stays."""
        if obj is None or not super().has_delete_permission(request, obj):
            return False
        return not Workspace.objects.filter(pk=obj.pk, connections__isnull=False).exists()


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The secret is typed in and never shown: it is no field of the model's form, so no page can hold it."""

    new_secret = forms.CharField(label=_("Key"), required=False, widget=SecretInput, help_text=KEEP)

    class Meta:
        model = ApiKey
        fields = ["workspace", "label", "enabled"]

    def clean(self) -> dict[str, Any]:
        """Ask for a key on a new row, and refuse one that is there already."""
        cleaned: dict[str, Any] = super().clean() or {}
        secret = (cleaned.get("new_secret") or "").strip()
        cleaned["new_secret"] = secret
        if not secret and not self.instance.pk:
            self.add_error("new_secret", GIVE_KEY)
        workspace = cleaned.get("workspace")
        mark = fingerprint(secret) if secret else self.instance.fingerprint
        if workspace and mark:
            same = ApiKey.objects.filter(workspace=workspace, fingerprint=mark).exclude(pk=self.instance.pk)
            if same.exists():
                self.add_error("new_secret", SAME_KEY.format(fingerprint=mark))
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(AuditedAdmin):
    """What opens a workspace."""

    empty_help = (
        _("A key opens a workspace. Make one in the vendor's dashboard of its region, add it here, then test it."),
        "admin:calendars_apikey_add",
        _("Add a key"),
    )

    form = ApiKeyForm
    list_display = ["label", "workspace", "last4", "fingerprint", "enabled", moment("tested_at"), "test_result"]
    list_select_related = ["workspace"]
    list_filter = ["workspace", "enabled", "test_passed"]
    search_fields = ["label", "fingerprint", "workspace__slug"]
    fields = ["workspace", "label", "new_secret", "enabled", "last4", "fingerprint", "tested_at", "test_result"]
    readonly_fields = ["last4", "fingerprint", "tested_at", "test_result"]
    change_form_outer_before_template = "recallops/test_connection.html"
    controls: ClassVar = ("workspace_id", "enabled", "fingerprint", "tested_at")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the secret sealed: no page needs it."""
        return super().get_queryset(request).defer("secret").select_related("workspace__region")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a secret that was typed, and forget the test of the one before."""
        if secret := form.cleaned_data["new_secret"]:
            obj.secret, obj.tested_at, obj.test_result, obj.test_passed = secret, None, "", None
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return what belongs to a new secret."""
        if not form.cleaned_data["new_secret"]:
            return ()
        return ("secret", "last4", "fingerprint", "tested_at", "test_result", "test_passed")

    @post_action(label=_("test connection"))
    def test_connection(self, request: HttpRequest, obj: ApiKey) -> str:
        """Try the key against its region."""
        said = connect.test_key(obj)
        AuditEntry.objects.record(actor=request.user, action="apikey.test", subject=obj, said=said)
        return said


class OAuthClientForm(forms.ModelForm):  # type: ignore[type-arg]
    """Three secrets, each written and never shown."""

    new_client_secret = forms.CharField(label=_("Client secret"), required=False, widget=SecretInput, help_text=KEEP)
    new_certificate = forms.CharField(label=_("Certificate (PEM)"), required=False, widget=SecretText, help_text=KEEP)
    new_private_key = forms.CharField(label=_("Private key (PEM)"), required=False, widget=SecretText, help_text=KEEP)

    class Meta:
        model = OAuthClient
        fields = ["platform", "client_id", "reconnects"]

    def clean(self) -> dict[str, Any]:
        """A client that people use opens their codes here: it needs its secret, or certificate and key."""
        found: dict[str, Any] = super().clean() or {}
        there = {name for name in SEALED if found.get(f"new_{name}") or getattr(self.instance, name)}
        if found.get("reconnects") and not ("client_secret" in there or {"certificate", "private_key"} <= there):
            self.add_error("reconnects", str(NEEDS_SECRET))
        return found


SEALED = ("client_secret", "certificate", "private_key")
NEEDS_SECRET = _("Give the client's secret first, or its certificate and key: people's codes are opened with it.")
NO_SITE = _("SITE_URL is not set: without it nobody can be led back here (docs/configuration.md).")


@admin.register(OAuthClient)
class OAuthClientAdmin(AuditedAdmin):
    """The company's own clients at Google and Microsoft."""

    empty_help = (
        _(
            "Needed where the provider does not show a client's secret, as with certificates, and where people may "
            "connect their calendars again by themselves. Without such clients this stays empty."
        ),
        "admin:calendars_oauthclient_add",
        _("Add a client"),
    )

    form = OAuthClientForm
    list_display = ["client_id", "platform", "stored", "reconnects"]
    list_filter = ["platform", "reconnects"]
    search_fields = ["client_id"]
    fields = [
        *("platform", "client_id", "new_client_secret", "new_certificate", "new_private_key", "stored"),
        *("reconnects", "redirect_address"),
    ]
    readonly_fields = ["stored", "redirect_address"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Ask whether there is a secret without opening it."""
        from django.db.models import Case, Value, When

        present = {f"has_{name}": Case(When(**{name: ""}, then=Value(False)), default=Value(True)) for name in SEALED}
        return super().get_queryset(request).defer(*SEALED).annotate(**present)

    @admin.display(description=_("stored"))
    def stored(self, obj: Any) -> str:
        """Which secrets are there."""
        there = [name.replace("_", " ") for name in SEALED if getattr(obj, f"has_{name}", False)]
        return ", ".join(there) or "nothing"

    @admin.display(description=_("redirect address"))
    def redirect_address(self, obj: Any) -> str:
        """What is to be registered with the client at Google or Microsoft."""
        return identity.redirect_uri() or str(NO_SITE)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store the secrets that were typed."""
        for name in self.saved_along(form):
            setattr(obj, name, form.cleaned_data[f"new_{name}"])
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return the secrets that were typed."""
        return [name for name in SEALED if form.cleaned_data[f"new_{name}"]]
