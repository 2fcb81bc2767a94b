"""A company's own application schedules behind the relay while its calendars move: nothing missed, nothing doubled."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.conf import LazySettings

from calendars.models import Intent
from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item, ShareGroup
from tests.relaying import Relaying

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = {"soak": timedelta(hours=1), "canary_wait": timedelta(minutes=10), "sweep_every": timedelta(minutes=30)}
DOMAIN = "northwind.example"


@pytest.fixture(autouse=True)
def private_network(settings: LazySettings) -> None:
    """Let the sample application be on this machine."""
    settings.RELAY_PRIVATE = True


def office(people: int, *, teams: int, seed: int = 1, days: int = 3, **options: object) -> Relaying:
    """Return a company with teams that meet in working hours, and people with meetings of their own."""
    chance = random.Random(seed)
    emails = tuple(f"p{number:02}@{DOMAIN}" for number in range(people))
    stand = Relaying(people=emails, batches=0, room=16, **{**SHORT, **options})  # type: ignore[arg-type]
    for day in range(days):
        for number in range(teams):
            team = emails[number::teams]
            hour = 24.0 * day + 2 + chance.randrange(16) / 2
            stand.want(stand.meet(f"team {number}", hour, *team, bot=False), *team)
            for email in team:
                hour = 24.0 * day + 2 + chance.randrange(18) / 2 + 0.25 * chance.randrange(2)
                stand.want(stand.meet(f"own of {email}", hour, email, bot=False, minutes=25), email)
    return stand


def the_batch(stand: Relaying) -> Batch:
    stand.batch = stand.new_batch("move")
    return stand.batch


def test_fifty_calendars_go_over_and_no_meeting_is_missed_or_doubled() -> None:
    stand = office(50, teams=12)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    batch = the_batch(stand)
    stand.allow(Step.CLEAN_UP, batch)
    stand.run()
    batch.refresh_from_db()
    assert batch.status == "closed", stand.where()
    assert set(Item.objects.filter(kind="connection").values_list("status", flat=True)) == {"done"}
    assert set(ShareGroup.objects.values_list("state", flat=True)) == {"settled"}
    assert ShareGroup.objects.count() >= 12
    stand.assert_in_order()
    assert max(stand.sample.ids.values()) == 1
    assert not Intent.objects.filter(purpose=Intent.Purpose.ADD_BOT).exists()
    stand.assert_proven()
