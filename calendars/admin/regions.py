"""Regions and the limits that a provider states: the vendor's data, which staff may correct."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin, vendor_links
from calendars.models import EndpointLimit, Region
from recallops.admin_base import computed_once


@admin.register(Region)
class RegionAdmin(AuditedAdmin):
    """Deployments of a provider."""

    empty_help = (
        _(
            "Regions come with the installation. If they are gone, run “manage.py migrate”, or add the vendor's region "
            "here."
        ),
        "admin:calendars_region_add",
        _("Add a region"),
    )

    list_display = ["code", "label", "provider", "base_url"]
    search_fields = ["code", "label"]
    fields = ["provider", "code", "label", "base_url", "in_the_dashboard"]
    readonly_fields = ["in_the_dashboard"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has no dashboard yet."""
        return self.fields if obj else self.fields[:-1]

    @admin.display(description=_("in the vendor's dashboard"))
    @computed_once
    def in_the_dashboard(self, obj: Region) -> str | SafeString:
        """Where a person does there what has no API."""
        return vendor_links(obj)

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

    empty_help = (
        _(
            "The vendor's limits come with the installation. Without any, each endpoint is called 60 times a minute at "
            "most."
        ),
        "admin:calendars_endpointlimit_add",
        _("Add a limit"),
    )

    list_display = ["endpoint", "provider", "per_minute"]
    list_filter = ["provider"]
    search_fields = ["endpoint"]
