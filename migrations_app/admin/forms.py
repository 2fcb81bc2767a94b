"""The forms of the batch pages. They check; `control` acts."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django import forms
from django.core.validators import MinValueValidator
from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step
from recallops.admin_widgets import TextInput

MOMENT_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


class GoalForm(forms.Form):
    """Which step is allowed now; the batch's name where something is deleted."""

    step = forms.ChoiceField(choices=Step.choices)
    confirm = forms.CharField(required=False, max_length=80)


class CutLineForm(forms.Form):
    """The meeting start from which assignments go to the target."""

    at = forms.DateTimeField(input_formats=MOMENT_FORMATS)

    def clean_at(self) -> Any:
        """Read it as UTC, which the page says."""
        return self.cleaned_data["at"].replace(tzinfo=UTC)


class PostponeForm(forms.Form):
    """Up to when customers may put the cut line off; empty: they may not."""

    until = forms.DateTimeField(input_formats=MOMENT_FORMATS, required=False)

    def clean_until(self) -> Any:
        """Read it as UTC, which the page says."""
        until = self.cleaned_data["until"]
        return until.replace(tzinfo=UTC) if until else None


class NumbersForm(forms.Form):
    """Waits and width of a batch."""

    soak = forms.DurationField(widget=TextInput, help_text=_("From a calendar's last flip to its delete."))
    canary_wait = forms.DurationField(
        widget=TextInput, help_text=_("From the canary's delete to the look that decides.")
    )
    drivers = forms.IntegerField(
        min_value=1,
        max_value=32,
        widget=TextInput,
        validators=[MinValueValidator(1)],
        help_text=_("Tasks side by side."),
    )
