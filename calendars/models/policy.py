"""Which meetings are to be recorded, and how their bots are configured: written by people."""

from __future__ import annotations

import hashlib
import json

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from calendars.models.calendar import Calendar, Customer
from calendars.models.event import Occurrence
from recallops.encryption import EncryptedJSONField


class Which(models.TextChoices):
    """Which meetings a policy wants, before its two filters."""

    AS_FOUND = "as_found", "as found: those that have a bot already"
    ALL = "all", "all meetings"
    EXTERNAL = "external", "external: with somebody from outside"
    INTERNAL = "internal", "internal: with nobody from outside"
    RECURRING = "recurring", "recurring meetings"
    MANUAL = "manual", "only what was chosen by hand"


class BotProfile(models.Model):
    """The complete configuration of the bots that RecallOps schedules; the provider knows no partial updates."""

    name = models.SlugField(unique=True)
    config = EncryptedJSONField(default=dict, help_text="Any field of Create Bot except meeting_url and join_at.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def digest(self) -> str:
        """Tell two states of the configuration apart."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:32]

    def clean(self) -> None:
        """A configuration is one JSON object, and leaves time and place of the meeting to its event."""
        if not isinstance(self.config, dict):
            raise ValidationError({"config": 'This wants one JSON object, such as {"bot_name": "Notetaker"}.'})
        if filled := {"meeting_url", "join_at"} & set(self.config):
            names = " and ".join(sorted(filled))
            raise ValidationError({"config": f"Leave out {names}: the provider fills it from the event."})


class RecordingPolicy(models.Model):
    """The rule for a customer's calendars, or for one calendar. Without any, everything stays as found."""

    customer = models.OneToOneField(
        Customer, null=True, blank=True, on_delete=models.CASCADE, related_name="recording_policy"
    )
    calendar = models.OneToOneField(
        Calendar, null=True, blank=True, on_delete=models.CASCADE, related_name="recording_policy"
    )
    which = models.CharField(max_length=16, choices=Which, default=Which.AS_FOUND)
    confirmed_only = models.BooleanField(default=False, help_text="Only meetings that the calendar's owner accepted.")
    organizer_only = models.BooleanField(default=False, help_text="Only meetings that the calendar's owner organizes.")
    bot_profile = models.ForeignKey(
        BotProfile,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="policies",
        help_text="Empty: the workspace's own.",
    )

    class Meta:
        verbose_name_plural = "recording policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(customer=None, calendar__isnull=False) | Q(customer__isnull=False, calendar=None),
                name="recording_policy_of_one",
                violation_error_message="A policy is for one customer or for one calendar.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer or self.calendar}: {self.get_which_display()}"


class RecordingChoice(models.Model):
    """What somebody decided for one event, or for a series in all calendars of a customer. It wins over policies."""

    occurrence = models.OneToOneField(
        Occurrence, null=True, blank=True, on_delete=models.CASCADE, related_name="recording_choice"
    )
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.CASCADE, related_name="recording_choices"
    )
    series = models.CharField(
        max_length=1024, blank=True, help_text="The ical_uid that the instances share, or Outlook's seriesMasterId."
    )
    record = models.BooleanField(help_text="Yes: a bot attends, whatever the policy says. No: none does.")
    reason = models.CharField(max_length=200, blank=True)
    made_by = models.CharField(max_length=200, blank=True)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(occurrence__isnull=False, customer=None, series="")
                | (Q(occurrence=None, customer__isnull=False) & ~Q(series="")),
                name="recording_choice_of_one",
                violation_error_message="A choice is for one event, or for a series of one customer.",
            ),
            models.UniqueConstraint(
                fields=["customer", "series"], condition=Q(occurrence=None), name="recording_choice_once_per_series"
            ),
        ]

    def __str__(self) -> str:
        what = f"series {self.series[:40]}" if self.series else f"event {self.occurrence}"
        return f"{'record' if self.record else 'do not record'} {what}"
