"""The help page: what has to be done first, the steps, the words, the roles, and where the vendor's dashboards are."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from calendars.models import Region
from calendars.providers.dashboards import vendor_pages
from migrations_app.admin import first_run
from migrations_app.admin.texts import ROLES, STEPS, WORDS
from recallops.admin_base import may_see
from recallops.admin_counts import bounded_counts


def help_view(request: HttpRequest) -> HttpResponse:
    """Show the help page."""
    regions = Region.objects.all() if may_see(request, Region) else ()
    context = {
        **admin.site.each_context(request),
        "title": _("Help"),
        "lines": first_run.lines(request, bounded_counts(first_run.rows(request))),
        "steps": STEPS,
        "words": WORDS,
        "roles": ROLES,
        "vendor": [(region, pages) for region in regions if (pages := vendor_pages(region))],
    }
    return TemplateResponse(request, "admin/help.html", context)
