"""Which meetings are recorded and how: bot profiles, policies, and what was chosen by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars import assignments
from calendars.admin.base import AuditedAdmin
from calendars.admin.masking import HiddenElsewhereError, masked, unmasked
from calendars.models import BotProfile, Calendar, RecordingChoice, RecordingPolicy
from recallops.admin_base import FewRelated, computed_once
from recallops.admin_display import at, badge, json_block, moment, to
from recallops.admin_widgets import JsonText, Select

CONFIG_HELP = _(
    "One JSON object with any field of Create Bot except meeting_url and join_at. It is sent whole: the provider knows "
    "no partial update, and what is left out gets the provider's default. What looks like a secret is stored encrypted "
    "and shown as [hidden]; leave that word where it stands to keep what is stored."
)
NO_JSON = _("This is no JSON. Line {line}, column {column}: {problem}.")
TOO_DEEP = _("This JSON is nested too deeply.")
NO_CONSTANT = _("This is no JSON: there is no {name} in it.")
NOTHING = _('Give at least one field, such as {"bot_name": "Notetaker"}.')
HIDDEN_ELSEWHERE = _("Write “{place}” in full: [hidden] stands for nothing that is stored there.")
SAME_SERIES = _("There is a choice for this series of this customer already. Change that one.")
SERIES_HELP = _("As the page of an event of the series names it: the ical_uid, or the platform's own id of the series.")


def judge_again(calendars: QuerySet[Calendar]) -> None:
    """Let the events of some calendars be judged by what holds now."""
    assignments.judge_again(calendars)


class JudgingAdmin(AuditedAdmin):
    """Rows that judgements rest on: with each write, the calendars they are about are judged again."""

    def about(self, rows: Iterable[Any]) -> Q:
        """Return which calendars such rows are about."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it, and judge again what it was about and what it is about now."""
        with transaction.atomic():
            before = list(self.model._default_manager.filter(pk=obj.pk)) if change else []
            super().save_model(request, obj, form, change)
            if form.changed_data or not change:
                judge_again(Calendar.objects.filter(self.about([*before, obj])))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete it, and judge again what it was about."""
        with transaction.atomic():
            judge_again(Calendar.objects.filter(self.about([obj])))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete them, and judge again what they were about."""
        with transaction.atomic():
            judge_again(Calendar.objects.filter(self.about(list(queryset))))
            super().delete_queryset(request, queryset)


# --- bot profiles


class ConfigField(forms.CharField):
    """JSON as people write it. Spaces and line ends make no difference."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what is meant, not how it is written."""
        try:
            return bool(json.loads(initial or "{}") != json.loads(data or ""))
        except (ValueError, RecursionError):
            return True


class BotProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """A configuration whose secrets are written and never shown."""

    config = ConfigField(label=_("Configuration"), widget=JsonText, help_text=CONFIG_HELP, strip=False)

    class Meta:
        model = BotProfile
        fields = ["name", "config"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.config if self.instance.pk else {}
        self.stored: Any = stored
        if self.instance.pk and "config" in self.fields:
            self.initial["config"] = json.dumps(masked(stored), indent=2, ensure_ascii=False)

    def clean_config(self) -> Any:
        """Return the configuration, its hidden parts as they are stored."""
        try:
            written = json.loads(self.cleaned_data["config"], parse_constant=_no_constant)
            meant = unmasked(written, self.stored)
        except json.JSONDecodeError as error:
            problem = error.msg[:1].lower() + error.msg[1:]
            raise ValidationError(NO_JSON.format(line=error.lineno, column=error.colno, problem=problem)) from None
        except HiddenElsewhereError as error:
            raise ValidationError(HIDDEN_ELSEWHERE.format(place=error)) from None
        except RecursionError:
            raise ValidationError(TOO_DEEP) from None
        if meant == {}:
            raise ValidationError(NOTHING)
        return meant


def _no_constant(name: str) -> Any:
    raise ValidationError(NO_CONSTANT.format(name=name))


@admin.register(BotProfile)
class BotProfileAdmin(JudgingAdmin):
    """What bots that RecallOps schedules are like."""

    empty_help = (
        _(
            "A profile is the whole configuration that bots get. Without one they keep the configuration that was "
            "found."
        ),
        "admin:calendars_botprofile_add",
        _("Add a profile"),
    )

    form = BotProfileForm
    list_display = ["name", "used_by", moment("created_at", _("made"))]
    search_fields = ["name"]
    fields = ["name", "config"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count who uses it; a list has no business opening configurations."""
        rows = super().get_queryset(request).defer("config")
        return rows.annotate(
            policy_count=Count("policies", distinct=True), workspace_count=Count("workspaces", distinct=True)
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whoever may only look sees no field of the form."""
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", "config"] if may else ["name", "config_text"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The configuration as text is none of the form's fields."""
        return ["config_text"]

    @admin.display(description=_("used by"))
    def used_by(self, obj: Any) -> str:
        """How many name it."""
        parts = [(obj.policy_count, "policy", "policies"), (obj.workspace_count, "workspace", "workspaces")]
        return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in parts if count) or "–"

    @admin.display(description=_("configuration"))
    @computed_once
    def config_text(self, obj: BotProfile) -> SafeString:
        """The configuration without its secrets."""
        return json_block(masked(obj.config))

    def about(self, rows: Iterable[Any]) -> Q:
        """Everybody whose bots are made by it."""
        keys = [row.pk for row in rows]
        return (
            Q(recording_policy__bot_profile__in=keys)
            | Q(customer__recording_policy__bot_profile__in=keys)
            | Q(pk__in=Calendar.objects.filter(connections__workspace__bot_profile__in=keys).values("pk"))
        )


# --- policies


@admin.register(RecordingPolicy)
class RecordingPolicyAdmin(JudgingAdmin):
    """The rule of a customer, or of one calendar. A calendar's own stands above its customer's."""

    empty_help = (
        _(
            "A policy says which events of a customer or a calendar are recorded. Without one they stay as they were "
            "found."
        ),
        "admin:calendars_recordingpolicy_add",
        _("Add a policy"),
    )

    list_display = ["whom", "kind", "which", "filters", "bot_profile"]
    list_select_related = ["customer", "calendar", "bot_profile"]
    list_filter = ["which", "confirmed_only", "organizer_only", ("bot_profile", FewRelated)]
    search_fields = ["customer__name", "customer__slug", "calendar__email__startswith"]
    search_help_text = "A customer's name, or the begin of a calendar's e-mail address"
    autocomplete_fields = ["customer", "calendar"]
    ordering = ["pk"]
    fieldsets = [
        (
            "Whom",
            {
                "fields": ["customer", "calendar"],
                "description": "One of the two. A calendar's own policy stands above its customer's.",
            },
        ),
        (
            "Which meetings",
            {
                "fields": ["which", "confirmed_only", "organizer_only"],
                "description": (
                    "Cancelled, declined and all-day events are not recorded. What was chosen by hand for an event or "
                    "a series stands above the policy. “As found” keeps the bots that are there and asks nothing else. "
                    "After saving, all coming events of these calendars are judged again, and bots come and go."
                ),
            },
        ),
        ("How", {"fields": ["bot_profile"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave configurations sealed."""
        rows = super().get_queryset(request).select_related("customer", "calendar", "bot_profile")
        return rows.defer("bot_profile__config")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer profiles by name, without opening them."""
        if db_field.name == "bot_profile":
            kwargs["queryset"] = BotProfile.objects.defer("config")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("for"))
    def whom(self, obj: RecordingPolicy) -> str:
        """Whose meetings."""
        return str(obj.customer or obj.calendar)

    @admin.display(description=_("kind"))
    def kind(self, obj: RecordingPolicy) -> str:
        """Whether it holds for many calendars."""
        return "customer" if obj.customer_id else "calendar"

    @admin.display(description=_("only"))
    def filters(self, obj: RecordingPolicy) -> str:
        """What a meeting must be besides."""
        return ", ".join(word for word, on in (("confirmed", obj.confirmed_only), ("own", obj.organizer_only)) if on)

    def about(self, rows: Iterable[Any]) -> Q:
        """The calendar, or all of the customer."""
        found = list(rows)
        return Q(pk__in=[row.calendar_id for row in found if row.calendar_id]) | Q(
            customer__in=[row.customer_id for row in found if row.customer_id]
        )


# --- choices


class RecordingChoiceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A choice for a series; those for one event are made on its page."""

    record = forms.TypedChoiceField(
        label=_("What"),
        choices=[("no", "do not record"), ("yes", "record")],
        coerce=lambda value: value == "yes",
        widget=Select,
        help_text=_(
            "Stands above every policy, in all calendars of the customer. Cancelled events are never recorded."
        ),
    )

    class Meta:
        model = RecordingChoice
        fields = ["customer", "series", "record", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "record" in self.fields and self.instance.pk:
            self.initial["record"] = "yes" if self.instance.record else "no"
        for name in ("customer", "series"):
            if name in self.fields:
                self.fields[name].required = True
        if "series" in self.fields:
            self.fields["series"].help_text = SERIES_HELP

    def clean(self) -> dict[str, Any]:
        """Refuse a second choice for a series."""
        cleaned: dict[str, Any] = super().clean() or {}
        customer, series = cleaned.get("customer"), cleaned.get("series")
        if customer and series:
            same = RecordingChoice.objects.filter(customer=customer, series=series, occurrence=None)
            if same.exclude(pk=self.instance.pk).exists():
                self.add_error("series", SAME_SERIES)
        return cleaned


@admin.register(RecordingChoice)
class RecordingChoiceAdmin(JudgingAdmin):
    """What somebody decided, above every policy."""

    empty_help = (
        _(
            "What somebody decides by hand for one event or a series stands here. An event's page has the buttons for "
            "it."
        ),
        "admin:calendars_event_changelist",
        _("Look at the events"),
    )

    form = RecordingChoiceForm
    list_display = ["what", "shown_record", "customer_name", "reason", "made_by", moment("made_at")]
    list_display_links = ["what"]
    list_select_related = ["customer", "occurrence__calendar__customer"]
    list_filter = ["record", ("customer", FewRelated)]
    search_fields = ["series__startswith", "occurrence__calendar__email__startswith", "customer__slug"]
    search_help_text = "Begin of a series or of a calendar's e-mail address, or a customer's slug"
    autocomplete_fields = ["customer"]
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what it is about along."""
        return super().get_queryset(request).select_related("customer", "occurrence__calendar__customer")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what it is for as it was chosen: neither an event nor a series can be exchanged for another."""
        what = ["event"] if obj and obj.occurrence_id else ["customer", "series"]
        return [*what, "record", "reason", *(["made_by", "made_at"] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who and when come by themselves."""
        return ["event", "made_by", "made_at", *(["customer", "series"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Note who decided, and when."""
        obj.made_by, obj.made_at = str(request.user)[:200], timezone.now()
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return who changed it, when something was."""
        return ("made_by", "made_at") if form.changed_data else ()

    @admin.display(description=_("for"))
    def what(self, obj: RecordingChoice) -> str:
        """The series, or whose event."""
        if obj.occurrence is not None:
            return f"one event of {obj.occurrence.calendar}"
        return f"series {obj.series}" if len(obj.series) <= 60 else f"series {obj.series[:59]}…"

    @admin.display(description=_("what"), ordering="record")
    def shown_record(self, obj: RecordingChoice) -> SafeString:
        """Yes or no."""
        return badge(_("record"), "success") if obj.record else badge(_("do not record"), "warning")

    @admin.display(description=_("customer"))
    def customer_name(self, obj: RecordingChoice) -> str:
        """Whose calendars."""
        return str(obj.occurrence.calendar.customer if obj.occurrence is not None else obj.customer)

    @admin.display(description=_("event"))
    @computed_once
    def event(self, obj: RecordingChoice) -> str | SafeString:
        """The event as the newest connection shows it."""
        if obj.occurrence is None:
            return "–"
        rows = obj.occurrence.events.defer("raw", "bots").order_by("-pk")[:1]
        shown = next((to(row, at(row.start)) for row in rows), "shown by no workspace")
        return format_html("{}: {}", obj.occurrence.calendar, shown)

    def about(self, rows: Iterable[Any]) -> Q:
        """The event's calendar, or all of the customer."""
        found = list(rows)
        return Q(pk__in=[row.occurrence.calendar_id for row in found if row.occurrence]) | Q(
            customer__in=[row.customer_id for row in found if row.customer_id]
        )
