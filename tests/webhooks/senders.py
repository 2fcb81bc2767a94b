"""Who sends webhooks: signatures made by hand, without the product's code or its library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client

from calendars.models import WebhookEndpoint, WebhookSecret, Workspace
from recallops import clock
from recallops.wsgi import application
from tests.admin import builders as make

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def secret_of(text: str, *, size: int = 32) -> str:
    """Return a signing secret that is always the same for a text."""
    key = hashlib.sha512(text.encode()).digest()[:size]
    return "whsec_" + base64.b64encode(key).decode()


def signature(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Sign as the specification says."""
    bare = secret.removeprefix("whsec_")
    key = base64.b64decode(bare + "=" * (-len(bare) % 4))
    digest = hmac.new(key, f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed(
    secret: str, body: bytes, *, delivery_id: str = "msg_1", timestamp: Any = None, family: str = "webhook"
) -> dict[str, str]:
    """Return the headers of a webhook."""
    stamp = str(int(clock.now().timestamp()) if timestamp is None else timestamp)
    return {
        f"{family}-id": delivery_id,
        f"{family}-timestamp": stamp,
        f"{family}-signature": signature(secret, delivery_id, stamp, body),
    }


def body_of(event: str, **data: Any) -> bytes:
    """Return the body of an event."""
    return json.dumps({"event": event, "data": data}).encode()


@dataclass(slots=True)
class Place:
    """A workspace with an endpoint and its secret."""

    workspace: Workspace
    endpoint: WebhookEndpoint
    secret: str

    @property
    def url(self) -> str:
        """The address, as the dashboard has it."""
        return f"/webhooks/recall/{self.endpoint.token}/?region={self.workspace.region.code}"

    def post(self, body: bytes, headers: dict[str, str] | None = None, *, url: str = "", **signing: Any) -> Any:
        """Send a webhook: signed with the workspace's secret, or with the given headers."""
        headers = signed(self.secret, body, **signing) if headers is None else headers
        return Client().post(url or self.url, body, content_type="application/json", headers=headers)


def place(slug: str = "acme-us", *, region: str = "us-west-2", family: str = "acme") -> Place:
    """Make a workspace that webhooks come from."""
    workspace = make.make_workspace(slug, region=make.make_region(region), family=family)
    endpoint = WebhookEndpoint.objects.create(workspace=workspace)
    text = secret_of(slug)
    add_secret(workspace, text)
    return Place(workspace, endpoint, text)


def add_secret(workspace: Workspace, text: str, **fields: Any) -> WebhookSecret:
    """Store a secret."""
    return WebhookSecret.objects.create(workspace=workspace, secret=text, **fields)


def ask(environ: dict[str, Any]) -> int:
    """Send a request just as it is to the application that web servers run, and return the status of the answer.

    Only the database connection stays, which holds the test's transaction.
    """
    statuses: list[int] = []
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        response = application(environ, lambda status, *rest: statuses.append(int(status[:3])))  # type: ignore
        response.close()  # type: ignore[attr-defined]
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
    return statuses[0]
