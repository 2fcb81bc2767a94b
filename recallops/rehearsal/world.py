"""From the document to simulated regions: the same calendars, meetings and bots, in a source and an empty target."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from recallops.sandbox.meetings import OAuthClient
from recallops.sandbox.workspaces import Refused
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from recallops.rehearsal.document import Document, MeetingCopy
    from recallops.rehearsal.hands import VirtualClock
    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace

SOURCE, TARGET = "source", "target"
INSIDE = "main"  # the workspace's name in its region
ADDRESS = "https://{role}.rehearsal.invalid"  # a name that never resolves
BOT = {"bot_name": "Rehearsal"}
UNLIMITED = 100_000.0  # our own budgets keep the real limits


def fill(document: Document, clock: VirtualClock) -> World:
    """Make the regions and fill the source; what has a bot is wanted."""
    world = World(clock, seed=1)
    for role in (SOURCE, TARGET):
        world.add_region(role, ADDRESS.format(role=role)).add_workspace(INSIDE, rate_factor=UNLIMITED)
    accounts = [world.add_account(one.platform, one.email, "Rehearsal") for one in document.calendars]
    meetings = [_meeting(world, one, accounts) for one in document.meetings]
    clients = oauth_clients(document)
    for client in clients:
        world.add_client(
            client.platform,
            client.client_id,
            secret=client.secret,
            certificate=client.certificate,
            private_key=client.private_key,
        )
    source, target = place(world, SOURCE), place(world, TARGET)
    left: list[Calendar] = []
    stays: dict[int, Calendar] = {}
    for number, (one, account) in enumerate(zip(document.calendars, accounts, strict=True)):
        client = clients[one.client]
        left.append(_connect(source, account, client, hide_token=not one.has_token))
        if one.in_target:
            stays[number] = _connect(target, account, client)
        if not one.connected:
            world.revoke(str(left[-1].refresh_token))
            source.disconnect(left[-1].id, "invalid_grant", quiet=True)
    for told, meeting in zip(document.meetings, meetings, strict=True):
        for number, key, in_target in told.copies:
            if key and _add(source, left[number], meeting, key):
                world.want(meeting, accounts[number], wanted=True, scope=key)
            if in_target and number in stays and _add(target, stays[number], meeting, in_target):
                world.want(meeting, accounts[number], wanted=True, scope=key or in_target)
    return world


def place(world: World, role: str) -> Workspace:
    """Return the workspace of a side."""
    return world.regions[role].workspaces[INSIDE]


def oauth_clients(document: Document) -> list[OAuthClient]:
    """Return the clients, with secrets that are secret to nobody."""
    return [
        OAuthClient(one.platform, one.name, secret=f"secret of {one.name}")
        if one.shown
        else OAuthClient(one.platform, one.name, certificate=f"cert {one.name}", private_key=f"key {one.name}")
        for one in document.clients
    ]


def _meeting(world: World, told: MeetingCopy, accounts: list[Account]) -> Meeting:
    holders = {accounts[number].key: accounts[number] for number, _, _ in told.copies}
    return world.make_meeting(
        start=datetime.fromisoformat(told.start),
        end=datetime.fromisoformat(told.end),
        accounts=holders.values(),
        title="Rehearsal",
        url=told.url or None,
        series=told.name if told.of_series else None,
        ical_uid=f"{told.name}@rehearsal.invalid",
        wanted=False,
    )


def _connect(workspace: Workspace, account: Account, client: OAuthClient, *, hide_token: bool = False) -> Calendar:
    return workspace.add_calendar(
        account,
        client_id=client.client_id,
        client_secret=client.secret,
        certificate=client.certificate,
        private_key=client.private_key,
        hide_token=hide_token,
    )


def _add(workspace: Workspace, calendar: Calendar, meeting: Meeting, key: str) -> bool:
    """Put the bot on a calendar's event; tell whether it is there."""
    event = workspace.event_of(calendar.id, meeting.id)
    if event is None or calendar.status != "connected":
        return False
    try:
        workspace.add_bot(event.id, key, dict(BOT), quiet=True)
    except Refused:  # a meeting that has ended, or a link that no bot can join
        return False
    return True
