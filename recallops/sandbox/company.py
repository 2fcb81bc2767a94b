"""A company whose application records meetings: its customers, its OAuth clients, and how it makes bots.

Kept in `world.notes["company"]`, so that what fills a world, what plays it and what proves it mean the same customers.
"""

from __future__ import annotations

import base64
import random
import string
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from recallops.sandbox.meetings import GOOGLE, OUTLOOK, OAuthClient
from recallops.sandbox.messages import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace
    from recallops.sandbox.world import World

CERTIFICATE = "certificate"  # the Outlook client that is opened by a certificate instead of a secret


@dataclass(slots=True)
class Customer:
    """Whom some calendars belong to. Its e-mail domains are its own."""

    slug: str
    name: str
    domains: tuple[str, ...]
    zone: str = "UTC"
    week: tuple[int, ...] = (0, 1, 2, 3, 4)  # working days, Monday is 0
    platforms: tuple[str, ...] = (GOOGLE,)
    links: str = "google_meet"
    calendars: int = 0


@dataclass(slots=True)
class Company:
    """What the recording company knows of itself."""

    customers: dict[str, Customer] = field(default_factory=dict)  # by slug
    domains: dict[str, str] = field(default_factory=dict)  # slug by domain
    login_groups: dict[tuple[str, str], str] = field(default_factory=dict)  # id by (region, workspace)
    clients: dict[str, OAuthClient] = field(default_factory=dict)  # by platform, or CERTIFICATE

    def add(self, customer: Customer) -> None:
        """Take a customer on."""
        self.customers[customer.slug] = customer
        self.domains.update(dict.fromkeys(customer.domains, customer.slug))

    def customer_of(self, email: str) -> str:
        """Return the slug of the customer whom an address belongs to; of a stranger, the domain."""
        domain = email.rpartition("@")[2]
        return self.domains.get(domain, domain)


def company(world: World) -> Company:
    """Return the company of this world, founding it at the first call."""
    found = world.notes.get("company")
    if isinstance(found, Company):
        return found
    founded = Company()
    world.notes["company"] = founded
    google_id = f"{int.from_bytes(world.digest(5), 'big') % 10**12:012d}.apps.googleusercontent.com"
    founded.clients = {
        GOOGLE: world.add_client(GOOGLE, google_id, secret="GOCSPX-" + world.digest(14).hex()),
        OUTLOOK: world.add_client(OUTLOOK, world.new_id(), secret=world.digest(20).hex()),
        CERTIFICATE: world.add_client(
            OUTLOOK,
            world.new_id(),
            certificate=_pem("CERTIFICATE", world.digest(48)),
            private_key=_pem("PRIVATE KEY", world.digest(48)),
        ),
    }
    return founded


def _pem(label: str, content: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(content).decode()}\n-----END {label}-----\n"


def add_calendar(
    world: World, workspace: Workspace, account: Account, *, client: OAuthClient, customer: Customer, note: bool = False
) -> Calendar:
    """Connect an account to a workspace, as the company's application did; `note` sets the calendar's metadata."""
    metadata = {"customer": customer.slug, "user_id": f"u_{world.digest(5).hex()}"} if note else None
    return workspace.add_calendar(
        account,
        client_id=client.client_id,
        client_secret=client.secret,
        certificate=client.certificate,
        private_key=client.private_key,
        metadata=metadata,
    )


# --- bots -------------------------------------------------------------------------------------------------------------


def deduplication_key(start: datetime, url: str) -> str:
    """Return the key of the scheme "deduplicate all", as the vendor's guide gives it."""
    return f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}-{url}"


def bot_config(world: World, workspace: Workspace, customer: Customer | None) -> dict[str, Any]:
    """Return the configuration that the company gives the bots of a customer in this workspace.

    Some customers have live transcripts (an address that names the region), some a signed-in bot (a login group of
    this workspace): both are bound to the region.
    """
    name = customer.name if customer else "Meeting"
    slug = customer.slug if customer else ""
    place = list(company(world).customers).index(slug) if slug in company(world).customers else 0
    config: dict[str, Any] = {
        "bot_name": f"{name} Notetaker"[:100],
        "metadata": {"customer": slug, "made_by": "recorder"},
        "recording_config": {"transcript": {"provider": {"meeting_captions": {}}}, "video_mixed_mp4": {}},
    }
    if place % 3 == 0:
        config["recording_config"]["realtime_endpoints"] = [
            {"type": "webhook", "url": realtime_url(workspace), "events": ["transcript.data"]}
        ]
    if place % 4 == 3:
        config["google_meet"] = {"google_login_group_id": login_group(world, workspace)}
    if place % 2:
        config["automatic_leave"] = {"waiting_room_timeout": 900, "noone_joined_timeout": 1200}
    return config


def realtime_url(workspace: Workspace) -> str:
    """Return where the company takes live transcripts of a workspace."""
    return f"https://{workspace.region_code}.hooks.recorder.example/realtime"


def login_group(world: World, workspace: Workspace) -> str:
    """Return the id of the workspace's Google login group."""
    groups = company(world).login_groups
    key = (workspace.region_code, workspace.slug)
    if key not in groups:
        groups[key] = world.new_id()
    return groups[key]


def ask_for_bot(world: World, workspace: Workspace, calendar_id: str, meeting: Meeting) -> bool:
    """Let the company's application put a bot on one calendar's event; tell whether there is one now.

    The copy counts as wanted from then: what has a bot in the source is what is to be held.
    """
    calendar = workspace.calendars.get(calendar_id)
    if calendar is None or calendar.status != "connected" or calendar.account is None:
        return False
    event = workspace.event_of(calendar_id, meeting.id)
    if event is None or event.is_deleted or not event.meeting_url or event.end <= world.now():
        return False
    people = company(world)
    customer = people.customers.get(people.customer_of(calendar.account[1]))
    key = deduplication_key(event.start, event.meeting_url)
    try:
        workspace.add_bot(event.id, key, bot_config(world, workspace, customer), quiet=True)
    except Refused:
        return False
    world.want(meeting, world.accounts[calendar.account], wanted=True, scope="")
    return True


def calendars_of(workspace: Workspace, accounts: Iterable[Account]) -> list[str]:
    """Return the ids of the workspace's connected calendars of these accounts."""
    found = []
    for account in accounts:
        for region, slug, calendar_id in account.watchers:
            if (region, slug) == (workspace.region_code, workspace.slug):
                found.append(calendar_id)
    return found


def place(world: World, region: str, workspace: str) -> Workspace:
    """Return a workspace by its names, or say that there is none."""
    if region not in world.regions:
        raise ValueError(f"There is no region {region!r} here: {', '.join(world.regions) or 'none at all'}.")
    workspaces = world.regions[region].workspaces
    if workspace not in workspaces:
        raise ValueError(f"There is no workspace {workspace!r} in {region}: {', '.join(workspaces) or 'none at all'}.")
    return workspaces[workspace]


# --- links ------------------------------------------------------------------------------------------------------------


def make_link(rng: random.Random, kind: str, host: str = "company") -> str:
    """Make up a link that a bot can join."""

    def letters(count: int) -> str:
        return "".join(rng.choices(string.ascii_lowercase, k=count))

    if kind == "microsoft_teams":
        return f"https://teams.microsoft.com/l/meetup-join/19%3ameeting_{rng.getrandbits(96):024x}%40thread.v2/0"
    if kind == "zoom":
        return f"https://{host}.zoom.us/j/{rng.randrange(10**10, 10**11)}?pwd={letters(12)}"
    if kind == "webex":
        return f"https://{host}.webex.com/meet/{letters(10)}"
    return f"https://meet.google.com/{letters(3)}-{letters(4)}-{letters(3)}"
