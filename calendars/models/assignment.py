"""What must be covered exactly once, by which bot, and what we were about to write."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from calendars.models.calendar import BY_PREFIX, Connection
from calendars.models.event import Event
from calendars.models.workspace import Workspace
from recallops import clock
from recallops.encryption import EncryptedJSONField


class Verdict(models.TextChoices):
    """What the coverage ledger says of an assignment, in the order in which the first that applies is taken."""

    STALE = "stale", "stale"
    UNWANTED = "unwanted", "unwanted"
    MISSED = "missed", "missed"
    DOUBLED = "doubled", "doubled"
    FROZEN = "frozen", "frozen"
    SOURCE = "source", "covered by source"
    TARGET = "target", "covered by target"
    OWNER = "owner", "covered"
    ATTENDED = "attended", "over, attended"
    NOT_ATTENDED = "not_attended", "over, not attended"
    OVER = "over", "over"


class Assignment(models.Model):
    """ "One bot must attend this": wanted occurrences with one start, one URL and one deduplication scope.

    `owner` and `epoch` change only by the guarded FLIP of `scheduling/reconcile.py`. `version` counts changes of
    what was read; a FLIP that was decided on an older version does not happen.
    """

    family = models.SlugField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    url = models.CharField(max_length=2000)
    scope = models.CharField(max_length=2000, blank=True)
    identity = models.CharField(max_length=64, help_text="Digest of start, URL and scope, which may be long.")
    owner = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="assignments")
    epoch = models.IntegerField(default=0)
    version = models.BigIntegerField(default=0)
    flipped_at = models.DateTimeField(null=True)
    keys = models.JSONField(default=dict, help_text="Deduplication key by workspace id, sent to the letter.")
    bot_config = EncryptedJSONField(null=True, help_text="Of the bot first found; new bots get it.")
    config_digests = models.JSONField(
        default=dict, help_text="Of what a bot profile last gave its bot, by workspace id: another one is out of date."
    )

    exception = models.CharField(
        max_length=300, blank=True, help_text="Why staff accept that the cut of its share group may double it."
    )

    # Progress.
    verdict = models.CharField(max_length=16, choices=Verdict, default=Verdict.STALE)
    note = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="What it waits for.")
    verdict_at = models.DateTimeField(null=True)
    both = models.BooleanField(default=False, help_text="Seen with a bot in both regions.")
    over = models.BooleanField(default=False)
    attended = models.BooleanField(null=True, help_text="Once it is over: was a bot in the call?")
    due_at = models.DateTimeField(null=True, help_text="Domain time from which it wants to be looked at.")
    attempts = models.IntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["family", "identity"], name="assignment_once"),
        ]
        indexes = [
            models.Index(fields=["due_at", "start"], condition=Q(over=False), name="assignment_due"),
            models.Index(fields=["owner", "start"], name="assignment_by_owner"),
            models.Index(fields=["start", "id"], name="assignment_by_start"),
            models.Index(
                fields=["end"],
                condition=Q(verdict__in=["missed", "doubled", "not_attended"]),
                name="assignment_alarming",
            ),
            models.Index(fields=["start", "id"], condition=Q(over=False), name="assignment_coming"),
        ]

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} {self.url[:60]}"


class Bot(models.Model):
    """A bot known to a workspace, scheduled or past."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="bots")
    remote_id = models.CharField(max_length=80)
    status = models.CharField(max_length=60, default="ready")
    status_at = models.DateTimeField(null=True, help_text="The provider's time of this status, when a webhook told.")
    terminal = models.BooleanField(default=False, help_text="Over, or gone at the provider.")
    attended = models.BooleanField(default=False, help_text="It was in the call.")
    join_at = models.DateTimeField(null=True)
    meeting_url = models.CharField(max_length=2000, blank=True)
    config = EncryptedJSONField(null=True, help_text="What the provider showed of its configuration.")
    read_begun_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "remote_id"], opclasses=BY_PREFIX, name="bot_remote_id_once"),
        ]
        indexes = [models.Index(fields=["workspace", "join_at"], name="bot_by_join")]

    def __str__(self) -> str:
        return self.remote_id


class IntentQuerySet(models.QuerySet["Intent"]):
    """How writes end. What is settled stays so: an answer may come when another has long read what became of it."""

    def answer(self) -> int:
        """Note that the provider took them."""
        return self.filter(state=Intent.State.SENT).update(state=Intent.State.ANSWERED, answered_at=clock.now())

    def settle(self, *, happened: bool, outcome: str) -> int:
        """Note what became of those that are open; return how many."""
        state = Intent.State.CONFIRMED if happened else Intent.State.FAILED
        fields = {"state": state, "settled_at": clock.now(), "outcome": outcome[:300]}
        return self.filter(state__in=Intent.OPEN).update(**fields)


class Intent(models.Model):
    """About to write this at the provider: recorded before it is sent, settled only by reading."""

    class Purpose(models.TextChoices):
        """What is written."""

        ADD_BOT = "add_bot", "add a bot"
        REMOVE_BOT = "remove_bot", "remove a bot"
        CREATE_CALENDAR = "create_calendar", "create a calendar"
        DELETE_CALENDAR = "delete_calendar", "delete a calendar"

    class State(models.TextChoices):
        """How far it came. Sent and answered ones are open; an open one without an answer is unknown."""

        SENT = "sent", "sent, no answer yet"
        ANSWERED = "answered", "answered, not read back"
        CONFIRMED = "confirmed", "read back"
        FAILED = "failed", "did not happen"

    OPEN = (State.SENT, State.ANSWERED)

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="intents")
    assignment = models.ForeignKey(Assignment, null=True, on_delete=models.CASCADE, related_name="intents")
    event = models.ForeignKey(Event, null=True, on_delete=models.CASCADE, related_name="intents")
    connection = models.ForeignKey(Connection, null=True, on_delete=models.CASCADE, related_name="intents")
    purpose = models.CharField(max_length=20, choices=Purpose)
    state = models.CharField(max_length=12, choices=State, default=State.SENT)
    subject = models.CharField(max_length=200, help_text="What the write is about, for the reader of a timeline.")
    bot_id = models.CharField(max_length=80, blank=True)
    digest = models.CharField(max_length=32, blank=True, help_text="Of the request's body.")
    attempt = models.IntegerField(default=1)
    sent_at = models.DateTimeField(help_text="Domain time just before it was sent.")
    answered_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, blank=True)
    lease_token = models.UUIDField(null=True)

    objects = IntentQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["assignment"], condition=Q(state__in=["sent", "answered"]), name="intent_open"),
            models.Index(
                fields=["connection"], condition=Q(state__in=["sent", "answered"]), name="intent_open_connection"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()}: {self.subject}"
