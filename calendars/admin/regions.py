"""Regions and the limits that a provider states: the vendor's data, which staff may correct."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from calendars.admin.base import AuditedAdmin
from calendars.models import EndpointLimit, Region


@admin.register(Region)
class RegionAdmin(AuditedAdmin):
    """Deployments of a provider."""

    list_display = ["code", "label", "provider", "base_url"]
    search_fields = ["code", "label"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A base URL typed without its scheme means https."""
        if db_field.name == "base_url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A region that a workspace may live in stays."""
        return False


@admin.register(EndpointLimit)
class EndpointLimitAdmin(AuditedAdmin):
    """Stated limits: what a new workspace's budgets start with. Existing budgets are edited on the workspace's page."""

    list_display = ["endpoint", "provider", "per_minute"]
    list_filter = ["provider"]
    search_fields = ["endpoint"]
