"""Events as each connection shows them, and the occurrences they are copies of."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left

from calendars.models.calendar import BY_PREFIX, Calendar, Connection
from calendars.models.workspace import Workspace

URL_BEGIN = 200
"""Characters of a meeting link that are indexed: an index takes no texts of any length, and links are strangers'."""


class Occurrence(models.Model):
    """One calendar's copy of one meeting, region-free: (platform, e-mail, platform_id).

    `wanted` and the assignment follow the OWNER's view of the event; start and URL are content, not identity.
    """

    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="occurrences")
    platform_id = models.CharField(max_length=1024)
    ical_uid = models.CharField(max_length=1024, blank=True)
    wanted = models.BooleanField(default=False, help_text="A bot shall attend it.")
    found = models.BooleanField(default=False, help_text="It was seen with a bot that no policy had asked for.")
    reason = models.CharField(max_length=200, blank=True)
    scope = models.CharField(max_length=2000, blank=True, help_text="Whom its bot is shared with.")
    assignment = models.ForeignKey(
        "calendars.Assignment", null=True, on_delete=models.SET_NULL, related_name="occurrences"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["calendar", "platform_id"], name="occurrence_once_per_calendar"),
        ]

    def __str__(self) -> str:
        return f"{self.calendar}: {self.platform_id[:40]}"


class Event(models.Model):
    """One calendar event as one connection shows it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="events")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="events")
    occurrence = models.ForeignKey(Occurrence, on_delete=models.CASCADE, related_name="events")
    remote_id = models.CharField(max_length=80)
    start = models.DateTimeField()
    end = models.DateTimeField()
    url = models.CharField(max_length=2000, blank=True, help_text="Meeting link; empty when there is none yet.")
    meeting_platform = models.CharField(max_length=40, blank=True)
    is_deleted = models.BooleanField(default=False)
    bots = models.JSONField(default=list, help_text="bots[] as read: bot_id, start, key, url.")
    raw = models.JSONField(default=dict)
    digest = models.CharField(max_length=32, help_text="Of everything read; a difference is a change.")
    remote_updated_at = models.DateTimeField()
    read_begun_at = models.DateTimeField(help_text="When the read that gave this row began.")
    changed_at = models.DateTimeField(null=True, help_text="When a sign of a newer state came in.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "remote_id"], opclasses=BY_PREFIX, name="event_remote_id_once"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "start"], name="event_by_start"),
            models.Index(fields=["connection", "start"], name="event_by_connection"),
            models.Index(OpClass(Left("url", URL_BEGIN), name="text_pattern_ops"), name="event_by_url"),
            GinIndex(fields=["bots"], opclasses=["jsonb_path_ops"], name="event_by_bots"),
        ]

    def __str__(self) -> str:
        return f"{self.remote_id} at {self.start:%Y-%m-%d %H:%M}"

    @property
    def title(self) -> str:
        """The title inside the provider's own JSON; hostile text."""
        raw = self.raw if isinstance(self.raw, dict) else {}
        return str(raw.get("summary") or raw.get("subject") or "")


class Sweep(models.Model):
    """A read of a whole workspace, page by page; anybody may go on where it stopped."""

    class Kind(models.TextChoices):
        """What is read."""

        CALENDARS = "calendars", "calendars"
        EVENTS = "events", "all events of the window"
        CHANGES = "changes", "events changed since the last sweep"
        NEWS = "news", "events that webhooks spoke of"
        BOTS = "bots", "scheduled bots"

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="sweeps")
    kind = models.CharField(max_length=16, choices=Kind)
    begun_at = models.DateTimeField(help_text="Domain time.")
    mark = models.DateTimeField(null=True, help_text="The provider's clock when the first page was read.")
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    next = models.TextField(blank=True, help_text="Where to go on.")
    pages = models.IntegerField(default=0)
    rows = models.IntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "kind"], condition=Q(finished_at=None), name="sweep_one_open_of_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.workspace}"
