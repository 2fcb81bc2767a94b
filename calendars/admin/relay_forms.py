"""The forms of an application: its URL and its secrets go in and never come out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from django import forms
from django.utils.translation import gettext_lazy as _

from calendars.admin.workspaces import KEEP
from calendars.models import Application, ApplicationSecret
from calendars.relay import hosts
from calendars.webhooks.signatures import secret_problem
from recallops import clock
from recallops.admin_display import without_query
from recallops.admin_widgets import SecretInput, TextInput, UnseenInput
from recallops.encryption import fingerprint
from recallops.redaction import HIDDEN, redact

GIVE_URL = _("Give the URL.")
GIVE_SECRET = _("Give the secret.")
SAME = _("This application has this secret already (fingerprint {fingerprint}).")
URL_HELP = f"https://… with all that belongs to it, a token in the query as well. {KEEP}"
SECRET_HELP = f"whsec_…, 24 to 64 bytes in base64. {KEEP}"
ROTATING = _(
    "To rotate without losing a webhook: add the new secret here (all that are in use sign each webhook); let the "
    "application take the new one; then switch the old one off."
)
LADDER = _("Give 1 to 20 whole numbers of seconds, each from 1 to 604,800, in brackets: [5, 300, 1800].")
TIMEOUT = _("Give a wait from 1 second to 1 minute, for example 00:00:15.")
PATIENCE = _("Give a time from 1 minute to 24 hours, for example 00:15:00.")
MOST_RUNGS, LONGEST_RUNG = 20, 604_800
MOMENT_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
BAD_MOMENT = _("Give the time as year-month-day hour:minute in UTC, for example 2027-01-31 06:00.")
FUTURE = _("{at:%Y-%m-%d %H:%M} UTC has not come yet: nothing can have come in since.")
TOO_OLD = _("{at:%Y-%m-%d %H:%M} UTC is more than {days} days ago: no more than that is sent again.")
REPLAY_DAYS = 30


class ApplicationForm(forms.ModelForm):  # type: ignore[type-arg]
    """The URL is typed in and never shown: it is no field of the model's form, so no page can hold it."""

    new_url = forms.CharField(label=_("URL"), required=False, max_length=2000, widget=UnseenInput, help_text=URL_HELP)

    class Meta:
        model = Application
        fields = ["slug", "name", "headers", "timeout", "ladder", "at_once", "patience"]
        widgets: ClassVar = {"ladder": TextInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if ladder := self.fields.get("ladder"):  # a person who only looks gets no fields
            ladder.error_messages |= {"required": LADDER, "invalid": LADDER}

    def clean_new_url(self) -> str:
        """Refuse what the relay would not go to."""
        url: str = (self.cleaned_data["new_url"] or "").strip()
        if not url and not self.instance.pk:
            raise forms.ValidationError(GIVE_URL)
        if url:
            try:
                hosts.check(url)
            except hosts.Forbidden as error:
                raise forms.ValidationError(str(error)) from None
        return url

    def clean_ladder(self) -> list[int]:
        """Refuse what is no ladder."""
        ladder = self.cleaned_data["ladder"]
        if not isinstance(ladder, list) or not 1 <= len(ladder) <= MOST_RUNGS or not all(map(_is_rung, ladder)):
            raise forms.ValidationError(LADDER)
        return ladder

    def clean_timeout(self) -> timedelta:
        """Refuse a wait that no try survives, or that holds a worker for long."""
        return _between(self.cleaned_data["timeout"], timedelta(seconds=1), timedelta(minutes=1), str(TIMEOUT))

    def clean_patience(self) -> timedelta:
        """Refuse a patience that is none."""
        return _between(self.cleaned_data["patience"], timedelta(minutes=1), timedelta(hours=24), str(PATIENCE))


class ApplicationSecretForm(forms.ModelForm):  # type: ignore[type-arg]
    """The secret is typed in and never shown."""

    new_secret = forms.CharField(label=_("Secret"), required=False, widget=SecretInput, help_text=SECRET_HELP)

    class Meta:
        model = ApplicationSecret
        fields = ["application", "label", "enabled"]

    def clean(self) -> dict[str, Any]:
        """Refuse what cannot be a secret, and one that is there already."""
        cleaned: dict[str, Any] = super().clean() or {}
        secret = (cleaned.get("new_secret") or "").strip()
        cleaned["new_secret"] = secret
        if secret and (problem := secret_problem(secret)):
            self.add_error("new_secret", problem)
        elif not secret and not self.instance.pk:
            self.add_error("new_secret", GIVE_SECRET)
        application = cleaned.get("application")
        mark = fingerprint(secret) if secret else self.instance.fingerprint
        if application and mark:
            same = ApplicationSecret.objects.filter(application=application, fingerprint=mark)
            if same.exclude(pk=self.instance.pk).exists():
                self.add_error("new_secret", SAME.format(fingerprint=mark))
        return cleaned


class ReplayForm(forms.Form):
    """Since when everything is sent again; read as UTC, which the page says."""

    since = forms.DateTimeField(
        input_formats=MOMENT_FORMATS, error_messages={"required": BAD_MOMENT, "invalid": BAD_MOMENT}
    )

    def clean_since(self) -> datetime:
        """Refuse what has not come yet, and what is too long ago."""
        since: datetime = self.cleaned_data["since"].replace(tzinfo=UTC)
        if since > clock.now():
            raise forms.ValidationError(FUTURE.format(at=since))
        if since < clock.now() - timedelta(days=REPLAY_DAYS):
            raise forms.ValidationError(TOO_OLD.format(at=since, days=REPLAY_DAYS))
        return since


def shown_url(url: str) -> str:
    """Return what may be shown of an application's URL: host and path, the path without what looks like a key."""
    scheme, between, rest = without_query(url).partition("://")
    host, *path = rest.split("/")
    return f"{scheme}{between}{'/'.join([host, *map(redact, path)])}"


def without_secrets_of(text: str, url: str) -> str:
    """Return what an application answered without the query of its own URL, which error pages like to repeat."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return text
    values = {query, *(value for _, value in parse_qsl(query))}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= 4:
            text = text.replace(value, HIDDEN)
    return text


def _is_rung(one: object) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= LONGEST_RUNG


def _between(value: timedelta, least: timedelta, most: timedelta, sentence: str) -> timedelta:
    if not least <= value <= most:
        raise forms.ValidationError(sentence)
    return value
