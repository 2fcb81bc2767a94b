"""A peer: the same steps as a careful script: asyncio, many calls at once, a limiter for each endpoint.

A calendar is created, waited for and scheduled in the target, then deleted in the source at once, so that few meetings
have two bots for long. What is near its start is not treated apart, and nothing is read back.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx

Json = dict[str, Any]
AT_ONCE = 50  # calendars on their way at the same time
LIMITS = {  # calls a minute, as the vendor states them
    "GET /api/v2/calendars/": 60,
    "GET /api/v2/calendar-events/": 60,
    "POST /api/v2/calendar-events/{id}/bot/": 600,
}
OTHERS = 300
SHARE = 0.98 * 0.8  # as RecallOps: a little below the limit, and a fifth left to the live product


class Region:
    """One workspace, with a limiter for each endpoint."""

    def __init__(self, end: dict[str, str], speed: float) -> None:
        headers = {"Authorization": f"Token {end['key']}"}
        self.http = httpx.AsyncClient(base_url=end["url"], headers=headers, timeout=30)
        self.speed = speed
        self.next: dict[str, float] = {}

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request in its turn, until it is not refused."""
        label = f"{method} {re.sub(r'/[0-9a-f-]{36}/', '/{id}/', path.partition('?')[0])}"
        while True:
            await self._turn(label)
            response = await self.http.request(method, path, **options)
            if response.status_code not in (409, 429, 507):
                return response
            await asyncio.sleep(float(response.headers.get("Retry-After", 1)) / self.speed)

    async def _turn(self, label: str) -> None:
        now = asyncio.get_running_loop().time()
        at = max(now, self.next.get(label, 0.0))
        self.next[label] = at + 60 / (LIMITS.get(label, OTHERS) * SHARE * self.speed)
        await asyncio.sleep(at - now)

    async def pages(self, path: str, **params: str) -> AsyncIterator[Json]:
        """Return the rows of a list."""
        following: str | None = path
        while following:
            page = (await self.call("GET", following, params=params if following == path else None)).json()
            for row in page["results"]:
                yield row
            following = page["next"] and page["next"][page["next"].index("/api/") :]


async def move(source: Region, target: Region, calendar: Json, room: asyncio.Semaphore) -> None:
    """Move one calendar."""
    names = ("platform", "oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "oauth_email", "metadata")
    async with room:
        given = {name: calendar[name] for name in names if calendar.get(name)}
        answer = await target.call("POST", "/api/v2/calendars/", json=given)
        if answer.status_code != 201:
            return
        new = answer.json()["id"]
        for _ in range(60):
            status = (await target.call("GET", f"/api/v2/calendars/{new}/")).json()["status"]
            if status != "connecting":
                break
            await asyncio.sleep(5 / target.speed)
        if status != "connected":
            return
        await asyncio.sleep(5 / target.speed)
        old_events = source.pages("/api/v2/calendar-events/", calendar_id=calendar["id"])
        recorded = {event["platform_id"] async for event in old_events if event["bots"] and not event["is_deleted"]}
        async for event in target.pages("/api/v2/calendar-events/", calendar_id=new):
            if event["platform_id"] in recorded and not event["is_deleted"]:
                body = {"deduplication_key": f"{event['start_time']}-{event['meeting_url']}", "bot_config": {}}
                await target.call("POST", f"/api/v2/calendar-events/{event['id']}/bot/", json=body)
        await source.call("DELETE", f"/api/v2/calendars/{calendar['id']}/")


async def main() -> None:
    """Move everything."""
    task = json.load(sys.stdin)
    source, target = (Region(task[name], task["speed"]) for name in ("source", "target"))
    room = asyncio.Semaphore(AT_ONCE)
    calendars = [calendar async for calendar in source.pages("/api/v2/calendars/")]
    await asyncio.gather(*(move(source, target, calendar, room) for calendar in calendars))


if __name__ == "__main__":
    asyncio.run(main())
