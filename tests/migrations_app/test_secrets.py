"""What opens calendars stands nowhere but in cipher columns: not in a table, on a page, in a report or in a log."""

from __future__ import annotations

import json
import logging

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from calendars.models import ApiKey, Connection
from migrations_app.itineraries import Step
from migrations_app.report import build
from tests.harness import Move
from tests.secret_places import secrets_of, tables_of

pytestmark = pytest.mark.django_db(transaction=True)

UNUSABLE = ("html", "truncated", "status")  # answers of each kind on the way: errors speak, too


@pytest.fixture
def reader() -> Client:
    """Return the browser of somebody who may see everything."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("chief", "chief@acme.example", "…"))
    return client


def test_a_move_with_trouble_leaves_no_secret_behind(reader: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    move = Move(odd={"certificate": 1, "tokenless": 1})
    secrets = secrets_of(move.world)
    for number, kind in enumerate(UNUSABLE):
        move.world.faults.add(kind, nth=7 + number, times=3, **({"status": 500} if kind == "status" else {}))
    found: dict[str, list[str]] = {}

    def look(moment: str) -> None:
        places = {f"table {name}": text for name, text in tables_of(_plain()).items()}
        places |= {f"page {url}": reader.get(url).content.decode() for url in _pages()}
        places |= {"report": json.dumps(build(move.batch, whole=True), default=str), "log": caplog.text}
        assert "GET /api/v2/calendars/" in caplog.text
        assert len(places) > 60
        for name, text in places.items():
            if any(secret in text for secret in secrets):
                found.setdefault(moment, []).append(name)

    move.allow(Step.VERIFY)
    move.run()
    assert {row.secret for row in ApiKey.objects.all()} <= secrets
    assert {row.refresh_token for row in Connection.objects.filter(workspace=move.source)} - {""} <= secrets
    look("while the credentials are kept")
    move.allow(Step.CLEAN_UP)
    move.run()
    look("in the end")
    assert found == {}


def test_credentials_that_were_copied_are_gone_in_the_end() -> None:
    move = Move()
    move.finish()
    kept = Connection.objects.values_list("refresh_token", "oauth_client_secret")
    assert set(kept) == {("", "")}


def _plain() -> object:
    """Return the connection beneath Django's."""
    connection.ensure_connection()
    return connection.connection


def _pages() -> list[str]:
    """Return the address of each list, and of a few of its rows."""
    pages = [reverse("admin:index")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        rows = model._default_manager.order_by("-pk").values_list("pk", flat=True)[:3]
        pages += [reverse(f"{name}_change", args=[pk]) for pk in rows]
        if model._meta.model_name == "batch":
            pages += [reverse(f"{name}_{view}", args=[pk]) for pk in rows for view in ("report", "live")]
    return pages
