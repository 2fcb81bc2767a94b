"""E-mails to customers: what is said at which milestone, and what became of each."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calendars.models import Customer, CustomerContact
from migrations_app.models.batch import Batch
from migrations_app.models.episode import Episode
from migrations_app.models.subscription import Subscription


class Milestone(models.TextChoices):
    """When a customer is told something."""

    PLANNED = "planned", _("planned")
    NEEDS_YOU = "needs_you", _("needs you")
    DONE = "done", _("done")
    PROBLEM = "problem", _("problem")


class MailTemplate(models.Model):
    """What is said at a milestone. Staff edit it; placeholders in braces are replaced, nothing in it is run."""

    milestone = models.CharField(_("milestone"), max_length=12, choices=Milestone, unique=True, editable=False)
    subject = models.CharField(_("subject"), max_length=150)
    text = models.TextField(_("text"), max_length=5000)

    class Meta:
        verbose_name = _("e-mail template")
        ordering = ["pk"]

    def __str__(self) -> str:
        return str(self.get_milestone_display())


class Notice(Episode):
    """A milestone of a customer in a batch, found once. *Planned* and *done* come once, the others in episodes."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="notices")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="notices")
    milestone = models.CharField(_("milestone"), max_length=12, choices=Milestone)
    episode = models.PositiveSmallIntegerField(_("episode"), default=1)
    subscribers_only = models.BooleanField(
        default=False, help_text="It was found while the batch told nobody but who had asked for it."
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "customer", "milestone", "episode"], name="notice_once"),
            models.UniqueConstraint(
                fields=["batch", "customer", "milestone"], condition=Q(ended_at=None), name="notice_one_open_episode"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.get_milestone_display()}"


class Message(models.Model):
    """One e-mail: to a contact about a notice, written in the transaction that found it; or the one that asks an
    address whether it wants any, written in the transaction in which it was named."""

    class State(models.TextChoices):
        """How far it came."""

        WAITING = "waiting", _("to be sent")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("not sent")
        PERHAPS = "perhaps", _("perhaps sent")
        WITHDRAWN = "withdrawn", _("no longer true or wanted, not sent")

        @property
        def colour(self) -> str:
            """The badge's colour."""
            return {"sent": "success", "failed": "danger", "perhaps": "warning", "withdrawn": ""}.get(
                self.value, "info"
            )

    notice = models.ForeignKey(Notice, null=True, on_delete=models.CASCADE, related_name="messages")
    contact = models.ForeignKey(CustomerContact, null=True, on_delete=models.SET_NULL, related_name="messages")
    subscription = models.ForeignKey(
        Subscription,
        null=True,
        on_delete=models.CASCADE,
        related_name="messages",
        help_text="That it asks to confirm.",
    )
    email = models.EmailField(_("to"), max_length=254)
    subject = models.CharField(_("subject"), max_length=300)
    text = models.TextField(_("text"))
    identity = models.UUIDField(
        default=uuid.uuid4, editable=False, help_text=_("Of its Message-ID: the same whenever it is sent.")
    )

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(_("due"), help_text=_("Domain time of the next try."))
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    sent_at = models.DateTimeField(_("sent"), null=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("e-mail to a customer")
        verbose_name_plural = _("e-mails to customers")
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["notice", "email"], name="message_once"),
            models.CheckConstraint(
                condition=Q(notice__isnull=False, subscription=None) | Q(notice=None, subscription__isnull=False),
                name="message_of_notice_or_subscription",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "sending"]), name="message_due"),
            models.Index(fields=["state"], condition=Q(state__in=["failed", "perhaps"]), name="message_trouble"),
        ]

    def __str__(self) -> str:
        return f"{self.email}: {self.subject}"
