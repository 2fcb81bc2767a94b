"""Watches every call: what the engine promises of each write, judged at the moment it is sent."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from django.db.models import QuerySet

from calendars.leases import MachineNow
from calendars.models import Assignment, Intent
from calendars.providers.recall_endpoints import ACCESS_TOKEN, ADD_BOT
from recallops.prepared import prepared
from recallops.sandbox.records import SCHEDULED
from tests.harness import REGIONS

if TYPE_CHECKING:
    from tests.simulation.play import Play

IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
HOSTS = {url.partition("//")[2]: code for code, url in REGIONS.items()}
UNKNOWABLE = timedelta(minutes=3)  # so young a change may not have been read yet: sync delay and reading age
SENT_AGAIN = (ADD_BOT, ACCESS_TOKEN)  # an add near the start is; a token is read, if by POST
TOLERANCE = timedelta(seconds=1)

Room = tuple[str, datetime]


@prepared
def _open_intents() -> QuerySet[Intent]:
    return Intent.objects.filter(state__in=Intent.OPEN).order_by("-pk")


class Watch:
    """Looks at one call before it is sent and after it is answered; notes what was broken."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.told_to_wait: dict[tuple[str, str], datetime] = {}
        self.unknown: set[tuple[str, str, str, bytes]] = (
            set()
        )  # writes whose answer was lost, and nothing was read since
        self.covered: dict[Room, int] = {}

    def before(self, number: int, request: httpx.Request) -> None:
        """Look at a call that is about to be sent."""
        region, path = HOSTS[request.url.host], request.url.path
        endpoint = f"{request.method} {IDS.sub('{id}', path)}"
        until = self.told_to_wait.get((region, endpoint))
        if until is not None and self.play.time.at < until - TOLERANCE:
            self._broken(number, f"{endpoint} of {region} came before the provider's Retry-After was over")
        write = (region, request.method, path, request.content)
        if request.method == "GET":
            self.unknown = {one for one in self.unknown if one[0] != region}
        elif write in self.unknown and endpoint not in SENT_AGAIN:
            self._broken(number, f"{endpoint} was sent again, though its answer was lost and nothing was read since")
        if request.method in ("POST", "DELETE") and not path.endswith("/access-token/"):
            self._intended(number, request, path)
        self.covered = self._covered() if request.method == "DELETE" else {}

    def after(self, number: int, request: httpx.Request, response: httpx.Response | None) -> None:
        """Look at what came of it. `response` is None when the answer was lost."""
        region = HOSTS[request.url.host]
        if response is not None and response.status_code == 429:
            endpoint = f"{request.method} {IDS.sub('{id}', request.url.path)}"
            wait = timedelta(seconds=int(response.headers.get("retry-after", 0)))
            self.told_to_wait[region, endpoint] = self.play.time.at + wait
        if response is None and request.method != "GET":
            self.unknown.add((region, request.method, request.url.path, request.content))
        if request.method == "DELETE":
            now = self._covered()
            for room, count in self.covered.items():
                if count and not now.get(room, 0) and self._known(room):
                    self._broken(number, f"it took the last bot from the meeting of {room[1]:%d %H:%M} at {room[0]}")

    def _broken(self, number: int, what: str) -> None:
        self.play.course.broken.append(f"call {number}: {what}")

    def _intended(self, number: int, request: httpx.Request, path: str) -> None:
        """A write has an intent that is committed and open; one of a bot is sent under the lease of its meeting."""
        remote = (IDS.findall(path) or [""])[0]
        subject = {"event": f"event {remote}", "calendar": f"calendar {remote}"}
        if "/calendar-events/" in path:
            wanted = {"subject": subject["event"]}
        elif "/bot/" in path:
            wanted = {"bot_id": remote}
        elif remote:
            wanted = {"subject": subject["calendar"]}
        else:
            wanted = {"purpose": Intent.Purpose.CREATE_CALENDAR.value}
        found = next((one for one in _open_intents() if wanted.items() <= vars(one).items()), None)
        if found is None:
            self._broken(number, f"{request.method} {path} was sent without an intent")
        elif found.assignment_id is not None:
            held = Assignment.objects.filter(
                pk=found.assignment_id, lease_token=found.lease_token, lease_until__gt=MachineNow()
            )
            if not held.exists():
                self._broken(number, f"{request.method} {path} was sent without the lease of its meeting")

    def _covered(self) -> dict[Room, int]:
        """Count the bots of each wanted meeting to come, in all regions."""
        world = self.play.world
        rooms: dict[Room, int] = {
            (meeting.url or "", meeting.start): 0
            for meeting in world.meetings.values()
            if meeting.start > world.now() and meeting.expected_scopes()
        }
        for code in REGIONS:
            for bot in world.regions[code].workspaces["main"].bots.values():
                if bot.status == SCHEDULED and (bot.meeting_url, bot.join_at) in rooms:
                    rooms[bot.meeting_url, bot.join_at] += 1
        return rooms

    def _known(self, room: Room) -> bool:
        """Tell whether it could be known that this meeting is wanted, here, and covered by this bot alone."""
        now, history = self.play.world.now(), self.play.happenings.history
        recent = now - UNKNOWABLE
        meetings = [one for one in self.play.world.meetings.values() if (one.url, one.start) == room]
        told = max(recent, self.play.happenings.began + TOLERANCE)  # what was there at the start was read at once
        changed = any(change.at > told for meeting in meetings for change in meeting.history)
        lost = any(meeting.id == lost_one and at > recent for meeting in meetings for lost_one, at in history.lost_bots)
        emails = {email for meeting in meetings for _, email in meeting.copies}
        cut_off = any(
            email in emails and (ended is None or ended > recent) for _, email, _, ended in history.disconnected
        )
        return not (changed or lost or cut_off)
