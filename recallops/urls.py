"""Addresses of the project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from recallops import health
from recallops.staff.log_ins import change_own_password

urlpatterns = [
    *health.urlpatterns,
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/second-factor/", include("recallops.staff.urls")),
    path("admin/password_change/", admin.site.admin_view(change_own_password), name="password_change"),
    path("admin/", include("migrations_app.admin.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("migrations_app.api.urls")),
    path("api/", include("calendars.api.urls")),
    path("status/", include("migrations_app.status.urls")),
    path("webhooks/", include("calendars.webhooks.urls")),
]
