"""Clients with and without tokens."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from tests.admin import builders as make


@pytest.fixture
def app(db: None) -> Client:
    """The company's application: may read everything."""
    return client_of(make.make_token()[1])


@pytest.fixture
def app_that_reads(db: None) -> Callable[..., Client]:
    """An application that may read some things."""
    return lambda *scopes: client_of(make.make_token(*scopes)[1])


# Transactions are numbered for the whole server: tests beside these, in databases of their own, hold rows back.
_HELD_BACK = """
SELECT (SELECT max(changed_in) FROM calendars_idmapping)
        >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
   AND NOT EXISTS (SELECT 1 FROM pg_stat_activity
                   WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid())
"""


def wait_for_others() -> None:
    """Wait until no transaction in another database holds back what this one has committed."""
    until = time.monotonic() + 120
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(_HELD_BACK)
            if not cursor.fetchone()[0]:
                return
            time.sleep(0.05)
    raise AssertionError("A transaction in another database does not end.")


def client_of(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})
