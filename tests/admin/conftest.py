"""The cast: people with different permissions, one moment that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from recallops import clock
from tests.admin.builders import NOON, make_staff

if TYPE_CHECKING:
    from django.http import HttpResponse


@pytest.fixture(autouse=True)
def time_stands_still() -> Iterator[clock.ManualClock]:
    moment = clock.ManualClock(NOON)
    with clock.use(moment):
        yield moment


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Any) -> None:
    """Half a second for each person of the cast is what a strong hash costs; nobody breaks in here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def chief(db: None) -> Client:
    """May everything."""
    client = Client()
    client.force_login(make_staff("chief", superuser=True))
    return client


@pytest.fixture
def driver(db: None) -> Client:
    """May look at and drive batches, nothing else."""
    client = Client()
    rights = [*(f"{act}_batch" for act in ("view", "add", "change")), "delete_old", "waive_blocking"]
    rights += ["view_item", "view_finding", "change_finding", "view_rehearsal", "view_sharegroup"]
    client.force_login(
        make_staff("driver", permissions=tuple(f"migrations_app.{right}" for right in (*rights, "view_sharegroup")))
    )
    return client


@pytest.fixture
def looker(db: None) -> Client:
    """May look at everything and change nothing."""
    client = Client()
    rights = [
        *(
            f"migrations_app.view_{name}"
            for name in (
                "alert",
                "alertchannel",
                "approval",
                "batch",
                "finding",
                "inquiry",
                "item",
                "mailtemplate",
                "message",
                "rehearsal",
                "reportkey",
                "sharegroup",
                "statuslink",
            )
        ),
        *(
            f"calendars.view_{name}"
            for name in (
                "apikey",
                "apitoken",
                "application",
                "applicationsecret",
                "assignment",
                "auditentry",
                "bot",
                "calendar",
                "connection",
                "customer",
                "customercontact",
                "endpointlimit",
                "event",
                "idmapping",
                "intent",
                "oauthclient",
                "providercall",
                "region",
                "relayed",
                "workspace",
                "delivery",
                "webhookendpoint",
                "webhookrefusal",
                "webhooksecret",
                "botprofile",
                "recordingchoice",
                "recordingpolicy",
            )
        ),
    ]
    client.force_login(make_staff("looker", permissions=tuple(rights)))
    return client


@pytest.fixture
def get(db: None) -> Callable[[Client, str], tuple[HttpResponse, list[str]]]:
    """Fetch a page and the queries it took; the savepoints of the test's own transaction are none of the page's."""

    def fetch(client: Client, url: str) -> tuple[HttpResponse, list[str]]:
        ContentType.objects.clear_cache()  # as in a process that serves its first page
        with CaptureQueriesContext(connection) as captured:
            response = client.get(url)
        queries = [one["sql"] for one in captured.captured_queries]
        # nor is the note in the session, once a minute, that its person is still there
        notes = ("SAVEPOINT", 'UPDATE "django_session"')
        return response, [sql for sql in queries if not any(note in sql for note in notes)]

    return fetch
