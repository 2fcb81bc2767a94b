"""The record of calls to providers."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from calendars.models.workspace import Workspace


class ProviderCall(models.Model):
    """One try of one call: what was asked and what came back, without queries and bodies. Kept for some days.

    Written by `calendars.providers.recording`, past the ORM and past foreign keys: a record never stops a call.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    at = models.DateTimeField(help_text="Domain time when it was sent.")
    endpoint = models.CharField(max_length=80, help_text="Method and path, with {id} for what it was about.")
    subject = models.CharField(max_length=80, blank=True, help_text="The provider's id of what it was about.")
    status = models.SmallIntegerField(null=True, help_text="Of the answer; none where no answer came.")
    error = models.CharField(max_length=60, blank=True, help_text="What it was taken for, unless it was a success.")
    took_ms = models.IntegerField()
    waited_ms = models.IntegerField(help_text="For its slot of the rate budget.")
    attempt = models.SmallIntegerField(help_text="Which try of the same call.")
    request_id = models.CharField(max_length=100, blank=True, help_text="By which the vendor finds it.")

    class Meta:
        verbose_name = "call"
        verbose_name_plural = "calls to providers"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject", "id"], name="call_by_subject"),
            models.Index(fields=["id"], condition=~Q(error=""), name="call_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.status or self.error}"
