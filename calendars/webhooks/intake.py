"""What the door for webhooks reads and writes: endpoints, secrets, deliveries, and counts of what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, OperationalError, connection
from django.db.models import Case, Q, Value, When

from calendars.models import WebhookEndpoint, WebhookRefusal, WebhookSecret, Workspace
from calendars.webhooks import signatures
from calendars.webhooks.signatures import Candidate, Refused, Verified
from recallops import clock
from recallops.encryption import UndecipherableSecretError

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

Cause = WebhookRefusal.Cause

TOUCH_EVERY = timedelta(minutes=1)  # "last used" is for people; a write for each webhook would be a hot row

# One statement for all that a request needs to be judged; webhooks come in bursts.
_FIND = """
SELECT endpoint.id, endpoint.workspace_id, endpoint.enabled, endpoint.last_at,
       secret.id, secret.secret, secret.last_used_at
FROM calendars_webhookendpoint AS endpoint
LEFT JOIN calendars_webhooksecret AS secret
    ON secret.workspace_id = endpoint.workspace_id AND secret.enabled
    AND (secret.endpoint_id IS NULL OR secret.endpoint_id = endpoint.id)
WHERE endpoint.token = %s
ORDER BY secret.id DESC
LIMIT %s
"""
_ENDPOINT = ("id", "workspace_id", "enabled", "last_at")
_SECRET = ("id", "secret", "last_used_at")

# One statement, its own transaction: what it inserted is durable before the webhook is answered.
_STORE = """
INSERT INTO calendars_delivery AS known
    (workspace_id, endpoint_id, delivery_id, received_at, sent_at, region, body, times, state, event, subject, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 'received', '', '', '')
ON CONFLICT (workspace_id, delivery_id) DO UPDATE SET times = known.times + 1
"""
_COUNT = """
INSERT INTO calendars_webhookrefusal AS known (endpoint_id, day, cause, count, first_at, last_at, detail)
VALUES (%s, %s, %s, 1, %s, %s, %s)
ON CONFLICT (endpoint_id, day, cause) DO UPDATE SET
    count = known.count + 1, last_at = GREATEST(known.last_at, EXCLUDED.last_at), detail = EXCLUDED.detail
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The endpoint of an address, and the secrets that open it, newest first."""

    endpoint: WebhookEndpoint
    secrets: list[WebhookSecret]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A proven webhook, and the secret that proved it."""

    proof: Verified
    secret: WebhookSecret


def find(token: str) -> Found | None:
    """Return the endpoint of an address with its secrets; one whose encryption key is gone closes none of the others.

    As the first statement of a request it is the check of the connection, too: where that was lost, it is made anew.
    """
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        rows = _rows(token)
    except OperationalError:
        if connection.in_atomic_block:
            raise
        connection.close()
        rows = _rows(token)
    if not rows:
        return None
    secrets = []
    for _, _, _, _, pk, sealed, last_used_at in rows:
        if pk is not None:
            with suppress(UndecipherableSecretError):
                values = (pk, _open(sealed), last_used_at)
                secrets.append(WebhookSecret.from_db(connection.alias, _SECRET, values))
    return Found(WebhookEndpoint.from_db(connection.alias, _ENDPOINT, rows[0][:4]), secrets)


def _rows(token: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, (token, signatures.MOST_CANDIDATES))
        return list(cursor.fetchall())


def _open(sealed: str) -> str:
    field = WebhookSecret._meta.get_field("secret")
    return str(field.from_db_value(sealed, None, connection))


def judge(found: Found, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Accepted | Refused:
    """Check a request against the secrets of an endpoint; say of a wrong signature where it probably comes from."""
    signed = signatures.read_headers(headers)
    if isinstance(signed, Refused):
        return signed
    endpoint, own = found.endpoint, found.secrets
    secrets = [row.secret for row in own]
    # The tolerance is for networks and clocks, which do not run faster in a demo whose domain time does.
    tolerance = signatures.TOLERANCE * max(1.0, clock.speed())
    outcome = signatures.verify(signed, body, secrets, now=now, tolerance=tolerance)
    if isinstance(outcome, Verified):
        return Accepted(outcome, own[outcome.secret])
    if outcome.cause in {Cause.UNKNOWN, Cause.NO_SECRET}:
        return signatures.explain(signed, body, secrets, _candidates(endpoint))
    return outcome


def store(endpoint: WebhookEndpoint, accepted: Accepted, body: bytes, *, region: str, now: datetime) -> None:
    """Keep a webhook as it came. The same one again only counts."""
    proof = accepted.proof
    with connection.cursor() as cursor:
        cursor.execute(_STORE, (endpoint.workspace_id, endpoint.pk, proof.id, now, proof.sent_at, region, body))
    with suppress(DatabaseError):  # it is stored; when it was last used is a kindness
        _touch(WebhookEndpoint.objects.all(), endpoint, "last_at", now)
        _touch(WebhookSecret.objects.all(), accepted.secret, "last_used_at", now)


def count(endpoint: WebhookEndpoint, refused: Refused, *, now: datetime) -> None:
    """Count a refusal."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, (endpoint.pk, now.date(), refused.cause.value, now, now, refused.detail[:300]))


def _candidates(endpoint: WebhookEndpoint) -> Sequence[Candidate]:
    """Return secrets that do not open the endpoint, the most likely ones first: its own, then its family's."""
    family = Workspace.objects.values_list("family", flat=True).get(pk=endpoint.workspace_id)
    here = Q(workspace_id=endpoint.workspace_id)
    rows = (
        WebhookSecret.objects.filter(~here | Q(enabled=False) | (Q(endpoint__isnull=False) & ~Q(endpoint=endpoint)))
        .annotate(near=Case(When(here, then=Value(0)), When(workspace__family=family, then=Value(1)), default=2))
        .select_related("workspace__region", "endpoint")
        .only("secret", "label", "fingerprint", "workspace__slug", "workspace__region__code", "endpoint__label")
        .order_by("near", "-enabled", "-pk")[: signatures.MOST_CANDIDATES]
    )
    try:
        return [_candidate(row, endpoint) for row in rows]
    except UndecipherableSecretError:  # that is somebody else's trouble; this request is refused anyway
        return []


def _candidate(row: WebhookSecret, endpoint: WebhookEndpoint) -> Candidate:
    if row.workspace_id != endpoint.workspace_id:
        detail = f"It is signed with the secret of {row.workspace.slug} in {row.workspace.region.code}."
        return Candidate(row.secret, Cause.OTHER_WORKSPACE, detail)
    if row.endpoint is not None and row.endpoint != endpoint:
        detail = f"It is signed with the secret of another endpoint of this workspace: {row.endpoint.label}."
        return Candidate(row.secret, Cause.UNKNOWN, detail)
    detail = f"It is signed with “{row.label}” (fingerprint {row.fingerprint}), which is switched off here."
    return Candidate(row.secret, Cause.ROTATED, detail)


def _touch(rows: QuerySet[Model], row: Model, column: str, now: datetime) -> None:
    last: datetime | None = getattr(row, column)
    if last is None or last <= now - TOUCH_EVERY:
        stale = Q(**{column: None}) | Q(**{f"{column}__lte": now - TOUCH_EVERY})
        rows.filter(stale, pk=row.pk).update(**{column: now})
