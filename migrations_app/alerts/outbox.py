"""Alerts on their way: at most one post a minute for each channel, with all that gathered meanwhile.

A post whose answer was lost is made again: an alert may come twice, but it does not get lost. What a channel does not
take for the whole ladder is given up, and its page and the start page say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from calendars.leases import Lease, take
from calendars.relay import hosts
from calendars.relay.post import Outcome, deliver
from migrations_app.alerts.shapes import Line, body_for, harmless, told
from migrations_app.models import AlertChannel, AlertPost
from recallops import clock
from recallops.redaction import HIDDEN

EVERY = timedelta(minutes=1)
LADDER = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 10, 30, 120))
TIMEOUT = 10.0
MOST_AT_ONCE = 5000
MOST_LINES = 200
TEST = _("RecallOps: this is a test of the channel “{name}”. Alerts will come here.")

State = AlertPost.State


def claim(*, limit: int, lease: Lease) -> list[int]:
    """Lease the channels that have something to be told, and may be told now."""
    waiting = AlertPost.objects.filter(channel=OuterRef("pk"), state=State.WAITING)
    due = Q(next_at=None) | Q(next_at__lte=clock.now())
    return take(
        AlertChannel.objects.filter(due, Exists(waiting), enabled=True), limit=limit, lease=lease, order_by=["pk"]
    )


def lease() -> Lease:
    """Return a lease that outlasts one post."""
    return Lease(seconds=3 * TIMEOUT + 30)


def send(pk: int, *, lease: Lease) -> None:
    """Tell a channel all that waits for it, in one post."""
    channel = AlertChannel.objects.filter(pk=pk, lease_token=lease.token).first()
    if channel is None:
        return
    waiting = AlertPost.objects.filter(channel=channel, state=State.WAITING)
    ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])
    outcome = post(channel, told(_lines(ids[:MOST_LINES]), total=len(ids))) if ids else None
    _finish(channel, ids, outcome, lease=lease)


def post(channel: AlertChannel, text: str) -> Outcome:
    """Post a text to a channel. Never raises for what the network does."""
    return deliver(channel.url, body_for(channel.format, text), headers={}, seconds=TIMEOUT, rules=hosts.of_alerts())


def test_text(channel: AlertChannel) -> str:
    """Return what is posted to try a channel out."""
    return TEST.format(name=harmless(channel.name))


def problem_of(channel: AlertChannel, outcome: Outcome) -> str:
    """Return what went wrong, with what the tool said, but without what stands in the channel's own URL."""
    said = " ".join(outcome.answer.split())[:120]
    parts = urlsplit(channel.url)
    for secret in sorted({*parts.path.split("/"), *parts.query.replace("&", "=").split("=")}, key=len, reverse=True):
        if len(secret) >= 4:
            said = said.replace(secret, HIDDEN)
    return f"{outcome.problem} {said}".strip()[:300]


def _lines(ids: Sequence[int]) -> list[Line]:
    rows = AlertPost.objects.filter(pk__in=ids).select_related("alert").order_by("alert__kind", "pk")
    return [
        Line(row.alert.kind, row.alert.sentence, over=row.alert.quiet_since is not None, url=_url(row.alert.batch_id))
        for row in rows
    ]


def _url(batch: int | None) -> str:
    if batch is None or not settings.SITE_URL:
        return ""
    return settings.SITE_URL + reverse("admin:migrations_app_batch_change", args=[batch])


def _finish(channel: AlertChannel, ids: Sequence[int], outcome: Outcome | None, *, lease: Lease) -> None:
    """Note what came of a post, as long as the channel is still ours."""
    now = clock.now()
    mine = AlertChannel.objects.filter(pk=channel.pk, lease_token=lease.token)
    posts = AlertPost.objects.filter(pk__in=ids, state=State.WAITING)
    free_again = {"lease_token": None, "lease_until": None}
    if outcome is None:
        mine.update(**free_again)
    elif outcome.delivered:
        posts.update(state=State.SENT, sent_at=now)
        well = {"last_ok_at": now, "failing_since": None, "last_problem": "", "attempts": 0}
        mine.update(next_at=now + EVERY, **well, **free_again)
    else:
        problem = problem_of(channel, outcome)
        AlertChannel.objects.filter(pk=channel.pk, failing_since=None).update(failing_since=now)
        given_up = channel.attempts >= len(LADDER)
        if given_up:
            posts.update(state=State.FAILED)
        later = EVERY if given_up else LADDER[channel.attempts]
        attempts = 0 if given_up else channel.attempts + 1
        mine.update(next_at=now + later, last_problem=problem, attempts=attempts, **free_again)
