"""Many webhooks, in any order, doubled and late: in the end we hold what a fresh reading shows, for few calls."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from calendars import sync
from calendars.models import Delivery, Event, Sweep
from recallops.sandbox import webhooks
from tests.harness import SOURCE
from tests.standing import SECRET, Stand, carry

pytestmark = pytest.mark.django_db(transaction=True)

SPAN = timedelta(hours=6)
A_MINUTE = 4  # changes


class Post:
    """Carries webhooks badly: each after a while of its own, half of them twice."""

    def __init__(self, stand: Stand, chance: random.Random) -> None:
        self.stand, self.chance = stand, chance
        self.bag: list[tuple[datetime, int, webhooks.Outgoing]] = []
        self.count = 0

    def take(self, outgoing: webhooks.Outgoing) -> int:
        """Take a webhook from the region, and say that it was delivered."""
        for _ in range(1 + (self.chance.random() < 0.5)):
            late = self.chance.choice((0, 0, 5, 60, 600, 3600)) * self.chance.random()
            heapq.heappush(self.bag, (self.stand.world.now() + timedelta(seconds=late), self.count, outgoing))
            self.count += 1
        return 200

    def deliver(self) -> None:
        """Deliver what is due, signed at this moment, as the vendor signs every attempt."""
        while self.bag and self.bag[0][0] <= self.stand.time.now():
            outgoing = heapq.heappop(self.bag)[2]
            at, name = int(self.stand.time.now().timestamp()), outgoing.headers["webhook-id"]
            signature = webhooks.sign(SECRET, name, at, outgoing.body)
            headers = {**outgoing.headers, "webhook-timestamp": str(at), "webhook-signature": signature}
            assert carry(replace(outgoing, headers=headers)) == 200


@pytest.mark.parametrize(
    ("calendars", "webhooks_sent"), [(40, 400), pytest.param(200, 2000, marks=pytest.mark.thorough)]
)
def test_a_flood_of_webhooks_ends_in_what_a_fresh_reading_shows_for_few_lists(
    calendars: int, webhooks_sent: int
) -> None:
    chance = random.Random(20261121)
    events = 12 * calendars
    stand = Stand(calendars=calendars, events=events, customers=8, seed=5, batches=0, sweep_every=timedelta(minutes=5))
    stand.keep()
    stand.settle()
    stand.hear()
    post = Post(stand, chance)
    stand.world.outbox.deliver_to(post.take)
    begun, calls, changed = stand.time.now(), stand.door.calls, 0
    coming = [one for one in stand.world.meetings.values() if one.start > begun + 2 * SPAN and not one.cancelled]
    while post.count < webhooks_sent or post.bag:
        for _ in range(chance.randrange(2 * A_MINUTE) if post.count < webhooks_sent else 0):
            meeting = chance.choice(coming)
            changed += len(meeting.copies)
            if chance.random() < 0.3:
                stand.world.move(meeting, meeting.start + timedelta(minutes=15))
            else:
                stand.world.retitle(meeting, f"{meeting.title} {post.count}")
        stand.run_for(timedelta(minutes=1))
        post.deliver()
    stand.run_for(timedelta(minutes=10))
    minutes = (stand.time.now() - begun) / timedelta(minutes=1)
    lists = stand.lists(calls)
    assert Delivery.objects.filter(state=Delivery.State.RECEIVED).count() == 0
    assert Delivery.objects.filter(times__gt=1).exists()
    assert lists <= changed / 100 + minutes, f"{lists} lists for {changed} changes in {minutes:.0f} minutes"

    ours = dict(Event.objects.values_list("remote_id", "digest"))
    assert sync.run_sweep(sync.open_sweep(stand.source, Sweep.Kind.EVENTS), seconds=60)
    assert dict(Event.objects.values_list("remote_id", "digest")) == ours
    there = stand.world.regions[SOURCE].workspaces["main"]
    assert {one.id for one in there.events.values() if one.start > begun} <= set(ours)
