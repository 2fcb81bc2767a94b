"""The forms of the batch pages. They check; `control` acts."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django import forms
from django.core.validators import MinValueValidator

from calendars.models import Customer, Workspace
from migrations_app.itineraries import Step
from recallops.admin_widgets import Select, SelectMultiple, TextInput

MOMENT_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


class _WorkspaceChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A workspace with the region it lives in."""

    def label_from_instance(self, obj: Any) -> str:
        """Show slug and region."""
        return f"{obj.slug} ({obj.region.code})"


class NewBatchForm(forms.Form):
    """From where, to where, and whose calendars."""

    slug = forms.SlugField(
        label="Name",
        max_length=50,
        widget=TextInput,
        help_text="Typed again to confirm the delete. Letters, digits, -.",
    )
    source = _WorkspaceChoice(queryset=Workspace.objects.none(), widget=Select)
    target = _WorkspaceChoice(queryset=Workspace.objects.none(), widget=Select)
    customers = forms.ModelMultipleChoiceField(
        queryset=Customer.objects.none(),
        required=False,
        widget=SelectMultiple,
        help_text="Hold Ctrl or ⌘ to choose several. None chosen: every calendar of the source.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        workspaces = Workspace.objects.select_related("region")
        for name in ("source", "target"):
            self.fields[name].queryset = workspaces  # type: ignore[attr-defined]
        self.fields["customers"].queryset = Customer.objects.all()  # type: ignore[attr-defined]


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


class NumbersForm(forms.Form):
    """Waits and width of a batch."""

    soak = forms.DurationField(widget=TextInput, help_text="From a calendar's last flip to its delete.")
    canary_wait = forms.DurationField(widget=TextInput, help_text="From the canary's delete to the look that decides.")
    drivers = forms.IntegerField(
        min_value=1, max_value=32, widget=TextInput, validators=[MinValueValidator(1)], help_text="Tasks side by side."
    )
