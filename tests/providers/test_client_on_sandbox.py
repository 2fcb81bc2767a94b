"""The whole client against a simulated region: what it sends is understood, and what comes back is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from calendars.providers import errors
from calendars.providers.calls import NoBudget, Timeouts
from calendars.providers.recall import RecallClient
from recallops import clock
from recallops.sandbox.meetings import GOOGLE
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.workspaces import Workspace

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SECRET = "GOCSPX-PlantedSandboxSecret"
CLIENT_ID = "123.apps.googleusercontent.com"


@dataclass
class Place:
    """One region with one workspace, Alice's calendar account, and a client that counts its calls."""

    now: clock.ManualClock
    world: World
    workspace: Workspace
    alice: Account
    calls: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    def client(self, **options: Any) -> RecallClient:
        options = {"base_url": "https://us-west-2.recall.ai", "api_key": self.workspace.api_keys[0]} | options
        return RecallClient(
            budget=NoBudget(),
            transport=SandboxTransport(self.world),
            sleep=lambda seconds: self.advance(seconds),
            on_call=lambda record: self.calls.update([(record.endpoint, record.status)]),
            **options,
        )

    def advance(self, seconds: float) -> None:
        self.now.advance(timedelta(seconds=seconds))
        self.world.advance()

    def connected(self, client: RecallClient) -> str:
        made = client.create_calendar(
            platform=GOOGLE,
            oauth_client_id=CLIENT_ID,
            oauth_client_secret=SECRET,
            oauth_refresh_token=self.world.grant(self.alice, CLIENT_ID),
            metadata={"tenant": "acme"},
            idempotency_key="make-alice",
        )
        assert (made.status, made.platform_email) == ("connecting", None)
        self.advance(120)
        return made.id

    def meeting(self, hours: float, title: str = "Weekly") -> Meeting:
        start = self.now.now() + timedelta(hours=hours)
        return self.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=30),
            accounts=[self.alice],
            title=title,
            url=f"https://meet.google.com/abc-defg-{title.lower()[:3]}",
        )


@pytest.fixture
def place() -> Iterator[Place]:
    now = clock.ManualClock(START)
    with clock.use(now):
        world = World(now, seed=1)
        world.add_client(GOOGLE, CLIENT_ID, secret=SECRET)
        alice = world.add_account(GOOGLE, "alice@example.com", "Alice")
        region = world.add_region("us-west-2", "https://us-west-2.recall.ai")
        yield Place(now=now, world=world, workspace=region.add_workspace("acme-us"), alice=alice)


def test_a_calendar_lives_from_creation_to_deletion(place: Place) -> None:
    client = place.client()
    calendar_id = place.connected(client)
    found = client.get_calendar(calendar_id)
    assert (found.value.status, found.value.platform_email) == ("connected", "alice@example.com")
    assert found.value.oauth_client_secret == SECRET
    assert found.value.metadata == {"tenant": "acme"}
    assert found.begun_at == place.now.now()
    assert found.server_date == place.now.now().replace(microsecond=0)
    assert [entry.id for entry in client.iter_calendars(email="alice@example.com")] == [calendar_id]
    assert client.access_token(calendar_id).expires_at is not None
    assert client.update_calendar(calendar_id, fields={}).id == calendar_id
    client.delete_calendar(calendar_id)
    with pytest.raises(errors.NotFound):
        client.get_calendar(calendar_id)


def test_a_bot_is_added_to_an_event_read_back_and_removed(place: Place) -> None:
    client = place.client()
    place.meeting(5)
    calendar_id = place.connected(client)
    (event,) = client.iter_events(calendar_id=calendar_id, start_time__gte=place.now.now())
    assert (event.title, event.bots, event.is_deleted) == ("Weekly", (), False)
    assert event.meeting_url is not None
    key = f"{event.start_time.isoformat()}-{event.meeting_url}"
    added = client.add_bot(
        event.id, deduplication_key=key, bot_config={"bot_name": "Notetaker"}, idempotency_key="add-1"
    )
    (entry,) = added.bots
    assert (entry.deduplication_key, entry.start_time, entry.meeting_url) == (key, event.start_time, event.meeting_url)
    assert client.get_event(event.id).value.bots == (entry,)
    bot = client.get_bot(entry.bot_id).value
    assert (bot.status, bot.join_at, bot.bot_name) == ("ready", event.start_time, "Notetaker")
    assert [found.id for found in client.iter_bots(join_at_after=place.now.now())] == [entry.bot_id]
    assert client.remove_bot(event.id).bots == ()
    assert client.remove_bot(event.id).bots == ()
    with pytest.raises(errors.NotFound):
        client.get_bot(entry.bot_id)


def test_long_lists_are_read_over_their_pages(place: Place) -> None:
    client = place.client()
    for number in range(230):
        place.meeting(1 + number, title=f"{number:03}")
    calendar_id = place.connected(client)
    titles = [event.title for event in client.iter_events(calendar_id=calendar_id)]
    assert sorted(titles) == [f"{number:03}" for number in range(230)]
    assert place.calls["GET /api/v2/calendar-events/", 200] == 3


def test_a_stand_alone_bot_is_made_changed_and_deleted(place: Place) -> None:
    client = place.client()
    join_at = place.now.now() + timedelta(hours=2)
    made = client.create_bot(
        meeting_url="https://zoom.us/j/123456789",
        join_at=join_at,
        bot_config={"metadata": {"intent": "7"}},
        idempotency_key="bot-1",
    )
    assert made.join_at == join_at
    assert [found.id for found in client.iter_bots(metadata={"intent": "7"})] == [made.id]
    assert client.update_bot(made.id, fields={"bot_name": "Other"}).bot_name == "Other"
    client.delete_bot(made.id)
    with pytest.raises(errors.NotFound):
        client.get_bot(made.id)


def test_a_bot_in_its_call_is_asked_to_leave_since_it_cannot_be_deleted(place: Place) -> None:
    client = place.client()
    meeting = place.meeting(1)
    made = client.create_bot(
        meeting_url=str(meeting.url), join_at=meeting.start, bot_config={}, idempotency_key="bot-1"
    )
    place.advance(3600 + 300)
    assert client.get_bot(made.id).value.status != "ready"
    with pytest.raises(errors.BotAlreadyJoined):
        client.delete_bot(made.id)
    client.leave_call(made.id)


def test_an_ended_event_gets_no_bot(place: Place) -> None:
    client = place.client()
    place.meeting(1)
    (event,) = client.iter_events(calendar_id=place.connected(client))
    place.advance(2 * 3600)
    with pytest.raises(errors.EventEnded):
        client.add_bot(event.id, deduplication_key="k", bot_config={}, idempotency_key="add-1")


def test_the_keys_of_other_regions_and_revoked_ones_are_refused_in_words(place: Place) -> None:
    other = place.world.add_region("eu-central-1", "https://eu-central-1.recall.ai").add_workspace("acme-eu")
    with pytest.raises(errors.InvalidKey, match="belongs to another region"):
        place.client(api_key=other.api_keys[0]).probe()
    client = place.client()
    assert client.probe().server_date == START
    place.workspace.revoke_key(place.workspace.api_keys[0])
    with pytest.raises(errors.InvalidKey, match="may have been revoked"):
        client.probe()


def test_a_host_that_is_not_there_is_unreachable(place: Place) -> None:
    with pytest.raises(errors.Unreachable):
        place.client(base_url="https://ap-northeast-1.recall.ai").probe()


def test_a_wrong_path_is_no_proof_that_a_thing_is_gone(place: Place) -> None:
    with pytest.raises(errors.BadAnswer, match="base URL"):
        place.client(base_url="https://us-west-2.recall.ai/elsewhere").get_event("e1")


def test_a_payload_with_a_localhost_address_is_blocked(place: Place) -> None:
    with pytest.raises(errors.Blocked, match="localhost"):
        place.client().create_bot(meeting_url="http://localhost:8000/", idempotency_key="bot-1")


def test_the_limit_is_told_with_the_time_to_wait(place: Place) -> None:
    client = place.client()
    for _ in range(60):
        client.bots_page()
    with pytest.raises(errors.Throttled) as caught:
        client.bots_page()
    assert caught.value.told
    assert caught.value.retry_after is not None
    place.advance(caught.value.retry_after.total_seconds())
    client.bots_page()


def test_a_read_stands_a_passing_trouble_and_a_write_does_not_repeat_itself(place: Place) -> None:
    client = place.client(timeouts=Timeouts(read=10))
    place.meeting(5)
    (event,) = client.iter_events(calendar_id=place.connected(client))
    for fault in ({"kind": "status", "status": 503}, {"kind": "drop"}, {"kind": "latency", "seconds": 60}):
        place.world.faults.add(**fault, method="GET", times=2)
        assert client.get_event(event.id).value.id == event.id

    place.world.faults.add("drop", method="POST", when="after")
    with pytest.raises(errors.OutcomeUnknown):
        client.add_bot(event.id, deduplication_key="k", bot_config={}, idempotency_key="add-1")
    assert place.calls["POST /api/v2/calendar-events/{id}/bot/", None] == 1
    assert len(client.get_event(event.id).value.bots) == 1  # it was carried out all the same

    place.world.faults.add("drop", method="DELETE", when="connect", times=2)
    assert client.remove_bot(event.id).bots == ()  # nothing had been sent: sent again


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "html"}, errors.BadAnswer),
        ({"kind": "html", "status": 502, "times": None}, errors.Unavailable),
        ({"kind": "truncated"}, errors.BadAnswer),
        ({"kind": "oversized"}, errors.BadAnswer),
        ({"kind": "status", "status": 500}, errors.Unavailable),
        ({"kind": "status", "status": 409}, errors.Conflict),
        ({"kind": "status", "status": 507}, errors.NoBotsAvailable),
        ({"kind": "drop", "when": "connect", "times": None}, errors.Unreachable),
        ({"kind": "drop", "times": None}, errors.Unavailable),
        ({"kind": "latency", "seconds": 999, "times": None}, errors.Unavailable),
    ],
)
def test_each_planned_trouble_is_named_as_what_it_is(
    place: Place, fault: dict[str, Any], expected: type[errors.ProviderError]
) -> None:
    place.world.faults.add(**fault)
    with pytest.raises(errors.ProviderError) as caught:
        place.client().calendars_page()
    assert type(caught.value) is expected


def test_a_repeated_idempotency_key_does_not_make_a_second_calendar(place: Place) -> None:
    client = place.client()
    first, second = place.connected(client), place.connected(client)
    assert first == second
    assert len(list(client.iter_calendars())) == 1
