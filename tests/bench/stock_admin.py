"""List pages as one usually writes them: what is to be seen, what is to be filtered by, what is to be searched."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path

from calendars.models import Assignment, Connection, Event
from migrations_app.models import Item

PAGES: dict[Any, dict[str, Any]] = {
    Event: {
        "list_display": ["start", "title", "connection", "workspace", "occurrence", "is_deleted", "read_begun_at"],
        "list_filter": ["workspace", "occurrence__wanted", "is_deleted"],
        "search_fields": ["remote_id", "connection__calendar__email"],
    },
    Assignment: {
        "list_display": ["start", "verdict", "note", "reason", "owner", "url"],
        "list_filter": ["verdict", "owner", "over", "both"],
        "search_fields": ["url"],
    },
    Connection: {
        "list_display": ["remote_id", "calendar", "workspace", "status", "closing", "read_begun_at"],
        "list_filter": ["workspace", "status"],
        "search_fields": ["remote_id", "calendar__email"],
    },
    Item: {
        "list_display": ["title", "batch", "connection", "step", "status", "reason", "due_at"],
        "list_filter": ["batch", "step", "status"],
        "search_fields": ["title"],
    },
}

for model, options in PAGES.items():
    admin.site.register(model, type(f"Stock{model.__name__}", (admin.ModelAdmin,), options))
urlpatterns = [path("admin/", admin.site.urls)]
