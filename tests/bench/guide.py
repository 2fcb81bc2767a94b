"""A peer: the vendor's guide for a change of region, followed one request at a time.

1. List the calendars of the source, with their tokens.
2. Create each in the target.
3. As each is connected, schedule it: list its events on both sides (the source's say which are to be recorded), and put
   a bot on each of those.
4. When all are there: delete the calendars in the source, which takes their bots away.

A refusal with 429 is waited for as told, as the guide's sample code does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

Json = dict[str, Any]


class Region:
    """One workspace, called one request at a time."""

    def __init__(self, end: dict[str, str], speed: float) -> None:
        self.http = httpx.Client(base_url=end["url"], headers={"Authorization": f"Token {end['key']}"}, timeout=30)
        self.speed = speed

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request until it is not refused for its pace."""
        while True:
            response = self.http.request(method, path, **options)
            if response.status_code not in (409, 429, 507):
                return response
            time.sleep(float(response.headers.get("Retry-After", 1)) / self.speed)

    def pages(self, path: str, **params: str) -> Iterator[Json]:
        """Return the rows of a list."""
        following: str | None = path
        while following:
            page = self.call("GET", following, params=params if following == path else None).json()
            yield from page["results"]
            following = page["next"]


def main() -> None:
    """Move everything."""
    task = json.load(sys.stdin)
    source, target = (Region(task[name], task["speed"]) for name in ("source", "target"))
    calendars = list(source.pages("/api/v2/calendars/"))
    made = [(calendar["id"], new) for calendar in calendars if (new := create(target, calendar)) is not None]
    for old, new in made:
        if connected(target, new, task["speed"]):
            schedule(source, target, old, new)
    for calendar in calendars:
        source.call("DELETE", f"/api/v2/calendars/{calendar['id']}/")


NAMES = ("platform", "oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "oauth_email", "metadata")


def create(target: Region, calendar: Json) -> str | None:
    """Create a calendar in the target; None where the source does not show its token."""
    given = {name: calendar[name] for name in NAMES if calendar.get(name)}
    answer = target.call("POST", "/api/v2/calendars/", json=given)
    return answer.json()["id"] if answer.status_code == 201 else None


def connected(target: Region, calendar: str, speed: float) -> bool:
    """Wait until a calendar is connected; its events were synced while the others were created."""
    for _ in range(60):
        status = target.call("GET", f"/api/v2/calendars/{calendar}/").json()["status"]
        if status == "connected":
            return True
        if status == "disconnected":
            return False
        time.sleep(2 / speed)
    return False


def schedule(source: Region, target: Region, old: str, new: str) -> None:
    """Put bots on the events of the target that have one in the source."""
    recorded = {
        event["platform_id"]: event["bots"][0]["deduplication_key"]
        for event in source.pages("/api/v2/calendar-events/", calendar_id=old)
        if event["bots"] and not event["is_deleted"]
    }
    for event in target.pages("/api/v2/calendar-events/", calendar_id=new):
        if event["platform_id"] in recorded and not event["is_deleted"]:
            body = {"deduplication_key": f"{event['start_time']}-{event['meeting_url']}", "bot_config": {}}
            target.call("POST", f"/api/v2/calendar-events/{event['id']}/bot/", json=body)


if __name__ == "__main__":
    main()
