"""Workspaces that are always scheduled, without a batch: sandbox, webhooks and drivers in one process, on one clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.urls import reverse

from calendars import assignments, sync
from calendars import tasks as calendar_tasks
from calendars.models import (
    Assignment,
    BotProfile,
    Calendar,
    Connection,
    Customer,
    Delivery,
    RecordingPolicy,
    WebhookEndpoint,
    WebhookSecret,
    Workspace,
)
from calendars.providers.recall_endpoints import LIST_EVENTS
from migrations_app.itineraries import Step
from migrations_app.models import Batch
from recallops.sandbox import company, webhooks
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.records import SCHEDULED
from tests.harness import SOURCE, TARGET, Move

ADA, BEN, CAT = "ada@northwind.example", "ben@northwind.example", "cat@northwind.example"
OUTSIDER = "lee@partner.example"
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS1zb3VyY2UtcmVnaW9u"
PATH = LIST_EVENTS.partition(" ")[2]


class Stand(Move):
    """A world with two regions, of which one or both are scheduled by us."""

    def _open_office(self) -> None:
        """Let people have calendars with nothing in them."""
        for domain in sorted({email.partition("@")[2] for email in self.people}):
            company.company(self.world).add(
                company.Customer(slug=domain.partition(".")[0], name=domain, domains=(domain,))
            )
        for email in self.people:
            self.connect(email)

    # -- what staff set

    def keep(self, workspace: Workspace | None = None, **fields: Any) -> Workspace:
        """Let a workspace be scheduled always, as its page does."""
        workspace = workspace or self.source
        for name, value in {"always_on": True, **fields}.items():
            setattr(workspace, name, value)
        workspace.full_clean()
        workspace.save(update_fields=["always_on", *fields])
        sync.keep_reading(workspace)
        return workspace

    def policy(self, which: str, **fields: Any) -> RecordingPolicy:
        """Give every customer a policy, now and in the time to come."""
        for customer in Customer.objects.all():
            RecordingPolicy.objects.update_or_create(customer=customer, defaults={"which": which, **fields})
        assignments.judge_again(Calendar.objects.all())
        return RecordingPolicy.objects.all()[0]

    def profile(self, **config: Any) -> BotProfile:
        """Make or change the workspaces' profile."""
        profile, _ = BotProfile.objects.update_or_create(name="standard", defaults={"config": config})
        Workspace.objects.update(bot_profile=profile)
        assignments.judge_again(Calendar.objects.all())
        return profile

    def know(self, which: str = "all", **fields: Any) -> None:
        """Read the workspace, then set the policy: customers are known once their calendars are."""
        self.keep()
        self.settle()
        self.policy(which, **fields)
        self.settle()

    # -- webhooks

    def hear(
        self, region: str = SOURCE, workspace: Workspace | None = None, *, secret: str = SECRET
    ) -> WebhookEndpoint:
        """Let a region send its webhooks to us, through the whole of the web stack."""
        workspace = workspace or (self.source if region == SOURCE else self.target)
        endpoint = WebhookEndpoint.objects.create(workspace=workspace)
        WebhookSecret.objects.create(workspace=workspace, secret=secret)
        path = reverse("recall-webhook", args=[endpoint.token]) + f"?region={region}"
        there = self.world.regions[region].workspaces["main"]
        there.endpoints.append(webhooks.WebhookEndpoint(url=path, secret=secret))
        self.world.outbox.deliver_to(carry)
        return endpoint

    # -- running

    def settle(self) -> None:
        """Run until everything was read once more, and what followed from it is done."""
        self.run_for(timedelta(minutes=6))

    def run_for(self, span: timedelta) -> None:
        """Run on for a time."""
        self.run_to(self.time.now() + span)

    def run_to(self, at: datetime) -> None:
        """Run until a time, and not beyond it."""
        alarm = self.world.at(at, lambda: None)  # the harness jumps to whatever the world has next
        self.run(until=lambda: self.time.now() >= at, longest=timedelta(days=40))
        self.world.timers.cancel(alarm)

    def hand_over(self, **options: Any) -> None:
        """Move everything to the target, and rest before the delete."""
        batch = self.new_batch("move", **options)
        self.allow(Step.HAND_OVER, batch)
        self.run(until=lambda: Batch.objects.filter(pk=batch.pk, reached=Step.HAND_OVER).exists())
        self.batch = batch

    def where(self) -> str:
        """Say where the meetings stand, for a failed test."""
        rows = list(
            Assignment.objects.filter(over=False).values_list("start", "url", "owner__slug", "verdict", "reason")
        )
        waiting = Delivery.objects.filter(state=Delivery.State.RECEIVED).count()
        return f"{self.time.now()} due {calendar_tasks.next_due()} {waiting} deliveries {rows}"

    # -- looking

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.time.at}>"

    def want(self, meeting: Any, *emails: str, wanted: bool = True, scope: str = "") -> Any:
        """Tell the proof whose copies of a meeting are to be recorded, and with whom they share."""
        for email in emails:
            self.world.want(meeting, self.world.accounts[(GOOGLE, email)], wanted=wanted, scope=scope)
        return meeting

    def bots_at(self, start: datetime, region: str = SOURCE) -> int:
        """Count the scheduled bots for a start."""
        there = self.world.regions[region].workspaces["main"]
        return sum(bot.join_at == start and bot.status == SCHEDULED for bot in there.bots.values())

    def lists(self, since: int = 0, region: str = SOURCE) -> int:
        """Count the calls that listed events."""
        host = {SOURCE: "us.sandbox.test", TARGET: "eu.sandbox.test"}[region]
        return sum(call == (host, "GET", PATH) for call in self.door.made[since:])

    def connection(self, email: str, workspace: Workspace | None = None) -> Connection:
        """Return a calendar's connection."""
        return Connection.objects.get(workspace=workspace or self.source, calendar__email=email)


def carry(outgoing: webhooks.Outgoing) -> int:
    """Post a webhook, as a region does; return the status."""
    client: Callable[..., Any] = Client(raise_request_exception=False).post
    response = client(outgoing.url, data=outgoing.body, content_type="application/json", headers=outgoing.headers)
    return int(response.status_code)
