"""Clients with and without tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
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


def client_of(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})
