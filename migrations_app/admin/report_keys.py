"""Keys that sign reports: made and retired here; only public halves are shown."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from migrations_app.control import Refused
from migrations_app.models import ReportKey
from migrations_app.report_signing import make_key, retire
from recallops.admin_base import HistoryAdmin, post_action
from recallops.admin_display import badge, moment
from recallops.admin_widgets import TextInput

GIVE_REASON = _("Say in a few words why; it stays on record.")


class ReportKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key is made, not typed."""

    class Meta:
        model = ReportKey
        fields = ["label"]
        widgets: ClassVar = {"label": TextInput}
        help_texts: ClassVar = {"label": _("For people, such as the year. The key itself is made, and signs at once.")}


@admin.register(ReportKey)
class ReportKeyAdmin(HistoryAdmin):
    """What signs reports."""

    empty_help = (
        _("Reports are not signed yet. A key is made here, and signs from then on."),
        "admin:migrations_app_reportkey_add",
        _("Make a key"),
    )

    form = ReportKeyForm
    list_display = ["label", "key_id", "state", "public", moment("made_at", _("made")), "made_by"]
    list_select_related = ["made_by"]
    ordering = ["-pk"]
    change_form_outer_before_template = "admin/migrations_app/report_key_retire.html"
    controls: ClassVar = ("retired_at",)
    refusals: ClassVar = (Refused,)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the private halves sealed: no page needs them."""
        newest = ReportKey.objects.filter(retired_at=None).order_by("-pk").values("pk")[:1]
        rows = super().get_queryset(request).defer("private").select_related("made_by")
        return rows.annotate(signing=Subquery(newest))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for a label; of a key show its public half."""
        if obj is None:
            return ["label"]
        return ["label", "key_id", "public_half", "made_by", "made_at", "retired_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A key does not change."""
        return self.get_fields(request, obj) if obj else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        """As Django's own permissions say."""
        return request.user.has_perm("migrations_app.add_reportkey")

    def has_retire_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retiring is the one change."""
        return request.user.has_perm("migrations_app.change_reportkey")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may make or retire keys may see them."""
        own = request.user.has_perm("migrations_app.view_reportkey")
        return own or self.has_add_permission(request) or self.has_retire_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make the key."""
        made = make_key(label=obj.label, actor=request.user)
        obj.pk, obj.key_id, obj.public = made.pk, made.key_id, made.public

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may press the button."""
        context["may_retire"] = self.has_retire_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @post_action(label=_("retire"), permission="retire")
    def retire(self, request: HttpRequest, obj: ReportKey) -> str:
        """Let it sign nothing any more."""
        reason = request.POST.get("reason", "").strip()[:400]
        if not reason:
            raise Refused(str(GIVE_REASON))
        return retire(obj, actor=request.user, reason=reason)

    @admin.display(description=_("state"))
    def state(self, obj: Any) -> SafeString:
        """Whether it signs."""
        if obj.retired_at:
            return badge(_("retired"))
        return badge(_("signs"), "success") if obj.signing == obj.pk else badge(_("kept"))

    @admin.display(description=_("public key"))
    def public_half(self, obj: ReportKey) -> SafeString:
        """What others check with."""
        return format_html('<code class="ro-code">{}</code>', obj.public)
