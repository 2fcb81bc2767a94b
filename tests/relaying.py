"""A company whose own application schedules: sandbox, relay and a sample application in one process, on one clock."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import httpx
from django.db.models import Count

from calendars.models import Application, ApplicationSecret, RelayAttempt, Relayed, Workspace
from calendars.relay import outbox, post
from calendars.relay import tasks as relay
from recallops.sandbox.transport import SandboxTransport
from tests.harness import REGIONS, SOURCE, TARGET
from tests.sample_application import SampleApplication
from tests.standing import Stand

APPLICATIONS_SECRET = "whsec_" + "YXBwbGljYXRpb24tc2VjcmV0LW9mLWl0cy1vd24"
TARGETS_SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10YXJnZXQtcmVnaW9u"
URL = "http://127.0.0.1:8099/webhooks?token=of-the-application"


class WithApplication(Stand):
    """Two workspaces that a sample application schedules, with the relay in front of it."""

    application: Application
    sample: SampleApplication

    def begin(self, **sample: Any) -> None:
        """Put the relay in front of the application, and let it schedule what is there."""
        self.sample = SampleApplication(
            secret=APPLICATIONS_SECRET,
            regions={
                code: (url, self.world.regions[code].workspaces["main"].api_keys[0]) for code, url in REGIONS.items()
            },
            network=SandboxTransport(self.world),
            now=self.world.now,
            **sample,
        )
        self.application = Application.objects.create(slug="recorder", name="Recorder", url=URL)
        ApplicationSecret.objects.create(application=self.application, secret=APPLICATIONS_SECRET)
        for workspace in (self.source, self.target):
            Workspace.objects.filter(pk=workspace.pk).update(scheduler="external", application=self.application)
            workspace.refresh_from_db()
        self.hear(SOURCE)
        self.hear(TARGET, self.target, secret=TARGETS_SECRET)
        post.use_transport(httpx.MockTransport(self.sample))
        for calendar in list(self.there.calendars.values()):
            self._announce(calendar)

    def _announce(self, calendar: Any) -> None:
        """Let the region say of a calendar that all of its events are new, as it did when it was connected."""
        since = (self.time.now() - timedelta(days=40)).isoformat()
        self.world.outbox.send(
            self.there, "calendar.sync_events", {"calendar_id": calendar.id, "last_updated_ts": since}
        )


class Relaying(WithApplication):
    """The same, run until all that is due is done."""

    def turn(self) -> bool:
        """Do everything that is due, the relay's part as well."""
        done = False
        while True:
            again = super().turn()
            work = relay.find_work("recorder", 8) if Application.objects.exists() else []
            for piece in work:
                piece()
            if not again and not work:
                return done
            done = True

    def _jump(self) -> None:
        """Jump no further than to the relay's next try."""
        due = outbox.next_due()
        alarm = self.world.at(max(due, self.time.now()), lambda: None) if due is not None else None
        super()._jump()
        if alarm is not None:
            self.world.timers.cancel(alarm)

    def write_to_the_source(self) -> None:
        """Let something of the company put a bot on every coming event of the source, under a key of its own."""
        for event in list(self.there.events.values()):
            soon = event.start <= self.world.now() + timedelta(hours=2)
            if (
                soon
                or event.is_deleted
                or not event.meeting_url
                or any(bot.start_time == event.start for bot in event.bots)
            ):
                continue
            self.there.add_bot(event.id, f"{event.start.isoformat()}-{self.world.now()}", {}, quiet=True)

    # -- looking

    def relayed(self, state: str) -> int:
        """Count webhooks by state."""
        return Relayed.objects.filter(state=state).count()

    def assert_in_order(self) -> None:
        """Fail if the application got two webhooks of one calendar in another order than they came in."""
        by_lane: dict[Any, list[Any]] = defaultdict(list)
        done = RelayAttempt.objects.filter(problem="").order_by("pk").values_list("relayed__lane", "relayed__delivery")
        for lane, delivery in done:
            by_lane[lane].append(delivery)
        assert by_lane
        for lane, deliveries in by_lane.items():
            assert deliveries == sorted(deliveries), lane

    def where(self) -> str:
        """Say where the share groups stand, too."""
        from migrations_app.models import Batch, Finding, Item, ShareGroup

        return "\n".join(
            [
                super().where(),
                str(list(Batch.objects.values_list("step", "goal", "status", "reason", "groups_due_at"))),
                *(
                    str(row)
                    for row in ShareGroup.objects.values_list("name", "state", "reason", "planned_at", "lacking")
                ),
                *(str(row) for row in Item.objects.values_list("title", "step", "status", "reason", "due_at")[:60]),
                *(str(row) for row in Finding.objects.filter(gone_at=None).values_list("code", "sentence")[:30]),
                str(list(Relayed.objects.values_list("state").annotate(n=Count("pk")))),
                str(Application.objects.filter(pk=self.application.pk).values("paused", "failing_since")),
            ]
        )
