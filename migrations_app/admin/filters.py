"""Filters that several lists of the move share, and those by what is most frequent in one batch."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import CharField, Count, F, Func
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from recallops.admin_base import row_number

MOST_SHOWN = 20
LONGEST = 80


class WithoutNumbers(Func):
    """A sentence with # for each number: those that differ in nothing else are one reason."""

    function = "regexp_replace"
    template = "%(function)s(%(expressions)s, '[0-9]+([.:-][0-9]+)*', '#', 'g')"
    output_field = CharField()


class BatchIsFilter(admin.SimpleListFilter):
    """Whether the row's batch is still open."""

    title = _("batch is")
    parameter_name = "batch_is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer both."""
        return [("open", _("open")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of open batches, or of closed ones."""
        if self.value() == "open":
            return queryset.filter(batch__closed_at=None, batch__draft=False)
        return queryset.filter(batch__closed_at__isnull=False) if self.value() == "closed" else queryset


class FrequentFilter(admin.SimpleListFilter):
    """The most frequent values of one batch; without a batch it offers nothing: no table is counted whole."""

    kind: Any

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what is most frequent in the batch that the list is filtered by."""
        batch = row_number(request.GET.get("batch__id__exact", ""))
        if batch is None:
            return []
        rows = model_admin.model._default_manager.filter(batch=batch).order_by()
        found = rows.values(sort=self.kind).exclude(sort="").annotate(n=Count("pk")).order_by("-n", "sort")
        return [(one["sort"], f"{one['sort'][:LONGEST]} ({one['n']})") for one in found[:MOST_SHOWN]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those of one kind."""
        return queryset.alias(sort=self.kind).filter(sort=self.value()) if self.value() else queryset


class ReasonFilter(FrequentFilter):
    """Items by the sentence that says why."""

    title = _("reason")
    parameter_name = "about"
    kind = WithoutNumbers(F("reason"))


class CheckFilter(FrequentFilter):
    """Findings by what they say."""

    title = _("finding")
    parameter_name = "about"
    kind = WithoutNumbers(F("sentence"))
