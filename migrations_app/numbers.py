"""The numbers of a batch that people may change while it runs: its waits and its width."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry
from migrations_app.control import Refused
from migrations_app.models import Batch

NAMES = ("soak", "canary_wait", "drivers")
NEGATIVE = _("A wait cannot be negative.")
CLOSED = _("This batch is closed; its numbers stay.")


def change(batch: Batch, given: dict[str, Any], *, actor: Any) -> list[str]:
    """Change what is given anew; return the names of what changed. Raises Refused."""
    if any(isinstance(value, timedelta) and value < timedelta(0) for value in given.values()):
        raise Refused(str(NEGATIVE))
    with transaction.atomic():
        row = Batch.objects.select_for_update(of=("self",)).get(pk=batch.pk)
        changed = {name: given[name] for name in NAMES if given[name] != getattr(row, name)}
        if not changed:
            return []
        if not Batch.objects.filter(pk=row.pk, closed_at=None).update(**changed):
            raise Refused(str(CLOSED))
        AuditEntry.objects.record(
            actor=actor,
            action="batch.numbers",
            subject=row,
            before={name: str(getattr(row, name)) for name in changed},
            after={name: str(value) for name, value in changed.items()},
        )
    return list(changed)
