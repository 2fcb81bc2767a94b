"""What every page says, and how it says it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template

from recallops import admin_display, clock

register = template.Library()


@register.inclusion_tag("recallops/domain_time.html")
def domain_time() -> dict[str, Any]:
    """Say what time it is for meetings, when that is not the wall's."""
    if clock.is_wall():
        return {"is_wall": True}
    return {"is_wall": False, "now": clock.now(), "speed": f"{clock.speed():g}"}


@register.filter
def at(moment: datetime | None) -> str:
    """Show a moment: UTC, to the second."""
    return admin_display.at(moment) or "–"


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
    """Show a moment that comes as text, to the second."""
    return moment[:19].replace("T", " ") if moment else "–"
