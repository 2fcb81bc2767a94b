"""Pages of the admin that belong to no one model. They stand before the admin's own, whose search they replace."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from migrations_app.admin import dashboard, help_page, search

urlpatterns = [
    path("live/", dashboard.live_view, name="dashboard-live"),
    path("search/", admin.site.admin_view(search.search_view), name="search"),
    path("help/", admin.site.admin_view(help_page.help_view), name="help"),
]
