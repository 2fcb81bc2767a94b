"""What every page says, and how it says it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template

from recallops import admin_display, clock
from recallops import viewer_zone as zone

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
def utc(moment: datetime | None) -> str:
    """Show a moment where no markup can stand, such as in a label: UTC, to the second."""
    return admin_display.utc(moment) or "–"


@register.filter
def provider_link(url: str) -> str:
    """Link a provider's address when it is http or https; otherwise show it as text."""
    return admin_display.link(str(url))


@register.filter
def percent(part: int, whole: int) -> int:
    """Return a share in whole per cent; nothing of nothing is 0."""
    return int(100 * part / whole) if whole else 0


@register.filter
def short(moment: str | None) -> str:
    """Show a moment that comes as text, as `at` does; other words stay as they are. Without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(moment or "")
    except ValueError:
        return moment or "–"
    return at(found if found.tzinfo else found.replace(tzinfo=UTC))
