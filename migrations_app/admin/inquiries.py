"""What customers told us on their status pages, and that it was answered."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry
from migrations_app.models import Inquiry
from recallops import clock
from recallops.admin_base import HistoryAdmin, post_action
from recallops.admin_display import badge, moment

ANSWERED = _("It counts as answered.")
ALREADY = _("Somebody else answered it already.")


@admin.register(Inquiry)
class InquiryAdmin(HistoryAdmin):
    """What customers told us."""

    empty_help = (
        _("Nobody has told us anything yet. On a customer's status page people can write a few lines; they come here."),
        "admin:migrations_app_statuslink_changelist",
        _("Status links"),
    )

    list_display = [moment("told_at"), "customer", "beginning", "batch", "state", "answered_by"]
    list_select_related = ["customer", "batch", "answered_by"]
    list_filter = [("answered_at", admin.EmptyFieldListFilter)]
    search_fields = ["customer__name__startswith", "email__startswith"]
    search_help_text = _("Begin of a customer's name or of an e-mail address")
    ordering = ["-pk"]
    fields = ["customer", "batch", "text", "email", "told_at", "answered_at", "answered_by"]
    change_form_outer_before_template = "admin/migrations_app/inquiry/answered.html"
    controls: ClassVar = ("answered_at",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read along what its page names."""
        return super().get_queryset(request).select_related("customer", "batch", "answered_by")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let a batch's page lead to its own."""
        return lookup == "batch__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_answer_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Saying that it was answered is the one change."""
        return request.user.has_perm("migrations_app.change_inquiry")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may answer may read."""
        return request.user.has_perm("migrations_app.view_inquiry") or self.has_answer_permission(request, obj)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_answer"] = self.has_answer_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(label=_("count as answered"), permission="answer")
    def answered(self, request: HttpRequest, obj: Inquiry) -> str:
        """Say that somebody has answered it."""
        with transaction.atomic():
            mine = Inquiry.objects.filter(pk=obj.pk, answered_at=None)
            if not mine.update(answered_at=clock.now(), answered_by=request.user):
                return str(ALREADY)
            AuditEntry.objects.record(actor=request.user, action="inquiry.answered", subject=obj, batch=obj.batch_id)
        return str(ANSWERED)

    @admin.display(description=_("state"))
    def state(self, obj: Inquiry) -> SafeString:
        """Whether it waits for somebody."""
        return badge(_("answered"), "success") if obj.answered_at else badge(_("open"), "warning")

    @admin.display(description=_("text"))
    def beginning(self, obj: Inquiry) -> str:
        """How it begins."""
        return obj.text[:80]
