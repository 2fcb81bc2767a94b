"""Customers, their calendars, and how a calendar is known in each workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from calendars.models.workspace import Workspace
from recallops.encryption import EncryptedTextField

BY_PREFIX = ("int8_ops", "varchar_pattern_ops")
"""For an index on (workspace, id of the provider): it also finds ids by how they begin, whatever the collation."""


class Platform(models.TextChoices):
    """Where a calendar lives; the provider's own words."""

    GOOGLE = "google_calendar", "Google"
    OUTLOOK = "microsoft_outlook", "Outlook"


class ConnectionStatus(models.TextChoices):
    """The provider's status of a connection; other words it may invent are kept as they come."""

    CONNECTING = "connecting", "connecting"
    CONNECTED = "connected", "connected"
    DISCONNECTED = "disconnected", "disconnected"
    DELETED = "deleted", "deleted"


class Customer(models.Model):
    """Whom calendars belong to; sees a status page."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=160)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(OpClass(Upper("name"), name="text_pattern_ops"), name="customer_by_name"),
        ]

    def __str__(self) -> str:
        return self.name


class CustomerDomain(models.Model):
    """An e-mail domain whose calendars belong to a customer when they are first seen."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="domains")
    domain = models.CharField(max_length=253, unique=True)

    def __str__(self) -> str:
        return self.domain

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Domains are compared in lower case."""
        self.domain = self.domain.strip().lower()
        super().save(*args, **kwargs)


class Handover(models.Model):
    """Where assignments of some calendars shall be: the standing order that `reconcile` carries out.

    Written by people through a batch (control columns only). One row for each batch, so that pausing is one write.
    """

    source = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="handovers_out")
    target = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="handovers_in")
    cut_line = models.DateTimeField(null=True, help_text="Meetings that start from here on go to the target.")
    allowed = models.BooleanField(default=False, help_text="The goal includes hand over.")
    paused = models.BooleanField(default=False)
    backwards = models.BooleanField(default=False, help_text="Reverse or cancel: everything goes to the source.")
    external = models.BooleanField(
        default=False, help_text="The company's own application schedules: calendars go over by share groups."
    )
    max_both = models.PositiveIntegerField(
        default=600, help_text="Most assignments with a bot in both regions at once: what an outage can double."
    )

    rewrites = models.JSONField(
        default=dict,
        blank=True,
        help_text="Texts inside a bot's configuration that are bound to the source, and what they become.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(source=F("target")), name="handover_between_two_workspaces"),
        ]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class Calendar(models.Model):
    """One person's calendar at Google or Microsoft. It has no region."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="calendars")
    family = models.SlugField()
    platform = models.CharField(max_length=24, choices=Platform)
    email = models.CharField(max_length=320, help_text="Lower case; empty addresses are replaced by the remote id.")
    handover = models.ForeignKey(Handover, null=True, blank=True, on_delete=models.SET_NULL, related_name="calendars")
    relayed_from = models.ForeignKey(
        Workspace,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The one workspace whose webhooks of this calendar reach the application; empty: all do.",
    )
    relayed_since = models.DateTimeField(null=True, editable=False)
    judge_at = models.DateTimeField(
        null=True, editable=False, help_text="Its events want to be judged anew: a policy or a choice changed."
    )

    class Meta:
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(fields=["family", "platform", "email"], name="calendar_once_per_family"),
        ]
        indexes = [
            models.Index(fields=["judge_at"], condition=Q(judge_at__isnull=False), name="calendar_to_judge"),
            models.Index(fields=["email"], opclasses=["varchar_pattern_ops"], name="calendar_by_email"),
        ]

    def __str__(self) -> str:
        return self.email


class ConnectionQuerySet(models.QuerySet["Connection"]):
    """Connections by what they can do."""

    def live(self) -> ConnectionQuerySet:
        """Return those that the provider still has."""
        return self.exclude(status=ConnectionStatus.DELETED)


class Connection(models.Model):
    """How a calendar is known in ONE workspace: a Recall V2 calendar."""

    calendar = models.ForeignKey(Calendar, on_delete=models.PROTECT, related_name="connections")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="connections")
    remote_id = models.CharField(max_length=80)
    status = models.CharField(max_length=24, choices=ConnectionStatus)
    platform_email = models.CharField(max_length=320, blank=True)
    oauth_email = models.CharField(max_length=320, blank=True)
    oauth_client_id = models.CharField(max_length=2000, blank=True)
    oauth_client_secret = EncryptedTextField(blank=True)
    refresh_token = EncryptedTextField(blank=True)
    has_secret = models.BooleanField(default=False, help_text="The provider showed a client secret.")
    has_token = models.BooleanField(default=False, help_text="The provider showed a refresh token.")
    webhook_url = EncryptedTextField(blank=True, help_text="May hold a token in its query.")
    metadata = models.JSONField(null=True)
    status_changes = models.JSONField(default=list)
    extra = models.JSONField(default=dict, help_text="Fields of the provider that we do not know; no secrets.")

    # A connection that is about to be deleted: not able while anybody else is (docs/handover.md, 7).
    closing = models.BooleanField(default=False)
    read_begun_at = models.DateTimeField(null=True, help_text="When the read that gave this row began.")
    changed_at = models.DateTimeField(null=True, help_text="When a sign of a newer state came in.")
    events_changed_at = models.DateTimeField(null=True, help_text="When a sign of newer events came in.")
    events_read_at = models.DateTimeField(null=True, help_text="When the first reading of all its events began.")
    deleted_at = models.DateTimeField(null=True)

    SEALED = ("oauth_client_secret", "refresh_token", "webhook_url")
    """Columns that are opened on reading; who reads many connections for something else leaves them where they are."""

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering = ["workspace", "remote_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "remote_id"], opclasses=BY_PREFIX, name="connection_remote_id_once"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace"], condition=Q(status="disconnected"), name="connection_fell_off"),
        ]

    def __str__(self) -> str:
        return f"{self.calendar} in {self.workspace}"

    @property
    def connected(self) -> bool:
        """Tell whether the provider reads this calendar."""
        return self.status == ConnectionStatus.CONNECTED

    def last_became(self, status: str) -> datetime | None:
        """Return when it last took on a status; None when the provider does not say."""
        changes = [change for change in self.status_changes if change["status"] == status]
        moments = [change["created_at"] for change in changes if change.get("created_at")]
        return max((datetime.fromisoformat(text) for text in moments), default=None)
