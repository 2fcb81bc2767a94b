"""Providers, their regions, and the limits that a provider states for its endpoints."""

from __future__ import annotations

from django.db import models


class Provider(models.TextChoices):
    """Whose API a region speaks."""

    RECALL = "recall", "Recall.ai"
    NYLAS = "nylas", "Nylas"


class Region(models.Model):
    """One deployment of a provider. Regions share nothing: other keys, other ids, no data."""

    provider = models.CharField(max_length=16, choices=Provider)
    code = models.CharField(max_length=40, help_text="As the vendor writes it, for example us-west-2.")
    label = models.CharField(max_length=80)
    base_url = models.URLField(help_text="Without a path, for example https://us-west-2.recall.ai")

    class Meta:
        ordering = ["provider", "code"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "code"], name="region_once_per_provider"),
        ]

    def __str__(self) -> str:
        return f"{self.get_provider_display()} {self.code}"


class EndpointLimit(models.Model):
    """The provider's stated limit of one endpoint, for workspaces that have none of their own."""

    provider = models.CharField(max_length=16, choices=Provider)
    endpoint = models.CharField(max_length=120, help_text="Method and path, as in the vendor's reference.")
    per_minute = models.PositiveIntegerField()

    class Meta:
        ordering = ["provider", "endpoint"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "endpoint"], name="endpoint_limit_once"),
            models.CheckConstraint(condition=models.Q(per_minute__gt=0), name="endpoint_limit_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.per_minute} a minute"
