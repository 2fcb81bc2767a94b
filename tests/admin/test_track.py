"""The track of a batch: how long what is left takes, what waits for a press, and when anything last gave a sign."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from calendars.models import Handover
from calendars.providers.recall_endpoints import LIST_EVENTS
from migrations_app.admin.track import time_left
from migrations_app.itineraries import Step
from migrations_app.models import Batch, ItemStatus
from migrations_app.planner import SOURCE, Load
from recallops.admin_display import ago
from recallops.models import WorkerHeartbeat
from tests.admin import builders as make

LOAD = Load(calendars=100, events_source=6000, meetings=500, adds=600, removes=600)
TEN_A_MINUTE = {SOURCE: {LIST_EVENTS: 10.0}}


def moving(**fields: object) -> Batch:
    return Batch(**{"handover": Handover(), "planned": asdict(LOAD), **fields})


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "about 7 minutes at the list-events limit"),
        (0.5, "about 4 minutes at the list-events limit"),
        (0.01, "about a minute at the list-events limit"),
        (0.0, ""),
    ],
)
def test_a_step_says_how_long_the_rest_of_it_takes_at_which_limit(share: float, said: str) -> None:
    assert time_left(moving(), Step.EXPORT, TEN_A_MINUTE, share=share) == said


def test_nothing_is_said_of_time_where_it_is_not_known() -> None:
    assert time_left(moving(planned={}), Step.EXPORT, TEN_A_MINUTE, share=1.0) == "", "nobody has counted yet"
    assert time_left(moving(), Step.RECREATE, TEN_A_MINUTE, share=1.0) == "", "no limit bounds it"
    assert time_left(moving(handover=Handover(backwards=True)), Step.EXPORT, TEN_A_MINUTE, share=1.0) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s ago"),
        (-1, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (48 * 3600, "2 days ago"),
    ],
)
def test_spans_of_the_past_are_said_in_one_unit(seconds: int, said: str) -> None:
    assert ago(timedelta(seconds=seconds)) == said


@pytest.mark.django_db
def test_what_waits_for_nothing_but_a_press_says_so(driver: Client) -> None:
    batch = make.make_batch(goal=Step.EXPORT, step=Step.RECREATE)
    for _ in range(3):
        make.make_item(batch, step=Step.RECREATE, status=ItemStatus.READY)
    waits = driver.get(reverse("admin:migrations_app_batch_live", args=[batch.pk])).context["waits"]
    assert [(one.count, one.what, one.reason) for one in waits] == [
        (3, "calendars", "“Recreate” is not allowed yet: it waits for that press.")
    ]
    Batch.objects.filter(pk=batch.pk).update(goal=Step.RECREATE)
    assert driver.get(reverse("admin:migrations_app_batch_live", args=[batch.pk])).context["waits"] == []


@pytest.mark.django_db
def test_the_page_says_when_the_workers_last_gave_a_sign_and_when_something_last_changed(driver: Client) -> None:
    batch = make.make_batch(changed_at=make.NOON - timedelta(seconds=40))
    url = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    assert "last sign of life" not in driver.get(url).content.decode()
    WorkerHeartbeat.objects.create(host="one", pid=1, started_at=make.NOON)
    WorkerHeartbeat.objects.update(beaten_at=Now() - timedelta(seconds=3))
    page = driver.get(url).content.decode()
    assert re.search(r"last sign of life \d+ s ago", page)
    assert "workers alive" in page
    assert "40 s ago" in page
    WorkerHeartbeat.objects.update(beaten_at=Now() - timedelta(minutes=5))
    page = driver.get(url).content.decode()
    assert "last sign of life 5 min ago" in page
    assert "no worker alive" in page
