"""When each part of preflight was last looked at: also what found nothing has an age."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Check(models.TextChoices):
    """The parts of preflight, in the order in which they are shown."""

    KEYS = "keys", _("Keys")
    LIMITS = "limits", _("Limits and time")
    WEBHOOKS = "webhooks", _("Webhooks and scheduling")
    TARGET = "target", _("The target")
    BATCHES = "batches", _("Other batches")
    CALENDARS = "calendars", _("Calendars")
    MEETINGS = "meetings", _("Meetings of the next day")


class PreflightCheck(models.Model):
    """One part of preflight of one batch, and when it was last looked at."""

    batch = models.ForeignKey("migrations_app.Batch", on_delete=models.CASCADE, related_name="preflight_checks")
    name = models.CharField(max_length=12, choices=Check)
    looked_at = models.DateTimeField(help_text="Domain time.")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["batch", "name"], name="preflight_check_once")]

    def __str__(self) -> str:
        return self.get_name_display()
