"""Webhooks: where they come in, what opens them, each one as it arrived, and what was refused."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import models
from django.db.models import Q

from calendars.models.calendar import BY_PREFIX
from calendars.models.workspace import Workspace
from recallops.encryption import EncryptedTextField, fingerprint


def new_token() -> str:
    """Return an address that nobody guesses."""
    return secrets.token_urlsafe(24)


class WebhookEndpoint(models.Model):
    """An address to which one workspace sends its webhooks. The token only names it; the signature proves."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="webhook_endpoints")
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    label = models.CharField(max_length=80, default="webhooks")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(null=True, editable=False, help_text="When the last good delivery came, at most.")

    class Meta:
        ordering = ["workspace", "pk"]

    def __str__(self) -> str:
        return f"{self.label} of {self.workspace}"


class WebhookSecret(models.Model):
    """A signing secret: of a workspace, or of one endpoint (older accounts). Several while they rotate."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="webhook_secrets")
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="secrets",
        help_text="Only for accounts with a secret for each endpoint. Empty: the workspace's secret.",
    )
    label = models.CharField(max_length=80, default="secret")
    secret = EncryptedTextField(help_text="As the dashboard shows it: whsec_…")
    last4 = models.CharField(max_length=4, editable=False)
    fingerprint = models.CharField(max_length=8, editable=False)
    enabled = models.BooleanField(default=True, help_text="Off once it was rotated; then it only explains refusals.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["workspace", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "fingerprint"], name="webhook_secret_once_per_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.label} (…{self.last4})"

    def __repr__(self) -> str:
        return f"<WebhookSecret {self.pk} {self.fingerprint}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep what staff may see of the secret beside it."""
        self.secret = self.secret.strip()
        self.fingerprint = fingerprint(self.secret)
        self.last4 = self.secret[-4:] if len(self.secret) >= 16 else ""
        super().save(*args, **kwargs)


class Delivery(models.Model):
    """One webhook as it arrived, byte for byte; parsed after it was answered."""

    class State(models.TextChoices):
        """What became of it."""

        RECEIVED = "received", "waiting to be looked at"
        HANDLED = "handled", "acted on"
        KEPT = "kept", "kept, nothing to do"
        FAILED = "failed", "not understood"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(WebhookEndpoint, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    delivery_id = models.CharField(max_length=255, help_text="webhook-id or svix-id; the same on every retry.")
    received_at = models.DateTimeField(help_text="Domain time.")
    sent_at = models.DateTimeField(help_text="The signed time stamp: when this attempt was sent.")
    region = models.CharField(max_length=40, blank=True, help_text="What the address said of the region.")
    body = models.BinaryField()
    times = models.PositiveIntegerField(default=1, help_text="How often it came.")

    state = models.CharField(max_length=12, choices=State, default=State.RECEIVED)
    event = models.CharField(max_length=120, blank=True)
    subject = models.CharField(max_length=120, blank=True, help_text="The calendar or bot that it speaks of.")
    reason = models.CharField(max_length=300, blank=True)
    handled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "delivery_id"], opclasses=BY_PREFIX, name="delivery_once_per_workspace"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "id"], condition=Q(state="received"), name="delivery_waiting"),
            models.Index(fields=["received_at"], name="delivery_by_time"),
            models.Index(fields=["received_at"], condition=Q(state="failed"), name="delivery_failed"),
            models.Index(fields=["subject", "id"], name="delivery_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.event or 'webhook'} {self.delivery_id}"


class WebhookRefusal(models.Model):
    """Requests that were not let in, counted by cause and day: no flood of them grows a table."""

    class Cause(models.TextChoices):
        """Why, as far as can be told."""

        OTHER_WORKSPACE = "other_workspace", "signed with the secret of another workspace or region"
        ROTATED = "rotated", "signed with a secret that was switched off here"
        ALTERED = "altered", "the body was written anew on its way"
        NO_SECRET = "no_secret", "no secret is stored here"
        UNSIGNED = "unsigned", "came without signature headers"
        MIXED = "mixed", "two families of signature headers at once"
        MALFORMED = "malformed", "signature headers of a wrong form"
        TOO_OLD = "too_old", "older than the tolerance"
        TOO_NEW = "too_new", "from the future"
        TOO_LARGE = "too_large", "the body is too large"
        DISABLED = "disabled", "this endpoint is switched off"
        UNKNOWN = "unknown", "signed with a secret that is not known here"

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="refusals")
    day = models.DateField(help_text="UTC, domain time.")
    cause = models.CharField(max_length=20, choices=Cause)
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    detail = models.CharField(max_length=300, blank=True, help_text="Of the last one.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "day", "cause"], name="webhook_refusal_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.get_cause_display()}"
