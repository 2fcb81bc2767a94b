"""The project's own few tables."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class WorkerHeartbeat(models.Model):
    """Proof that the workers of a machine work: a task that went the whole way through the queue, and when.

    Its times are the database's own clock. A row is removed when its workers are stopped in order.
    """

    host = models.CharField(max_length=64, primary_key=True)
    pid = models.PositiveIntegerField("process", help_text="Of `manage.py workers` on that machine.")
    started_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    beaten_at = models.DateTimeField("came back at", null=True)

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host
