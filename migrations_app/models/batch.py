"""A batch moves chosen calendars from one workspace to another."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from calendars.models import Connection, Customer, Handover, Workspace
from migrations_app.itineraries import Step, way
from migrations_app.models.selection import SearchBy, Selection


class BatchStatus(models.TextChoices):
    """How a batch is doing; which step it is at is said apart from this."""

    DRAFT = "draft", "draft"
    RUNNING = "running", "running"
    WAITING = "waiting", "waiting for the next press"
    STOPPED = "stopped", "stopped by a problem"
    CLOSED = "closed", "closed"

    @property
    def colour(self) -> str:
        """The badge's colour."""
        return {"running": "info", "waiting": "warning", "stopped": "danger", "closed": "success"}.get(self.value, "")


class Batch(models.Model):
    """One migration. Control columns are written by people, progress columns by the engine, never together."""

    CONTROL = (
        *("goal", "delete_confirmed_by", "delete_confirmed_at", "soak", "canary_wait", "tell_customers"),
        *("postpone_until", "postponed"),
    )

    slug = models.SlugField(unique=True, help_text="Its name, typed again to confirm the delete.")
    source = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="batches_out")
    target = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="batches_in")
    handover = models.OneToOneField(Handover, on_delete=models.PROTECT, related_name="batch")
    customers = models.ManyToManyField(
        Customer, blank=True, related_name="batches", help_text="Whose calendars it moves, where it moves by customer."
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    draft = models.BooleanField(
        default=False, editable=False, help_text="Still being put together: it may look around, and nothing else."
    )

    # Which calendars of the source it moves: written while it is a draft. `migrations_app/selection.py` reads it.
    selection = models.CharField(max_length=12, choices=Selection, default=Selection.ALL, editable=False)
    search_by = models.CharField(max_length=12, choices=SearchBy, blank=True, editable=False)
    search_text = models.CharField(max_length=320, blank=True, editable=False)
    share_percent = models.PositiveSmallIntegerField(null=True, editable=False)
    file_name = models.CharField(max_length=200, blank=True, editable=False)
    file_encoding = models.CharField(max_length=20, blank=True, editable=False)
    follows = models.ForeignKey("self", null=True, editable=False, on_delete=models.SET_NULL, related_name="followers")
    selected_at = models.DateTimeField(null=True, editable=False, help_text="When its list was made; domain time.")
    read_ahead = models.BooleanField(
        default=False, editable=False, help_text="Preflight reads all coming meetings of the source, too."
    )

    # Control: written by people.
    goal = models.CharField(
        max_length=16, choices=Step, blank=True, help_text="The furthest step that is allowed; empty: none yet."
    )
    soak = models.DurationField(
        default=timedelta(hours=24), help_text="From a calendar's last flip to its delete in the source."
    )
    canary_wait = models.DurationField(
        default=timedelta(minutes=30), help_text="From the canary's delete to the look that decides."
    )
    drivers = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    delete_confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    delete_confirmed_at = models.DateTimeField(null=True, editable=False)

    tell_customers = models.BooleanField(default=False, help_text="Its customers' contacts get e-mails at milestones.")
    postpone_until = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Until when its customer may put the cut line off; domain time. Empty: only staff choose it.",
    )
    postponed = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often its customer put the cut line off."
    )

    # Progress: written by the engine.
    step = models.CharField(max_length=16, choices=Step, default=Step.PREFLIGHT, editable=False)
    status = models.CharField(max_length=16, choices=BatchStatus, default=BatchStatus.DRAFT, editable=False)
    reached = models.CharField(
        max_length=16, choices=Step, blank=True, editable=False, help_text="The goal at which all came to rest."
    )
    reason = models.CharField(max_length=600, blank=True, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    attempts = models.IntegerField(default=0, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    checked_from = models.DateTimeField(
        null=True, editable=False, help_text="When somebody asked for preflight again; what it reads is no older."
    )
    closed_at = models.DateTimeField(null=True, editable=False)
    changed_at = models.DateTimeField(null=True, editable=False, help_text="The last real change; domain time.")
    groups_due_at = models.DateTimeField(
        null=True, editable=False, help_text="When its share groups are looked at again; domain time."
    )
    calls_before = models.JSONField(default=dict, editable=False)
    calls_after = models.JSONField(default=dict, editable=False, help_text="Once it is closed.")
    planned = models.JSONField(
        default=dict, editable=False, help_text="What the planner reckons with; made after the export."
    )
    predicted_seconds = models.FloatField(null=True, editable=False, help_text="For the calls; made after the export.")
    predicted_bound = models.CharField(max_length=200, blank=True, editable=False)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-id"]
        permissions = [
            ("delete_old", "Can allow a batch to delete calendars"),
            ("approve", "Can approve what somebody else asked for"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(source=F("target")), name="batch_between_two_workspaces"),
            models.CheckConstraint(
                condition=Q(share_percent=None) | Q(share_percent__range=(1, 99)), name="batch_share_is_a_part"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def goes_back(self) -> bool:
        """Tell whether it was cancelled or reversed: everything goes to the source again."""
        return self.handover.backwards

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the way that it is on."""
        return way(back=self.goes_back)

    @property
    def origin(self) -> Workspace:
        """The workspace that calendars leave on this way."""
        return self.target if self.goes_back else self.source

    @property
    def destination(self) -> Workspace:
        """The workspace that calendars go to on this way."""
        return self.source if self.goes_back else self.target


class ItemStatus(models.TextChoices):
    """How one item is doing; which step it is at is said apart from this."""

    READY = "ready", "ready"
    WAITING = "waiting", "waiting"
    USER = "user", "waiting for user"
    FAILED = "failed", "failed"
    NOT_MOVABLE = "not_movable", "not movable"
    DONE = "done", "moved"
    BACK = "back", "in the source again"

    @classmethod
    def active(cls) -> tuple[ItemStatus, ...]:
        """Those that the engine goes on with by itself."""
        return (cls.READY, cls.WAITING)

    @classmethod
    def terminal(cls) -> tuple[ItemStatus, ...]:
        """Those that end a batch: nothing more happens without a person."""
        return (cls.USER, cls.FAILED, cls.NOT_MOVABLE, cls.DONE, cls.BACK)

    @property
    def colour(self) -> str:
        """The badge's colour."""
        return {
            "ready": "info",
            "waiting": "info",
            "user": "warning",
            "failed": "danger",
            "not_movable": "warning",
            "done": "success",
            "back": "success",
        }[self.value]


class ErrorKind(models.TextChoices):
    """Whose turn it is after an error."""

    NONE = "", "none"
    TEMPORARY = "temporary", "will be tried again"
    PERMANENT = "permanent", "permanent"
    CONFIGURATION = "configuration", "configuration"
    CUSTOMER = "customer", "needs the customer"
    OURS = "ours", "ours"


class Item(models.Model):
    """One thing that a batch moves."""

    class Kind(models.TextChoices):
        """What is moved."""

        CONNECTION = "connection", "calendar"
        CHECKLIST = "checklist", "checklist entry"

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.CONNECTION)
    source_id = models.CharField(max_length=120, help_text="The provider's id in the source, or the entry's code.")
    title = models.CharField(max_length=320, blank=True)
    connection = models.ForeignKey("calendars.Connection", null=True, on_delete=models.PROTECT, related_name="items")
    target_connection = models.ForeignKey(
        "calendars.Connection", null=True, on_delete=models.PROTECT, related_name="items_as_target"
    )
    group = models.ForeignKey(
        "migrations_app.ShareGroup", null=True, editable=False, on_delete=models.SET_NULL, related_name="items"
    )
    created_target = models.BooleanField(default=False, help_text="This batch made it; cancel may remove it.")
    canary = models.BooleanField(default=False)
    token_until = models.DateTimeField(
        null=True, help_text="Until when the target's token was good before the delete; a later end: minted after."
    )
    open = models.BooleanField(default=True)

    step = models.CharField(max_length=16, choices=Step, default=Step.RECREATE)
    status = models.CharField(max_length=16, choices=ItemStatus, default=ItemStatus.READY)
    reason = models.CharField(max_length=600, blank=True)
    error_kind = models.CharField(max_length=16, choices=ErrorKind, default=ErrorKind.NONE, blank=True)
    due_at = models.DateTimeField(null=True, help_text="Domain time from which it is looked at again.")
    nearest = models.DateTimeField(null=True, help_text="Start of its nearest wanted meeting: served first.")
    attempts = models.IntegerField(default=0)
    deleted_at = models.DateTimeField(
        null=True, help_text="Domain time of the delete where it came from: the source, on the way back the target."
    )
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "kind", "source_id"], name="item_once_per_batch"),
            models.UniqueConstraint(
                fields=["connection"], condition=Q(open=True), name="item_connection_in_one_open_batch"
            ),
        ]
        indexes = [
            models.Index(fields=["batch", "status", "step"], name="item_by_status"),
            models.Index(fields=["batch", "due_at"], name="item_due"),
            models.Index(
                fields=["status"], condition=Q(open=True, status__in=["failed", "user"]), name="item_needs_somebody"
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.source_id

    @property
    def leaving(self) -> Connection | None:
        """The connection that goes on this way: the source's, on the way back the target's."""
        return self.target_connection if self.batch.goes_back else self.connection

    @property
    def staying(self) -> Connection | None:
        """The connection that stays on this way."""
        return self.connection if self.batch.goes_back else self.target_connection


class Severity(models.TextChoices):
    """How bad a finding is."""

    INFO = "info", "for information"
    WARNING = "warning", "warning"
    BLOCKING = "blocking", "blocking"


class Finding(models.Model):
    """Something that a check found."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="findings")
    item = models.ForeignKey(Item, null=True, on_delete=models.CASCADE, related_name="findings")
    assignment = models.ForeignKey("calendars.Assignment", null=True, on_delete=models.CASCADE, related_name="findings")
    step = models.CharField(max_length=16, choices=Step)
    code = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, blank=True, help_text="What it is about, when neither row says it.")
    severity = models.CharField(max_length=16, choices=Severity)
    sentence = models.CharField(max_length=1000)
    remedy = models.CharField(max_length=600, blank=True, help_text="What to do.")
    found_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, help_text="A later check did not find it any more.")
    waived_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    waived_at = models.DateTimeField(null=True)
    waived_reason = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["id"]
        permissions = [("waive_blocking", "Can waive blocking findings")]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "code", "item", "assignment", "subject"],
                name="finding_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(fields=["severity"], condition=Q(gone_at=None, waived_at=None), name="finding_open"),
        ]

    def __str__(self) -> str:
        return self.sentence[:120]


class CoverageReading(models.Model):
    """The ledger at one moment of a batch: counts by verdict, and every row that is not covered."""

    class Moment(models.TextChoices):
        """When it was taken."""

        BEFORE = "before", "before"
        CUT = "cut", "at the cut"
        AFTER = "after", "after"

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="readings")
    moment = models.CharField(max_length=8, choices=Moment)
    at = models.DateTimeField()
    source_read_at = models.DateTimeField(null=True, help_text="Oldest reading of the source in it.")
    target_read_at = models.DateTimeField(null=True, help_text="Oldest reading of the target in it.")
    total = models.IntegerField()
    counts = models.JSONField()
    exceptions = models.JSONField(default=list)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["batch", "moment"], name="coverage_once_per_moment")]

    def __str__(self) -> str:
        return f"{self.get_moment_display()}: {self.total}"
