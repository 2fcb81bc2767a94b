"""What one person asked for and another one has to approve."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step
from migrations_app.models.batch import Batch
from recallops import clock


class ApprovalQuerySet(models.QuerySet["Approval"]):
    """Reads of requests."""

    def waiting(self) -> ApprovalQuerySet:
        """Return those that a second person can still decide."""
        return self.filter(state=Approval.State.WAITING, expires_at__gt=clock.now())


class Approval(models.Model):
    """A request to delete calendars: who asked for what, as it was seen, and what another person said to it."""

    class Act(models.TextChoices):
        """What was asked for."""

        GOAL = "goal", _("allow a step")
        GO_BACK = "go_back", _("go back")

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", _("waiting for approval")
        APPROVED = "approved", _("approved")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")
        LAPSED = "lapsed", _("lapsed")

        @property
        def colour(self) -> str:
            """The badge's colour."""
            return {"waiting": "warning", "approved": "success", "refused": "danger"}.get(self.value, "")

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="approvals")
    act = models.CharField(max_length=16, choices=Act, default=Act.GOAL)
    step = models.CharField(max_length=16, choices=Step, blank=True, help_text=_("Empty: the way back."))
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(help_text=_("Domain time."))
    reason = models.CharField(max_length=400, blank=True, help_text=_("Of the person who asked."))
    sentences = models.JSONField(default=list, help_text=_("What it would do, as that person read it."))
    shown = models.CharField(max_length=16, help_text=_("Digest of the batch's state that was seen."))
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    said = models.CharField(max_length=400, blank=True, help_text=_("Of the person who decided, or why it lapsed."))

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch"], condition=Q(state="waiting"), name="approval_one_waiting_per_batch"
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | (Q(decided_by__isnull=False) & ~Q(decided_by=F("asked_by"))),
                name="approval_by_another",
            ),
            models.CheckConstraint(
                condition=(Q(act="goal") & ~Q(step="")) | Q(act="go_back", step=""), name="approval_names_what"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=Q(state="waiting"), name="approval_waiting")]

    def __str__(self) -> str:
        return f"{self.get_step_display() or self.get_act_display()}: {self.batch}"
