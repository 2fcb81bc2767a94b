"""Which facts staff are told of, read from rows. One alert a fact; what ends and comes back later is a new one.

Sentences name batches, calendars and times, never links into meetings, titles or secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from calendars.leases import alone
from calendars.models import Assignment, Connection, ConnectionStatus, Verdict
from calendars.scheduling.verdicts import BEING_ADDED, MOVING
from migrations_app.models import (
    Alert,
    AlertChannel,
    AlertKind,
    AlertPost,
    Approval,
    Batch,
    BatchStatus,
    Finding,
    Item,
    ItemStatus,
    Severity,
)
from migrations_app.models.episode import follow
from migrations_app.report_format import said
from recallops import clock
from recallops.models import WorkerHeartbeat

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

MOST = 1000  # facts of one kind at one look
LATELY = timedelta(hours=24)  # meetings that are over are told of for so long
# Without a bot for a moment, or with one on each side, is what every meeting is in passing: told of when little time
# is left for that to pass.
PASSING = (BEING_ADDED, MOVING)
LITTLE_TIME = timedelta(minutes=30)
CANARY = "canary"  # the code of its finding

STOPPED = _("{batch} stopped. {reason}")
WAITS_FOR_PRESS = _("{batch} has done everything up to “{goal}” and waits for the next press.")
WAIT_FOR_PERSON = _("{batch}: {count} calendar(s) failed or wait for a person.")
BLOCKING = _("{batch}: blocking finding. {sentence}")
APPROVAL = _("{batch}: {name} asks to allow “{step}”; another person has to approve it.")
APPROVAL_BACK = _("{batch}: {name} asks to send it back; another person has to approve it.")
CANARY_FAILED = _("{batch}: the canary failed. {sentence}")
FELL_OFF = _("{calendar} in {workspace} is disconnected.")
MEETING = _("A meeting at {start:%Y-%m-%d %H:%M} UTC in {workspace} is {verdict}.")
HEARTBEAT = _("The workers on {host} have had no heartbeat since {since:%Y-%m-%d %H:%M:%S} UTC.")
NEVER_BEATEN = _("The workers on {host} were started at {since:%Y-%m-%d %H:%M:%S} UTC and never had a heartbeat.")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that holds now; `key` tells it apart from others of its kind."""

    key: str
    sentence: str
    batch: int | None = None


def stopped() -> Iterable[Fact]:
    """Batches that stopped."""
    rows = Batch.objects.filter(draft=False, status=BatchStatus.STOPPED, closed_at=None)
    for pk, slug, reason in rows.values_list("pk", "slug", "reason")[:MOST]:
        yield Fact(f"batch {pk}", STOPPED.format(batch=slug, reason=reason), pk)


def person() -> Iterable[Fact]:
    """Batches that wait for the next press, or in which calendars wait for a person."""
    rows = Batch.objects.filter(draft=False, status=BatchStatus.WAITING, closed_at=None)
    for batch in rows.only("slug", "goal")[:MOST]:
        sentence = WAITS_FOR_PRESS.format(batch=batch.slug, goal=batch.get_goal_display())
        yield Fact(f"press {batch.pk} after {batch.goal}", sentence, batch.pk)
    waits = Item.objects.filter(
        batch__closed_at=None, kind=Item.Kind.CONNECTION, status__in=[ItemStatus.USER, ItemStatus.FAILED]
    )
    for pk, slug, count in waits.order_by().values_list("batch", "batch__slug").annotate(n=Count("pk"))[:MOST]:
        yield Fact(f"items of {pk}", WAIT_FOR_PERSON.format(batch=slug, count=count), pk)


def blocking() -> Iterable[Fact]:
    """Open blocking findings but the canary's, which is a kind of its own."""
    return _findings(BLOCKING, ~Q(code=CANARY))


def canary() -> Iterable[Fact]:
    """Canaries that failed."""
    return _findings(CANARY_FAILED, Q(code=CANARY))


def _findings(words: _StrPromise, which: Q) -> Iterable[Fact]:
    rows = Finding.objects.filter(
        which,
        severity=Severity.BLOCKING,
        gone_at=None,
        waived_at=None,
        batch__closed_at=None,
        batch__draft=False,
    )
    for pk, batch, slug, sentence in rows.values_list("pk", "batch", "batch__slug", "sentence")[:MOST]:
        yield Fact(f"finding {pk}", words.format(batch=slug, sentence=sentence), batch)


def connection() -> Iterable[Fact]:
    """Connections that fell off in workspaces that are read."""
    rows = Connection.objects.filter(status=ConnectionStatus.DISCONNECTED, workspace__watched=True).order_by("pk")
    for pk, email, slug in rows.values_list("pk", "calendar__email", "workspace__slug")[:MOST]:
        yield Fact(f"connection {pk}", FELL_OFF.format(calendar=email, workspace=slug))


def meeting() -> Iterable[Fact]:
    """Meetings that are missed or doubled for more than a moment, and those that were over lately without a bot."""
    alarming, now = [Verdict.MISSED, Verdict.DOUBLED, Verdict.NOT_ATTENDED], clock.now()
    rows = Assignment.objects.filter(verdict__in=alarming, end__gte=now - LATELY).order_by("start", "pk")
    rows = rows.exclude(note__in=PASSING, start__gt=now + LITTLE_TIME)
    for pk, start, slug, verdict in rows.values_list("pk", "start", "owner__slug", "verdict")[:MOST]:
        label = Verdict(verdict).label
        yield Fact(f"meeting {pk} {verdict}", MEETING.format(start=start, workspace=slug, verdict=label))


def approval() -> Iterable[Fact]:
    """Requests that wait for a second person."""
    for one in Approval.objects.waiting().select_related("batch", "asked_by").order_by("pk")[:MOST]:
        words = APPROVAL if one.step else APPROVAL_BACK
        sentence = words.format(batch=one.batch.slug, name=one.asked_by, step=one.get_step_display())
        yield Fact(f"approval {one.pk}", sentence, one.batch_id)


def heartbeat() -> Iterable[Fact]:
    """Machines whose workers have no heartbeat. On the database's clock."""
    for host, started, beaten, now in WorkerHeartbeat.objects.annotate(now=Now()).values_list(
        "host", "started_at", "beaten_at", "now"
    ):
        since = beaten or started
        if (now - since).total_seconds() > 2 * settings.HEARTBEAT_STALE_SECONDS:
            yield Fact(f"host {host}", (HEARTBEAT if beaten else NEVER_BEATEN).format(host=host, since=since))


FACTS: dict[str, Callable[[], Iterable[Fact]]] = {
    AlertKind.STOPPED: stopped,
    AlertKind.PERSON: person,
    AlertKind.BLOCKING: blocking,
    AlertKind.CONNECTION: connection,
    AlertKind.CANARY: canary,
    AlertKind.MEETING: meeting,
    AlertKind.HEARTBEAT: heartbeat,
    AlertKind.APPROVAL: approval,
}


def wanted() -> set[str]:
    """Return the kinds that some channel is told of."""
    return {
        kind for kinds in AlertChannel.objects.filter(enabled=True).values_list("kinds", flat=True) for kind in kinds
    }


def find(kinds: Collection[str]) -> int:
    """Look for facts of some kinds; return how many alerts were written."""
    return sum(_find(kind) for kind in sorted(kinds))


def _find(kind: str) -> int:
    with alone(f"alerts of kind {kind}"):
        facts = {fact.key: fact for fact in FACTS[kind]()}
        there = {one.key: one for one in Alert.objects.filter(kind=kind, ended_at=None)}
        follow(Alert, there, facts.keys(), now=clock.now())
        return _write(kind, [fact for key, fact in facts.items() if key not in there])


def _write(kind: str, facts: Collection[Fact]) -> int:
    if not facts:
        return 0
    with transaction.atomic():
        made = Alert.objects.bulk_create(
            Alert(
                kind=kind,
                key=fact.key[:200],
                batch_id=fact.batch,
                sentence=said(fact.sentence)[:600],
                found_at=clock.now(),
            )
            for fact in facts
        )
        channels = list(AlertChannel.objects.defer("url").filter(enabled=True, kinds__contains=[kind]))
        AlertPost.objects.bulk_create(AlertPost(alert=alert, channel=one) for alert in made for one in channels)
    return len(made)
