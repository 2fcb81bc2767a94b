"""The forms of the guided new batch. They check; `drafts` and `selection` act."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from calendars.models import Customer, Workspace
from migrations_app.admin.forms import MOMENT_FORMATS
from migrations_app.calendar_file import MOST_BYTES, CalendarFile, Unreadable, open_file
from migrations_app.models import Batch, SearchBy, Selection
from recallops.admin_widgets import Select, SelectMultiple, TextInput

AUTO, SOONEST, OWN = "auto", "soonest", "own"
NO_WORKSPACE = _(
    "Choose one of the workspaces. If the one that you need is not there, add it under “Workspaces” first."
)
NO_CUSTOMERS = _("Choose one customer or more.")
NO_SEARCH = _("Type at least two characters to search for.")
NO_FILE = _("Choose a CSV file with one calendar a line.")
NO_PERCENT = _("Give a share from 1 to 99 per cent.")
NO_REST = _("This batch follows no other. Press “the next batch with the rest” on the page of a batch that had a list.")
NO_MOMENT = _("Give the cut line as year-month-day hour:minute in UTC, for example 2027-01-31 06:00.")
LEAST_SEARCH = 2


class WorkspaceChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A workspace with the region it lives in."""

    def label_from_instance(self, obj: Any) -> str:
        """Show slug and region."""
        return f"{obj.slug} ({obj.region.code})"


class RouteForm(forms.Form):
    """From where, to where, and under which name."""

    source = WorkspaceChoice(queryset=Workspace.objects.none(), widget=Select, label=_("Source"))
    target = WorkspaceChoice(queryset=Workspace.objects.none(), widget=Select, label=_("Target"))
    slug = forms.SlugField(
        label=_("Name"),
        max_length=50,
        required=False,
        widget=TextInput,
        help_text=_("Typed again to confirm the delete. Letters, digits, -. Empty: made of both workspaces."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("source", "target"):
            field: Any = self.fields[name]
            field.queryset = Workspace.objects.select_related("region")
            field.error_messages = {"required": NO_WORKSPACE, "invalid_choice": NO_WORKSPACE}


class SelectionForm(forms.Form):
    """Which calendars. Only what belongs to the chosen way is looked at."""

    selection = forms.ChoiceField(choices=Selection.choices, widget=forms.RadioSelect)
    customers = forms.ModelMultipleChoiceField(
        queryset=Customer.objects.none(), required=False, widget=SelectMultiple, label=_("Customers")
    )
    search_by = forms.ChoiceField(choices=SearchBy.choices, required=False, widget=Select, label=_("Search"))
    search_text = forms.CharField(max_length=320, required=False, widget=TextInput, label=_("For"))
    file = forms.FileField(required=False, label=_("CSV file"), max_length=200, allow_empty_file=True)
    share_percent = forms.IntegerField(required=False, widget=TextInput, label=_("Per cent"))

    def __init__(self, *args: Any, draft: Batch, **kwargs: Any) -> None:
        self.draft = draft
        self.opened: CalendarFile | None = None
        super().__init__(*args, **kwargs)
        field: Any = self.fields["customers"]
        field.queryset = Customer.objects.all()

    @property
    def chosen(self) -> str:
        """The way that is shown as chosen."""
        return str(self["selection"].value() or Selection.ALL)

    def clean(self) -> dict[str, Any]:
        """Check what the chosen way needs."""
        data = super().clean() or self.cleaned_data
        way = data.get("selection")
        if way == Selection.CUSTOMERS and not data.get("customers") and "customers" not in self.errors:
            self.add_error("customers", NO_CUSTOMERS)
        if way == Selection.SEARCH and len((data.get("search_text") or "").strip()) < LEAST_SEARCH:
            self.add_error("search_text", NO_SEARCH)
        if way == Selection.SHARE and not 1 <= (data.get("share_percent") or 0) <= 99:
            self.add_error("share_percent", NO_PERCENT)
        if way == Selection.REST and self.draft.follows_id is None:
            self.add_error("selection", NO_REST)
        if way == Selection.FILE:
            self._open(data.get("file"))
        return data

    def _open(self, file: Any) -> None:
        if file is None:
            if not self.draft.file_name:  # what was uploaded before stays
                self.add_error("file", NO_FILE)
            return
        try:
            self.opened = open_file(file.read(MOST_BYTES + 1))
        except Unreadable as problem:
            self.add_error("file", str(problem))


class LineForm(forms.Form):
    """The cut line: left to hand over, as soon as possible, a proposal, or a time of one's own."""

    line = forms.CharField(max_length=40)
    at = forms.CharField(max_length=40, required=False)

    def clean(self) -> dict[str, Any]:
        """Turn the choice into a moment; none: hand over chooses."""
        data = super().clean() or self.cleaned_data
        line = data.get("line", "")
        text = data.get("at", "") if line == OWN else line
        data["moment"] = None
        if line not in (AUTO, SOONEST):
            data["moment"] = _moment(text.strip())
            if data["moment"] is None:
                self.add_error("at", NO_MOMENT)
        return data


def _moment(text: str) -> datetime | None:
    """Read a time as UTC, which the page says."""
    for form in MOMENT_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
