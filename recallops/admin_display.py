"""How values are shown on staff pages. Text of a provider is escaped, and only http(s) addresses become links."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import DateTimeField, Model
from django.urls import reverse
from django.utils import dateformat
from django.utils.formats import get_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from recallops import viewer_zone

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

COLOURS = frozenset({"info", "success", "warning", "danger"})


def change_url(obj: Model) -> str:
    """Return the address of an object's page."""
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


def list_url(model: type[Model], **filters: str | int) -> str:
    """Return the address of a list, filtered."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def badge(text: object, colour: str = "") -> SafeString:
    """Return a word with a colour; the word says everything, the colour only helps to find it."""
    return format_html('<span class="ro-badge ro-{}">{}</span>', colour if colour in COLOURS else "plain", text)


def link(url: str, text: str = "") -> str | SafeString:
    """Return a link to a provider's address, or the bare text when it is not http or https."""
    if not url.lower().startswith(("https://", "http://")):
        return text or url
    return format_html(
        '<a href="{}" class="ro-link" target="_blank" rel="noopener noreferrer nofollow">{}</a>', url, text or url
    )


def without_query(url: str) -> str:
    """Return an address as text, without what may be a secret in it: user, query and fragment."""
    if not url:
        return ""
    bare = url.partition("#")[0].partition("?")[0]
    scheme, between, rest = bare.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{between}{host.rpartition('@')[2]}{slash}{path}" + ("?…" if bare != url else "")


def names_of(value: object) -> str:
    """Return the names in a configuration whose values stay sealed."""
    return ", ".join(sorted(value)) if isinstance(value, dict) else ""


def to(obj: Model | None, text: str = "") -> str | SafeString:
    """Return a link to another object's page."""
    if obj is None:
        return ""
    return format_html('<a href="{}" class="ro-link">{}</a>', change_url(obj), text or str(obj))


def at(moment: datetime | None, form: str = "Y-m-d H:i:s") -> str | SafeString:
    """Return a moment as staff read it on a page: to the second, in their zone, with UTC to point at.

    `form` is one of Django's, which knows the names of days and months in each language.
    """
    if moment is None:
        return ""
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        f"{exact:%Y-%m-%dT%H:%M:%SZ}",
        f"{exact:%Y-%m-%d %H:%M:%S}",
        dateformat.format(exact.astimezone(viewer_zone.current()), form),
    )


def minute(moment: datetime) -> str:
    """Return a moment as customers read it where no markup can stand: to the minute, in their zone and language."""
    return dateformat.format(moment.astimezone(viewer_zone.current()), get_format("MINUTE_FORMAT"))


def utc(moment: datetime | None) -> str:
    """Return a moment for a sentence, a label or a file, which is no markup: UTC, to the second, and it says so."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _moment_again(text: str) -> str | SafeString:
    """Return a moment that a page of Django's already made a text of, in UTC, as `at` shows it."""
    try:
        return at(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:  # there is none
        return text


def read_only_moments(model: type[Model]) -> dict[str, Callable[[str], str | SafeString]]:
    """Return how unfold is to show the moments among the fields of a model that are only looked at."""
    return {field.name: _moment_again for field in model._meta.fields if isinstance(field, DateTimeField)}


def ago(span: timedelta | None) -> str:
    """Return a span of time as it is said of the past; empty for none."""
    if span is None:
        return ""
    seconds = max(0, round(span.total_seconds()))
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return _("{count} {unit} ago").format(count=seconds // size, unit=unit)
    return _("{count} days ago").format(count=seconds // 86400)


def moment(name: str, description: _StrOrPromise = "", *, ordering: bool = True) -> Callable[[Any], str | SafeString]:
    """Return a column that shows a moment."""

    @admin.display(description=description or name.removesuffix("_at").replace("_", " "))
    def show(obj: Any) -> str | SafeString:
        return at(getattr(obj, name)) or "–"

    if ordering:
        show.admin_order_field = name  # type: ignore[attr-defined]
    return show


def json_block(value: object) -> SafeString:
    """Return JSON as readable, escaped text."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return format_html('<pre class="ro-json">{}</pre>', text)


def table(headings: Sequence[_StrOrPromise], rows: Sequence[Sequence[object]]) -> SafeString:
    """Return a small table; every cell is escaped unless it is markup of ours."""
    head = format_html_join("", "<th>{}</th>", ((heading,) for heading in headings))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html(
        '<div class="ro-scroll"><table class="ro-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        head,
        body,
    )


def coloured(colours: Mapping[Any, str], name: str, description: _StrOrPromise) -> Callable[[Any], str | SafeString]:
    """Return a column that shows a field's choice as a badge."""

    @admin.display(description=description, ordering=name)
    def show(obj: Any) -> str | SafeString:
        value = getattr(obj, name)
        return badge(getattr(obj, f"get_{name}_display")(), colours.get(value, "")) if value else "–"

    return show
