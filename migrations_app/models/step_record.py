"""What became of an item, step by step."""

from __future__ import annotations

from django.db import models

from migrations_app.itineraries import Step
from migrations_app.models.batch import ErrorKind, Item, ItemStatus


class StepRecord(models.Model):
    """How a step of an item ended. The same outcome again and again is one record: the first of them."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="steps_taken")
    at = models.DateTimeField(help_text="Domain time when it ended.")
    step = models.CharField(max_length=16, choices=Step)
    status = models.CharField(max_length=16, choices=ItemStatus, help_text="What the item was after it.")
    reason = models.CharField(max_length=600, blank=True)
    error_kind = models.CharField(max_length=16, choices=ErrorKind, blank=True)
    attempt = models.IntegerField(help_text="Which try of this step it was.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_step_display()}: {self.get_status_display()}"
