"""Answers as the vendor's reference shows them, and a client on a transport that gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from calendars.providers.calls import NoBudget
from calendars.providers.recall import RecallClient

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "https://us-west-2.recall.ai"
KEY = "3f9c1e7ab2d84c5e9f60a1b2c3d4e5f6a7b8c9d0"
REFRESH_TOKEN = "1//0gPlantedRefreshTokenOfAlice-abcdefghijk"
CLIENT_SECRET = "GOCSPX-PlantedClientSecret99"

WRONG_REGION = {
    "code": "authentication_failed",
    "detail": "Invalid API token. The API token provided might be for another Recall region (such as us-east-1, "
    "us-west-2, eu-central-1, or ap-northeast-1). Verify token is valid and belongs to the correct region.",
}
WAF_PAGE = "<html><head><title>ERROR</title></head><body><h1>403 ERROR</h1><p>Request blocked.</p></body></html>"
UNROUTED_PAGE = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"


def calendar(**changes: Any) -> dict[str, Any]:
    return {
        "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "oauth_client_id": "123.apps.googleusercontent.com",
        "oauth_client_secret": CLIENT_SECRET,
        "oauth_refresh_token": REFRESH_TOKEN,
        "platform": "google_calendar",
        "webhook_url": None,
        "oauth_email": "alice@example.com",
        "platform_email": None,
        "status": "connecting",
        "status_changes": [{"status": "connecting", "created_at": "2025-06-10T18:56:10.974000Z"}],
        "created_at": "2025-06-10T18:56:10.974000Z",
        "updated_at": "2025-06-10T18:56:10.974000Z",
    } | changes


def event(**changes: Any) -> dict[str, Any]:
    return {
        "id": "0a1b2c3d-0000-4000-8000-000000000001",
        "calendar_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "platform": "google_calendar",
        "platform_id": "google-event-1",
        "ical_uid": "google-event-1@google.com",
        "start_time": "2026-01-05T15:00:00Z",
        "end_time": "2026-01-05T15:30:00Z",
        "meeting_platform": "google_meet",
        "meeting_url": "https://meet.google.com/abc-defg-hij",
        "is_deleted": False,
        "bots": [
            {
                "bot_id": "b0b0b0b0-0000-4000-8000-000000000001",
                "start_time": "2026-01-05T15:00:00Z",
                "deduplication_key": "2026-01-05T15:00:00Z-https://meet.google.com/abc-defg-hij",
                "meeting_url": "https://meet.google.com/abc-defg-hij",
            }
        ],
        "raw": {"summary": "Weekly", "status": "confirmed"},
        "created_at": "2026-01-01T08:00:00Z",
        "updated_at": "2026-01-01T08:00:00Z",
    } | changes


def bot(**changes: Any) -> dict[str, Any]:
    return {
        "id": "b0b0b0b0-0000-4000-8000-000000000001",
        "meeting_url": {"meeting_id": "abc-defg-hij", "platform": "google_meet"},
        "bot_name": "Meeting Notetaker",
        "join_at": "2026-01-05T15:00:00Z",
        "recording_config": {},
        "status_changes": [{"code": "ready", "message": None, "created_at": "2026-01-01T08:00:00Z", "sub_code": None}],
        "recordings": [],
        "metadata": {"customer": "acme"},
    } | changes


def listed(*items: dict[str, Any], next: str | None = None) -> dict[str, Any]:
    return {"next": next, "previous": None, "results": list(items)}


class Recorder:
    """A provider that gives prepared answers in turn (the last one for ever) and keeps the requests it saw."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    @property
    def count(self) -> int:
        return len(self.requests)

    def body(self, at: int = -1) -> Any:
        return json.loads(self.requests[at].content)


def client_of(recorder: Callable[[httpx.Request], httpx.Response], **options: Any) -> RecallClient:
    options = {"base_url": BASE, "api_key": KEY, "budget": NoBudget(), "sleep": lambda seconds: None} | options
    return RecallClient(transport=httpx.MockTransport(recorder), **options)


def answering(status: int = 200, **content: Any) -> Recorder:
    return Recorder(lambda request: httpx.Response(status, **content))
