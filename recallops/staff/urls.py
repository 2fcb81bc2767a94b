"""Addresses of the second factor, below those of the admin."""

from __future__ import annotations

from django.urls import path

from recallops.staff import factor

app_name = "staff"
urlpatterns = [
    path("", factor.factor, name="factor"),
    path("codes/", factor.codes, name="codes"),
]
