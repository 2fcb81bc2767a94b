"""The company's own application behind the relay: where its webhooks go, what signs them, what became of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calendars.models.webhook import Delivery
from recallops.encryption import EncryptedTextField, fingerprint


def vendors_ladder() -> list[int]:
    """Return the seconds between a try that failed and the next one, as the vendor has them (webhooks overview)."""
    return [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]


class Application(models.Model):
    """The company's own software behind the relay."""

    class Headers(models.TextChoices):
        """Under which names it looks for the signature. Never both: a receiver could check one and trust the other."""

        WEBHOOK = "webhook", "webhook-id, webhook-timestamp, webhook-signature"
        SVIX = "svix", "svix-id, svix-timestamp, svix-signature (older receivers)"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    url = EncryptedTextField(help_text="Where it takes webhooks. May hold a token in its query.")
    headers = models.CharField(max_length=10, choices=Headers, default=Headers.WEBHOOK)
    paused = models.BooleanField(
        default=False, help_text="Nothing is sent; what comes in is kept and sent when this is taken off."
    )
    timeout = models.DurationField(
        default=timedelta(seconds=15), help_text="Longest wait for its answer, of the wall. The vendor waits 15 s."
    )
    ladder = models.JSONField(
        default=vendors_ladder, help_text="Seconds between a try that failed and the next one; then it is given up."
    )
    at_once = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="Most webhooks that are on their way to it at the same time, of each worker.",
    )
    patience = models.DurationField(
        default=timedelta(minutes=15),
        help_text="From having all webhooks of a group that was cut until its bots must be there.",
    )

    # Progress.
    measured_delay = models.DurationField(
        default=timedelta(0), editable=False, help_text="Longest time seen from a cut to the application's last bot."
    )
    failing_since = models.DateTimeField(null=True, editable=False)
    last_ok_at = models.DateTimeField(null=True, editable=False)
    last_problem = models.CharField(max_length=300, blank=True, editable=False)
    tested_at = models.DateTimeField(null=True, editable=False)
    test_result = models.CharField(max_length=400, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def __repr__(self) -> str:
        return f"<Application {self.slug}>"

    @property
    def host(self) -> str:
        """What may be shown of its URL."""
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:
            return ""


class ApplicationSecret(models.Model):
    """What signs webhooks for the application. All that are in use sign, so that it may change its own at any time."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="secrets")
    label = models.CharField(max_length=80, default="secret")
    secret = EncryptedTextField(help_text="whsec_…")
    last4 = models.CharField(max_length=4, editable=False)
    fingerprint = models.CharField(max_length=8, editable=False)
    enabled = models.BooleanField(default=True, help_text="Off once the application has another one.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["application", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["application", "fingerprint"], name="application_secret_once"),
        ]

    def __str__(self) -> str:
        return f"{self.label} (…{self.last4})"

    def __repr__(self) -> str:
        return f"<ApplicationSecret {self.pk} {self.fingerprint}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep what staff may see of the secret beside it."""
        self.secret = self.secret.strip()
        self.fingerprint = fingerprint(self.secret)
        self.last4 = self.secret[-4:] if len(self.secret) >= 16 else ""
        super().save(*args, **kwargs)


class Relayed(models.Model):
    """One webhook on its way to the application. Of those in one lane, one goes after the other."""

    class State(models.TextChoices):
        """How far it came."""

        WAITING = "waiting", "to be sent"
        HELD = "held", "held: the calendar is another region's"
        DELIVERED = "delivered", "delivered"
        DEAD = "dead", "given up"

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="relayed")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="relayed")
    lane = models.CharField(max_length=160, help_text="Workspace, and the calendar or bot that it speaks of.")
    of_calendar = models.BooleanField(default=False, help_text="It speaks of a calendar, so the cut concerns it.")

    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(null=True, help_text="Domain time of the next try.")
    attempts = models.PositiveIntegerField(default=0, help_text="Tries since it was last set going.")
    delivered_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=300, blank=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "relayed webhook"
        constraints = [
            models.UniqueConstraint(fields=["delivery"], name="relayed_once"),
        ]
        indexes = [
            models.Index(fields=["lane", "delivery"], condition=Q(state="waiting"), name="relayed_head"),
            models.Index(fields=["application", "due_at"], condition=Q(state="waiting"), name="relayed_due"),
            models.Index(fields=["lane"], condition=Q(state="held"), name="relayed_held"),
            models.Index(fields=["application", "state"], name="relayed_by_state"),
            models.Index(fields=["lane", "delivery"], name="relayed_by_lane"),
            models.Index(fields=["id"], condition=Q(state="dead"), name="relayed_dead"),
        ]

    def __str__(self) -> str:
        return str(self.delivery)


class RelayAttempt(models.Model):
    """One try to pass a webhook on, and what was answered."""

    relayed = models.ForeignKey(Relayed, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField(help_text="Domain time.")
    seconds = models.FloatField(help_text="Of the wall.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty: there was no answer.")
    problem = models.CharField(max_length=300, blank=True)
    answer = models.CharField(max_length=500, blank=True, help_text="The beginning of what it answered.")

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.status or 'no answer'} at {self.at:%Y-%m-%d %H:%M:%S}"
