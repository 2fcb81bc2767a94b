"""Tokens of the API: made here, shown once, revoked here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import RevocableAdmin
from calendars.models import ApiToken, Scope
from calendars.models.api_token import new_secret
from recallops import clock
from recallops.admin_display import badge, moment

REVOKED = _("Revoked. Who asks with this token is refused from now on.")
PAST = _("This moment is over. Choose a later one, or none.")
STATE_COLOURS = {"valid": "success", "expired": "warning", "revoked": "danger"}


class ApiTokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is said of a new token. Its text is made, not typed."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=forms.CheckboxSelectMultiple, help_text=_("What it may read.")
    )

    class Meta:
        model = ApiToken
        fields = ["label", "scopes", "expires_at"]

    def clean_expires_at(self) -> Any:
        """Refuse what would open nothing from the start."""
        moment = self.cleaned_data["expires_at"]
        if moment is not None and moment <= clock.now():
            raise forms.ValidationError(PAST)
        return moment


@admin.register(ApiToken)
class ApiTokenAdmin(RevocableAdmin):
    """What opens the API to the company's own application."""

    empty_help = (
        _("With a token the company's own application reads from here which ids became which and who owns a meeting."),
        "admin:calendars_apitoken_add",
        _("Make a token"),
    )

    list_display = [
        "label",
        "prefix",
        "reads",
        "state_text",
        moment("last_used_at"),
        moment("expires_at"),
        "created_by",
    ]
    list_select_related = ["created_by"]
    search_fields = ["label__startswith", "prefix__startswith"]
    search_help_text = "Begin of a label or of a token"
    ordering = ["-pk"]
    change_form_outer_before_template = "recallops/token_revoke.html"
    revoked_words = REVOKED

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the digest where it is: no page needs it."""
        return super().get_queryset(request).defer("digest").select_related("created_by")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask for what a new token needs; an old one has no form."""
        return super().get_form(request, obj, change, **({} if obj else {"form": ApiTokenForm}), **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show all that may be seen of a token."""
        if obj is None:
            return ["label", "scopes", "expires_at"]
        return ["label", "prefix", "reads", "expires_at", "revoked_at", "last_used_at", "created_by", "created_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let nothing be changed afterwards: what a token may read was agreed on when it was made."""
        return self.get_fields(request, obj) if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make the token; its text lives as long as this request."""
        request.new_token = new_secret()  # type: ignore[attr-defined]
        obj.carry(request.new_token)  # type: ignore[attr-defined]
        obj.created_by = request.user
        obj.save(force_insert=True)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """Show the token, this once: in the answer itself, so that it goes into no session, cookie or address."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API token",
            "opts": self.opts,
            "token": obj,
            "secret": request.new_token,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/calendars/apitoken/made.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_revoke"] = self.has_revoke_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("state"))
    def state_text(self, obj: ApiToken) -> SafeString:
        """Whether it opens anything."""
        return badge(obj.state, STATE_COLOURS[obj.state])

    @admin.display(description=_("reads"))
    def reads(self, obj: ApiToken) -> str:
        """Its scopes."""
        return ", ".join(obj.scopes)
