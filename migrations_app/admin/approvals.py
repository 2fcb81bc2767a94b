"""Approvals: what one person asked for and another one decides."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from migrations_app import approvals
from migrations_app.control import Refused
from migrations_app.models import Approval
from recallops import clock
from recallops.admin_base import FewRelated, HistoryAdmin, post_action
from recallops.admin_display import coloured, moment, to
from recallops.logs import one_line

STATE_COLOURS = {state.value: state.colour for state in Approval.State}
APPROVED = _("Approved: it is allowed now.")
REFUSED = _("Refused. The person who asked reads your reason here.")
WITHDRAWN = _("Withdrawn.")


class ForMe(admin.SimpleListFilter):
    """Those that its person may decide: not his own, not too old."""

    title = _("waiting for your approval")
    parameter_name = "for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Offer one choice."""
        return [("me", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave out what one asked for oneself."""
        return queryset.waiting().exclude(asked_by=request.user.pk) if self.value() == "me" else queryset


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    """A request to delete calendars."""

    empty_help = (
        _(
            "Nobody has asked for an approval yet. Deletes ask for one where a workspace wants a second person: its "
            "page has the switch."
        ),
        "admin:calendars_workspace_changelist",
        _("Look at the workspaces"),
    )

    list_display = [
        "what",
        "batch",
        "asked_by",
        moment("asked_at", _("asked at")),
        moment("expires_at", _("good until")),
        coloured(STATE_COLOURS, "state", _("state")),
        "decided_by",
        moment("decided_at", _("decided at")),
    ]
    list_display_links = ["what"]
    list_select_related = ["batch", "asked_by", "decided_by"]
    list_filter = [ForMe, "state", ("batch", FewRelated)]
    search_fields = ["batch__slug__startswith", "asked_by__username__startswith"]
    search_help_text = _("Begin of a batch's name, or of the name of who asked")
    ordering = ["-pk"]
    fields = [
        "what",
        "batch_link",
        "asked_by",
        "asked_at",
        "reason",
        "does",
        "expires_at",
        "state",
        "decided_by",
        "decided_at",
        "said",
    ]
    readonly_fields = ["what", "batch_link", "does"]
    change_form_outer_before_template = "admin/migrations_app/approval_decide.html"
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("state",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what the page names along with it."""
        return super().get_queryset(request).select_related("batch", "asked_by", "decided_by")

    def has_approve_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Whoever may approve; that nobody approves his own is a rule of `approvals`."""
        return request.user.has_perm("migrations_app.approve")

    def has_drive_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Whoever may press the buttons of batches may take his own request back."""
        return request.user.has_perm("migrations_app.change_batch")

    def has_view_permission(self, request: HttpRequest, obj: Approval | None = None) -> bool:
        """Whoever may approve may see what."""
        return bool(super().has_view_permission(request, obj)) or self.has_approve_permission(request)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page what its person may do."""
        if obj := kwargs.get("obj"):
            context |= {
                "waits": obj.state == Approval.State.WAITING,
                "too_old": obj.expires_at <= clock.now(),
                "own": obj.asked_by_id == request.user.pk,
                "may_approve": self.has_approve_permission(request),
                "may_withdraw": self.has_drive_permission(request),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    # --- acts

    @post_action(label=_("approve"), permission="approve")
    def approve(self, request: HttpRequest, obj: Approval) -> str:
        """Allow what another person asked for."""
        approvals.approve(obj, actor=request.user, reason=_words(request))
        return str(APPROVED)

    @post_action(label=_("refuse"), permission="approve")
    def refuse(self, request: HttpRequest, obj: Approval) -> str:
        """Say no, with a reason."""
        approvals.refuse(obj, actor=request.user, reason=_words(request))
        return str(REFUSED)

    @post_action(label=_("withdraw"), permission="drive")
    def withdraw(self, request: HttpRequest, obj: Approval) -> str:
        """Take one's own request back."""
        approvals.withdraw(obj, actor=request.user)
        return str(WITHDRAWN)

    # --- what is shown

    @admin.display(description=_("what"))
    def what(self, obj: Approval) -> str:
        """What is to be allowed."""
        return obj.get_step_display() or obj.get_act_display()

    @admin.display(description=_("batch"))
    def batch_link(self, obj: Approval) -> str | SafeString:
        """Its batch."""
        return to(obj.batch)

    @admin.display(description=_("what it would do"))
    def does(self, obj: Approval) -> str | SafeString:
        """The sentences that the person who asked read."""
        lines = format_html_join("", "<li>{}</li>", ((sentence,) for sentence in obj.sentences))
        return format_html('<ul class="ro-list">{}</ul>', lines) if obj.sentences else "–"


def _words(request: HttpRequest) -> str:
    return one_line(request.POST.get("reason", ""))[:400]
