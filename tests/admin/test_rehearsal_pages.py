"""Rehearsals in the admin: asked for by a button, stopped by a button, and never taken for the real thing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from migrations_app import rehearsals
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Rehearsal, RehearsalState
from tests.admin.builders import NOON, make_batch, make_connection, make_event
from tests.rehearsal.results import result

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch() -> Batch:
    found = make_batch()
    make_event(make_connection(found.source))
    return found


def _done(batch: Batch, **changes: Any) -> Rehearsal:
    return Rehearsal.objects.create(
        batch=batch, asked_at=NOON, state=RehearsalState.DONE, ended_at=NOON, result=result(**changes)
    )


def _page(client: Client, row: Rehearsal) -> str:
    return client.get(reverse("admin:migrations_app_rehearsal_change", args=[row.pk])).content.decode()


def _batch_page(client: Client, batch: Batch) -> str:
    return client.get(reverse("admin:migrations_app_batch_change", args=[batch.pk])).content.decode()


def test_the_button_asks_for_a_rehearsal(batch: Batch, driver: Client) -> None:
    address = reverse("admin:migrations_app_batch_rehearse", args=[batch.pk])
    assert address in _batch_page(driver, batch)
    row = rehearsals.ask(batch, actor=None)
    page = _batch_page(driver, batch)
    assert address not in page
    assert "One is under way" in page
    assert reverse("admin:migrations_app_rehearsal_change", args=[row.pk]) in page


def test_without_the_right_or_in_the_wrong_state_there_is_a_sentence_instead(
    batch: Batch, looker: Client, driver: Client
) -> None:
    address = reverse("admin:migrations_app_batch_rehearse", args=[batch.pk])
    assert address not in _batch_page(looker, batch)
    Batch.objects.filter(pk=batch.pk).update(goal=Step.RECREATE)
    page = _batch_page(driver, batch)
    assert address not in page
    assert "This batch has begun to write" in page


def test_every_page_and_file_says_that_it_is_a_rehearsal(batch: Batch, looker: Client) -> None:
    row = _done(batch)
    page = _page(looker, row)
    assert f"REHEARSAL of {batch}" in page
    assert "Nothing on this page has happened" in page
    file = looker.get(reverse("admin:migrations_app_rehearsal_json", args=[row.pk]))
    assert file["Content-Disposition"] == f'attachment; filename="REHEARSAL-{batch.slug}-{row.pk}.json"'
    assert file.json()["held"]["wanted"] == 6


def test_a_result_says_how_long_why_and_what_to_do(batch: Batch, looker: Client) -> None:
    row = _done(batch, items={"user": 2}, reasons=[["user", "The provider shows no <b>token</b>.", 2]])
    page = _page(looker, row)
    assert "26 h 30 min" in page
    assert "2 calendars will wait for their users." in page
    assert "Let them connect again before the move" in page
    assert "The provider shows no &lt;b&gt;token&lt;/b&gt;." in page
    assert "about 2 minutes, bound by GET /api/v1/bot/ in us-west-2" in page
    assert "2 calendars will wait for their users." in _batch_page(looker, batch)
    listed = looker.get(reverse("admin:migrations_app_rehearsal_changelist")).content.decode()
    assert "2 calendars will wait for their users." in listed


def test_one_under_way_says_what_it_is_at_and_can_be_stopped(batch: Batch, driver: Client, looker: Client) -> None:
    row = rehearsals.ask(batch, actor=None)
    assert "The workers begin it within seconds" in _page(looker, row)
    progress = {"phase": "playing", "step": "hand_over", "hours": 3.5, "calls": 812}
    Rehearsal.objects.filter(pk=row.pk).update(state=RehearsalState.RUNNING, progress=progress)
    page = _page(driver, row)
    assert "Plays the move." in page
    assert "3.5 hours of the move, 812 calls" in page
    assert reverse("admin:migrations_app_rehearsal_stop", args=[row.pk]) in page
    assert reverse("admin:migrations_app_rehearsal_stop", args=[row.pk]) not in _page(looker, row)


def test_one_that_failed_says_why(batch: Batch, looker: Client) -> None:
    row = Rehearsal.objects.create(
        batch=batch, asked_at=NOON, state=RehearsalState.FAILED, reason="It was cut off <i>here</i>."
    )
    assert "It was cut off &lt;i&gt;here&lt;/i&gt;." in _page(looker, row)


def test_a_rehearsal_that_is_not_there_is_not_found(looker: Client) -> None:
    for name in ("change", "json"):
        assert looker.get(reverse(f"admin:migrations_app_rehearsal_{name}", args=[10**6])).status_code == 404
