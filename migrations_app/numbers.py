"""The numbers of a batch that people may change while it runs: its waits and its width."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry
from migrations_app.control import Refused, careful
from migrations_app.models import Batch

WAITS = ("soak", "canary_wait")
NAMES = (*WAITS, "drivers")
NEGATIVE = _("A wait cannot be negative.")
NOT_SHORTER = _("Deleting was allowed with these waits: they can be made longer, but shorter only by an approver.")
APPROVED = _("Deleting was allowed with these waits: they can be made longer, not shorter.")
CLOSED = _("This batch is closed; its numbers stay.")


def change(batch: Batch, given: dict[str, Any], *, actor: Any, may_delete: bool = False) -> list[str]:
    """Change what is given anew; return the names of what changed. Raises Refused.

    The waits with which deleting was allowed get shorter only by who may allow it, and by no one person where a second
    one is wanted.
    """
    if any(isinstance(value, timedelta) and value < timedelta(0) for value in given.values()):
        raise Refused(str(NEGATIVE))
    with transaction.atomic():
        rows = Batch.objects.select_for_update(of=("self",)).select_related("source", "target")
        row = rows.get(pk=batch.pk)
        changed = {name: given[name] for name in NAMES if given[name] != getattr(row, name)}
        if not changed:
            return []
        shorter = any(changed[name] < getattr(row, name) for name in WAITS if name in changed)
        if shorter and row.delete_confirmed_at and careful(row):
            raise Refused(str(APPROVED))
        if shorter and row.delete_confirmed_at and not may_delete:
            raise Refused(str(NOT_SHORTER))
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
