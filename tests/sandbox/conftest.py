"""A small cast: two regions, one workspace in each, Alice at Google, Olaf at Outlook, a clock that we move."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from recallops.clock import ManualClock
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.webhooks import Outgoing
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROOM = "https://meet.google.com/abc-defg-hij"
CLIENT = "client.apps.googleusercontent.com"


class Stage:
    """The cast and what a test does with it."""

    def __init__(self, seed: int = 7) -> None:
        self.clock = ManualClock(NOON)
        self.world = World(self.clock, seed=seed)
        self.world.add_client(GOOGLE, CLIENT, secret="google-secret")
        self.world.add_client(OUTLOOK, "outlook-client", secret="outlook-secret")
        self.us = self.world.add_region("us-west-2").add_workspace("acme")
        self.eu = self.world.add_region("eu-central-1").add_workspace("acme-eu")
        self.alice = self.world.add_account(GOOGLE, "alice@acme.example")
        self.bob = self.world.add_account(GOOGLE, "bob@acme.example")
        self.olaf = self.world.add_account(OUTLOOK, "olaf@acme.example")
        self.http = httpx.Client(transport=SandboxTransport(self.world))
        self.webhooks: list[Outgoing] = []
        self.receiver_answers: int | None = 200

    def listen(self, *workspaces: Workspace) -> None:
        """Receive the webhooks of workspaces."""
        for workspace in workspaces:
            workspace.add_endpoint("https://hooks.example/recall")
        self.world.outbox.deliver_to(self._receive)

    def _receive(self, outgoing: Outgoing) -> int | None:
        self.webhooks.append(outgoing)
        return self.receiver_answers

    def heard(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the webhooks received so far."""
        bodies = [json.loads(outgoing.body) for outgoing in self.webhooks]
        return [body for body in bodies if event in (None, body["event"])]

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(**span))
        self.world.advance()

    def call(self, method: str, path: str, body: Any = None, *, of: Workspace | None = None, **more: Any) -> Any:
        """Call a region with a workspace's key (the US one unless said otherwise)."""
        workspace = of or self.us
        url = path if path.startswith("http") else self.world.regions[workspace.region_code].base_url + path
        headers = {"Authorization": f"Token {workspace.api_keys[0]}", **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return self.http.request(method, url, headers=headers, **more)

    def get(self, path: str, *, of: Workspace | None = None, **params: Any) -> Any:
        """Read something that is there."""
        answer = self.call("GET", path, of=of, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def connect(self, account: Account, workspace: Workspace | None = None, **more: Any) -> Calendar:
        """Put an account's calendar into a workspace, connected."""
        google = account.platform == GOOGLE
        return (workspace or self.us).add_calendar(
            account,
            client_id=CLIENT if google else "outlook-client",
            client_secret="google-secret" if google else "outlook-secret",
            **more,
        )

    def meeting(self, *accounts: Account, hours: float = 24, minutes: float = 30, url: str | None = ROOM) -> Meeting:
        """Make a meeting some hours from now."""
        start = self.world.now() + timedelta(hours=hours)
        return self.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=minutes),
            accounts=accounts or (self.alice,),
            url=url,
            title="Weekly",
            attendees={"guest@other.example": "needsAction"},
        )

    def event(self, calendar: Calendar, meeting: Meeting, workspace: Workspace | None = None) -> str:
        """Return the id of a calendar's event of a meeting."""
        event = (workspace or self.us).event_of(calendar.id, meeting.id)
        assert event is not None
        return event.id

    def add_bot(self, event_id: str, key: str = "key", *, of: Workspace | None = None, **config: Any) -> httpx.Response:
        """Call Add Bot."""
        path = f"/api/v2/calendar-events/{event_id}/bot/"
        body = {"deduplication_key": key, "bot_config": {"bot_name": "Notes", **config}}
        answer: httpx.Response = self.call("POST", path, body, of=of)
        return answer

    def remove_bot(self, event_id: str, *, of: Workspace | None = None) -> httpx.Response:
        """Call Remove Bot."""
        answer: httpx.Response = self.call("DELETE", f"/api/v2/calendar-events/{event_id}/bot/", of=of)
        return answer

    def ready(self, *accounts: Account, **meeting: Any) -> tuple[Meeting, list[str]]:
        """Return a meeting and its events in the US workspace, one for each account."""
        made = self.meeting(*(accounts or (self.alice,)), **meeting)
        calendars = [self.connect(account) for account in accounts or (self.alice,)]
        return made, [self.event(calendar, made) for calendar in calendars]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.http:
        yield stage


@pytest.fixture
def make_stage() -> Iterator[Any]:
    made: list[Stage] = []

    def make(seed: int) -> Stage:
        made.append(Stage(seed))
        return made[-1]

    yield make
    for stage in made:
        stage.http.close()
