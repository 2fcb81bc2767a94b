"""Webhooks: signed, delivered by whoever carries them, retried on the vendor's ladder."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.messages import dumps

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from recallops.sandbox.workspaces import Workspace
    from recallops.sandbox.world import World

# Seconds between an attempt that failed and the next one.
LADDER = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
DISABLED_AFTER = timedelta(days=5)
TIMEOUT = 15.0  # seconds of the wall that a receiver has


@dataclass(slots=True)
class WebhookEndpoint:
    """One URL that a workspace sends to."""

    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...] | None = None  # None: all
    disabled: bool = False
    failing_since: datetime | None = None


@dataclass(slots=True)
class Message:
    """One webhook on its way to one endpoint."""

    id: str
    region: str
    workspace: str
    endpoint: int
    event: str
    body: bytes
    attempt: int = 0
    sending: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One attempt, ready to be posted. Report its outcome under its number."""

    number: int
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature header of a webhook."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Outbox:
    """All webhooks not yet delivered. A carrier posts them: a callback in process, threads behind the HTTP door."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.messages: dict[int, Message] = {}
        self.queue: deque[Outgoing] = deque()
        self.sent = self.delivered = self.failed = self.given_up = 0
        self._count = 0
        self._carrier: Callable[[Outgoing], int | None] | None = None

    def deliver_to(self, carrier: Callable[[Outgoing], int | None] | None) -> None:
        """Hand every attempt to a callback that returns the status, or None when there was no answer."""
        self._carrier = carrier

    def send(self, workspace: Workspace, event: str, data: dict[str, Any]) -> None:
        """Send one event to all endpoints of a workspace that want it."""
        for number, endpoint in enumerate(workspace.endpoints):
            if endpoint.disabled or (endpoint.events is not None and event not in endpoint.events):
                continue
            copies, delay = 1, 0.0
            if self._world.faults:
                for fault in self._world.faults.of_webhook(
                    region=workspace.region_code, workspace=workspace.slug, event=event
                ):
                    copies = {"webhook_lost": 0, "webhook_doubled": 2}.get(fault.kind, copies)
                    delay += fault.seconds
            message_id = "msg_" + self._world.digest(14).hex()[:27]
            body = dumps({"event": event, "data": data}).encode()
            for _ in range(copies):
                self._count += 1
                self.messages[self._count] = Message(
                    message_id, workspace.region_code, workspace.slug, number, event, body
                )
                self._world.after(delay, self._attempt, self._count)

    def _attempt(self, number: int) -> None:
        message = self.messages.get(number)
        if message is None:
            return
        workspace = self._world.regions[message.region].workspaces[message.workspace]
        endpoint = workspace.endpoints[message.endpoint]
        if endpoint.disabled:
            del self.messages[number]
            return
        message.attempt += 1
        message.sending = True
        self.sent += 1
        timestamp = int(self._world.now().timestamp())
        family = "svix" if workspace.svix else "webhook"
        headers = {
            "content-type": "application/json",
            f"{family}-id": message.id,
            f"{family}-timestamp": str(timestamp),
            f"{family}-signature": sign(endpoint.secret, message.id, timestamp, message.body),
        }
        outgoing = Outgoing(number, endpoint.url, headers, message.body)
        if self._carrier is None:
            self.queue.append(outgoing)
        else:
            self.report(number, self._carrier(outgoing))

    def report(self, number: int, status: int | None) -> None:
        """Take note of an attempt's outcome: done, or the next rung of the ladder."""
        message = self.messages.get(number)
        if message is None or not message.sending:
            return
        message.sending = False
        workspace = self._world.regions[message.region].workspaces[message.workspace]
        endpoint = workspace.endpoints[message.endpoint]
        if status is not None and 200 <= status < 300:
            self.delivered += 1
            endpoint.failing_since = None
            del self.messages[number]
            return
        self.failed += 1
        now = self._world.now()
        if endpoint.failing_since is None:
            endpoint.failing_since = now
        elif now - endpoint.failing_since >= DISABLED_AFTER:
            endpoint.disabled = True
        if endpoint.disabled or message.attempt > len(LADDER):
            self.given_up += 1
            del self.messages[number]
            return
        self._world.after(LADDER[message.attempt - 1], self._attempt, number)

    def __getstate__(self) -> dict[str, Any]:
        """Attempts that were on their way when the world was saved are made again."""
        return {**self.__dict__, "_carrier": None, "queue": deque()}

    def resume(self) -> None:
        """After loading: plan again what was on its way."""
        for number, message in self.messages.items():
            if message.sending:
                message.sending = False
                self._world.after(0, self._attempt, number)
