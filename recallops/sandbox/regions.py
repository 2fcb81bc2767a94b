"""A region: one deployment of the provider. `handle()` takes a request and returns a response.

The order is the vendor's as far as it was seen: firewall, route (404 as a page), key (401), limit (429), method (405),
then the call itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from recallops.sandbox import api_bots, api_calendars
from recallops.sandbox.messages import (
    FIREWALL_PAGE,
    GATEWAY_PAGE,
    HTML,
    NOT_FOUND_PAGE,
    WRONG_KEY,
    Refused,
    Request,
    Response,
    coded,
    dumps,
)
from recallops.sandbox.request_log import Call
from recallops.sandbox.workspaces import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.faults import Fault
    from recallops.sandbox.world import World

    View = Callable[["Region", Workspace, Request, str], Response]

ROUTES: dict[str, dict[str, View]] = {
    "/api/v2/calendars/": {"GET": api_calendars.list_calendars, "POST": api_calendars.create_calendar},
    "/api/v2/calendars/{id}/": {
        "GET": api_calendars.get_calendar,
        "PATCH": api_calendars.change_calendar,
        "DELETE": api_calendars.delete_calendar,
    },
    "/api/v2/calendars/{id}/access-token/": {"POST": api_calendars.access_token},
    "/api/v2/calendar-events/": {"GET": api_calendars.list_events},
    "/api/v2/calendar-events/{id}/": {"GET": api_calendars.get_event},
    "/api/v2/calendar-events/{id}/bot/": {"POST": api_calendars.add_bot, "DELETE": api_calendars.remove_bot},
    "/api/v1/bot/": {"GET": api_bots.list_bots, "POST": api_bots.create_bot},
    "/api/v1/bot/{id}/": {
        "GET": api_bots.get_bot,
        "PATCH": api_bots.change_bot,
        "DELETE": api_bots.delete_bot,
    },
    "/api/v1/bot/{id}/leave_call/": {"POST": api_bots.leave_call},
}
REMEMBERED = timedelta(hours=1)  # how long an Idempotency-Key answers with the first answer
_SCHEMES = ("token", "bearer")


class Region:
    """One region with its workspaces. It shares nothing with another but the world outside."""

    def __init__(self, world: World, code: str, base_url: str) -> None:
        self.world = world
        self.code = code
        self.base_url = base_url.rstrip("/")
        self.workspaces: dict[str, Workspace] = {}
        self.keys: dict[str, str] = {}

    def add_workspace(
        self,
        slug: str,
        *,
        api_key: str | None = None,
        webhook_secret: str | None = None,
        rate_factor: float = 1.0,
        svix: bool | None = None,
    ) -> Workspace:
        """Open a workspace with one API key."""
        if slug in self.workspaces:
            raise ValueError(f"{self.code} has a workspace {slug} already")
        workspace = Workspace(
            self.world,
            self.code,
            slug,
            api_key=api_key,
            webhook_secret=webhook_secret,
            rate_factor=rate_factor,
            svix=svix,
        )
        self.workspaces[slug] = workspace
        self.learn_keys(slug)
        return workspace

    def learn_keys(self, slug: str) -> None:
        """Take over which keys open a workspace."""
        kept = {key: owner for key, owner in self.keys.items() if owner != slug}
        self.keys = kept | dict.fromkeys(self.workspaces[slug].api_keys, slug)

    # --- one call -----------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer one call, after everything that was due before it has happened."""
        now = self.world.advance()
        template, item = _route(request.path)
        views = ROUTES.get(template)
        label = f"{request.method} {template}" if views is not None else f"{request.method} *"
        opened = self._open(request.headers.get("authorization"))
        workspace = None if isinstance(opened, Refused) else opened
        slug = workspace.slug if workspace is not None else ""
        faults: list[Fault] = []
        if self.world.faults:
            faults = self.world.faults.of_call(region=self.code, workspace=slug, method=request.method, endpoint=label)
        latency = sum(fault.seconds for fault in faults if fault.kind == "latency")
        response = self._prevented(request, workspace, faults)
        if response is None:
            try:
                response = self._answer(request, label, item, opened, latency)
            except Refused as refused:
                response = _refusal(refused)
            for fault in faults:
                response = _spoiled(fault, response)
        if latency:
            response = replace(response, latency=latency)
        status = 0 if response.dropped else response.status
        self.world.log.add(Call(now, self.code, slug, request.method, label, status))
        return response

    def _answer(
        self,
        request: Request,
        label: str,
        item: str,
        opened: Workspace | Refused,
        latency: float,
    ) -> Response:
        body = request.body
        if body and (
            request.method in ("GET", "HEAD")
            or (self.world.switches.refuse_localhost and (b"//localhost" in body or b"//127.0.0.1" in body))
        ):
            return Response(403, FIREWALL_PAGE, HTML)
        views = ROUTES.get(label.partition(" ")[2])
        if views is None:
            return Response(404, NOT_FOUND_PAGE, HTML)
        allow = ", ".join([*views, "HEAD", "OPTIONS"] if "GET" in views else [*views, "OPTIONS"])
        if isinstance(opened, Refused):
            opened.headers.update({"WWW-Authenticate": "Token", "Allow": allow})
            raise opened
        workspace = opened
        limit = workspace.limit(label)
        if limit is not None:
            wait = workspace.windows.wait(label, limit, self.world.now().timestamp())
            if wait:
                raise throttled(wait)
        view = views.get(request.method)
        if view is None:
            raise coded(405, "method_not_allowed", f'Method "{request.method}" not allowed.', Allow=allow)
        return self._under_its_key(view, request, item, workspace, latency)

    def _under_its_key(self, view: View, request: Request, item: str, workspace: Workspace, latency: float) -> Response:
        """Carry out a call; one under an Idempotency-Key once an hour, whatever the answer was."""
        key = request.headers.get("idempotency-key")
        if not key or request.method not in ("POST", "PUT", "PATCH"):
            return view(self, workspace, request, item)
        now = self.world.now()
        name = (request.path.rstrip("/"), key)
        kept = workspace.idempotent.get(name)
        if kept is not None and now - kept[0] < REMEMBERED:
            if now < kept[1]:
                raise coded(409, "conflict", "A request with this Idempotency-Key is still being processed.")
            return kept[2]
        try:
            response = view(self, workspace, request, item)
        except Refused as refused:
            response = _refusal(refused)
        remember(workspace, name, now, now + timedelta(seconds=latency), response)
        return response

    def _open(self, header: str | None) -> Workspace | Refused:
        """Return the workspace that a header opens, or why it opens none."""
        if not header:
            return coded(401, "not_authenticated", "Authentication credentials were not provided.")
        words = header.split()
        if len(words) > 1 and words[0].lower() not in _SCHEMES:
            return coded(401, "authentication_failed", "Invalid token header. No credentials provided.")
        slug = self.keys.get(words[-1]) if words else None
        if slug is None:
            return coded(401, "authentication_failed", WRONG_KEY)
        return self.workspaces[slug]

    # --- planned trouble ----------------------------------------------------------------------------------------

    def _prevented(self, request: Request, workspace: Workspace | None, faults: list[Fault]) -> Response | None:
        """Return what is answered instead, when a fault keeps the call from being carried out (now)."""
        for fault in faults:
            if fault.kind == "drop" and fault.when != "after":
                if fault.when == "connect":
                    return Response(0, dropped=True, refused=True)
                late = self.world.switches.late_commit
                if fault.when == "late" or late:
                    self.world.after(fault.seconds or late, self._carry_out_late, request)
                return Response(0, dropped=True)
            if fault.kind == "html" and (fault.status or 200) // 100 == 4:  # a firewall's: it lets nothing through
                return _page(fault)
            if fault.kind == "status" and not fault.commit:
                response = _planned(fault)
                key = request.headers.get("idempotency-key")
                if fault.status == 507 and key and workspace is not None:
                    now = self.world.now()
                    remember(workspace, (request.path.rstrip("/"), key), now, now, response)
                return response
        return None

    def _carry_out_late(self, request: Request) -> None:
        """Carry out a call whose connection is long gone. Nobody hears the answer."""
        template, item = _route(request.path)
        view = ROUTES.get(template, {}).get(request.method)
        workspace = self._open(request.headers.get("authorization"))
        if view is None or isinstance(workspace, Refused):
            return
        with suppress(Refused):
            self._under_its_key(view, request, item, workspace, 0.0)


def throttled(wait: int) -> Refused:
    """Return the refusal of a call too many."""
    detail = f"Request was throttled. Expected available in {wait} seconds."
    return coded(429, "throttled", detail, **{"Retry-After": str(wait)})


def remember(workspace: Workspace, name: tuple[str, str], now: datetime, done_at: datetime, response: Response) -> None:
    """Keep an answer for an hour under path and Idempotency-Key; forget those whose hour is over."""
    kept = workspace.idempotent
    kept.pop(name, None)
    while kept and now - next(iter(kept.values()))[0] >= REMEMBERED:
        del kept[next(iter(kept))]
    kept[name] = (now, done_at, response)


def _route(path: str) -> tuple[str, str]:
    """Return the path's template and the id in it; with or without a slash at the end."""
    parts = path.strip("/").split("/")
    if len(parts) == 3:
        return f"/{parts[0]}/{parts[1]}/{parts[2]}/", ""
    if len(parts) == 4:
        return f"/{parts[0]}/{parts[1]}/{parts[2]}/{{id}}/", parts[3]
    if len(parts) == 5:
        return f"/{parts[0]}/{parts[1]}/{parts[2]}/{{id}}/{parts[4]}/", parts[3]
    return path, ""


def _refusal(refused: Refused) -> Response:
    return Response(refused.status, dumps(refused.body).encode(), headers=refused.headers)


def _planned(fault: Fault) -> Response:
    """Return the answer that a `status` fault gives."""
    status = fault.status or 500
    if status == 429:
        return _refusal(throttled(fault.retry_after if fault.retry_after is not None else 1))
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if status == 507:
        return _refusal(coded(507, "insufficient_bots", "Not enough bots available.", **headers))
    if status == 409:
        return _refusal(coded(409, "conflict", "Conflict.", **headers))
    return Response(status, GATEWAY_PAGE % (status, status), HTML, headers)


def _page(fault: Fault) -> Response:
    """Return the web page of whoever stands between."""
    return Response(fault.status or 200, b"<html><body>Please wait...</body></html>", HTML)


def _spoiled(fault: Fault, response: Response) -> Response:
    """Return the answer of a call that was carried out, as the fault lets it arrive."""
    if fault.kind == "drop":
        return replace(response, dropped=True)
    if fault.kind == "status":
        return _planned(fault)
    if fault.kind == "html":
        return _page(fault)
    if fault.kind == "truncated":
        return replace(response, body=response.body[: len(response.body) // 2])
    if fault.kind == "oversized":
        return replace(response, body=response.body + b" " * (fault.size - len(response.body)))
    return response
