"""Calendar V2 over HTTP: calendars and their events."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from recallops.sandbox.calendars import calendar_json
from recallops.sandbox.events import EventFilter
from recallops.sandbox.messages import Response, answer, dumps, invalid, not_found
from recallops.sandbox.paging import Query, cursor_at
from recallops.sandbox.payload import payload

if TYPE_CHECKING:
    from recallops.sandbox.messages import Request
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.regions import Region
    from recallops.sandbox.workspaces import Workspace

CALENDARS = "/api/v2/calendars/"
EVENTS = "/api/v2/calendar-events/"


def list_calendars(region: Region, workspace: Workspace, request: Request, _: str) -> Response:
    """List calendars, oldest first."""
    query = Query(request)
    email, platform, status = query.text("email"), query.text("platform"), query.text("status")
    since, after = query.time("created_at__gte"), query.cursor()
    index = workspace.calendars_by_age
    start = index.place(*after) if after else 0
    skip = workspace.page_size if _drops_page(region, workspace, f"GET {CALENDARS}") else 0
    found: list[Calendar] = []
    for when, calendar_id in islice(index.items, start, None):
        calendar = workspace.calendars[calendar_id]
        if (
            (after is not None and (when, calendar_id) <= after)
            or (since is not None and when < since)
            or (email and (calendar.account is None or calendar.account[1] != email))
            or (platform and calendar.platform != platform)
            or (status and calendar.status != status)
            or _hidden(region, calendar_id)
        ):
            continue
        if skip:
            skip -= 1
            continue
        found.append(calendar)
        if len(found) > workspace.page_size:
            break
    page = found[: workspace.page_size]
    next_link = None
    if len(found) > len(page):
        cursor = cursor_at(page[-1].created_at, page[-1].id)
        next_link = query.link(region.base_url, CALENDARS, cursor=cursor)
    return answer(200, {"next": next_link, "previous": None, "results": [_shown(region, one) for one in page]})


def create_calendar(region: Region, workspace: Workspace, request: Request, _: str) -> Response:
    """Create a calendar."""
    return answer(201, _shown(region, workspace.create_calendar(payload(request))))


def get_calendar(region: Region, workspace: Workspace, request: Request, calendar_id: str) -> Response:
    """Read a calendar."""
    if _hidden(region, calendar_id):
        raise not_found()
    return answer(200, _shown(region, workspace.calendar(calendar_id)))


def change_calendar(region: Region, workspace: Workspace, request: Request, calendar_id: str) -> Response:
    """Change a calendar, or let it connect again."""
    return answer(200, _shown(region, workspace.change_calendar(calendar_id, payload(request))))


def delete_calendar(region: Region, workspace: Workspace, request: Request, calendar_id: str) -> Response:
    """Delete a calendar."""
    workspace.delete_calendar(calendar_id)
    return Response(204)


def access_token(region: Region, workspace: Workspace, request: Request, calendar_id: str) -> Response:
    """Return a calendar's access token."""
    return answer(200, workspace.access_token(calendar_id))


def list_events(region: Region, workspace: Workspace, request: Request, _: str) -> Response:
    """List events in the order of their start."""
    query = Query(request)
    wanted = EventFilter(
        calendar_id=query.text("calendar_id"),
        ical_uid=query.text("ical_uid"),
        is_deleted=query.flag("is_deleted"),
        start=query.time("start_time"),
        start_gte=query.time("start_time__gte"),
        start_lte=query.time("start_time__lte"),
        updated_gte=query.time("updated_at__gte"),
    )
    size = workspace.page_size
    skip = size if _drops_page(region, workspace, f"GET {EVENTS}") else 0
    found = workspace.list_events(wanted, after=query.cursor(), skip=skip, count=size + 1)
    page = found[:size]
    next_link = None
    if len(found) > size:
        next_link = query.link(region.base_url, EVENTS, cursor=cursor_at(page[-1].start, page[-1].id))
    texts = ",".join([event.json() for event in page])
    return Response(200, f'{{"next":{dumps(next_link)},"previous":null,"results":[{texts}]}}'.encode())


def get_event(region: Region, workspace: Workspace, request: Request, event_id: str) -> Response:
    """Read an event."""
    return Response(200, workspace.event(event_id).json().encode())


def add_bot(region: Region, workspace: Workspace, request: Request, event_id: str) -> Response:
    """Put a bot on an event."""
    workspace.event(event_id)
    body = payload(request)
    key, config = body.get("deduplication_key"), body.get("bot_config")
    if not isinstance(key, str) or not key:
        raise invalid(deduplication_key="This field is required.")
    if len(key) > 2_000:
        raise invalid(deduplication_key="Ensure this field has no more than 2000 characters.")
    if not isinstance(config, dict):
        raise invalid(bot_config="This field is required.")
    if isinstance(config.get("bot_name"), str) and len(config["bot_name"]) > 100:
        raise invalid(bot_config="bot_name: Ensure this field has no more than 100 characters.")
    return Response(200, workspace.add_bot(event_id, key, config).json().encode())


def remove_bot(region: Region, workspace: Workspace, request: Request, event_id: str) -> Response:
    """Take the bot off an event."""
    return Response(200, workspace.remove_bot(event_id).json().encode())


def _shown(region: Region, calendar: Calendar) -> dict[str, Any]:
    return calendar_json(calendar, certificate_echoed=region.world.switches.certificate_echoed)


def _hidden(region: Region, calendar_id: str) -> bool:
    faults = region.world.faults
    return bool(faults) and faults.hides(region=region.code, calendar_id=calendar_id)


def _drops_page(region: Region, workspace: Workspace, endpoint: str) -> bool:
    faults = region.world.faults
    return bool(faults) and faults.drops_page(region=region.code, workspace=workspace.slug, endpoint=endpoint)
