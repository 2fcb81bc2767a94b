"""Lists that can be taken along as files: CSV and Excel, filtered, searched and sorted as they are on the page.

A download changes nothing, so it is a plain link; it needs the permission to view the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from recallops.admin_base import ModelAdmin
from recallops.admin_display import list_url
from recallops.exporting import Column, TooManyRowsError, csv_response, file_name, rows_of, xlsx_response

ONLY_GET = _("This address is a download. Open it from the list’s page.")
NOT_YOURS = _("Downloading this list needs the permission to view it.")
BAD_FILTER = _("The filters in this address mean nothing. Choose them on the list’s page and download again.")
LONGEST_NAME = 100


class ExportAdmin(ModelAdmin):
    """A list with two downloads. The columns are named one by one: what is not named is not even read."""

    export_columns: ClassVar[Sequence[Column]] = ()
    list_after_template = "recallops/export_links.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the files."""
        kind = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view
        own = [
            path("export.csv", view(self.export_csv_view), name=f"{kind}_export_csv"),
            path("export.xlsx", view(self.export_xlsx_view), name=f"{kind}_export_xlsx"),
        ]
        return own + super().get_urls()

    def export_csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send the list as CSV."""
        return self._export(request, csv_response)

    def export_xlsx_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send the list as an Excel file."""
        return self._export(request, xlsx_response)

    def _export(self, request: HttpRequest, respond: Any) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"], str(ONLY_GET), content_type="text/plain")
        if not self.has_view_permission(request):
            raise PermissionDenied(str(NOT_YOURS))
        try:
            changes: Any = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            messages.error(request, BAD_FILTER)
            return HttpResponseRedirect(list_url(self.model))
        rows = rows_of(changes.queryset.prefetch_related(None), self.export_columns)
        try:
            sent: HttpResponseBase = respond(rows, self.export_columns, name=self._file_name(changes))
        except TooManyRowsError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(list_url(self.model) + changes.get_query_string())
        return sent

    def _file_name(self, changes: Any) -> str:
        """Name the file after the list and the filters that were chosen: its batch, say."""
        chosen = [
            choice["display"]
            for spec in changes.filter_specs
            for place, choice in enumerate(spec.choices(changes))
            if choice.get("selected") and place > 0  # the first one is "All"
        ]
        return file_name(self.opts.verbose_name_plural, *chosen)[-LONGEST_NAME:].lstrip("-")
