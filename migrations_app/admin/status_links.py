"""Links to customers' status pages: made here, shown once, replaced and revoked here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import RevocableAdmin
from calendars.models import AuditEntry
from migrations_app.models import StatusLink
from migrations_app.models.status_link import digest_of, new_secret
from recallops import clock
from recallops.admin_base import row_number
from recallops.admin_display import badge, moment
from recallops.admin_widgets import Select

REVOKED = _("Revoked. Whoever opens it is told that it opens nothing.")
LONGEST = timedelta(days=366)
OF_STRANGERS = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com"),
    *("mac.com", "yahoo.com", "yahoo.co.jp", "aol.com", "gmx.de", "gmx.net", "gmx.com", "web.de", "t-online.de"),
    *("proton.me", "protonmail.com", "orange.fr", "free.fr", "laposte.net", "docomo.ne.jp", "fastmail.com"),
)
"""Mail domains of the public: calendars at one are known as one customer, but their people are strangers."""
STRANGERS = _("Calendars at %(domain)s belong to people who do not know each other, so they cannot share a page.")
TOO_LATE = _("A link opens the page for a year at most. Make another one then.")
PAST = _("This moment is over. Choose a later one.")
OF_ANOTHER = _("This link is of another customer. Choose one of the same, or none.")
STATE_COLOURS = {"valid": "success", "expired": "warning", "revoked": "danger"}
MOST_VISITS = 50


class StatusLinkForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is said of a new link. Its secret is made, not typed."""

    replaces = forms.ModelChoiceField(
        queryset=StatusLink.objects.none(),
        required=False,
        widget=Select,
        label=_("Replaces"),
        help_text=_("A link of the same customer that is revoked in the same moment."),
    )

    class Meta:
        model = StatusLink
        fields = ["customer", "label", "expires_at"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the one link that somebody came from to replace it, while it opens something."""
        super().__init__(*args, **kwargs)
        asked = str(self.data.get("replaces") or self.initial.get("replaces") or "")
        valid = StatusLink.objects.filter(revoked_at=None, expires_at__gt=clock.now()).defer("digest")
        chosen = valid.filter(pk=row_number(asked) or 0).select_related("customer")
        self.fields["replaces"].queryset = chosen  # type: ignore[attr-defined]

    def clean_expires_at(self) -> Any:
        """Refuse what would open nothing from the start."""
        if (moment := self.cleaned_data["expires_at"]) <= clock.now():
            raise forms.ValidationError(PAST)
        if moment > clock.now() + LONGEST:
            raise forms.ValidationError(TOO_LATE)
        return moment

    def clean_customer(self) -> Any:
        """Refuse those whose calendars have nothing in common but a mail provider."""
        customer = self.cleaned_data["customer"]
        shared = customer.domains.filter(domain__in=OF_STRANGERS).values_list("domain", flat=True).first()
        if shared is not None:
            raise forms.ValidationError(STRANGERS, params={"domain": shared})
        return customer

    def clean(self) -> dict[str, Any]:
        """Refuse to replace another customer's."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        replaced = found.get("replaces")
        if replaced is not None and found.get("customer") != replaced.customer:
            self.add_error("replaces", str(OF_ANOTHER))
        return found


@admin.register(StatusLink)
class StatusLinkAdmin(RevocableAdmin):
    """What opens a customer's status page."""

    empty_help = (
        _("With a private link the people of a customer see how their move goes, without an account."),
        "admin:migrations_app_statuslink_add",
        _("Make a link"),
    )

    list_display = [
        "customer",
        "label",
        "state_text",
        moment("last_visit_at"),
        moment("expires_at"),
        "created_by",
    ]
    list_select_related = ["customer", "created_by"]
    search_fields = ["customer__name__startswith", "label__startswith"]
    search_help_text = _("Begin of a customer's name or of whom it is for")
    ordering = ["-pk"]
    autocomplete_fields = ["customer"]
    change_form_outer_before_template = "admin/migrations_app/statuslink/state.html"
    revoked_words = REVOKED

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the digest where it is: no page needs it."""
        return super().get_queryset(request).defer("digest").select_related("customer", "created_by")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask for what a new link needs; an old one has no form."""
        return super().get_form(request, obj, change, **({} if obj else {"form": StatusLinkForm}), **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show all that may be seen of a link."""
        if obj is None:
            return ["customer", "label", "expires_at", "replaces"]
        return ["customer", "label", "expires_at", "revoked_at", "last_visit_at", "created_by", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let nothing be changed afterwards: whoever has the link was told what it is."""
        return self.get_fields(request, obj) if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make the link, and revoke the one that it replaces; its secret lives as long as this request."""
        request.new_secret = new_secret()  # type: ignore[attr-defined]
        obj.digest = digest_of(request.new_secret)  # type: ignore[attr-defined]
        obj.created_by = request.user
        obj.save(force_insert=True)
        replaced = form.cleaned_data["replaces"]
        if replaced is not None and replaced.revoke():
            AuditEntry.objects.record(
                actor=request.user, action="statuslink.revoke", subject=replaced, replaced_by=obj.pk
            )

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """Show the link, this once: in the answer itself, so that it goes into no session, cookie or address."""
        path = reverse("status:page", args=[request.new_secret])  # type: ignore[attr-defined]
        here = settings.SITE_URL.rstrip("/")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Status link"),
            "opts": self.opts,
            "link": obj,
            "address": f"{here}{path}" if here else request.build_absolute_uri(path),
        }
        response = TemplateResponse(request, "admin/migrations_app/statuslink/made.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page who opened the link, and whether its person may press the button."""
        link = kwargs.get("obj")
        context["may_revoke"] = self.has_revoke_permission(request)
        context["may_replace"] = link is not None and self.has_add_permission(request)
        subscribers = link.subscriptions.filter(contact__isnull=False).values_list("pk") if link is not None else []
        context["subscribers"] = len(subscribers)
        context["visits"] = link.visits.all()[:MOST_VISITS] if link is not None else []
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("state"))
    def state_text(self, obj: StatusLink) -> SafeString:
        """Whether it opens anything."""
        return badge(obj.state, STATE_COLOURS[obj.state])
