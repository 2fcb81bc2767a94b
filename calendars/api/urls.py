"""Addresses of the API, below /api/. What leads nowhere is answered here, too, in the form of all answers."""

from __future__ import annotations

from django.urls import path, re_path
from django.views.decorators.cache import cache_page
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from calendars.api import calendars, ids, ownership
from calendars.api.base import no_such_address

KEPT = 600  # seconds; the description takes a while to make, and anybody may ask for it

urlpatterns = [
    path("schema/", cache_page(KEPT)(SpectacularAPIView.as_view()), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path("v1/ids/", ids.IdsView.as_view(), name="api-ids"),
    path("v1/ids.csv", ids.CSVView.as_view(), name="api-ids-csv"),
    path("v1/ids.ndjson", ids.NDJSONView.as_view(), name="api-ids-ndjson"),
    path("v1/ids/lookup/", ids.IdsLookupView.as_view(), name="api-ids-lookup"),
    path("v1/ids/changes/", ids.ChangesView.as_view(), name="api-ids-changes"),
    path("v1/ids/<str:kind>/<str:remote_id>/", ids.IdView.as_view(), name="api-id"),
    path("v1/ownership/", ownership.OwnershipView.as_view(), name="api-ownership"),
    path("v1/ownership/lookup/", ownership.OwnershipLookupView.as_view(), name="api-ownership-lookup"),
    path("v1/calendars/", calendars.CalendarsView.as_view(), name="api-calendars"),
    path("v1/calendars/<str:number>/", calendars.CalendarView.as_view(), name="api-calendar"),
    re_path("", no_such_address),
]
