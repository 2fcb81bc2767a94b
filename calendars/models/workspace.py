"""Workspaces, what opens them, and how fast they may be called."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from calendars.models.region import EndpointLimit, Region
from recallops import clock
from recallops.encryption import EncryptedTextField, fingerprint


class Scheduler(models.TextChoices):
    """Who adds and removes bots in a workspace."""

    MANAGED = "managed", "RecallOps"
    EXTERNAL = "external", "the company's own application"


class DedupScheme(models.TextChoices):
    """Which events share one bot."""

    AS_FOUND = "as_found", "as found"
    ALL = "all", "one bot for everybody"
    DOMAIN = "domain", "one bot for each e-mail domain"
    NONE = "none", "one bot for each event"


SCHEME_STAYS = (
    "{count} meeting(s) are scheduled here under the present scheme. Under another one they would get other keys, and "
    "so a second bot each: the vendor wants the logic to stay the same for all events. Its way to change it: delete "
    "all connected calendars, choose the scheme, and connect them again."
)
ONE_SCHEDULER = (
    "The company's own application schedules here. Two schedulers would double bots: choose RecallOps as the "
    "scheduler, or leave this off."
)


class Workspace(models.Model):
    """One account in a region. The numbers of the hand-over are data here (docs/handover.md)."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="workspaces")
    family = models.SlugField(
        help_text="Workspaces that move into each other share a family; a meeting has one bot for each family."
    )
    scheduler = models.CharField(max_length=16, choices=Scheduler, default=Scheduler.MANAGED)
    application = models.ForeignKey(
        "calendars.Application",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="workspaces",
        help_text="Webhooks that come in from this workspace are passed on to it.",
    )
    dedup_scheme = models.CharField(max_length=16, choices=DedupScheme, default=DedupScheme.AS_FOUND)
    key_template = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="The pattern that reproduces this workspace's deduplication keys, once one was found.",
    )
    reserve_percent = models.PositiveSmallIntegerField(
        default=20, help_text="Share of every limit that is left to the company's live product."
    )

    second_person = models.BooleanField(
        _("second person for deletes"),
        default=False,
        help_text=_("Deleting calendars in a batch from or to here waits until another person has approved it."),
    )

    # Numbers of the hand-over: handover numbers F, L, M, A, P of docs/handover.md.
    freeze = models.DurationField(default=timedelta(minutes=10))
    late_commit = models.DurationField(default=timedelta(minutes=2))
    margin = models.DurationField(default=timedelta(minutes=20))
    age_for_write = models.DurationField(default=timedelta(minutes=2))
    age_for_wait = models.DurationField(default=timedelta(minutes=10))
    age_near_start = models.DurationField(default=timedelta(minutes=1))
    patience = models.DurationField(default=timedelta(minutes=10))
    sweep_every = models.DurationField(default=timedelta(minutes=5))
    clock_offset = models.DurationField(
        default=timedelta(0), editable=False, help_text="Largest difference seen to the provider's clock."
    )

    # Scheduling without a batch.
    always_on = models.BooleanField(
        "always scheduled", default=False, help_text="Read and scheduled also when no batch needs it."
    )
    bot_profile = models.ForeignKey(
        "calendars.BotProfile",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="workspaces",
        help_text="For bots that no recording policy gives one.",
    )
    webhook_gather = models.DurationField(
        default=timedelta(minutes=1), help_text="Webhooks cause at most one reading of changes in this time."
    )
    full_every = models.DurationField(
        default=timedelta(hours=24), help_text="How often everything is read, whatever webhooks and changes say."
    )

    # Progress of the periodic incremental read; written by calendars/sync.py alone.
    full_read_at = models.DateTimeField(null=True, editable=False)
    news_since = models.DateTimeField(
        null=True, editable=False, help_text="The oldest change that webhooks spoke of and nobody has read yet."
    )
    swept_at = models.DateTimeField(null=True, editable=False, help_text="When the last reading of changes began.")
    watched = models.BooleanField(
        default=False, editable=False, help_text="Read again and again: a batch or its own scheduler needs it."
    )
    sweep_mark = models.DateTimeField(null=True, editable=False)
    sweep_due_at = models.DateTimeField(null=True, editable=False)

    holds_credentials = models.BooleanField(
        default=False, editable=False, help_text="Its calendars' credentials are kept while a batch needs them."
    )
    trouble = models.CharField(
        max_length=600, blank=True, editable=False, help_text="Why nothing can be called here: a refused key."
    )

    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=models.Q(reserve_percent__lt=100), name="workspace_reserve_below_all"),
        ]

    def __str__(self) -> str:
        return self.slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Give a new workspace a family of its own unless it was told one."""
        self.family = self.family or self.slug
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse another deduplication scheme while meetings are scheduled under the present one (scheduling guide)."""
        before = Workspace.objects.filter(pk=self.pk).values_list("dedup_scheme", flat=True).first()
        if before is not None and before != self.dedup_scheme and (count := self.scheduled()):
            raise ValidationError({"dedup_scheme": SCHEME_STAYS.format(count=count)})
        if self.always_on and self.scheduler == Scheduler.EXTERNAL:
            raise ValidationError({"always_on": ONE_SCHEDULER})

    def scheduled(self) -> int:
        """Count the meetings that have a deduplication key here: a bot, or the promise of one."""
        coming = self.events.filter(is_deleted=False, end__gt=clock.now()).exclude(bots=[])
        return self.assignments.filter(over=False, end__gt=clock.now()).count() or coming.count()


class ApiKey(models.Model):
    """A secret that opens a workspace; several may be valid at once while they rotate."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=80, default="key")
    secret = EncryptedTextField()
    last4 = models.CharField(max_length=4, editable=False)
    fingerprint = models.CharField(max_length=8, editable=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    tested_at = models.DateTimeField(null=True, editable=False)
    test_result = models.CharField(max_length=400, blank=True, editable=False)
    test_passed = models.BooleanField(
        "opens its workspace", null=True, editable=False, help_text="Empty: never tested."
    )

    class Meta:
        verbose_name = "API key"
        ordering = ["workspace", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "fingerprint"], name="api_key_once_per_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.label} (…{self.last4})"

    def __repr__(self) -> str:
        return f"<ApiKey {self.pk} {self.fingerprint}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep what staff may see of the secret beside it. The last four only of a key long enough."""
        self.fingerprint = fingerprint(self.secret)
        self.last4 = self.secret[-4:] if len(self.secret) >= 16 else ""
        super().save(*args, **kwargs)


class OAuthClient(models.Model):
    """The company's own Google or Microsoft client: where the provider does not echo its secret, or people use it."""

    platform = models.CharField(
        max_length=24,
        choices=[("google_calendar", "Google"), ("microsoft_outlook", "Microsoft")],
    )
    client_id = models.CharField(max_length=400)
    client_secret = EncryptedTextField(blank=True)
    certificate = EncryptedTextField(blank=True, help_text="PEM, for certificate authentication.")
    private_key = EncryptedTextField(blank=True, help_text="PEM.")
    reconnects = models.BooleanField(
        "people may connect again",
        default=False,
        help_text="On their status page. Register the redirect address with this client first.",
    )

    class Meta:
        verbose_name = "OAuth client"
        constraints = [
            models.UniqueConstraint(fields=["platform", "client_id"], name="oauth_client_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_platform_display()} client {self.client_id[:40]}"


class RateBudgetQuerySet(models.QuerySet["RateBudget"]):
    """Budgets in bulk."""

    def fill(self, workspace: Workspace, *, factor: float = 1.0) -> None:
        """Give a workspace its own row for every endpoint its provider limits; existing rows stay."""
        limits = EndpointLimit.objects.filter(provider=workspace.region.provider)
        self.bulk_create(
            [
                RateBudget(
                    workspace=workspace,
                    endpoint=limit.endpoint,
                    per_minute=max(1, round(limit.per_minute * factor)),
                    emission=emission(limit.per_minute * factor, workspace.reserve_percent),
                )
                for limit in limits
            ],
            ignore_conflicts=True,
        )

    def apply_limits(self, workspace: Workspace) -> None:
        """Recompute the distance between two calls after a limit or the reserve was edited."""
        share = 0.98 * (1 - workspace.reserve_percent / 100)
        self.filter(workspace=workspace).update(emission=60.0 / (F("per_minute") * share))


def emission(per_minute: float, reserve_percent: int) -> float:
    """Return the seconds between two calls: 0.98 of the limit, less the reserve of the live product."""
    return 60.0 / (0.98 * per_minute * (1 - reserve_percent / 100))


class RateBudget(models.Model):
    """The limit of one endpoint in one workspace, and how far ahead of it its callers are.

    The state columns are written by `calendars.providers.limits` in single statements, on machine time.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="budgets")
    endpoint = models.CharField(max_length=120)
    per_minute = models.PositiveIntegerField()
    emission = models.FloatField(editable=False, help_text="Seconds between two calls.")
    tat = models.FloatField(default=0, editable=False, help_text="Machine time from which the next call may go.")
    taken = models.BigIntegerField(default=0, editable=False)
    refused = models.BigIntegerField(default=0, editable=False, help_text="Answers 429.")
    window_start = models.FloatField(default=0, editable=False)
    window_taken = models.IntegerField(default=0, editable=False)
    hour_start = models.FloatField(default=0, db_default=0, editable=False)
    hour_taken = models.IntegerField(default=0, db_default=0, editable=False)
    hour_refused = models.IntegerField(default=0, db_default=0, editable=False, help_text="Answers 429 in this hour.")
    note = models.CharField(max_length=200, null=True, editable=False)  # noqa: DJ001 (written by raw SQL)

    objects = RateBudgetQuerySet.as_manager()

    class Meta:
        ordering = ["workspace", "endpoint"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "endpoint"], name="rate_budget_once"),
            models.CheckConstraint(condition=models.Q(per_minute__gt=0), name="rate_budget_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.per_minute} a minute"
