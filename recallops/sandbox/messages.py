"""Requests and responses of a region, and the error bodies that the vendor is known to send."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

JSON = "application/json"
HTML = "text/html; charset=utf-8"

NOT_FOUND_PAGE = (
    b'<!doctype html>\n<html lang="en">\n<head><title>Not Found</title></head>\n<body>\n  <h1>Not Found</h1>'
    b"<p>The requested resource was not found on this server.</p>\n</body>\n</html>\n"
)
FIREWALL_PAGE = (
    b"<!DOCTYPE HTML>\n<html><head><title>ERROR: The request could not be satisfied</title></head><body>\n"
    b"<h1>403 ERROR</h1>\n<h2>The request could not be satisfied.</h2>\n<hr>\nRequest blocked.\n</body></html>\n"
)
GATEWAY_PAGE = b"<html>\n<head><title>%d</title></head>\n<body><center><h1>%d</h1></center></body>\n</html>\n"

WRONG_KEY = (
    "Invalid API token. The API token provided might be for another Recall region (such as us-east-1, us-west-2, "
    "eu-central-1, or ap-northeast-1). Verify token is valid and belongs to the correct region."
)


@dataclass(slots=True)
class Request:
    """One call as it reaches a region. Header names are lower case; `path` has no query."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Response:
    """What a region answers. The doors carry out `latency` (seconds) and `dropped` (no answer at all)."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    latency: float = 0.0
    dropped: bool = False
    refused: bool = False  # dropped before anything was sent: no connection


class Refused(Exception):
    """The region says no: a status and a body."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def dumps(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def answer(status: int, value: Any) -> Response:
    """Return a JSON response."""
    return Response(status, dumps(value).encode())


def iso(when: datetime | None) -> str | None:
    """Return a time as the vendor writes it: UTC with a Z."""
    return None if when is None else when.isoformat().replace("+00:00", "Z")


def http_date(when: datetime) -> str:
    """Return a time as the `Date` header has it."""
    return format_datetime(when, usegmt=True)


def parse_time(text: str) -> datetime:
    """Read an ISO time; without a zone it is UTC. Raises ValueError."""
    when = datetime.fromisoformat(text)
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def not_found() -> Refused:
    """Return the refusal of an unknown id."""
    return Refused(404, {"code": "not_found", "detail": "Not found."})


def invalid(**errors: str) -> Refused:
    """Return a refusal in the envelope of Calendar V2."""
    return Refused(
        400,
        {
            "code": "invalid_request_data",
            "message": "Unable to process request because invalid data was submitted. "
            "Check `errors` field for more details.",
            "errors": {name: [text] for name, text in errors.items()},
        },
    )


def field_errors(**errors: str) -> Refused:
    """Return a refusal as a plain map of fields: bot endpoints of v1, and query parameters."""
    return Refused(400, {name: [text] for name, text in errors.items()})


def coded(status: int, code: str, detail: str, **headers: str) -> Refused:
    """Return a refusal as `{code, detail}`."""
    return Refused(status, {"code": code, "detail": detail}, headers)
