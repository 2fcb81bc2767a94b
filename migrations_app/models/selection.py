"""Which calendars of the source a batch moves: by a rule, or by a list that was made once and stays."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Selection(models.TextChoices):
    """How the calendars of a batch were chosen."""

    ALL = "all", _("every calendar of the source")
    CUSTOMERS = "customers", _("the calendars of some customers")
    SEARCH = "search", _("the calendars that a search finds")
    FILE = "file", _("the calendars that a file lists")
    SHARE = "share", _("a canary share of the calendars")
    REST = "rest", _("the rest after an earlier batch")

    @classmethod
    def listed(cls) -> tuple[Selection, ...]:
        """Those that are a list of calendars: what connects later is not in it."""
        return (cls.SEARCH, cls.FILE, cls.SHARE, cls.REST)


class SearchBy(models.TextChoices):
    """What a search compares the calendars' addresses with."""

    BEGINS = "begins", _("the address begins with")
    CONTAINS = "contains", _("the address contains")
    DOMAIN = "domain", _("the domain is")


class SelectedCalendar(models.Model):
    """A calendar on the list of a batch, or a line of a file that names none that can be moved, and why."""

    class Problem(models.TextChoices):
        """Why a line of a file is left out. *Unknown* is looked for again when the source has been read."""

        NONE = "", _("in the batch")
        UNKNOWN = "unknown", _("not known")
        DOUBLED = "doubled", _("there twice")
        AMBIGUOUS = "ambiguous", _("ambiguous")
        ELSEWHERE = "elsewhere", _("in another open batch")
        OTHER_WORKSPACE = "workspace", _("in another workspace")
        MALFORMED = "malformed", _("not readable")

    batch = models.ForeignKey("migrations_app.Batch", on_delete=models.CASCADE, related_name="selected")
    calendar = models.ForeignKey("calendars.Calendar", null=True, on_delete=models.PROTECT, related_name="+")
    line = models.PositiveIntegerField(null=True, help_text="In the file.")
    text = models.CharField(max_length=400, blank=True, help_text="The address or the provider's id, as it was given.")
    platform = models.CharField(max_length=24, blank=True)
    problem = models.CharField(max_length=12, choices=Problem, blank=True)
    note = models.CharField(max_length=200, blank=True, help_text="With what: the other line, batch or workspace.")

    class Meta:
        default_permissions = ()
        ordering = ["line", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "calendar"], condition=Q(problem=""), name="selected_calendar_once"
            ),
            models.CheckConstraint(
                condition=~Q(problem="", calendar=None), name="selected_calendar_is_known_or_says_why"
            ),
        ]
        indexes = [models.Index(fields=["batch", "problem", "line"], name="selected_by_problem")]

    def __str__(self) -> str:
        return self.text or str(self.calendar_id)
