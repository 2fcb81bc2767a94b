"""Pages of the queue, dressed as ours."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_q.models import Failure, OrmQ, Schedule, Success

from recallops.admin_base import HistoryAdmin
from recallops.admin_display import moment

for stock in (Failure, OrmQ, Schedule, Success):
    admin.site.unregister(stock)


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
