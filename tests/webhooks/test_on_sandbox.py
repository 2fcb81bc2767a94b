"""Real webhooks of a simulated region, retried as the vendor retries them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import Delivery, WebhookRefusal, WebhookSecret
from calendars.webhooks import handling
from recallops import clock
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.webhooks import Outgoing
from recallops.sandbox.world import World
from tests.webhooks.senders import Place, add_secret

DAY = timedelta(days=1)


class Vendor:
    """A region with one calendar, whose webhooks go to our address."""

    def __init__(self, time: clock.ManualClock, place: Place, *, svix: bool = False) -> None:
        self.time, self.place = time, place
        self.world = World(time, seed=7)
        self.world.add_client(GOOGLE, "client", secret="client-secret")
        self.workspace = self.world.add_region("us-west-2").add_workspace("acme")
        self.workspace.svix = svix
        self.workspace.add_endpoint(f"https://recallops.example{place.url}")
        self.statuses: list[int] = []
        self.world.outbox.deliver_to(self._carry)
        alice = self.world.add_account(GOOGLE, "alice@acme.example")
        start = self.world.now() + DAY
        self.world.make_meeting(
            start=start,
            end=start + timedelta(hours=1),
            accounts=(alice,),
            url="https://meet.google.com/abc-defg-hij",
            title="Weekly",
            attendees={},
        )
        self.calendar = self.workspace.add_calendar(
            alice, client_id="client", client_secret="client-secret", connect=False
        )

    def _carry(self, outgoing: Outgoing) -> int:
        url = outgoing.url.removeprefix("https://recallops.example")
        self.statuses.append(self.place.post(outgoing.body, outgoing.headers, url=url).status_code)
        return self.statuses[-1]

    def later(self, span: timedelta) -> None:
        for _ in range(100):
            self.time.advance(span / 100)
            self.world.advance()


@pytest.mark.parametrize("svix", [False, True])
def test_a_regions_webhooks_are_let_in_and_understood(us: Place, time: clock.ManualClock, svix: bool) -> None:
    vendor = Vendor(time, us, svix=svix)
    add_secret(us.workspace, vendor.workspace.webhook_secret)
    vendor.later(timedelta(minutes=5))
    handling.handle(list(Delivery.objects.order_by("pk")))
    assert set(vendor.statuses) == {200}
    seen = set(Delivery.objects.values_list("event", "state", "subject"))
    assert ("calendar.update", "handled", vendor.calendar.id) in seen
    assert ("calendar.sync_events", "handled", vendor.calendar.id) in seen


def test_what_was_refused_for_a_missing_secret_comes_in_once_it_is_there(us: Place, time: clock.ManualClock) -> None:
    WebhookSecret.objects.all().delete()
    vendor = Vendor(time, us)
    vendor.later(timedelta(minutes=5))
    assert set(vendor.statuses) == {401}
    assert set(WebhookRefusal.objects.values_list("cause", flat=True)) == {"no_secret"}
    add_secret(us.workspace, vendor.workspace.webhook_secret)
    vendor.later(DAY)
    handling.handle(list(Delivery.objects.order_by("pk")))
    assert vendor.statuses[-1] == 200
    assert {"calendar.update", "calendar.sync_events"} <= set(Delivery.objects.values_list("event", flat=True))
    assert not vendor.world.outbox.messages, "the vendor has nothing left to send"
