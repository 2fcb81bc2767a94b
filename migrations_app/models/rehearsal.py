"""A rehearsal: the plan of a batch, played against simulated regions before anything is written."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from migrations_app.models.batch import Batch


class RehearsalState(models.TextChoices):
    """How far a rehearsal is."""

    ASKED = "asked", _("asked for")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    STOPPED = "stopped", _("stopped by a person")

    @classmethod
    def open(cls) -> tuple[RehearsalState, ...]:
        """Those of which a result is still to come."""
        return (cls.ASKED, cls.RUNNING)

    @property
    def colour(self) -> str:
        """The badge's colour."""
        return {"running": "info", "done": "success", "failed": "danger", "stopped": "warning"}.get(self.value, "")


class Rehearsal(models.Model):
    """One rehearsal of a batch. Nothing in it names anybody of the inventory."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="rehearsals")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(help_text="Domain time.")
    state = models.CharField(max_length=10, choices=RehearsalState, default=RehearsalState.ASKED)
    reason = models.CharField(max_length=600, blank=True, help_text="Why it failed or was stopped.")
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    progress = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="rehearsal_one_at_a_time"),
            models.UniqueConstraint(
                fields=["batch"], condition=Q(state__in=["asked", "running"]), name="rehearsal_one_open_per_batch"
            ),
        ]

    def __str__(self) -> str:
        return f"Rehearsal {self.pk} of {self.batch}"
