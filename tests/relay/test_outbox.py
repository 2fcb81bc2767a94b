"""Webhooks on their way: in order, again and again, once at least, and none lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django_q.models import OrmQ

from calendars import sync
from calendars import tasks as calendar_tasks
from calendars.leases import Lease
from calendars.models import (
    Application,
    ApplicationSecret,
    Calendar,
    Connection,
    Customer,
    Delivery,
    Handover,
    Region,
    RelayAttempt,
    Relayed,
    WebhookEndpoint,
    WebhookSecret,
    Workspace,
)
from calendars.relay import outbox, post, tasks
from calendars.relay.post import Outcome
from recallops import clock
from recallops.sandbox import webhooks
from tests.relay.test_post import Serve, answer, serve
from tests.relaying import APPLICATIONS_SECRET, URL
from tests.standing import SECRET

__all__ = ["serve"]

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OK = Outcome(200, 0.1)
ERROR = Outcome(500, 0.1, "It answered 500.", "out of order")


class Company:
    """Two workspaces, a calendar in both, and an application whose answers a test decides."""

    def __init__(self) -> None:
        self.time = clock.ManualClock(NOW)
        clock.install(self.time)
        self.application = Application.objects.create(slug="recorder", name="Recorder", url=URL)
        ApplicationSecret.objects.create(application=self.application, secret=APPLICATIONS_SECRET)
        self.us, self.eu = (self._workspace(code) for code in ("us-west-2", "eu-central-1"))
        customer = Customer.objects.create(slug="northwind", name="Northwind")
        self.calendar = Calendar.objects.create(
            customer=customer, family="acme", platform="google_calendar", email="a@b.c"
        )
        for workspace in (self.us, self.eu):
            Connection.objects.create(
                calendar=self.calendar, workspace=workspace, remote_id=f"cal-{workspace.slug}", status="connected"
            )
        self.count = 0

    def person(self, customer: Customer, email: str) -> Calendar:
        return Calendar.objects.create(customer=customer, family="acme", platform="google_calendar", email=email)

    def _workspace(self, code: str) -> Workspace:
        region, _ = Region.objects.get_or_create(
            provider="recall", code=code, defaults={"label": code, "base_url": f"https://{code}.recall.ai"}
        )
        return Workspace.objects.create(
            slug=code[:2], name=code, region=region, family="acme", scheduler="external", application=self.application
        )

    def comes(self, workspace: Workspace, event: str = "calendar.sync_events", subject: str = "") -> Relayed:
        """Let a webhook come in and be handled."""
        self.count += 1
        delivery = Delivery.objects.create(
            workspace=workspace,
            delivery_id=f"msg_{self.count}",
            received_at=self.time.now(),
            sent_at=self.time.now(),
            body=json.dumps({"event": event, "data": {"n": self.count}}).encode(),
            state=Delivery.State.HANDLED,
            event=event,
            subject=subject or f"cal-{workspace.slug}",
        )
        outbox.take_in([delivery])
        return Relayed.objects.get(delivery=delivery)

    def send(self, outcome: Outcome = OK, *, limit: int = 50) -> list[str]:
        """Try what may be sent now; return the ids in the order of the tries."""
        lease = Lease()
        self.application.refresh_from_db()
        done = []
        for pk in outbox.claim(self.application, limit=limit, lease=lease):
            relayed = outbox.begin(pk, lease)
            assert relayed is not None
            done.append(relayed.delivery.delivery_id)
            outbox.finish(relayed, outcome, lease=lease)
        return done

    def states(self) -> list[str]:
        return list(Relayed.objects.order_by("delivery").values_list("state", flat=True))

    def later(self, **span: float) -> None:
        self.time.at += timedelta(**span)


@pytest.fixture
def company() -> Company:
    return Company()


def test_of_a_calendar_the_next_goes_only_when_the_one_before_was_delivered(company: Company) -> None:
    for _ in range(3):
        company.comes(company.us)
    company.comes(company.us, subject="another-calendar")
    assert company.send() == ["msg_1", "msg_4"]
    assert company.send(ERROR) == ["msg_2"]
    assert company.send() == []
    company.later(seconds=5)
    assert company.send() == ["msg_2"]
    assert company.send() == ["msg_3"]
    assert company.send() == []


def test_one_that_is_being_sent_holds_back_its_lane_and_nobody_takes_it_twice(company: Company) -> None:
    company.comes(company.us)
    company.comes(company.us)
    lease = Lease()
    assert len(outbox.claim(company.application, limit=9, lease=lease)) == 1
    assert company.send() == []


def test_a_failure_is_tried_again_on_the_vendors_ladder_and_then_given_up(company: Company) -> None:
    relayed = company.comes(company.us)
    company.comes(company.us)
    waits = []
    while Relayed.objects.get(pk=relayed.pk).state == "waiting":
        company.send(ERROR)
        relayed.refresh_from_db()
        waits.append((relayed.due_at - company.time.now()).total_seconds() if relayed.due_at else None)
        company.time.at = relayed.due_at or company.time.at
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 36000, 0]
    assert relayed.tries.count() == 8
    assert relayed.tries.all()[0].answer == "out of order"
    assert company.send() == ["msg_2"], "what is given up holds nobody up"


def test_an_application_that_fails_is_noted_until_it_takes_one(company: Company) -> None:
    company.comes(company.us)
    company.send(ERROR)
    company.application.refresh_from_db()
    assert (company.application.failing_since, company.application.last_problem) == (
        company.time.now(),
        "It answered 500.",
    )
    company.later(seconds=5)
    company.send()
    company.application.refresh_from_db()
    assert (company.application.failing_since, company.application.last_problem) == (None, "")


def test_while_it_is_paused_nothing_is_sent_and_nothing_is_lost(company: Company) -> None:
    Application.objects.update(paused=True)
    for _ in range(3):
        company.comes(company.us)
    assert (company.send(), tasks.pump(), outbox.next_due()) == ([], 0, None)
    Application.objects.update(paused=False)
    assert company.send() + company.send() + company.send() == ["msg_1", "msg_2", "msg_3"]


def test_no_more_than_allowed_are_on_their_way_at_once(company: Company) -> None:
    Application.objects.update(at_once=3)
    company.application.refresh_from_db()
    for number in range(9):
        company.comes(company.us, subject=f"calendar-{number}")
    assert len(outbox.claim(company.application, limit=2, lease=Lease())) == 2
    assert len(outbox.claim(company.application, limit=9, lease=Lease())) == 1
    assert outbox.claim(company.application, limit=9, lease=Lease()) == []


def test_webhooks_of_a_calendar_pass_from_one_region_only_and_all_others_from_both(company: Company) -> None:
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    for workspace in (company.us, company.eu):
        for event, subject in (
            ("calendar.sync_events", ""),
            ("calendar.update", ""),
            ("bot.done", "bot-1"),
            ("recording.done", "bot-1"),
        ):
            company.comes(workspace, event, subject)
    assert company.states() == ["waiting"] * 4 + ["held", "held", "waiting", "waiting"]
    outbox.route(Calendar.objects.all(), company.eu.pk, at=company.time.now())
    assert company.states() == ["held", "held", "waiting", "waiting"] + ["waiting"] * 4


def test_what_was_held_is_released_in_order_and_under_its_own_ids(company: Company) -> None:
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    for _ in range(3):
        company.comes(company.eu)
    assert company.send() == []
    outbox.route(Calendar.objects.all(), company.eu.pk, at=company.time.now())
    company.comes(company.eu)
    assert [one for _ in range(5) for one in company.send()] == ["msg_1", "msg_2", "msg_3", "msg_4"]


def test_a_calendar_that_nobody_knows_yet_is_held_where_calendars_are_being_moved_to(company: Company) -> None:
    company.comes(company.eu, subject="just-made")
    handover = Handover.objects.create(source=company.us, target=company.eu, external=True)
    Calendar.objects.update(handover=handover)
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    company.comes(company.eu, subject="just-made")
    company.comes(company.us, subject="made-in-the-source")
    assert company.states() == ["waiting", "held", "waiting"]
    other = Calendar.objects.create(
        customer=Customer.objects.get(), family="acme", platform="google_calendar", email="x@y.z"
    )
    Connection.objects.create(calendar=other, workspace=company.eu, remote_id="just-made", status="connected")
    outbox.settle_held(company.eu.pk)
    assert company.states() == ["waiting"] * 3, "it is none of those that move"


def test_once_a_calendar_is_gone_where_it_came_from_the_other_regions_pass(company: Company) -> None:
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    company.comes(company.eu)
    Connection.objects.filter(workspace=company.us).update(status="deleted")
    outbox.settle_calendars([company.calendar.pk])
    assert company.states() == ["waiting"]


def test_one_that_is_on_its_way_at_the_cut_is_noted_as_delivered(company: Company) -> None:
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    relayed, lease = company.comes(company.us), Lease()
    outbox.claim(company.application, limit=1, lease=lease)
    sent = outbox.begin(relayed.pk, lease)
    assert sent is not None
    outbox.route(Calendar.objects.all(), company.eu.pk, at=company.time.now())
    outbox.finish(sent, OK, lease=lease)
    assert company.states() == ["delivered"]


def test_whoever_lost_the_lease_writes_nothing_but_the_try(company: Company) -> None:
    relayed, lease = company.comes(company.us), Lease()
    outbox.claim(company.application, limit=1, lease=lease)
    sent = outbox.begin(relayed.pk, lease)
    assert sent is not None
    Relayed.objects.update(lease_token=None, lease_until=None)
    outbox.finish(sent, OK, lease=lease)
    assert company.states() == ["waiting"]
    assert RelayAttempt.objects.count() == 1
    assert outbox.begin(relayed.pk, lease) is None


def test_what_was_given_up_can_be_sent_again_also_when_it_is_held_by_now(company: Company) -> None:
    for workspace in (company.us, company.eu):
        company.comes(workspace)
    Relayed.objects.update(state="dead", attempts=8)
    outbox.route(Calendar.objects.all(), company.eu.pk, at=company.time.now())
    assert outbox.again(Relayed.objects.all()) == 2
    assert company.states() == ["held", "waiting"]
    assert company.send() == ["msg_2"]


def test_all_since_a_time_can_be_sent_again_with_what_came_before_there_was_an_application(company: Company) -> None:
    company.comes(company.us)
    company.later(hours=1)
    since = company.time.now()
    Workspace.objects.update(application=None)
    company.us.refresh_from_db()
    with pytest.raises(Relayed.DoesNotExist):
        company.comes(company.us)
    Workspace.objects.update(application=company.application)
    company.us.refresh_from_db()
    company.comes(company.us)
    for _ in range(3):
        company.send()
    assert outbox.replay(company.application, since=since) == 2
    assert company.send() + company.send() + company.send() == ["msg_2", "msg_3"]


def test_what_waits_for_a_later_try_can_be_tried_now(company: Company) -> None:
    company.comes(company.us)
    company.send(ERROR)
    assert company.send() == []
    assert outbox.hasten(company.application) == 1
    assert company.send() == ["msg_1"]


def test_the_lag_is_the_age_of_the_oldest_that_waits(company: Company) -> None:
    assert outbox.lag(company.application) is None
    company.comes(company.us)
    company.later(minutes=7)
    company.comes(company.us)
    assert outbox.lag(company.application) == timedelta(minutes=7)


def test_old_webhooks_are_forgotten_but_none_that_the_application_may_still_need(company: Company) -> None:
    handover = Handover.objects.create(source=company.us, target=company.eu, external=True)
    Calendar.objects.update(handover=handover)
    outbox.route(Calendar.objects.all(), company.us.pk, at=company.time.now())
    for workspace in (company.us, company.eu):
        company.comes(workspace)
        company.comes(workspace, "bot.done", "bot-1")
    Relayed.objects.filter(delivery__event="bot.done").update(state="delivered")
    company.later(days=31)
    for workspace in (company.us, company.eu):
        sync._tidy(workspace)
    assert list(Delivery.objects.order_by("pk").values_list("delivery_id", flat=True)) == ["msg_1", "msg_3"]
    Calendar.objects.update(handover=None)
    sync._tidy(company.eu)
    assert list(Delivery.objects.values_list("delivery_id", flat=True)) == ["msg_1"], "held for nobody any more"


def test_a_webhook_that_comes_in_goes_out_signed_anew_with_its_bytes_and_its_id(company: Company, client: Any) -> None:
    endpoint = WebhookEndpoint.objects.create(workspace=company.us)
    WebhookSecret.objects.create(workspace=company.us, secret=SECRET)
    body = b'{ "event": "bot.done",  "data": {"data": {"code": "done"}, "bot": {"id": "b-1"}} }'
    stamp = int(company.time.now().timestamp())
    headers = {
        "webhook-id": "msg_x",
        "webhook-timestamp": str(stamp),
        "webhook-signature": webhooks.sign(SECRET, "msg_x", stamp, body),
    }
    for _ in range(2):  # the vendor sends it twice
        path = reverse("recall-webhook", args=[endpoint.token])
        assert client.post(path, data=body, content_type="application/json", headers=headers).status_code == 200
    calendar_tasks.find_work("acme", 0)
    got: list[Any] = []

    def take(request: Any) -> Any:
        got.append(request)
        return post.httpx.Response(200)

    post.use_transport(post.httpx.MockTransport(take))
    for piece in tasks.find_work("recorder", 8):
        piece()
    [request] = got
    assert (request.read(), request.headers["webhook-id"]) == (body, "msg_x")
    assert request.headers["webhook-signature"] == webhooks.sign(APPLICATIONS_SECRET + "==", "msg_x", stamp, body)
    assert company.states() == ["delivered"]


def test_a_driver_of_the_queue_passes_them_on_over_the_network(company: Company, serve: Serve, settings: Any) -> None:
    settings.DRIVER_SECONDS, settings.DRIVER_THREADS = 20.0, 1
    receiver = serve(answer(200))
    Application.objects.update(url=receiver.url)
    for number in range(12):
        company.comes(company.us, subject=f"calendar-{number % 3}")
    assert tasks.pump() == 1
    slot = OrmQ.objects.get().task["args"]
    tasks.drive(*slot)
    assert company.states() == ["delivered"] * 12
    for lane in range(3):
        came = [int(headers["webhook-id"][4:]) for _, headers, _ in receiver.got]
        mine = [number for number in came if (number - 1) % 3 == lane]
        assert mine == sorted(mine)
        assert len(mine) == 4
