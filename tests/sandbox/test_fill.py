from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from recallops.clock import ManualClock
from recallops.sandbox.company import deduplication_key
from recallops.sandbox.control import Control
from recallops.sandbox.extras import HANDLERS
from recallops.sandbox.fill import Summary, fill
from recallops.sandbox.messages import Request
from recallops.sandbox.truth import run_out, truth
from recallops.sandbox.world import World

WEDNESDAY = datetime(2026, 3, 4, 9, 7, tzinfo=UTC)


def a_world(at: datetime = WEDNESDAY, seed: int = 1) -> World:
    world = World(ManualClock(at), seed=seed)
    world.add_region("us-west-2").add_workspace("acme")
    world.add_region("eu-central-1").add_workspace("acme-eu")
    return world


def filled(world: World, **more: object) -> Summary:
    return fill(world, region="us-west-2", workspace="acme", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def company() -> tuple[World, Summary]:
    world = a_world()
    return world, filled(world)


def source(world: World):
    return world.regions["us-west-2"].workspaces["acme"]


def test_the_default_company_has_200_calendars_of_12_customers_and_about_4000_events_mostly_with_bots(company) -> None:
    world, summary = company
    assert summary.calendars == len(source(world).calendars) == 200
    assert len(summary.customers) == 12
    assert 3_800 <= summary.events <= 4_200
    assert summary.events_with_bot >= 0.8 * summary.events
    assert summary.bots == len(source(world).bots)
    assert summary.google >= 50
    assert summary.outlook >= 50


def test_customers_differ_in_size_and_have_domains_of_their_own(company) -> None:
    _, summary = company
    sizes = [customer.calendars for customer in summary.customers]
    assert max(sizes) >= 3 * min(sizes)
    assert sum(sizes) == 200
    domains = [domain for customer in summary.customers for domain in customer.domains]
    assert len(domains) == len(set(domains)) > 12
    assert all(1 <= len(customer.domains) <= 2 for customer in summary.customers)


def test_the_odd_calendars_are_there(company) -> None:
    world, summary = company
    by_email = {calendar.account[1]: calendar for calendar in source(world).calendars.values()}
    assert len(summary.disconnected) == 3
    for email in summary.disconnected:
        calendar = by_email[email]
        assert calendar.status == "disconnected"
        events = [source(world).events[event_id] for event_id in calendar.events.values()]
        assert events
        assert not any(event.bots for event in events)
    (tokenless,) = summary.tokenless
    assert by_email[tokenless].hide_token
    assert by_email[tokenless].status == "connected"
    (certified,) = summary.certificate
    assert by_email[certified].certificate
    assert not by_email[certified].client_secret
    assert by_email[certified].status == "connected"
    noted = sum(bool(calendar.metadata) for calendar in by_email.values())
    assert noted == summary.with_metadata
    assert 0 < noted < 200


def test_the_grants_of_disconnected_calendars_open_nothing_elsewhere_and_the_others_do(company) -> None:
    world = a_world()
    summary = filled(world, calendars=20, events=60, disconnected=1, tokenless=0, certificate=1)
    target = world.regions["eu-central-1"].workspaces["acme-eu"]
    for calendar in list(source(world).calendars.values()):
        moved = target.add_calendar(
            world.accounts[calendar.account],
            client_id=calendar.client_id,
            client_secret=calendar.client_secret,
            certificate=calendar.certificate,
            private_key=calendar.private_key,
            token=calendar.refresh_token,
        )
        broken = calendar.account[1] in summary.disconnected
        assert moved.status == ("disconnected" if broken else "connected")


def test_the_diaries_hold_every_kind_of_meeting(company) -> None:
    world, summary = company
    meetings = list(world.meetings.values())
    series = Counter(meeting.series for meeting in meetings if meeting.series)
    assert max(series.values()) >= 20  # a daily one
    assert min(series.values()) <= 3  # a fortnightly one
    assert any(meeting.series and meeting.start != meeting.original_start for meeting in meetings)
    assert any(meeting.series and meeting.cancelled for meeting in meetings)
    assert summary.deleted_events > 0
    customers = [{email.rpartition("@")[2].partition(".")[0] for _, email in meeting.copies} for meeting in meetings]
    assert sum(len(there) > 1 for there in customers) >= 20  # across customers
    assert summary.shared_meetings >= 300
    assert any(meeting.url is None for meeting in meetings)
    assert any(meeting.end - meeting.start == timedelta(days=1) for meeting in meetings)  # all day
    assert any("resource" in email for meeting in meetings for email in meeting.attendees)
    assert any(meeting.title == "Private appointment" for meeting in meetings)
    assert summary.waiting_outside >= 50


def test_personal_rooms_have_back_to_back_meetings_at_one_link(company) -> None:
    world, _ = company
    pairs = 0
    for ids in world.by_url.values():
        there = sorted((world.meetings[meeting_id] for meeting_id in ids), key=lambda meeting: meeting.start)
        pairs += sum(one.end == two.start and not one.series for one, two in itertools.pairwise(there))
    assert pairs >= 100


def test_meetings_enter_the_window_later(company) -> None:
    world = a_world()
    filled(world, calendars=40, events=800, disconnected=0, tokenless=0, certificate=0)
    before = len(source(world).events)
    run_out(world, WEDNESDAY + timedelta(days=5))
    assert len(source(world).events) > before


def test_a_copy_is_wanted_exactly_where_its_event_has_a_bot(company) -> None:
    world, _ = company
    seen = 0
    for calendar in source(world).calendars.values():
        for meeting_id, copy in (
            (meeting_id, world.meetings[meeting_id].copies[calendar.account])
            for meeting_id in world.accounts[calendar.account].meetings
        ):
            event = source(world).event_of(calendar.id, meeting_id)
            assert copy.wanted == bool(event and event.bots)
            seen += copy.wanted
    assert seen > 3_000


def test_bots_are_made_with_one_key_per_start_and_link_and_shared(company) -> None:
    world, summary = company
    for event in source(world).events.values():
        for entry in event.bots:
            assert entry.deduplication_key == deduplication_key(event.start, event.meeting_url or "")
    assert deduplication_key(WEDNESDAY, "https://x.example") == "2026-03-04T09:07:00Z-https://x.example"
    assert summary.bots < summary.events_with_bot


def test_bot_configs_belong_to_customers_and_some_name_the_region(company) -> None:
    world, summary = company
    configs = [bot.config for bot in source(world).bots.values()]
    assert {config["metadata"]["customer"] for config in configs} == {customer.slug for customer in summary.customers}
    urls = Counter(
        endpoint["url"] for config in configs for endpoint in config["recording_config"].get("realtime_endpoints", ())
    )
    assert set(urls) == {summary.realtime_url}
    assert "us-west-2" in summary.realtime_url
    groups = {config["google_meet"]["google_login_group_id"] for config in configs if "google_meet" in config}
    assert groups == {summary.login_group}
    assert 0 < sum(urls.values()) < len(configs)


@pytest.mark.parametrize("hours", range(0, 7 * 24, 13))
def test_something_goes_on_in_the_first_hours_whenever_the_demo_starts(hours: int) -> None:
    world = a_world(WEDNESDAY + timedelta(hours=hours))
    summary = filled(world, calendars=60, events=1200)
    assert summary.bots_first_hours >= 25
    running = [meeting for meeting in world.meetings.values() if meeting.start <= world.now() < meeting.end]
    assert any(meeting.expected_scopes() for meeting in running)


def test_if_nothing_changes_all_meetings_are_held() -> None:
    world = a_world()
    summary = filled(world)
    run_out(world, WEDNESDAY + timedelta(days=29))
    proof = truth(world, until=WEDNESDAY + timedelta(days=28))
    assert proof.proven
    assert proof.wanted == proof.held == summary.bots
    assert not proof.stray


def test_the_same_seed_fills_the_same_world_and_another_one_another() -> None:
    def keys(seed: int) -> list[str | None]:
        world = a_world()
        filled(world, calendars=20, events=200, seed=seed)
        return [bot.key for bot in source(world).bots.values()]

    assert keys(1) == keys(1)
    assert keys(1) != keys(2)


@pytest.mark.parametrize(("calendars", "events"), [(1, 0), (1, 5), (3, 12), (13, 100)])
def test_it_scales_down(calendars: int, events: int) -> None:
    world = a_world()
    summary = filled(world, calendars=calendars, events=events)
    assert summary.calendars == calendars
    assert events * 0.8 - 1 <= summary.events <= events * 1.2 + 1
    assert len(summary.customers) == min(calendars, 12)
    assert not summary.disconnected


def test_more_customers_than_names_get_names_of_their_own() -> None:
    world = a_world()
    summary = filled(world, calendars=30, events=60, customers=25)
    assert len({customer.slug for customer in summary.customers}) == 25


def test_an_impossible_wish_is_refused_with_a_sentence() -> None:
    world = a_world()
    with pytest.raises(ValueError, match="no workspace 'nowhere' in us-west-2: acme"):
        fill(world, region="us-west-2", workspace="nowhere")
    with pytest.raises(ValueError, match="no region 'mars'"):
        fill(world, region="mars", workspace="acme")
    with pytest.raises(ValueError, match="5 odd calendars do not fit into 3"):
        filled(world, calendars=3, disconnected=5)
    with pytest.raises(ValueError, match="at least one customer"):
        filled(world, calendars=0)
    assert not world.meetings


def test_the_control_command_fills_and_answers_in_json() -> None:
    world = a_world()
    control = Control(world, handlers=HANDLERS)
    body = {"region": "us-west-2", "workspace": "acme", "calendars": "3", "events": 12, "seed": 4}
    answer = control.handle(Request("POST", "/fill", body=json.dumps(body).encode()))
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    assert told["calendars"] == 3
    assert {client["name"] for client in told["clients"]} == {"google_calendar", "microsoft_outlook", "certificate"}
    refused = control.handle(Request("POST", "/fill", body=b'{"region": "mars", "workspace": "acme"}'))
    assert refused.status == 400
    assert "no region 'mars'" in json.loads(refused.body)["error"]


def test_a_summary_does_not_show_client_secrets_by_accident(company) -> None:
    world, summary = company
    secrets = [client.secret for client in world.clients.values() if client.secret]
    assert secrets
    assert not any(secret in repr(summary) for secret in secrets)
