"""While a workspace lives in two regions: who schedules, and that nobody writes to the side that does not own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from calendars.models import Assignment, Customer, Delivery
from recallops.sandbox.request_log import Call
from tests.harness import SOURCE, TARGET
from tests.standing import ADA, BEN, Stand

pytestmark = pytest.mark.django_db(transaction=True)

DAN = "dan@southwind.example"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def stand_of(*people: str, **options: Any) -> Stand:
    spans = {
        "soak": HOUR,
        "canary_wait": 10 * MINUTE,
        "sweep_every": timedelta(minutes=30),
        "cut": 2 * HOUR,
    }
    return Stand(people=people, batches=0, **spans, **options)  # type: ignore[arg-type]


def writes(stand: Stand, region: str, since: int) -> list[Call]:
    """Return what a region was asked to change, by its own request log."""
    calls = stand.world.log.since(since)
    return [call for call in calls if call.region == region and call.method not in ("GET", "HEAD")]


def owners() -> set[str]:
    return set(Assignment.objects.filter(over=False).values_list("owner__slug", flat=True))


def test_webhooks_of_the_source_that_come_late_cause_no_write_there() -> None:
    stand = stand_of(ADA, BEN)
    shared = stand.want(stand.meet("shared", 26, ADA, BEN, bot=False), ADA, BEN)
    alone = stand.want(stand.meet("alone", 32, ADA, bot=False), ADA)
    stand.know("all")
    stand.hear(SOURCE)
    stand.hear(TARGET, secret="whsec_" + "dGhlLXNlY3JldC1vZi10aGUtb3RoZXItcmVnaW9u")
    late: list[Any] = []
    carry = stand.world.outbox._carrier
    assert carry is not None
    stand.hand_over()
    assert owners() == {"eu"}
    log = stand.world.log.total
    stand.world.outbox.deliver_to(lambda one: late.append(one) or 200 if SOURCE in one.url else carry(one))  # type: ignore[func-returns-value]
    stand.world.move(shared, shared.start + HOUR)
    stand.world.retitle(alone, "alone, and sooner")
    stand.world.move(alone, alone.start - HOUR)
    stand.run_for(4 * MINUTE)
    assert late
    for one in (*reversed(late), *late):  # late, in the wrong order, and twice
        assert carry(one) == 200
    stand.run_for(2 * HOUR)
    assert Delivery.objects.filter(workspace=stand.source, state="handled", times=2).count() == len(late)
    assert writes(stand, SOURCE, log) == []
    assert [stand.bots_at(one.start, TARGET) for one in (shared, alone)] == [1, 1]
    assert stand.bots(SOURCE) == []
    stand.finish()
    stand.assert_proven(wanted=2)


def test_without_deduplication_everybody_keeps_a_bot_of_their_own_across_regions() -> None:
    stand = stand_of(ADA, BEN)
    meeting = stand.meet("shared", 26, ADA, BEN, bot=False)
    for email in (ADA, BEN):
        stand.want(meeting, email, scope=email)
    stand.keep(dedup_scheme="none")
    stand.settle()
    stand.run_for(HOUR)
    stand.policy("all")
    stand.settle()
    assert stand.bots_at(meeting.start) == 2
    stand.hand_over()
    assert (stand.bots_at(meeting.start), stand.bots_at(meeting.start, TARGET)) == (0, 2)
    stand.finish()
    stand.assert_proven(wanted=2)


def test_a_shared_meeting_whose_only_moved_calendar_declines_goes_back_to_the_other_one() -> None:
    stand = stand_of(ADA, DAN)
    meeting = stand.want(stand.meet("ada's", 26, ADA, bot=False), ADA)
    stand.know("all")
    stand.run_for(HOUR)
    stand.policy("all")
    stand.settle()
    stand.hand_over(customers=[Customer.objects.get(calendars__email=ADA)])
    assert stand.bots_at(meeting.start, TARGET) == 1
    dan = stand.world.accounts[("google_calendar", DAN)]
    stand.world.add_copy(meeting, dan, wanted=True)
    stand.run_for(HOUR)
    assert (stand.bots_at(meeting.start), stand.bots_at(meeting.start, TARGET)) == (0, 1)
    stand.world.decline(meeting, stand.world.accounts[("google_calendar", ADA)])
    stand.want(meeting, ADA, wanted=False)
    stand.run_for(HOUR)
    assert (stand.bots_at(meeting.start), stand.bots_at(meeting.start, TARGET)) == (1, 0)
    assert owners() == {"us"}
    stand.run_to(meeting.end + HOUR)
    stand.assert_proven(wanted=1)


def test_a_moved_meeting_whose_key_must_change_has_one_bot_in_its_region() -> None:
    stand = stand_of(ADA, BEN)
    meetings = [stand.meet(f"{hours}", hours, ADA, bot=False) for hours in (26, 28, 30)]
    for meeting in meetings:
        stand.there.sync_copy(stand.calendar(ADA).id, meeting.id)
        event = stand.there.event_of(stand.calendar(ADA).id, meeting.id)
        key = f"{meeting.start:%Y%m%dT%H%M%SZ}_{event.id}"
        stand.there.add_bot(event.id, key, {"bot_name": "theirs"}, quiet=True)
        stand.want(meeting, ADA)
    stand.hand_over()
    stand.source.refresh_from_db()
    assert "{event_id}" in stand.source.key_template
    moved = meetings[0]
    old = stand.bots_at(moved.start, TARGET)
    stand.world.move(moved, moved.start + HOUR / 2)
    stand.run_for(2 * HOUR)
    assert old == stand.bots_at(moved.start, TARGET) == 1
    assert len(stand.bots(TARGET)) == len(meetings)
    assert stand.bots(SOURCE) == []
    stand.finish()
    stand.assert_proven(wanted=3)


def test_when_the_batch_is_closed_a_target_that_is_always_scheduled_goes_on() -> None:
    stand = stand_of(ADA, BEN)
    stand.want(stand.meet("shared", 26, ADA, BEN, bot=False), ADA, BEN)
    stand.know("all")
    stand.run_for(HOUR)
    stand.policy("all")
    stand.hand_over()
    stand.keep(stand.target)
    stand.finish()
    stand.source.refresh_from_db()
    assert stand.source.watched  # it is always scheduled as well, and has nothing left to schedule
    later = stand.want(stand.meet("made afterwards", 60, ADA, BEN, bot=False), ADA, BEN)
    stand.run_for(2 * HOUR)
    assert stand.bots_at(later.start, TARGET) == 1
    stand.run_to(later.end + HOUR)
    stand.assert_proven(wanted=2)
