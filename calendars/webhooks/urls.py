"""Addresses of webhooks, below /webhooks/. What cannot be a token does not reach the database."""

from __future__ import annotations

from django.urls import re_path

from calendars.webhooks.views import RecallWebhookView

ENDPOINT = r"(?P<token>[A-Za-z0-9_-]{1,64})"

urlpatterns = [
    re_path(rf"^recall/{ENDPOINT}/\Z", RecallWebhookView.as_view(), name="recall-webhook"),
    re_path(rf"^recall/{ENDPOINT}\Z", RecallWebhookView.as_view()),  # pasted without its slash
]
