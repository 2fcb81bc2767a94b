"""Staff and their roles, and who is locked out. Only a superuser makes superusers, or touches one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin
from calendars.models import AuditEntry
from recallops.admin_base import HistoryAdmin, post_action
from recallops.admin_display import list_url, moment, utc
from recallops.staff import factor
from recallops.staff.models import Authenticator, RecoveryCodes

if TYPE_CHECKING:
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm
else:
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

OWN = _("Ask another administrator to reset yours: a session that somebody left open must not be able to.")
NONE_THERE = _("There is no second factor to reset; it is set up at the next log-in.")
RESET = _("Reset: a new second factor is set up at the next log-in, and sessions that are open end there.")
LET_IN = _("The failed log-ins are forgotten; the next one is let in with the right password.")

for stock in (User, Group):
    admin.site.unregister(stock)


class Refused(Exception):
    """The act is not allowed now; the sentence says why and what to do."""


@admin.register(User)
class UserAdmin(StockUserAdmin, AuditedAdmin):  # type: ignore[type-arg]
    """Staff."""

    empty_help = (
        _("There is nobody yet. “manage.py createsuperuser” makes the first account."),
        "admin:auth_user_add",
        _("Add somebody"),
    )

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = (
        "username",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "roles",
        moment("last_login", _("last log-in")),
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Personal info"), {"fields": ("first_name", "last_name", "email")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "groups", "is_superuser", "user_permissions")}),
        (_("Log-ins"), {"fields": ("last_login", "date_joined", "second_factor")}),
    )
    readonly_fields = ("last_login", "date_joined", "second_factor")
    change_form_outer_after_template = "staff/user_acts.html"
    refusals: ClassVar = (Refused,)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the roles along."""
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Administrators change staff; a superuser only another superuser."""
        if obj is not None and obj.is_superuser and not _is_superuser(request):
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: the trail names them. Who leaves is set inactive."""
        return False

    def has_reset_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change a person may reset the second factor."""
        return self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Rights beside the roles are given by superusers."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if _is_superuser(request) else (*fields, "is_superuser", "user_permissions")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the groups, with who had which role before and after on record."""
        user = form.instance
        with transaction.atomic():
            before = _roles(user)
            super().save_related(request, form, formsets, change)
            after = _roles(user)
            if before != after:
                AuditEntry.objects.record(
                    actor=request.user, action="user.roles", subject=user, before=before, after=after
                )

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell the page whether its person may reset."""
        obj = kwargs.get("obj")
        context["may_reset"] = obj is not None and obj.pk != request.user.pk and self.has_reset_permission(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def control_state(self, obj: User) -> Any:
        """Return what a press depends on: who it is, and whose authenticator would go."""
        device = Authenticator.objects.filter(user=obj).values_list("pk", flat=True).first()
        return [obj.username, obj.is_active, obj.is_superuser, device]

    @admin.display(description=_("roles"))
    def roles(self, obj: User) -> str:
        """The groups."""
        return ", ".join(group.name for group in obj.groups.all())

    @admin.display(description=_("second factor"))
    def second_factor(self, obj: User) -> str:
        """Since when, and how many recovery codes are left."""
        mine = Authenticator.objects.filter(user=obj).first()
        if mine is None:
            return str(_("none yet"))
        paper = RecoveryCodes.objects.filter(user=obj).first()
        return str(_("since %(when)s, %(left)s recovery codes left")) % {
            "when": utc(mine.made_at),
            "left": len(paper.digests) if paper else 0,
        }

    @post_action(label=_("reset the second factor"), permission="reset")
    def reset_second_factor(self, request: HttpRequest, obj: User) -> str:
        """Let somebody who lost everything set up a new one."""
        if obj.pk == request.user.pk:
            raise Refused(str(OWN))
        if not factor.reset(obj, actor=request.user):
            raise Refused(str(NONE_THERE))
        return str(RESET)


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, AuditedAdmin):
    """Roles of staff."""

    empty_help = (
        _("Roles are groups. “manage.py migrate” makes the four that come with the installation."),
        "admin:auth_group_add",
        _("Add a group"),
    )


@admin.register(AccessAttempt)
class AccessAttemptAdmin(HistoryAdmin):
    """Failed log-ins of late, by name and address; forgotten after the cool-off. What was typed is not shown."""

    empty_help = (_("Nobody has typed a wrong password of late."), "", "")
    list_display = ["username", "ip_address", "failures_since_start", moment("attempt_time", _("last tried"))]
    fields = ["username", "ip_address", "failures_since_start", "attempt_time", "user_agent", "path_info"]
    search_fields = ["username__startswith"]
    ordering = ["-pk"]
    change_form_outer_after_template = "staff/attempt_acts.html"
    controls = ("failures_since_start",)

    def has_forgive_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change staff may let somebody in again."""
        return request.user.has_perm("auth.change_user")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As for staff."""
        return self.has_forgive_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As for the rows."""
        return self.has_forgive_permission(request)

    def way_back(self, request: HttpRequest, obj: Any) -> str:
        """Go to the list: the row is gone."""
        return list_url(AccessAttempt)

    @post_action(label=_("forgive"), permission="forgive")
    def forgive(self, request: HttpRequest, obj: AccessAttempt) -> str:
        """Let somebody try again before the cool-off is over."""
        with transaction.atomic():
            AuditEntry.objects.record(
                actor=request.user, action="user.forgive_log_ins", subject=obj, failures=obj.failures_since_start
            )
            AccessAttempt.objects.filter(pk=obj.pk).delete()
        return str(LET_IN)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _roles(user: User) -> list[str]:
    return sorted(user.groups.values_list("name", flat=True))
