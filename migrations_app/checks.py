"""Preflight by parts: what each part found, when it was last looked at, and for how long that counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject
from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch, Check, Finding, PreflightCheck, Severity
from recallops import clock

STALE = _(
    "Preflight last looked {hours} hours ago, and what it finds counts for {most}. Run the checks again; then this "
    "step can be allowed."
)

CODES: dict[Check, tuple[str, ...]] = {
    Check.KEYS: ("key",),
    Check.LIMITS: ("time",),
    Check.WEBHOOKS: (
        "scheduler",
        "application",
        "applications",
        "application_url",
        "application_secret",
        "not_tried",
        "no_door",
        "not_in_front",
    ),
    Check.TARGET: ("target", "adopted", "others", "twice"),
    Check.BATCHES: ("elsewhere",),
    Check.CALENDARS: ("nothing", "not_found", "split", "not_movable"),
    Check.MEETINGS: ("soon",),
}
"""Which part a finding of preflight belongs to, by its code."""

OF_CHOICE = (Check.LIMITS, Check.TARGET, Check.BATCHES, Check.CALENDARS)
"""Parts that depend on which calendars are chosen: what they found of an earlier choice does not count."""

CHECK_OF = {code: check for check, codes in CODES.items() for code in codes}
MOST_FINDINGS = 200  # of one batch on a page


@dataclass(slots=True)
class Part:
    """A part of preflight as a page shows it."""

    check: Check
    looked_at: datetime | None
    stale: bool
    findings: list[Finding] = field(default_factory=list)

    @property
    def worst(self) -> str:
        """The severity of the worst finding that nobody waived; empty: nothing to do."""
        open_ones = {one.severity for one in self.findings if one.waived_at is None}
        return next((one.value for one in (Severity.BLOCKING, Severity.WARNING) if one in open_ones), "")


def counts_for() -> timedelta:
    """Return how long preflight counts."""
    return timedelta(hours=settings.PREFLIGHT_HOURS)


def looked_at(batch: Batch, *names: Check) -> None:
    """Note that parts of preflight were looked at just now."""
    now = clock.now()
    PreflightCheck.objects.bulk_create(
        [PreflightCheck(batch=batch, name=name, looked_at=now) for name in names],
        update_conflicts=True,
        unique_fields=["batch", "name"],
        update_fields=["looked_at"],
    )


def column() -> ArraySubquery:
    """Return the ages as a column of a batch, `checks_json`, for pages whose queries are counted."""
    theirs = PreflightCheck.objects.filter(batch=OuterRef("pk")).order_by("pk")
    return ArraySubquery(theirs.values(one=JSONObject(name="name", looked_at="looked_at")))


def _ages(batch: Batch) -> dict[str, datetime]:
    """Return when each part was last looked at."""
    known = getattr(batch, "checks_json", None)
    if known is not None:
        return {one["name"]: datetime.fromisoformat(one["looked_at"]) for one in known}
    return dict(PreflightCheck.objects.filter(batch=batch.pk).values_list("name", "looked_at"))


def parts(batch: Batch) -> list[Part]:
    """Return the parts of preflight with their ages."""
    ages, oldest = _ages(batch), clock.now() - counts_for()
    return [
        Part(check, age := ages.get(check), stale=age is not None and (age < oldest or _of_before(batch, check, age)))
        for check in Check
    ]


def of_another_choice(batch: Batch) -> bool:
    """Tell whether calendars were chosen anew since preflight looked."""
    return any(_of_before(batch, Check(name), age) for name, age in _ages(batch).items())


def _of_before(batch: Batch, check: Check, age: datetime) -> bool:
    return check in OF_CHOICE and batch.selected_at is not None and age < batch.selected_at


def parts_with_findings(batch: Batch) -> list[Part]:
    """Return the parts of preflight with what each found."""
    found = defaultdict(list)
    rows = Finding.objects.filter(batch=batch.pk, code__in=CHECK_OF, gone_at=None).order_by("pk")[:MOST_FINDINGS]
    for finding in rows:
        found[CHECK_OF[finding.code]].append(finding)
    return [replace(part, findings=found[part.check]) for part in parts(batch)]


def stale(batch: Batch) -> str:
    """Return why the first write may not be allowed on this preflight: it is too old; empty when it is not.

    A batch that has not come that far looks anew by itself; one that is past it is not held up any more.
    """
    if batch.step == Step.PREFLIGHT or batch.goes_back or allows(batch.goal, Step.RECREATE):
        return ""
    oldest = min(_ages(batch).values(), default=batch.started_at)
    if oldest is None or clock.now() - oldest <= counts_for():
        return ""
    hours = (clock.now() - oldest) // timedelta(hours=1)
    return str(STALE).format(hours=hours, most=settings.PREFLIGHT_HOURS)
