"""Addresses of batches, below /api/."""

from __future__ import annotations

from django.urls import path

from migrations_app.api import batches

urlpatterns = [
    path("v1/batches/", batches.BatchesView.as_view(), name="api-batches"),
    path("v1/batches/<str:name>/", batches.BatchView.as_view(), name="api-batch"),
    path("v1/batches/<str:name>/items/", batches.ItemsView.as_view(), name="api-items"),
]
