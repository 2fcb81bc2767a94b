"""The ledger's list, narrowed to one batch."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from calendars.admin.ledger import AssignmentAdmin
from migrations_app.coverage import assignments_of
from migrations_app.models import Batch
from recallops.admin_base import MOST_CHOICES, row_number


class BatchFilter(admin.SimpleListFilter):
    """Assignments that a calendar of the batch takes part in."""

    title = "batch"
    parameter_name = "batch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the newest batches."""
        newest = Batch.objects.filter(draft=False).order_by("-pk").values_list("pk", "slug")[:MOST_CHOICES]
        return [(str(pk), slug) for pk, slug in newest]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one batch."""
        chosen = self.value()
        if not chosen:
            return queryset
        if (batch := row_number(chosen)) is None:
            return queryset.none()
        return queryset.filter(pk__in=assignments_of(Batch(pk=batch)).values("pk"))


AssignmentAdmin.extra_filters.append(BatchFilter)
