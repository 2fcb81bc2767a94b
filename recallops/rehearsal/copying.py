"""From the real rows to a document: the shape of the inventory without anybody's name.

Copied as it is: times, platforms, which calendars share which meeting and which bot, what is connected, what has a
credential, limits and waits. Replaced by pseudonyms: addresses, links, ids, deduplication keys, OAuth clients,
customers. Left out: titles, texts, attendees, configurations of bots, credentials.

A large inventory is sampled: calendars in the order of choice, customer, platform and state, every n-th of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q

from calendars.models import Connection, Event, OAuthClient, RateBudget, Workspace
from migrations_app import inventory
from recallops import clock
from recallops.rehearsal.document import CalendarCopy, Client, Document, MeetingCopy, Side
from recallops.rehearsal.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from migrations_app.models import Batch

MOST_CALENDARS = 200
MOST_EVENTS = 6000
AHEAD = timedelta(days=28)
NUMBERS = (
    "freeze",
    "late_commit",
    "margin",
    "age_for_write",
    "age_for_wait",
    "age_near_start",
    "patience",
    "sweep_every",
    "full_every",
    "webhook_gather",
)
_COLUMNS = (
    "pk",
    "calendar",
    "calendar__email",
    "calendar__platform",
    "calendar__customer",
    "status",
    "has_token",
    "has_secret",
    "oauth_client_id",
    "remote_id",
)


def copy(batch: Batch, *, most_calendars: int = MOST_CALENDARS, most_events: int = MOST_EVENTS) -> Document:
    """Return a batch's plan and its source's inventory."""
    return _Copy(batch, most_calendars, most_events).make()


@dataclass(slots=True)
class _Copy:
    """One copy being made."""

    batch: Batch
    most_calendars: int
    most_events: int
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    now: datetime = field(default_factory=clock.now)

    def make(self) -> Document:
        connections, share = self._sample()
        clients = self._clients(connections)
        order = self.batch.handover
        coming = order.cut_line and order.cut_line > self.now
        return Document(
            now=self.now.isoformat(),
            source=_side(self.batch.source),
            target=_side(self.batch.target),
            soak=self.batch.soak.total_seconds(),
            canary_wait=self.batch.canary_wait.total_seconds(),
            drivers=self.batch.drivers,
            max_both=order.max_both,
            cut_line=order.cut_line.isoformat() if order.cut_line and coming else "",
            share=share,
            clients=[client for _, client in clients.values()],
            calendars=self._calendars(connections, clients),
            meetings=self._meetings(connections),
        )

    def _sample(self) -> tuple[list[dict[str, Any]], float]:
        chosen = set(inventory.free(self.batch).values_list("pk", flat=True))
        live = Connection.objects.live().filter(workspace=self.batch.source)
        order = ("calendar__customer", "calendar__platform", "status", "has_token", "has_secret", "pk")
        rows: list[dict[str, Any]] = list(live.order_by(*order).values(*_COLUMNS))
        for row in rows:
            row["chosen"] = row["pk"] in chosen
        rows.sort(key=lambda row: not row["chosen"])  # stable: the order above within each
        events = self._events().count()
        share = min(1.0, self.most_calendars / max(1, len(rows)), self.most_events / max(1, events))
        if share == 1.0:
            return rows, share
        count = max(1, int(len(rows) * share))
        return [rows[int(place * len(rows) / count)] for place in range(count)], count / len(rows)

    def _events(self) -> Any:
        coming = Event.objects.filter(workspace=self.batch.source, is_deleted=False, end__gt=self.now)
        return coming.filter(start__lt=self.now + AHEAD)

    # -- the parts

    def _clients(self, rows: list[dict[str, Any]]) -> dict[tuple[str, str, bool], tuple[int, Client]]:
        usable = OAuthClient.objects.exclude(Q(client_secret="") & Q(private_key=""))
        entered = set(usable.values_list("platform", "client_id"))
        found: dict[tuple[str, str, bool], tuple[int, Client]] = {}
        for row in rows:
            key = _client_key(row)
            platform, client_id, shown = key
            if key not in found:
                name = self.pseudonyms.name("client", f"{platform} {client_id} {shown}")
                found[key] = (len(found), Client(name, platform, shown, (platform, client_id) in entered))
        return found

    def _calendars(
        self, rows: list[dict[str, Any]], clients: dict[tuple[str, str, bool], tuple[int, Client]]
    ) -> list[CalendarCopy]:
        there = Connection.objects.filter(workspace=self.batch.target, status="connected")
        in_target = set(there.filter(calendar__in=[row["calendar"] for row in rows]).values_list("calendar", flat=True))
        return [
            CalendarCopy(
                email=self._email(row),
                platform=row["calendar__platform"],
                connected=row["status"] == "connected" and row["calendar__email"] != row["remote_id"],
                has_token=row["has_token"],
                client=clients[_client_key(row)][0],
                chosen=row["chosen"],
                in_target=row["calendar"] in in_target,
            )
            for row in rows
        ]

    def _email(self, row: dict[str, Any]) -> str:
        person = self.pseudonyms.name("calendar", f"{row['calendar__platform']} {row['calendar__email']}")
        customer = self.pseudonyms.name("customer", str(row["calendar__customer"]))
        return f"p{person}@{'moves' if row['chosen'] else 'stays'}-{customer}.example"

    def _meetings(self, rows: list[dict[str, Any]]) -> list[MeetingCopy]:
        """Put the copies of each meeting together: one identity, one start, one link."""
        places = {row["pk"]: place for place, row in enumerate(rows)}
        in_target = self._bots_in_target(rows)
        found: dict[tuple[str, datetime, str], MeetingCopy] = {}
        starts: defaultdict[str, set[datetime]] = defaultdict(set)
        events = self._events().filter(connection__in=list(places)).order_by("start", "pk")
        columns = ("connection", "start", "end", "url", "meeting_platform", "bots", "occurrence")
        for event in events.values(*columns, "occurrence__ical_uid", "occurrence__platform_id").iterator():
            uid = event["occurrence__ical_uid"] or event["occurrence__platform_id"]
            starts[uid].add(event["start"])
            meeting = found.setdefault((uid, event["start"], event["url"]), self._meeting(uid, event))
            key = self._key(event["bots"])
            meeting.copies.append((places[event["connection"]], key, in_target.get(event["occurrence"], "")))
        for (uid, _, _), meeting in found.items():
            meeting.of_series = len(starts[uid]) > 1
        return list(found.values())

    def _meeting(self, uid: str, event: dict[str, Any]) -> MeetingCopy:
        return MeetingCopy(
            start=event["start"].isoformat(),
            end=event["end"].isoformat(),
            url=self.pseudonyms.url(event["url"], event["meeting_platform"]),
            name=self.pseudonyms.name("meeting", uid),
            of_series=False,
            copies=[],
        )

    def _bots_in_target(self, rows: list[dict[str, Any]]) -> dict[int, str]:
        held = Event.objects.filter(workspace=self.batch.target, is_deleted=False, end__gt=self.now).exclude(bots=[])
        mine = held.filter(connection__calendar__in=[row["calendar"] for row in rows])
        return {occurrence: self._key(bots) for occurrence, bots in mine.values_list("occurrence", "bots")}

    def _key(self, bots: list[dict[str, Any]]) -> str:
        """Return what stands for the key of an event's bot; empty without one. Equal keys stay equal."""
        if not bots:
            return ""
        return self.pseudonyms.name("key", bots[-1].get("key") or f"bot {bots[-1].get('bot_id')}")


def _client_key(row: dict[str, Any]) -> tuple[str, str, bool]:
    return row["calendar__platform"], row["oauth_client_id"], row["has_secret"]


def _side(workspace: Workspace) -> Side:
    limits = RateBudget.objects.filter(workspace=workspace).values_list("endpoint", "per_minute")
    return Side(
        numbers={name: getattr(workspace, name).total_seconds() for name in NUMBERS},
        reserve_percent=workspace.reserve_percent,
        limits=dict(limits),
    )
