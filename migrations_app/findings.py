"""Notes what checks find; running a check again neither doubles a finding nor brings a waived one back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from calendars.models import Assignment
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Finding, Item, Severity
from recallops import clock


@dataclass(frozen=True, slots=True)
class Found:
    """One thing found. `code` names the check; `subject` tells findings of one check apart."""

    code: str
    severity: Severity
    sentence: str
    remedy: str = ""
    subject: str = ""
    item: Item | None = None
    assignment: Assignment | None = None


def note(batch: Batch, step: Step, found: Found) -> Finding:
    """Store a finding, or refresh the one that says the same."""
    finding, _ = Finding.objects.update_or_create(
        batch=batch,
        code=found.code,
        item=found.item,
        assignment=found.assignment,
        subject=found.subject[:200],
        defaults={
            "step": step,
            "severity": found.severity,
            "sentence": found.sentence[:1000],
            "remedy": found.remedy[:600],
            "gone_at": None,
        },
        create_defaults={
            "step": step,
            "severity": found.severity,
            "sentence": found.sentence[:1000],
            "remedy": found.remedy[:600],
            "found_at": clock.now(),
        },
    )
    return finding


def renew(batch: Batch, step: Step, found: Iterable[Found]) -> list[Finding]:
    """Store all findings of a step that ran anew; those of an earlier run that are not among them are gone."""
    kept = [note(batch, step, one) for one in found]
    Finding.objects.filter(batch=batch, step=step, gone_at=None).exclude(pk__in=[one.pk for one in kept]).update(
        gone_at=clock.now()
    )
    return kept


def gone(batch: Batch, *codes: str, item: Item | None = None, but: Finding | None = None) -> None:
    """Note that findings of some checks on an item are not there any more, `but` for one."""
    there = Finding.objects.filter(batch=batch, code__in=codes, item=item, gone_at=None)
    there.exclude(pk__in=[but.pk] if but else []).update(gone_at=clock.now())
