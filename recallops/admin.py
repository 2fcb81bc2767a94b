"""Pages of other packages, dressed as ours: people and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_q.models import Failure, OrmQ, Schedule, Success

from recallops.admin_base import HistoryAdmin, ModelAdmin
from recallops.admin_display import moment

if TYPE_CHECKING:
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm
else:
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

for stock in (User, Group, Failure, OrmQ, Schedule, Success):
    admin.site.unregister(stock)


@admin.register(User)
class UserAdmin(StockUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """Staff."""

    empty_help = (
        _("There is nobody yet. “manage.py createsuperuser” makes the first account."),
        "admin:auth_user_add",
        _("Add somebody"),
    )

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, ModelAdmin):
    """Roles of staff."""

    empty_help = (
        _("Roles are groups. “manage.py migrate” makes the four that come with the installation."),
        "admin:auth_group_add",
        _("Add a group"),
    )


class QueueAdmin(HistoryAdmin):
    """The queue, for superusers to look at. Nothing is resubmitted: our rows own the retries."""

    actions: list[Any] = []

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only superusers: arguments of tasks are ids, but still nobody else's business."""
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As for the rows."""
        return self.has_view_permission(request)


class TaskAdmin(QueueAdmin):
    """Tasks that ended."""

    list_display = ["name", "func", moment("started"), moment("stopped"), "attempt_count"]
    fields = ["name", "func", "args_text", "started", "stopped", "attempt_count", "result_text"]
    readonly_fields = ["args_text", "result_text"]
    search_fields = ["name", "func"]
    succeeded = True

    def get_queryset(self, request: HttpRequest) -> Any:
        """One kind of end."""
        return super().get_queryset(request).filter(success=self.succeeded).defer("result", "kwargs")

    @admin.display(description=_("arguments"))
    def args_text(self, obj: Any) -> str:
        """Ids, as a rule."""
        return repr(obj.args)

    @admin.display(description=_("result"))
    def result_text(self, obj: Any) -> str:
        """What it returned or raised."""
        return str(obj.result)


@admin.register(Success)
class SuccessAdmin(TaskAdmin):
    """Tasks that ended well."""

    empty_help = (
        _("No task of the queue has ended well yet. Without “manage.py workers” none ever does."),
        "help",
        _("What to do first"),
    )


@admin.register(Failure)
class FailureAdmin(TaskAdmin):
    """Tasks that did not."""

    empty_help = (
        _("No task of the queue has failed."),
        "",
        "",
    )

    succeeded = False


@admin.register(OrmQ)
class OrmQAdmin(QueueAdmin):
    """Tasks that wait or run."""

    empty_help = (
        _("No task waits: everything that was due is done, or no workers ring for it."),
        "admin:index",
        _("See whether workers are alive"),
    )

    list_display = ["id", "key", "name", "func", moment("lock")]
    fields = ["key", "lock", "name", "func", "args"]
    readonly_fields = ["name", "func", "args"]


@admin.register(Schedule)
class ScheduleAdmin(QueueAdmin):
    """Schedules; the product has none of its own."""

    empty_help = (
        _("There are no schedules, and none are needed: “manage.py workers” looks for what is due."),
        "",
        "",
    )

    list_display = ["id", "name", "func", "schedule_type", moment("next_run", _("next run"))]
