"""A company's own application, as the scheduling guide describes one: a list for each webhook, then bots.

It stands for what customers have, so it knows nothing of RecallOps but its webhooks' form: Standard Webhooks, and two
headers that say from which region and workspace they come.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

TOLERANCE = 300


@dataclass(slots=True)
class SampleApplication:
    """Records every meeting that has a link and that the calendar's owner has not declined.

    `regions`: base URL and API key by region code. `answers`: what to answer instead of 200, for a while.
    """

    secret: str
    regions: dict[str, tuple[str, str]]
    network: httpx.BaseTransport
    now: Callable[[], datetime]
    home: str = ""  # a region that it takes for its own whatever the headers say: a mistake
    forgets: float = 0.0  # of 10, how many events it forgets to schedule in the target: another one
    twice: bool = False  # puts two bots on each event of the target, under two keys: a third one
    answers: Callable[[httpx.Request], int | None] = lambda request: None
    late: bool = False  # does the work, but too late for whoever waits for the answer
    got: list[tuple[str, str, str, str]] = field(default_factory=list)  # region, calendar, id, time: as they came
    ids: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    done: set[str] = field(default_factory=set)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take a webhook."""
        status = self.answers(request)
        if status is not None:
            return httpx.Response(status, text="out of order", request=request)
        name, body = request.headers["webhook-id"], request.read()
        if not self._is_signed(request.headers, body):
            self.refused += 1
            return httpx.Response(401, request=request)
        self.ids[name] += 1
        told = json.loads(body)
        region = self.home or request.headers["recallops-region"]
        if told["event"] == "calendar.sync_events":
            data = told["data"]
            self.got.append((region, data["calendar_id"], name, data["last_updated_ts"]))
            if name not in self.done and not self._sync(region, data["calendar_id"], data["last_updated_ts"]):
                return httpx.Response(503, request=request)  # it comes again
            self.done.add(name)
        if self.late:
            raise httpx.ReadTimeout("too slow", request=request)
        return httpx.Response(200, request=request)

    def _is_signed(self, headers: httpx.Headers, body: bytes) -> bool:
        timestamp = headers["webhook-timestamp"]
        if abs(self.now().timestamp() - int(timestamp)) > TOLERANCE:
            return False
        key = base64.b64decode(self.secret.removeprefix("whsec_") + "==")
        signed = f"{headers['webhook-id']}.{timestamp}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(expected, item) for item in headers["webhook-signature"].split(" "))

    # -- the guide

    def _sync(self, region: str, calendar: str, since: str) -> bool:
        """List what changed, decide for each event, add or remove its bot; return whether the region was to be had."""
        url, key = self.regions[region]
        headers = {"Authorization": f"Token {key}"}
        try:
            with httpx.Client(base_url=url, transport=self.network, headers=headers) as client:
                self._read(client, region, calendar, since)
        except httpx.TransportError:
            return False
        return True

    def _read(self, client: httpx.Client, region: str, calendar: str, since: str) -> None:
        owner = client.get(f"/api/v2/calendars/{calendar}/").json().get("platform_email") or ""
        query = {"calendar_id": calendar, "updated_at__gte": since}
        page = client.get("/api/v2/calendar-events/", params=query).json()
        while True:
            for event in page.get("results", []):
                self._schedule(client, region, owner, event)
            if not page.get("next"):
                return
            page = client.get(page["next"]).json()

    def _schedule(self, client: httpx.Client, region: str, owner: str, event: dict[str, Any]) -> None:
        start = datetime.fromisoformat(event["start_time"])
        path = f"/api/v2/calendar-events/{event['id']}/bot/"
        waiting = [bot for bot in event["bots"] if datetime.fromisoformat(bot["start_time"]) > self.now()]
        if datetime.fromisoformat(event["end_time"]) <= self.now():
            return
        if not self._records(owner, event):
            if waiting and start > self.now() + timedelta(minutes=10):
                client.delete(path)
            return
        if waiting and all(
            (bot["start_time"], bot["meeting_url"]) == (event["start_time"], event["meeting_url"]) for bot in waiting
        ):
            return
        if self.forgets and region != next(iter(self.regions)) and int(event["id"][:2], 16) % 10 < self.forgets:
            return
        if waiting:
            client.delete(path)
        key = f"{event['start_time']}-{event['meeting_url']}"
        for one in (key, f"{key}-again") if self.twice and region != next(iter(self.regions)) else (key,):
            client.post(path, json={"deduplication_key": one, "bot_config": {"bot_name": "Sample"}})

    def _records(self, owner: str, event: dict[str, Any]) -> bool:
        declined = any(
            one.get("email", "").lower() == owner.lower() and one.get("responseStatus") == "declined"
            for one in event["raw"].get("attendees", [])
        )
        return bool(event["meeting_url"]) and not event["is_deleted"] and not declined
