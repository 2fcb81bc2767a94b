"""Something that holds for a while, and that people are told of once while it holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

QUIET = timedelta(hours=1)
"""For so long it must not hold before it counts as over: what comes back sooner is the same episode."""


class Episode(models.Model):
    """An episode begins when something is first seen to hold, and ends when it has not held for `QUIET`."""

    found_at = models.DateTimeField(_("found"), help_text=_("Domain time."))
    quiet_since = models.DateTimeField(null=True, help_text=_("Since when it does not hold any more."))
    ended_at = models.DateTimeField(_("over"), null=True)

    class Meta:
        abstract = True


def follow(model: type[Any], there: Mapping[Any, Any], holding: Collection[Any], *, now: datetime) -> list[int]:
    """Note of open episodes which hold and which do not; return the keys of those that are over now."""
    back = [row.pk for key, row in there.items() if key in holding and row.quiet_since]
    away = [row.pk for key, row in there.items() if key not in holding and not row.quiet_since]
    over = [
        row.pk
        for key, row in there.items()
        if key not in holding and row.quiet_since and row.quiet_since <= now - QUIET
    ]
    if back:
        model.objects.filter(pk__in=back).update(quiet_since=None)
    if away:
        model.objects.filter(pk__in=away).update(quiet_since=now)
    if over:
        model.objects.filter(pk__in=over).update(ended_at=now)
    return over
