"""Commands of the control API that read and change the world. Each takes the world and its arguments."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from recallops.sandbox.messages import iso, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.attendance import Attendance
    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.request_log import Call
    from recallops.sandbox.workspaces import Workspace
    from recallops.sandbox.world import World


class BadArguments(Exception):
    """A command was given something it cannot use."""


class Arguments(dict[str, Any]):
    """What a command was given; a missing one is named."""

    def __missing__(self, name: str) -> Any:
        raise BadArguments(f"{name} is missing")


# --- what is there ------------------------------------------------------------------------------------------------


def state(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Return where everything is and how much there is of it."""
    return {
        "now": iso(world.now()),
        "seed": world.seed,
        "next_timer": iso(world.next_timer()),
        "timers": len(world.timers),
        "accounts": len(world.accounts),
        "meetings": len(world.meetings),
        "attendance": len(world.attendance),
        "calls": world.log.total,
        "webhooks": {
            "waiting": len(world.outbox.messages),
            "sent": world.outbox.sent,
            "delivered": world.outbox.delivered,
            "failed": world.outbox.failed,
            "given_up": world.outbox.given_up,
        },
        "regions": regions(world),
    }


def regions(world: World) -> dict[str, Any]:
    """Return regions and workspaces with keys and secrets, as a console of the vendor would show them."""
    return {
        code: {
            "base_url": region.base_url,
            "workspaces": {slug: _workspace_json(workspace) for slug, workspace in region.workspaces.items()},
        }
        for code, region in world.regions.items()
    }


def _workspace_json(workspace: Workspace) -> dict[str, Any]:
    return {
        "api_keys": workspace.api_keys,
        "webhook_secret": workspace.webhook_secret,
        "svix": workspace.svix,
        "rate_factor": workspace.rate_factor,
        "limits": {label: workspace.limit(label) for label in workspace.limits},
        "endpoints": [
            {"url": endpoint.url, "events": endpoint.events, "disabled": endpoint.disabled}
            for endpoint in workspace.endpoints
        ],
        "calendars": len(workspace.calendars),
        "events": len(workspace.events),
        "bots": len(workspace.bots),
        "bots_scheduled": len(workspace.bots_by_join),
    }


def attendance(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Return which bots joined, from the `since`-th on."""
    since = int(given.get("since", 0))
    return {"total": len(world.attendance), "attendance": [_attendance_json(one) for one in world.attendance[since:]]}


def _attendance_json(one: Attendance) -> dict[str, Any]:
    shown = asdict(one)
    for name, value in shown.items():
        if isinstance(value, datetime):
            shown[name] = iso(value)
    return shown


def log(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Return the calls from the `since`-th on, as far as they are kept."""
    return {
        "total": world.log.total,
        "calls": [_call_json(call) for call in world.log.since(int(given.get("since", 0)))],
    }


def _call_json(call: Call) -> dict[str, Any]:
    return {**call._asdict(), "at": iso(call.at)}


def counts(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Return how many calls there were, by endpoint and by status; of one region or workspace when named."""
    region, workspace = given.get("region"), given.get("workspace")
    return {
        "total": world.log.total,
        "by_endpoint": world.log.by_endpoint(region, workspace),
        "by_status": world.log.by_status(region),
    }


def next_timer(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Return when something happens next."""
    return {"next_timer": iso(world.next_timer()), "now": iso(world.now())}


# --- workspaces ---------------------------------------------------------------------------------------------------


def workspace(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Open a workspace, or change one that is there."""
    region = world.regions[given["region"]]
    there = region.workspaces.get(given["slug"]) or region.add_workspace(given["slug"])
    if "rate_factor" in given:
        there.rate_factor = float(given["rate_factor"])
    if "svix" in given:
        there.svix = bool(given["svix"])
    for label, number in given.get("limits", {}).items():
        there.limits[label] = int(number)
    return _workspace_json(there)


def key(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Make one more API key."""
    return {"key": _workspace(world, given).add_key()}


def revoke_key(world: World, given: dict[str, Any]) -> None:
    """Disable an API key."""
    _workspace(world, given).revoke_key(given["key"])


def endpoint(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Send a workspace's webhooks to a URL; the same URL again changes nothing but its events."""
    there = _workspace(world, given)
    events = given.get("events")
    for existing in there.endpoints:
        if existing.url == given["url"]:
            existing.events = None if events is None else tuple(events)
            existing.disabled, existing.failing_since = False, None
            return {"secret": existing.secret}
    return {"secret": there.add_endpoint(given["url"], events, given.get("secret")).secret}


def calendar(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Put a calendar into a workspace without the API."""
    made = _workspace(world, given).add_calendar(
        _account(world, given),
        client_id=given["client_id"],
        client_secret=given.get("client_secret", ""),
        token=given.get("token"),
        metadata=given.get("metadata"),
        connect=bool(given.get("connect", True)),
        hide_token=bool(given.get("hide_token", False)),
    )
    return {"id": made.id}


def drop_bot(world: World, given: dict[str, Any]) -> None:
    """Let a region lose a bot without a word."""
    _workspace(world, given).drop_bot(given["bot_id"], shown=bool(given.get("shown", False)))


# --- accounts and meetings ----------------------------------------------------------------------------------------


def client(world: World, given: dict[str, Any]) -> None:
    """Register an OAuth client."""
    world.add_client(
        given["platform"],
        given["client_id"],
        secret=given.get("secret", ""),
        certificate=given.get("certificate", ""),
        private_key=given.get("private_key", ""),
        redirect_uris=[_redirect_uri(uri) for uri in given.get("redirect_uris", ())],
    )


def redirect(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Register a redirect URI for every OAuth client that is there."""
    world.add_redirect(_redirect_uri(given["uri"]))
    return {"clients": len(world.clients)}


def _redirect_uri(uri: Any) -> str:
    """Return an address that a `Location` header can carry as it is."""
    if not isinstance(uri, str) or re.fullmatch(r"https?://[!-\"$-~]+", uri) is None:
        raise BadArguments("a redirect URI is an absolute http or https address without spaces and fragment")
    return uri


def account(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Open an account; with a client id, grant it access and return the refresh token."""
    opened = world.add_account(given["platform"], given["email"], given.get("name", ""))
    if "client_id" not in given:
        return {"platform": opened.platform, "email": opened.email}
    token = world.grant(opened, given["client_id"])
    return {"platform": opened.platform, "email": opened.email, "token": token}


def revoke(world: World, given: dict[str, Any]) -> None:
    """Take back one grant, or all of an account."""
    if "token" in given:
        world.revoke(given["token"])
    else:
        world.revoke_account(_account(world, given))


def make_meeting(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Make a meeting."""
    optional = ("title", "url", "organizer", "attendees", "series", "ical_uid", "description", "wanted", "scope")
    meeting = world.make_meeting(
        start=parse_time(given["start"]),
        end=parse_time(given["end"]),
        accounts=[world.accounts[platform, email] for platform, email in given["accounts"]],
        **{name: given[name] for name in optional if name in given},
    )
    return _meeting_json(meeting)


def move(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Move a meeting."""
    end = given.get("end")
    world.move(_meeting(world, given), parse_time(given["start"]), parse_time(end) if end else None)
    return _meeting_json(_meeting(world, given))


def cancel(world: World, given: dict[str, Any]) -> None:
    """Cancel a meeting for everybody."""
    world.cancel(_meeting(world, given))


def respond(world: World, given: dict[str, Any]) -> None:
    """Let an attendee accept or decline."""
    world.respond(_meeting(world, given), given["email"], given["response"])


def change_url(world: World, given: dict[str, Any]) -> None:
    """Give a meeting another link."""
    world.change_url(_meeting(world, given), given["url"])


def retitle(world: World, given: dict[str, Any]) -> None:
    """Change a meeting's title."""
    world.retitle(_meeting(world, given), given["title"])


def add_copy(world: World, given: dict[str, Any]) -> None:
    """Invite one more account."""
    world.add_copy(
        _meeting(world, given),
        _account(world, given),
        wanted=bool(given.get("wanted", True)),
        scope=given.get("scope", ""),
    )


def remove_copy(world: World, given: dict[str, Any]) -> None:
    """Delete a meeting from one account."""
    world.remove_copy(_meeting(world, given), _account(world, given))


def want(world: World, given: dict[str, Any]) -> None:
    """Say whether a copy is to be recorded."""
    world.want(_meeting(world, given), _account(world, given), wanted=bool(given["wanted"]), scope=given.get("scope"))


def meetings(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Return the meetings that start in a span, in order."""
    after = parse_time(given["after"]) if given.get("after") else None
    before = parse_time(given["before"]) if given.get("before") else None
    found = [
        meeting
        for meeting in world.meetings.values()
        if (after is None or meeting.start >= after) and (before is None or meeting.start < before)
    ]
    return {"meetings": [_meeting_json(one) for one in sorted(found, key=lambda one: (one.start, one.id))]}


def _meeting_json(meeting: Meeting) -> dict[str, Any]:
    return {
        "id": meeting.id,
        "ical_uid": meeting.ical_uid,
        "start": iso(meeting.start),
        "end": iso(meeting.end),
        "title": meeting.title,
        "url": meeting.url,
        "organizer": meeting.organizer,
        "cancelled": meeting.cancelled,
        "copies": [
            {"platform": platform, "email": email, **asdict(copy)} for (platform, email), copy in meeting.copies.items()
        ],
    }


# --- trouble ------------------------------------------------------------------------------------------------------


def faults(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Return what is planned."""
    return {"faults": world.faults.as_dicts()}


def add_fault(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Plan a fault."""
    values = dict(given)
    return {"number": world.faults.add(values.pop("kind", ""), **values)}


def clear_faults(world: World, given: dict[str, Any]) -> None:
    """Take back one fault, or all."""
    world.faults.clear(int(given["number"]) if "number" in given else None)


def switches(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Return all switches."""
    return world.switches.as_dict()


def set_switches(world: World, given: dict[str, Any]) -> dict[str, Any]:
    """Set switches by name."""
    world.switches.update(dict(given))
    return world.switches.as_dict()


def _workspace(world: World, given: dict[str, Any]) -> Workspace:
    return world.regions[given["region"]].workspaces[given["workspace"]]


def _account(world: World, given: dict[str, Any]) -> Account:
    return world.accounts[given["platform"], given["email"]]


def _meeting(world: World, given: dict[str, Any]) -> Meeting:
    return world.meetings[given["id"]]


HANDLERS: dict[str, Callable[[World, dict[str, Any]], Any]] = {
    "state": state,
    "attendance": attendance,
    "log": log,
    "counts": counts,
    "next-timer": next_timer,
    "workspace": workspace,
    "key": key,
    "revoke-key": revoke_key,
    "endpoint": endpoint,
    "calendar": calendar,
    "lie/drop-bot": drop_bot,
    "client": client,
    "redirect": redirect,
    "account": account,
    "revoke": revoke,
    "meeting": make_meeting,
    "meeting/move": move,
    "meeting/cancel": cancel,
    "meeting/respond": respond,
    "meeting/url": change_url,
    "meeting/retitle": retitle,
    "meeting/add": add_copy,
    "meeting/remove": remove_copy,
    "meeting/want": want,
    "meetings": meetings,
    "faults": faults,
    "faults/add": add_fault,
    "faults/clear": clear_faults,
    "switches": switches,
    "switches/set": set_switches,
}
