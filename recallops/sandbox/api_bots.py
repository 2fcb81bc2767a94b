"""Bots over HTTP (v1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from recallops.sandbox.bots import DEFAULT_NAME
from recallops.sandbox.links import platform_of
from recallops.sandbox.messages import Response, answer, coded, field_errors, iso
from recallops.sandbox.paging import Query
from recallops.sandbox.payload import payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recallops.sandbox.messages import Request
    from recallops.sandbox.records import Bot
    from recallops.sandbox.regions import Region
    from recallops.sandbox.workspaces import Workspace

BOTS = "/api/v1/bot/"
# What a bot's configuration may name; anything else in it is ignored.
_CONFIG = (
    "recording_config",
    "output_media",
    "automatic_video_output",
    "automatic_audio_output",
    "chat",
    "automatic_leave",
    "variant",
    "zoom",
    "google_meet",
    "breakout_room",
)


def list_bots(region: Region, workspace: Workspace, request: Request, _: str) -> Response:
    """List bots by page: scheduled ones in the order of their join time, then those that have joined."""
    query = Query(request)
    found = _filtered(workspace, query)
    page_text = query.text("page") or "1"
    page = int(page_text) if page_text.isascii() and page_text.isdigit() else 0
    size = workspace.page_size
    if page < 1 or (page > 1 and (page - 1) * size >= len(found)):
        raise coded(404, "not_found", "Invalid page.")
    first = (page - 1) * size
    if region.world.faults and region.world.faults.drops_page(
        region=region.code, workspace=workspace.slug, endpoint=f"GET {BOTS}"
    ):
        first += size
    has_next = first + size < len(found)
    value = {
        "count": len(found),
        "next": query.link(region.base_url, BOTS, page=str(page + 1)) if has_next else None,
        "previous": query.link(region.base_url, BOTS, page=str(page - 1)) if page > 1 else None,
        "results": [bot_json(workspace.bots[bot_id]) for bot_id in found[first : first + size]],
    }
    return answer(200, value)


def create_bot(region: Region, workspace: Workspace, request: Request, _: str) -> Response:
    """Make a stand-alone bot."""
    return answer(201, bot_json(workspace.create_bot(_config(payload(request)))))


def get_bot(region: Region, workspace: Workspace, request: Request, bot_id: str) -> Response:
    """Read a bot."""
    return answer(200, bot_json(workspace.bot(bot_id)))


def change_bot(region: Region, workspace: Workspace, request: Request, bot_id: str) -> Response:
    """Change a scheduled stand-alone bot."""
    return answer(200, bot_json(workspace.change_bot(bot_id, _config(payload(request)))))


def delete_bot(region: Region, workspace: Workspace, request: Request, bot_id: str) -> Response:
    """Delete a scheduled bot."""
    workspace.delete_bot(bot_id)
    return Response(204)


def leave_call(region: Region, workspace: Workspace, request: Request, bot_id: str) -> Response:
    """Send a bot home."""
    return answer(200, bot_json(workspace.leave_call(bot_id)))


def bot_json(bot: Bot) -> dict[str, Any]:
    """Return a bot as the API shows it. Nothing in it names the calendar event that it was made for."""
    config = bot.config
    shown: dict[str, Any] = {
        "id": bot.id,
        "meeting_url": _meeting_url(bot.meeting_url),
        "bot_name": config.get("bot_name") or DEFAULT_NAME,
        "join_at": iso(bot.join_at) if bot.scheduled else None,
        "status_changes": bot.status_changes,
        "recordings": [],
        "calendar_meetings": [],
        "slack_team": None,
        "metadata": config.get("metadata") or {},
    }
    for name in _CONFIG:
        shown[name] = config.get(name)
    return shown


def _filtered(workspace: Workspace, query: Query) -> list[str]:
    after, before = query.time("join_at_after"), query.time("join_at_before")
    index = workspace.bots_by_join
    low = index.place(after) if after is not None else 0
    high = index.place(before) if before is not None else len(index)
    found: Iterable[str] = (item for _, item in index.items[low:high])
    if after is None and before is None:
        found = [*found, *workspace.bots_joined]
    statuses, platforms, url = query.all("status"), query.all("platform"), query.text("meeting_url")
    metadata = [(name[10:], value) for name, value in query.pairs if name.startswith("metadata__")]
    if not (statuses or platforms or url or metadata):
        return list(found)
    kept = []
    for bot_id in found:
        bot = workspace.bots[bot_id]
        tags = bot.config.get("metadata") or {}
        if (
            (not statuses or bot.status in statuses)
            and (not platforms or platform_of(bot.meeting_url) in platforms)
            and (not url or bot.meeting_url == url)
            and all(tags.get(name) == value for name, value in metadata)
        ):
            kept.append(bot_id)
    return kept


def _config(body: dict[str, Any]) -> dict[str, Any]:
    name = body.get("bot_name")
    if isinstance(name, str) and len(name) > 100:
        raise field_errors(bot_name="Ensure this field has no more than 100 characters.")
    return body


def _meeting_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    shown: dict[str, Any] = {"meeting_id": parts.path.rpartition("/")[2], "platform": platform_of(url)}
    zoom = re.search(r"/j/(\d+)", parts.path)
    if zoom:
        shown["meeting_id"] = zoom.group(1)
        shown["meeting_password"] = parse_qs(parts.query).get("pwd", [None])[0]
    return shown
