"""What staff are told of in their chat tool: channels, alerts, and which alert went where."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from migrations_app.models.batch import Batch
from migrations_app.models.episode import Episode
from recallops.encryption import EncryptedTextField


class AlertKind(models.TextChoices):
    """What staff can be told of."""

    STOPPED = "stopped", _("a batch stopped")
    PERSON = "person", _("something waits for a person")
    BLOCKING = "blocking", _("a blocking finding")
    CONNECTION = "connection", _("a connection fell off")
    CANARY = "canary", _("the canary failed")
    MEETING = "meeting", _("a meeting missed or doubled")
    HEARTBEAT = "heartbeat", _("workers without a heartbeat")
    APPROVAL = "approval", _("an approval is asked for")


def every_kind() -> list[str]:
    """Return all kinds."""
    return list(AlertKind.values)


class AlertChannel(models.Model):
    """A place in a chat tool: its incoming webhook, in the format that the tool takes."""

    class Format(models.TextChoices):
        """What the tool takes."""

        SLACK = "slack", "Slack"
        MATTERMOST = "mattermost", "Mattermost"
        GOOGLE_CHAT = "google_chat", "Google Chat"
        TEAMS = "teams", "Microsoft Teams (workflow)"

    name = models.CharField(_("name"), max_length=80, unique=True)
    url = EncryptedTextField(help_text=_("The address of the incoming webhook; whoever has it can post."))
    format = models.CharField(_("format"), max_length=12, choices=Format)
    kinds = ArrayField(
        models.CharField(max_length=12, choices=AlertKind),
        default=every_kind,
        verbose_name=_("kinds"),
        help_text=_("What it is told of."),
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: nothing is sent."))

    # Progress.
    next_at = models.DateTimeField(null=True, editable=False, help_text=_("Not before this domain time."))
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    last_ok_at = models.DateTimeField(null=True, editable=False)
    last_problem = models.CharField(max_length=300, blank=True, editable=False)
    tested_at = models.DateTimeField(null=True, editable=False)
    test_result = models.CharField(max_length=400, blank=True, editable=False)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("alert channel")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(kinds=[]), name="alert_channel_is_told_something"),
        ]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<AlertChannel {self.name}>"


class Alert(Episode):
    """A fact that staff are told of once; what ends and comes back later is another one."""

    kind = models.CharField(_("kind"), max_length=12, choices=AlertKind)
    key = models.CharField(_("what"), max_length=200, help_text=_("What tells it apart from others of its kind."))
    batch = models.ForeignKey(Batch, null=True, on_delete=models.CASCADE, related_name="alerts")
    sentence = models.CharField(_("sentence"), max_length=600)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "key"], condition=Q(ended_at=None), name="alert_once"),
        ]

    def __str__(self) -> str:
        return self.sentence[:120]


class AlertPost(models.Model):
    """An alert on its way to a channel."""

    class State(models.TextChoices):
        """How far it came."""

        WAITING = "waiting", _("to be sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("given up")

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="posts")
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="posts")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    sent_at = models.DateTimeField(_("sent"), null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["alert", "channel"], name="alert_post_once"),
        ]
        indexes = [
            models.Index(fields=["channel"], condition=Q(state="waiting"), name="alert_post_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.alert}"
