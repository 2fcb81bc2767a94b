"""Without a batch: a workspace that is always scheduled follows its policies, with webhooks and without them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from calendars import sync
from calendars.models import Assignment, Calendar, Customer, Event, Occurrence, RecordingChoice, Workspace
from calendars.providers.recall_endpoints import ADD_BOT
from recallops.sandbox.records import SCHEDULED
from tests.standing import ADA, BEN, CAT, OUTSIDER, Stand

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def office(*people: str, **options: object) -> Stand:
    """Return three people with nothing in their calendars, in a workspace that is read every five minutes."""
    return Stand(people=people or (ADA, BEN, CAT), batches=0, **options)  # type: ignore[arg-type]


def test_every_wanted_meeting_gets_one_bot_though_nobody_asked_for_it() -> None:
    stand = office()
    stand.want(stand.meet("all hands", 3, ADA, BEN, CAT, bot=False), ADA, BEN, CAT)
    stand.want(stand.meet("pair", 5, ADA, BEN, bot=False), ADA, BEN)
    stand.want(stand.meet("alone", 7, CAT, bot=False), CAT)
    stand.know("all")
    assert len(stand.bots("us-west-2")) == 3
    stand.run_for(10 * HOUR)
    stand.assert_proven(wanted=3)


def test_a_steady_state_makes_no_call_but_the_periodic_reading() -> None:
    stand = office()
    stand.meet("all hands", 30, ADA, BEN, CAT, bot=False)
    stand.know("all")
    calls = stand.door.calls
    stand.run_for(HOUR)
    assert stand.writes(calls) == []
    lists = stand.lists(calls)
    assert 11 <= lists <= 13  # every five minutes
    assert stand.door.calls - calls - lists <= 5  # connections, every third time


def test_a_meeting_made_five_minutes_before_its_start_is_covered_at_once() -> None:
    stand = office()
    stand.know("all")
    stand.hear()
    stand.run_for(HOUR)
    start = stand.time.now() + 5 * MINUTE
    hours = (start - stand.start) / HOUR
    stand.want(stand.meet("now", hours, ADA, BEN, bot=False), ADA, BEN)
    stand.run_for(2 * MINUTE)
    assert stand.bots_at(start) == 1
    stand.run_for(HOUR)
    stand.assert_proven(wanted=1)


def test_the_pool_of_bots_is_asked_again_until_it_gives_one() -> None:
    stand = office(switches={"adhoc_507": 1.0})
    stand.know("all")
    stand.hear()
    meeting = stand.want(stand.meet("preponed", 30, ADA, bot=False), ADA)
    stand.run_for(10 * MINUTE)
    start = stand.time.now() + 4 * MINUTE
    stand.world.move(meeting, start)
    stand.run_for(2 * MINUTE)
    assert stand.bots_at(start) == 0
    stand.heard("ad-hoc")
    stand.world.switches.update({"adhoc_507": 0.0})
    stand.run_for(HOUR)
    stand.assert_proven(wanted=1)


def test_what_is_moved_declined_or_made_internal_changes_its_bots_and_nothing_else() -> None:
    stand = office()
    outside = {"attendees": {OUTSIDER: "accepted"}, "bot": False}
    moved = stand.want(stand.meet("moved", 30, ADA, **outside), ADA)
    declined = stand.meet("declined", 31, ADA, **outside)
    internal = stand.meet("becomes internal", 32, ADA, BEN, **outside)
    same = stand.want(stand.meet("stays", 33, ADA, BEN, **outside), ADA, BEN)
    stand.meet("internal", 34, ADA, BEN, bot=False)
    stand.know("external")
    stand.hear()
    assert len(stand.bots("us-west-2")) == 4
    kept = {bot.id for bot in stand.bots("us-west-2") if bot.join_at == same.start}
    stand.world.move(moved, moved.start + HOUR / 2)
    stand.world.decline(declined, stand.world.accounts[("google_calendar", ADA)])
    del internal.attendees[OUTSIDER]
    stand.world.retitle(internal, "only us")
    stand.run_for(3 * MINUTE)
    left = {bot.join_at: bot.id for bot in stand.bots("us-west-2")}
    assert set(left) == {moved.start, same.start}
    assert left[same.start] in kept
    stand.run_for(36 * HOUR)
    stand.assert_proven(wanted=2)


def test_an_event_that_is_used_again_has_a_bot_each_time() -> None:
    stand = office()
    meeting = stand.want(stand.meet("perpetual", 2, ADA, bot=False), ADA)
    stand.know("all")
    stand.hear()
    for _ in range(3):
        stand.run_to(meeting.end + 10 * MINUTE)
        stand.world.move(meeting, meeting.start + 3 * HOUR)
        stand.run_for(3 * MINUTE)
        assert stand.bots_at(meeting.start) == 1
    stand.run_to(meeting.end + HOUR)
    joined = [visit.joined_at for visit in stand.world.attendance]
    assert len(joined) == len(set(joined)) == 4


def test_a_calendar_that_comes_up_later_is_read_and_scheduled() -> None:
    stand = office(ADA)
    stand.know("all")
    stand.hear()
    stand.run_for(HOUR)
    stand.connect(BEN)
    meeting = stand.want(stand.meet("new one's", 9, BEN, bot=False), BEN)
    stand.run_for(20 * MINUTE)
    assert stand.bots_at(meeting.start) == 1


def test_a_calendar_that_falls_off_is_noticed_and_its_shared_meeting_keeps_its_bot() -> None:
    stand = office()
    shared = stand.want(stand.meet("shared", 9, ADA, BEN, bot=False), ADA, BEN)
    stand.know("all")
    assert stand.bots_at(shared.start) == 1
    stand.there.disconnect(stand.calendar(ADA).id)  # no webhooks are sent here: the periodic reading shows it
    stand.run_for(20 * MINUTE)
    assert stand.connection(ADA).status == "disconnected"
    stand.run_for(10 * HOUR)
    stand.assert_proven(wanted=1)


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("minutes", [20, 2])  # two are too short for anybody to have seen it
def test_a_calendar_that_fell_off_and_is_connected_again_has_its_bots_again_at_once(minutes: int, shown: bool) -> None:
    stand = office(switches={"bot_change_touches_event": shown})
    alone = stand.want(stand.meet("alone", 30, ADA, bot=False), ADA)
    stand.know("all")
    calendar = stand.calendar(ADA)
    stand.there.disconnect(calendar.id)
    stand.run_for(minutes * MINUTE)
    assert stand.bots_at(alone.start) == 0
    stand.there.change_calendar(calendar.id, {})
    stand.run_for(20 * MINUTE)
    assert stand.bots_at(alone.start) == 1


def test_a_first_trouble_after_hours_of_rest_is_tried_again_in_seconds() -> None:
    stand = office()
    stand.know("all")
    stand.hear()
    stand.run_for(10 * HOUR)
    stand.world.faults.add("status", status=409, endpoint=ADD_BOT, times=1)
    start = stand.time.now() + 5 * MINUTE
    stand.meet("now", (start - stand.start) / HOUR, ADA, bot=False)
    stand.run_for(MINUTE)
    assert stand.bots_at(start) == 1


def test_a_region_that_is_down_is_asked_ever_less_often_for_a_meeting_that_is_over() -> None:
    stand = office()
    meeting = stand.want(stand.meet("alone", 3, ADA, bot=False), ADA)
    stand.know("all")
    stand.run_to(meeting.end - 2 * MINUTE)
    stand.world.faults.add("drop", when="connect", endpoint="GET /api/v1/bot/{id}/", times=None)
    calls = stand.door.calls
    stand.run_for(HOUR)
    asked = [path for _, _, path in stand.door.made[calls:] if path.startswith("/api/v1/bot/")]
    assert 3 <= len(asked) <= 3 * 25  # three in a row, then after 4 seconds, 8, 16 and so on to every five minutes


def test_a_receiver_that_was_down_for_hours_catches_up_by_itself() -> None:
    stand = office()
    stand.know("all")
    stand.hear()
    stand.world.outbox.deliver_to(lambda outgoing: None)  # nobody answers
    stand.source.refresh_from_db()
    Workspace.objects.update(watched=False)
    early = stand.meet("made meanwhile", 4, ADA, bot=False)
    late = stand.meet("moved meanwhile", 30, BEN, bot=False)
    stand.run_for(3 * HOUR)
    stand.world.move(late, late.start + HOUR)
    assert stand.bots("us-west-2") == []
    Workspace.objects.update(watched=True)
    stand.settle()
    assert stand.bots_at(early.start) == stand.bots_at(late.start) == 1


def test_an_event_that_enters_the_window_is_scheduled() -> None:
    stand = office(sweep_every=timedelta(hours=1))
    meeting = stand.want(stand.meet("far away", 29 * 24, ADA, bot=False), ADA)
    stand.know("all")
    assert Event.objects.count() == 0
    stand.run_for(30 * HOUR)
    assert stand.bots_at(meeting.start) == 1


def test_a_profile_that_staff_edit_reaches_all_coming_bots_whole() -> None:
    stand = office()
    shared = stand.meet("shared", 30, ADA, BEN, bot=False)
    stand.know("all")
    stand.profile(bot_name="Scribe", metadata={"team": "blue"})
    stand.settle()
    calls = stand.door.calls
    assert [bot.config for bot in stand.bots("us-west-2")] == [{"bot_name": "Scribe", "metadata": {"team": "blue"}}]
    stand.profile(bot_name="Minutes")
    stand.settle()
    assert [bot.config for bot in stand.bots("us-west-2")] == [{"bot_name": "Minutes"}]
    assert stand.bots_at(shared.start) == 1
    assert len(stand.writes(calls)) == 1  # the bot is shared: one write changes it
    stand.run_for(HOUR)
    assert len(stand.writes(calls)) == 1


def test_a_choice_for_one_event_and_for_a_series_wins_over_the_policy() -> None:
    stand = office()
    weekly = [
        stand.meet("weekly", 30 + 168 * week, ADA, bot=False, series="weekly1", ical_uid="weekly1@google.com")
        for week in range(2)
    ]
    other = stand.meet("other", 40, ADA, bot=False)
    stand.know("manual")
    assert stand.bots("us-west-2") == []
    RecordingChoice.objects.create(
        customer=Customer.objects.get(calendars__email=ADA), series="weekly1@google.com", record=True
    )
    stand.policy("manual")
    stand.settle()
    assert [stand.bots_at(one.start) for one in (*weekly, other)] == [1, 1, 0]
    one = Occurrence.objects.get(events__start=weekly[0].start)
    RecordingChoice.objects.create(occurrence=one, record=False, reason="confidential")
    stand.policy("manual")
    stand.settle()
    assert [stand.bots_at(one.start) for one in (*weekly, other)] == [0, 1, 0]
    one.refresh_from_db()
    assert "confidential" in one.reason


def test_a_bot_that_the_policy_does_not_want_is_removed_once() -> None:
    stand = office()
    stand.meet("internal", 30, ADA, BEN)
    stand.keep()
    stand.settle()
    assert len(stand.bots("us-west-2")) == 1
    stand.policy("external")
    calls = stand.door.calls
    stand.run_for(HOUR)
    assert stand.bots("us-west-2") == []
    assert len(stand.writes(calls)) <= 2  # one for each calendar's event


def test_without_a_policy_everything_stays_as_found() -> None:
    stand = office()
    found = stand.meet("with a bot", 30, ADA, BEN)
    stand.meet("without", 31, ADA, BEN, bot=False)
    stand.keep()
    stand.run_for(HOUR)
    assert [bot.join_at for bot in stand.bots("us-west-2")] == [found.start]
    assert stand.writes() == []


def test_copies_that_become_wanted_share_the_bot_that_was_found() -> None:
    stand = office()
    meeting = stand.want(stand.meet("half recorded", 30, ADA, BEN, bot=False), ADA, BEN)
    stand.there.sync_copy(stand.calendar(ADA).id, meeting.id)
    event = stand.there.event_of(stand.calendar(ADA).id, meeting.id)
    stand.there.add_bot(event.id, "a key of no known form", {"bot_name": "theirs"}, quiet=True)
    stand.know("all")
    stand.run_for(HOUR)
    assert stand.bots_at(meeting.start) == 1
    assert Assignment.objects.filter(over=False).count() == 1


@pytest.mark.parametrize(("scheme", "bots"), [("all", 1), ("domain", 2), ("none", 3)])
def test_the_scheme_says_who_shares_a_bot(scheme: str, bots: int) -> None:
    guest = "dan@southwind.example"
    stand = office(ADA, BEN, guest)
    meeting = stand.meet("together", 30, ADA, BEN, guest, bot=False)
    stand.keep(dedup_scheme=scheme)
    stand.settle()
    stand.policy("all")
    stand.run_for(HOUR)
    assert stand.bots_at(meeting.start) == bots


def test_another_scheme_is_refused_while_meetings_are_scheduled() -> None:
    stand = office()
    stand.source.dedup_scheme = "domain"
    stand.source.full_clean()  # nothing is scheduled yet
    stand.source.dedup_scheme = "as_found"
    stand.meet("scheduled", 30, ADA, BEN, bot=False)
    stand.know("all")
    stand.source.refresh_from_db()
    stand.source.dedup_scheme = "domain"
    with pytest.raises(ValidationError, match="delete all connected calendars"):
        stand.source.full_clean()


def test_two_schedulers_in_one_workspace_are_refused() -> None:
    stand = office()
    with pytest.raises(ValidationError, match="own application"):
        stand.keep(scheduler="external")


def test_an_event_that_changes_its_calendar_keeps_one_bot() -> None:
    stand = office()
    meeting = stand.meet("given away", 30, ADA, bot=False)
    stand.know("all")
    there = stand.there
    event = there.event_of(stand.calendar(ADA).id, meeting.id)
    old, new = there.calendars[event.calendar_id], stand.calendar(CAT)
    del old.events[meeting.id]
    old.by_start.remove(event.start, event.id)
    new.events[meeting.id] = event.id
    new.by_start.add(event.start, event.id)
    event.calendar_id = new.id
    there.by_update.remove(event.updated_at, event.id)
    event.updated_at = stand.time.now()
    there.by_update.add(event.updated_at, event.id)
    stand.run_for(10 * MINUTE)
    assert Event.objects.get(remote_id=event.id).connection == stand.connection(CAT)
    assert stand.bots_at(meeting.start) == 1
    assert set(Occurrence.objects.filter(wanted=True).values_list("calendar__email", flat=True)) == {CAT}
    assert [bot.status for bot in there.bots.values()] == [SCHEDULED]


def test_a_policy_changes_nothing_in_a_workspace_that_nobody_reads() -> None:
    stand = office()
    found = stand.meet("internal", 30, ADA, BEN)
    stand.keep()
    stand.settle()
    stand.source.always_on = False
    stand.source.save(update_fields=["always_on"])
    sync.keep_reading(stand.source)
    stand.hear()
    calls = stand.door.calls
    stand.policy("external")
    stand.run_to(found.end + HOUR)  # its bot comes and goes, and webhooks tell of it
    assert stand.door.calls == calls
    assert stand.world.attendance


def test_a_calendar_that_cannot_be_read_holds_up_nothing_else() -> None:
    stand = office()
    stand.know("all")
    stand.hear()
    stand.world.faults.add("status", status=500, endpoint="GET /api/v2/calendars/{id}/", times=None)
    stand.there.disconnect(stand.calendar(CAT).id)
    stand.settle()
    meeting = stand.meet("made now", 30, ADA, bot=False)
    stand.settle()
    assert stand.bots_at(meeting.start) == 1


def test_a_choice_that_is_taken_back_leaves_what_was_found_before() -> None:
    stand = office()
    found = stand.meet("with a bot", 30, ADA)
    without = stand.meet("without", 31, ADA, bot=False)
    stand.keep()
    stand.settle()
    for record, bots in ((False, [0, 0]), (True, [1, 1])):
        for occurrence in Occurrence.objects.all():
            RecordingChoice.objects.create(occurrence=occurrence, record=record)
        stand.policy("as_found")
        stand.settle()
        assert [stand.bots_at(found.start), stand.bots_at(without.start)] == bots
        RecordingChoice.objects.all().delete()
        stand.policy("as_found")
        stand.settle()
        assert [stand.bots_at(found.start), stand.bots_at(without.start)] == [1, 0]


def test_who_is_outside_does_not_depend_on_what_else_was_read() -> None:
    stand = office(ADA, "dan@southwind.example")
    stand.keep()
    stand.settle()
    customer = Customer.objects.get(calendars__email=ADA)
    Calendar.objects.update(customer=customer)
    meeting = stand.meet(
        "one company, two domains", 30, ADA, bot=False, attendees={"dan@southwind.example": "accepted"}
    )
    stand.policy("internal")
    stand.settle()
    assert stand.bots_at(meeting.start) == 1


def test_stopping_leaves_the_bots_and_reads_no_more() -> None:
    stand = office()
    stand.meet("scheduled", 30, ADA, BEN, bot=False)
    stand.know("all")
    stand.source.always_on = False
    stand.source.save(update_fields=["always_on"])
    sync.keep_reading(stand.source)
    calls = stand.door.calls
    stand.run_for(HOUR)
    assert stand.door.calls == calls
    assert len(stand.bots("us-west-2")) == 1
