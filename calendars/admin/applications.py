"""The company's applications behind the relay: whether they take webhooks, and what staff do when they do not."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, IntegerField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.admin.base import AuditedAdmin
from calendars.admin.relay_forms import (
    ROTATING,
    ApplicationForm,
    ApplicationSecretForm,
    ReplayForm,
    shown_url,
    without_secrets_of,
)
from calendars.models import Application, ApplicationSecret, AuditEntry, Relayed
from calendars.relay import outbox, tasks
from calendars.relay.post import Outcome, Parcel, post
from recallops import clock
from recallops.admin_base import computed_once, post_action
from recallops.admin_display import at, badge, list_url, moment, table, to

State = Relayed.State

TEST_EVENT = b'{"event":"recallops.test","data":{}}'
TAKEN = _("{application} answered {status} within {seconds:.1f} s: it takes webhooks.")
NOT_TAKEN = _("{application} did not take it. {problem}")
AND_SAID = _(" It said: {answer}")
PAUSED = _("Paused. What comes in is kept.")
PAUSED_ALREADY = _("It is paused already.")
GOES_ON = _("It goes on. What waited is sent in its order.")
NOT_PAUSED = _("It is not paused.")
HASTENED = _("{count} that waited for a later try are tried now.")
NONE_LATER = _("Nothing waits for a later try.")
AGAIN = _("{count} that were given up are sent again under their own ids.")
NONE_GIVEN_UP = _("Nothing was given up.")
REPLAYED = _("{count} webhook(s) that came in since {since:%Y-%m-%d %H:%M} UTC are sent again, in their order.")
NONE_SINCE = _("Nothing came in since {since:%Y-%m-%d %H:%M} UTC that was looked at.")
WHEN_IT_GOES_ON = _(" It is paused, so they go when it goes on.")


class Refused(Exception):
    """What cannot be done, or did not work; its text is a sentence for the person who pressed."""


def _count(state: str) -> Any:
    """Count the webhooks of an application in a state, beside its row."""
    rows = Relayed.objects.filter(application=OuterRef("pk"), state=state).order_by().values("application")
    return Coalesce(Subquery(rows.annotate(n=Count("pk")).values("n")), Value(0), output_field=IntegerField())


@admin.register(Application)
class ApplicationAdmin(AuditedAdmin):
    """The company's own software that webhooks are passed on to."""

    empty_help = (
        _("If software of your own schedules bots, add it here: webhooks of both regions are passed on to it."),
        "admin:calendars_application_add",
        _("Add an application"),
    )

    form = ApplicationForm
    list_display = ["slug", "name", "host", "state", "waiting", "held", "given_up", "lag_text"]
    list_filter = ["paused"]
    search_fields = ["slug", "name"]
    readonly_fields = [
        "state",
        "address",
        "measured_delay",
        "used_by",
        "secrets_table",
        "counts_table",
        "lag_text",
        "last_ok",
        "last_problem_text",
    ]
    change_form_outer_before_template = "recallops/application_acts.html"
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("paused", "tested_at")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has nothing to show yet, and whoever only looks gets no field for the URL."""
        settings = ["slug", "name", "new_url", "headers", "timeout", "ladder", "at_once", "patience"]
        if obj is None:
            return [(None, {"fields": settings})]
        if not self.has_change_permission(request, obj):
            settings.remove("new_url")
        settings.insert(2, "address")
        now = ["state", "counts_table", "lag_text", "last_ok", "last_problem_text"]
        return [
            ("Now", {"fields": now}),
            ("Where and how", {"fields": [*settings, "measured_delay"]}),
            ("What belongs to it", {"fields": ["used_by", "secrets_table"]}),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Count what is on its way beside each row."""
        waiting = Relayed.objects.filter(application=OuterRef("pk"), state=State.WAITING).order_by("delivery")
        return (
            super()
            .get_queryset(request)
            .annotate(
                waiting_now=_count(State.WAITING),
                held_now=_count(State.HELD),
                dead_now=_count(State.DEAD),
                oldest=Subquery(waiting.values("delivery__received_at")[:1]),
            )
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One that a workspace uses stays, and so does what was passed on to it."""
        if obj is None or not super().has_delete_permission(request, obj):
            return False
        used = obj.workspaces.exists() or Relayed.objects.filter(application=obj.pk).exists()
        return not used

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a URL that was typed, and forget the test of the one before."""
        if url := form.cleaned_data["new_url"]:
            obj.url, obj.tested_at, obj.test_result = url, None, ""
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return what belongs to a new URL."""
        return ("url", "tested_at", "test_result") if form.cleaned_data["new_url"] else ()

    # --- acts

    @post_action(label=_("send a test"))
    def send_test(self, request: HttpRequest, obj: Application) -> str:
        """Send a signed webhook that says nothing; a paused one may be tested before it goes on."""
        workspace = obj.workspaces.select_related("region").first()
        parcel = Parcel(
            id=f"msg_test_{uuid.uuid4().hex}",
            body=TEST_EVENT,
            region=workspace.region.code if workspace else "",
            workspace=workspace.slug if workspace else "",
        )
        outcome = post(obj, tasks.secrets_of(obj), parcel, now=clock.now())
        said = _said(obj, outcome)
        with transaction.atomic():
            Application.objects.filter(pk=obj.pk).update(tested_at=clock.now(), test_result=said)
            AuditEntry.objects.record(
                actor=request.user, action="application.test", subject=obj, delivered=outcome.delivered
            )
        if not outcome.delivered:
            raise Refused(said)
        return said

    @post_action(label=_("pause"))
    def pause(self, request: HttpRequest, obj: Application) -> str:
        """Send nothing until it goes on."""
        with transaction.atomic():
            if not Application.objects.filter(pk=obj.pk, paused=False).update(paused=True):
                return str(PAUSED_ALREADY)
            AuditEntry.objects.record(actor=request.user, action="application.pause", subject=obj)
        return str(PAUSED)

    @post_action(label=_("go on"))
    def go_on(self, request: HttpRequest, obj: Application) -> str:
        """Send again."""
        with transaction.atomic():
            if not Application.objects.filter(pk=obj.pk, paused=True).update(paused=False):
                return str(NOT_PAUSED)
            AuditEntry.objects.record(actor=request.user, action="application.go_on", subject=obj)
            transaction.on_commit(tasks.pump)
        return str(GOES_ON)

    @post_action(label=_("try all that wait now"))
    def hasten(self, request: HttpRequest, obj: Application) -> str:
        """Wait for no rung of the ladder."""
        with transaction.atomic():
            count = outbox.hasten(obj)
            if not count:
                return str(NONE_LATER)
            AuditEntry.objects.record(actor=request.user, action="application.hasten", subject=obj, count=count)
            transaction.on_commit(tasks.pump)
        return _note(HASTENED.format(count=count), obj)

    @post_action(label=_("send what was given up again"))
    def send_given_up(self, request: HttpRequest, obj: Application) -> str:
        """Begin the ladder anew for all that were given up."""
        count = outbox.again(Relayed.objects.filter(application=obj, state=State.DEAD))
        if not count:
            return str(NONE_GIVEN_UP)
        AuditEntry.objects.record(actor=request.user, action="application.again", subject=obj, count=count)
        transaction.on_commit(tasks.pump)
        return _note(AGAIN.format(count=count), obj)

    @post_action(label=_("send everything since a time again"))
    def replay(self, request: HttpRequest, obj: Application) -> str:
        """Send everything again, such as after the application lost what it had."""
        form = ReplayForm(request.POST)
        if not form.is_valid():
            raise Refused(" ".join(str(error) for error in form.errors["since"]))
        since = form.cleaned_data["since"]
        count = outbox.replay(obj, since=since)
        if not count:
            return NONE_SINCE.format(since=since)
        AuditEntry.objects.record(
            actor=request.user, action="application.replay", subject=obj, since=since.isoformat(), count=count
        )
        transaction.on_commit(tasks.pump)
        return _note(REPLAYED.format(count=count, since=since), obj)

    # --- what is shown

    @admin.display(description=_("host"))
    def host(self, obj: Application) -> str:
        """Where it is, and no more of its URL."""
        return obj.host or "–"

    @admin.display(description=_("URL, as far as it is shown"))
    def address(self, obj: Application) -> SafeString:
        """Host and path."""
        return format_html("<code>{}</code>", shown_url(obj.url))

    @admin.display(description=_("state"))
    def state(self, obj: Application) -> str | SafeString:
        """Whether it takes webhooks."""
        failing = format_html("not answering since {}", at(obj.failing_since)) if obj.failing_since else ""
        if obj.paused:
            return format_html("{} {}", badge(_("paused"), "warning"), failing)
        if failing:
            return badge(failing, "danger")
        return badge(_("well"), "success") if obj.last_ok_at else badge(_("nothing sent yet"))

    @admin.display(description=_("to be sent"), ordering="waiting_now")
    def waiting(self, obj: Any) -> str:
        """How many wait."""
        return f"{obj.waiting_now:,}"

    @admin.display(description=_("held"), ordering="held_now")
    def held(self, obj: Any) -> str:
        """How many are another region's."""
        return f"{obj.held_now:,}"

    @admin.display(description=_("given up"), ordering="dead_now")
    def given_up(self, obj: Any) -> str | SafeString:
        """How many were given up."""
        return badge(f"{obj.dead_now:,}", "danger") if obj.dead_now else "0"

    @admin.display(description=_("lag"), ordering="oldest")
    def lag_text(self, obj: Any) -> str:
        """For how long the oldest that is to be sent has waited."""
        if obj.oldest is None:
            return "none"
        return str(timedelta(seconds=max(0, int((clock.now() - obj.oldest).total_seconds()))))

    @admin.display(description=_("webhooks"))
    def counts_table(self, obj: Any) -> SafeString:
        """What is on its way, each a link to the rows. Delivered ones are not counted: they are the whole table."""
        counts = {State.WAITING: obj.waiting_now, State.HELD: obj.held_now, State.DEAD: obj.dead_now}
        links = [
            format_html('<a href="{}" class="ro-link">{}</a>', rows_url(obj, state=state.value), f"{count:,}")
            for state, count in counts.items()
        ]
        every = format_html('<a href="{}" class="ro-link">show all</a>', rows_url(obj))
        return table([_("to be sent"), _("held"), _("given up"), _("all")], [[*links, every]])

    @admin.display(description=_("last delivered"))
    def last_ok(self, obj: Application) -> str:
        """When it last took one, to a minute."""
        return at(obj.last_ok_at) or "never"

    @admin.display(description=_("last problem"))
    def last_problem_text(self, obj: Application) -> str:
        """What the last try that failed said."""
        return without_secrets_of(obj.last_problem, obj.url) or "none"

    @admin.display(description=_("workspaces"))
    @computed_once
    def used_by(self, obj: Application) -> str | SafeString:
        """Whose webhooks are passed on to it."""
        rows = list(obj.workspaces.select_related("region")[:50])
        if not rows:
            return "None yet. Choose it on a workspace's page: its webhooks are passed on from then on."
        return table(
            [_("workspace"), _("region"), _("scheduler")],
            [[to(row), row.region.code, row.get_scheduler_display()] for row in rows],
        )

    @admin.display(description=_("secrets"))
    @computed_once
    def secrets_table(self, obj: Application) -> str | SafeString:
        """What signs, by what may be seen of it."""
        rows = list(obj.secrets.defer("secret")[:50])
        if not any(row.enabled for row in rows):
            missing = badge(_("No secret is in use: nothing can be signed, so nothing is sent."), "danger")
            if not rows:
                return missing
        else:
            missing = SafeString("")
        listed = table(
            [_("secret"), _("last four"), _("fingerprint"), _("state"), _("since")],
            [
                [
                    to(row, row.label),
                    row.last4,
                    row.fingerprint,
                    "signs" if row.enabled else "switched off",
                    at(row.created_at),
                ]
                for row in rows
            ],
        )
        return format_html("{}{}<p>{}</p>", missing, listed, ROTATING)


@admin.register(ApplicationSecret)
class ApplicationSecretAdmin(AuditedAdmin):
    """What signs webhooks for an application."""

    empty_help = (
        _("What is passed on is signed with a secret, so that the application knows whom it is from."),
        "admin:calendars_applicationsecret_add",
        _("Add a secret"),
    )

    form = ApplicationSecretForm
    list_display = ["label", "application", "last4", "fingerprint", "enabled", moment("created_at", _("since"))]
    list_filter = ["application", "enabled"]
    search_fields = ["label", "fingerprint", "application__slug"]
    fields = ["application", "label", "new_secret", "enabled", "rotating", "last4", "fingerprint", "created_at"]
    readonly_fields = ["rotating", "last4", "fingerprint", "created_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the secret and the application's URL sealed: no page needs them."""
        return super().get_queryset(request).select_related("application").defer("secret", "application__url")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whoever only looks gets no field for the secret."""
        fields = list(super().get_fields(request, obj))
        if obj is not None and not self.has_change_permission(request, obj):
            fields.remove("new_secret")
        return fields

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave URLs sealed: the choices name applications only."""
        if db_field.name == "application":
            kwargs["queryset"] = Application.objects.defer("url")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("how to rotate"))
    def rotating(self, obj: ApplicationSecret) -> str:
        """How a secret is changed without losing a webhook."""
        return str(ROTATING)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Store a secret that was typed."""
        if secret := form.cleaned_data["new_secret"]:
            obj.secret = secret
        super().save_model(request, obj, form, change)

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return what belongs to a new secret."""
        return ("secret", "last4", "fingerprint") if form.cleaned_data["new_secret"] else ()


def rows_url(application: Application, **filters: str) -> str:
    """Return the address of an application's webhooks, filtered by columns."""
    return list_url(
        Relayed, application__id__exact=application.pk, **{f"{name}__exact": value for name, value in filters.items()}
    )


def _said(application: Application, outcome: Outcome) -> str:
    """Put the outcome of a test into a sentence that holds nothing of the URL's query."""
    if outcome.delivered:
        return TAKEN.format(application=application, status=outcome.status, seconds=outcome.seconds)
    said = NOT_TAKEN.format(application=application, problem=outcome.problem)
    if outcome.answer.strip():
        answer = " ".join(without_secrets_of(outcome.answer, application.url).split())
        said += AND_SAID.format(answer=answer[:200])
    return said[:400]


def _note(sentence: str, application: Application) -> str:
    return sentence + (WHEN_IT_GOES_ON if application.paused else "")
