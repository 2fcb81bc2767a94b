"""What all parts of a workspace share: its tables, its settings, its way out."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.limits import DEFAULT_LIMITS, Windows
from recallops.sandbox.records import Bot, Calendar, Event, Index
from recallops.sandbox.webhooks import WebhookEndpoint

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.messages import Response
    from recallops.sandbox.world import World

TEN_MINUTES = timedelta(minutes=10)


class State:
    """The tables of one workspace; the layers above it (`bots`, `events`, `calendars`) keep them in order."""

    def __init__(
        self,
        world: World,
        region_code: str,
        slug: str,
        *,
        api_key: str | None = None,
        webhook_secret: str | None = None,
        rate_factor: float = 1.0,
        svix: bool | None = None,
    ) -> None:
        self.world = world
        self.region_code = region_code
        self.slug = slug
        self.api_keys: list[str] = [api_key or world.digest(20).hex()]
        self.webhook_secret = webhook_secret or "whsec_" + base64.b64encode(world.digest(32)).decode()
        self.svix = world.switches.svix_headers if svix is None else svix
        self.endpoints: list[WebhookEndpoint] = []
        self.limits = dict(DEFAULT_LIMITS)
        self.rate_factor = rate_factor
        self.windows = Windows()
        self.page_size = 100
        self.idempotent: dict[tuple[str, str], tuple[datetime, datetime, Response]] = {}
        self.calendars: dict[str, Calendar] = {}
        self.calendars_by_age = Index()
        self.events: dict[str, Event] = {}
        self.by_start = Index()
        self.by_update = Index()
        self.bots: dict[str, Bot] = {}
        self.bots_by_join = Index()  # scheduled ones only: `join_at` is cleared when a bot joins
        self.bots_joined: dict[str, None] = {}
        self.keys: dict[str, str] = {}  # the bot that was last scheduled under a deduplication key
        self.recent: dict[str, tuple[datetime, str]] = {}  # last write under a key: when, for which event

    def add_key(self) -> str:
        """Make one more API key."""
        key = self.world.digest(20).hex()
        self.api_keys.append(key)
        self.world.regions[self.region_code].learn_keys(self.slug)
        return key

    def revoke_key(self, key: str) -> None:
        """Disable an API key."""
        self.api_keys.remove(key)
        self.world.regions[self.region_code].learn_keys(self.slug)

    def add_endpoint(
        self, url: str, events: tuple[str, ...] | list[str] | None = None, secret: str | None = None
    ) -> WebhookEndpoint:
        """Send webhooks to a URL: all, or the named events. Without a secret the workspace's own signs them."""
        endpoint = WebhookEndpoint(url, secret or self.webhook_secret, None if events is None else tuple(events))
        self.endpoints.append(endpoint)
        return endpoint

    def limit(self, endpoint: str) -> int | None:
        """Return how many calls a minute an endpoint allows; None when it is not limited."""
        number = self.limits.get(endpoint)
        return None if number is None else max(1, round(number * self.rate_factor))

    def notify(self, event: str, data: dict[str, Any]) -> None:
        """Send a webhook."""
        self.world.outbox.send(self, event, data)  # type: ignore[arg-type]
