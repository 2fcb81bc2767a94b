"""Filters that several lists of the move share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class BatchIsFilter(admin.SimpleListFilter):
    """Whether the row's batch is still open."""

    title = _("batch is")
    parameter_name = "batch_is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer both."""
        return [("open", _("open")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of open batches, or of closed ones."""
        if self.value() not in ("open", "closed"):
            return queryset
        return queryset.filter(batch__closed_at__isnull=self.value() == "open")
