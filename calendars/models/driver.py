"""Who drives what at the moment: one row for each slot of a subject, so that doorbells may ring twice."""

from __future__ import annotations

from django.db import models


class Driver(models.Model):
    """A slot in which one task at a time works on a subject (a family's assignments, a batch's items)."""

    subject = models.CharField(max_length=80)
    slot = models.PositiveSmallIntegerField()
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(null=True, help_text="When its doorbell was last rung; machine time.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject", "slot"], name="driver_slot_once")]

    def __str__(self) -> str:
        return f"{self.subject} #{self.slot}"
