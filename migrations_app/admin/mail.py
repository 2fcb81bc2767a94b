"""E-mails to customers: their texts, and what became of each."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin
from migrations_app.admin import mail_page
from migrations_app.control import Refused
from migrations_app.mail import acts
from migrations_app.mail.texts import PLACEHOLDERS, problem_of
from migrations_app.models import MailTemplate, Message
from recallops.admin_base import FewRelated, HistoryAdmin, post_action
from recallops.admin_display import coloured, moment, to
from recallops.admin_widgets import PlainText, TextInput

ASKS = _("asks to confirm")


class MailTemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """A text with placeholders; whatever is wrong with it is said before it is stored."""

    class Meta:
        model = MailTemplate
        fields = ["subject", "text"]
        widgets: ClassVar = {"subject": TextInput, "text": PlainText}

    def clean_subject(self) -> str:
        """Refuse unknown placeholders, more than one line, and foreign links."""
        return _sound(self.cleaned_data["subject"], subject=True)

    def clean_text(self) -> str:
        """Refuse unknown placeholders and foreign links."""
        return _sound(self.cleaned_data["text"])


def _sound(text: str, *, subject: bool = False) -> str:
    if problem := problem_of(text, subject=subject):
        raise forms.ValidationError(problem)
    return text


@admin.register(MailTemplate)
class MailTemplateAdmin(AuditedAdmin):
    """What customers are told at each milestone."""

    empty_help = (_("The texts come with the installation: run “manage.py migrate”."), "", "")

    form = MailTemplateForm
    list_display = ["milestone", "subject"]
    list_display_links = ["milestone", "subject"]
    ordering = ["pk"]
    fields = ["milestone", "subject", "text", "placeholders"]
    readonly_fields = ["milestone", "placeholders"]
    change_form_outer_before_template = "admin/migrations_app/mail_template_preview.html"
    controls: ClassVar = ("subject", "text")
    refusals: ClassVar = (Refused,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one for each milestone."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Each milestone keeps its own."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the preview."""
        view = self.admin_site.admin_view(self.preview_view)
        return [path("<int:object_id>/preview/", view, name="migrations_app_mailtemplate_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show a text with a real batch's values."""
        template = MailTemplate.objects.filter(pk=object_id).first()
        if template is None:
            raise Http404("There is no such template.")
        if not self.has_view_or_change_permission(request, template):
            raise PermissionDenied("Seeing e-mail templates needs the permission to view them.")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Preview"),
            "opts": self.opts,
            "template": template,
            **mail_page.preview(template, request.GET),
            "shown": self.shown(template),
            "may_test": self.has_change_permission(request, template),
            "address": getattr(request.user, "email", ""),
        }
        return TemplateResponse(request, "admin/migrations_app/mail_preview.html", context)

    @post_action(label=_("send a test to me"))
    def send_test(self, request: HttpRequest, obj: MailTemplate) -> str:
        """Send the person who presses what a customer would get."""
        shown = mail_page.preview(obj, request.POST)
        return acts.send_test(obj, subject=shown["subject"], text=shown["text"], actor=request.user)

    @admin.display(description=_("placeholders"))
    def placeholders(self, obj: MailTemplate) -> SafeString:
        """What may stand in braces."""
        rows = ((f"{{{name}}}", meaning) for name, meaning in PLACEHOLDERS.items())
        return format_html('<ul class="ro-list">{}</ul>', format_html_join("", "<li><code>{}</code> {}</li>", rows))


@admin.register(Message)
class MessageAdmin(HistoryAdmin):
    """E-mails to customers, newest first."""

    empty_help = (
        _("No e-mail was written yet. They are where a batch is switched to it: its page, “Who gets what”."),
        "admin:migrations_app_batch_changelist",
        _("Batches"),
    )

    list_display = [
        coloured({state: state.colour for state in Message.State}, "state", _("state")),
        "email",
        "subject",
        "milestone",
        "batch",
        moment("due_at", _("due")),
        moment("sent_at", _("sent")),
        "problem",
    ]
    list_display_links = ["email", "subject"]
    list_filter = ["state", "notice__milestone", ("notice__batch", FewRelated)]
    search_fields = ["email__startswith", "notice__customer__slug__exact"]
    search_help_text = _("Begin of an address, or a customer's slug")
    ordering = ["-pk"]
    fields = [
        "state",
        "problem",
        "email",
        "customer",
        "batch",
        "milestone",
        "subject",
        "text_shown",
        "attempts",
        "due_at",
        "sent_at",
    ]
    readonly_fields = ["customer", "batch", "milestone", "text_shown"]
    change_form_outer_before_template = "admin/migrations_app/message_again.html"
    controls: ClassVar = ("state",)
    refusals: ClassVar = (Refused,)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what the page names along with it."""
        named = ("notice__batch", "notice__customer", "subscription__link__customer")
        return super().get_queryset(request).select_related(*named)

    def has_again_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        """To send an e-mail again changes a row that is otherwise read-only."""
        return request.user.has_perm("migrations_app.change_message")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_send_again"] = self.has_again_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(label=_("send again"), permission="again")
    def send_again(self, request: HttpRequest, obj: Message) -> str:
        """Send what was not sent, or perhaps sent."""
        return acts.send_again(obj, actor=request.user, reason=request.POST.get("reason", "").strip()[:400])

    @admin.display(description=_("milestone"), ordering="notice__milestone")
    def milestone(self, obj: Message) -> str:
        """What it is about."""
        return str(ASKS if obj.notice is None else obj.notice.get_milestone_display())

    @admin.display(description=_("batch"))
    def batch(self, obj: Message) -> str | SafeString:
        """Its batch."""
        return "" if obj.notice is None else to(obj.notice.batch)

    @admin.display(description=_("customer"))
    def customer(self, obj: Message) -> str | SafeString:
        """Its customer."""
        if obj.subscription is not None:
            return to(obj.subscription.link.customer)
        return "" if obj.notice is None else to(obj.notice.customer)

    @admin.display(description=_("text"))
    def text_shown(self, obj: Message) -> SafeString:
        """The text as it goes out, without the links that are made for its reader alone."""
        return format_html('<pre class="ro-json">{}</pre>', obj.text)
