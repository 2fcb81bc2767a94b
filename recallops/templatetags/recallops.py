"""What every page says, and how it says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import resolve, reverse
from django.utils.formats import get_format

from recallops import admin_display, clock
from recallops import viewer_zone as zone
from recallops.admin_counts import shown

register = template.Library()


@register.inclusion_tag("recallops/domain_time.html")
def domain_time() -> dict[str, Any]:
    """Say what time it is for meetings, when that is not the wall's."""
    if clock.is_wall():
        return {"is_wall": True}
    return {"is_wall": False, "now": clock.now(), "speed": f"{clock.speed():g}"}


@register.simple_tag
def viewer_zone() -> str:
    """Say in which time zone moments are shown."""
    return str(zone.current())


@register.filter
def at(moment: datetime | None) -> str:
    """Show a moment: to the second, in the zone of who reads, with UTC to point at."""
    return admin_display.at(moment) or "–"


@register.filter
def minute(moment: datetime | None) -> str:
    """Show a moment to customers: to the minute, in the zone and the language of who reads."""
    return admin_display.at(moment, get_format("MINUTE_FORMAT"))


@register.filter
def plain_minute(moment: datetime) -> str:
    """Show a moment to customers where no markup can stand, such as in a choice."""
    return admin_display.minute(moment)


@register.filter
def utc(moment: datetime | None) -> str:
    """Show a moment where no markup can stand, such as in a label: UTC, to the second."""
    return admin_display.utc(moment) or "–"


@register.filter
def ago(span: timedelta | None) -> str:
    """Say how long ago something was, from a span of time."""
    return admin_display.ago(span)


@register.filter
def since(moment: datetime | None) -> str:
    """Say how long ago a moment of domain time was."""
    return admin_display.ago(clock.now() - moment) if moment else ""


@register.filter
def percent(part: int, whole: int) -> int:
    """Return a share in whole per cent; nothing of nothing is 0."""
    return int(100 * part / whole) if whole else 0


@register.inclusion_tag("recallops/empty.html", takes_context=True)
def empty_state(context: RequestContext, changes: Any) -> dict[str, Any]:
    """Say of a list without rows whether there are none yet, and what to do first, or only none of those asked for."""
    sentence, name, label = changes.model_admin.empty_help
    return {
        "filtered": bool(changes.query or changes.get_filters_params()),
        "plural": changes.opts.verbose_name_plural,
        "sentence": sentence,
        "url": reverse(name) if name and may_open(context.request, name) else "",
        "label": label,
    }


@register.filter
def told(details: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what an act put on record, as names and values; not the long lists of the rows that it changed.

    A template cannot ask for `details.items` itself: where an act noted its items, it would get those.
    """
    return [(name, value) for name, value in details.items() if value and name not in ("items", "findings")]


@register.filter
def number(value: int) -> str:
    """Show a count; one that was not carried on to the end says so."""
    return shown(value)


@register.filter
def short(moment: str | None) -> str:
    """Show a moment that comes as text, as `at` does; other words stay as they are. Without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(moment or "")
    except ValueError:
        return moment or "–"
    return at(found if found.tzinfo else found.replace(tzinfo=UTC))


def may_open(request: HttpRequest, name: str) -> bool:
    """Tell whether somebody may open a page of the admin: a list, or the form for a new row."""
    options = getattr(resolve(reverse(name)).func, "model_admin", None)
    if options is None:
        return True
    return bool(options.has_add_permission(request) if name.endswith("_add") else options.has_view_permission(request))
