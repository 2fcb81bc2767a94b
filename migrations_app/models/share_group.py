"""Calendars with common meetings, which go over to the target at one instant."""

from __future__ import annotations

from django.db import models


class ShareGroup(models.Model):
    """Calendars of a batch that go over together, because the company's application works per calendar.

    Formed anew at every look until it is cut; then it stays as it is.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", "waiting for its cut"
        CUT = "cut", "cut, the application schedules"
        SETTLED = "settled", "gone over"
        FELL_BACK = "fell_back", "fell back to the source"

        @property
        def colour(self) -> str:
            """The badge's colour."""
            return {"cut": "info", "settled": "success", "fell_back": "danger"}.get(self.value, "")

    batch = models.ForeignKey("migrations_app.Batch", on_delete=models.CASCADE, related_name="share_groups")
    name = models.CharField(max_length=320, help_text="One of its calendars.")
    calendars = models.PositiveIntegerField(default=0)
    meetings = models.PositiveIntegerField(default=0, help_text="Coming ones, when last looked at.")
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    planned_at = models.DateTimeField(null=True, help_text="The next quiet moment: no meeting is live or near.")
    reason = models.CharField(max_length=600, blank=True, help_text="What it waits for, or why it fell back.")
    lacking = models.PositiveIntegerField(default=0, help_text="Meetings without a bot in the target yet.")
    cut_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    fell_back_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["batch", "id"]
        indexes = [models.Index(fields=["batch", "state"], name="share_group_by_state")]

    def __str__(self) -> str:
        return f"{self.name} and {self.calendars - 1} more" if self.calendars > 1 else self.name
