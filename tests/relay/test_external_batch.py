"""A company's own application schedules behind the relay while its calendars move: nothing missed, nothing doubled."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from calendars import sync
from calendars.models import (
    Application,
    Assignment,
    AuditEntry,
    Calendar,
    Customer,
    Intent,
    RelayAttempt,
    Relayed,
    Sweep,
    Workspace,
)
from migrations_app import cut_watch, cuts
from migrations_app.itineraries import Step
from migrations_app.models import Finding, ShareGroup
from migrations_app.share_groups import in_the_way
from tests.harness import SOURCE, TARGET
from tests.relay.office import edit_meanwhile, link, move, office, statuses
from tests.relaying import Relaying

pytestmark = pytest.mark.django_db(transaction=True)

TWO_HOURS = timedelta(hours=2)


def assert_gone_over(stand: Relaying) -> None:
    """Everything is in the target, the application scheduled all of it, and it got each webhook in order."""
    stand.batch.refresh_from_db()
    assert stand.batch.status == "closed", stand.where()
    assert statuses() == {"done"}
    assert set(ShareGroup.objects.exclude(state="fell_back").values_list("state", flat=True)) == {"settled"}
    assert not Intent.objects.filter(purpose=Intent.Purpose.ADD_BOT).exists()
    stand.assert_in_order()
    assert not Relayed.objects.filter(state__in=["waiting", "dead"]).exists()


@pytest.mark.parametrize(("people", "teams", "days"), [(10, 3, 1), pytest.param(50, 12, 3, marks=pytest.mark.thorough)])
def test_a_company_goes_over_and_no_meeting_is_missed_or_doubled(people: int, teams: int, days: int) -> None:
    stand = office(people, teams=teams, days=days)
    stand.begin()
    stand.run_for(timedelta(hours=4))  # in the middle of a working day
    edit_meanwhile(stand, edits=people, span=timedelta(hours=14 * days))
    move(stand)
    assert_gone_over(stand)
    assert ShareGroup.objects.count() >= teams
    assert max(stand.sample.ids.values()) == 1
    stand.run_for(timedelta(days=days))
    proof = stand.assert_proven()
    assert proof.by_place[f"{TARGET}/main"] > proof.by_place[f"{SOURCE}/main"] > 0


def out_of_order(stand: Relaying, kind: str) -> None:
    """Let the application be ill for two hours, from the first cut on."""
    until = []

    def ill() -> bool:
        if not until and ShareGroup.objects.exclude(cut_at=None).exists():
            until.append(stand.time.at + TWO_HOURS)
        return bool(until) and stand.time.at < until[0]

    def answer(request: httpx.Request) -> int | None:
        sick = ill()
        stand.sample.late = sick and kind == "late"
        if sick and kind == "down":
            raise httpx.ConnectError("refused", request=request)
        if sick and kind == "slow":
            raise httpx.ReadTimeout("slow", request=request)
        return 500 if sick and kind == "500" else None

    stand.sample.answers = answer


@pytest.mark.parametrize(
    "kind", ["late", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("down", "slow", "500"))]
)
def test_an_application_that_is_ill_for_two_hours_loses_nothing(kind: str) -> None:
    stand = office(6, teams=2, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    edit_meanwhile(stand, edits=10, span=timedelta(hours=16))
    out_of_order(stand, kind)
    move(stand)
    assert_gone_over(stand)
    again = {name for name, times in stand.sample.ids.items() if times > 1}
    tries = RelayAttempt.objects.exclude(problem="")
    failed = set(tries.values_list("relayed__delivery__delivery_id", flat=True))
    assert again <= failed, "a webhook that was answered 2xx came twice"
    assert bool(again) == (kind == "late")
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_an_application_that_takes_the_target_for_the_source_falls_back_and_goes_over_once_it_is_mended() -> None:
    stand = office(6, teams=2, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    stand.sample.home = SOURCE
    batch = move(stand)
    assert statuses() == {"failed"}, stand.where()
    assert set(ShareGroup.objects.values_list("state", flat=True)) <= {"fell_back", "waiting"}
    assert "did not schedule" in Finding.objects.filter(code="fell_back", gone_at=None)[0].sentence
    assert set(Assignment.objects.filter(over=False).values_list("owner__slug", flat=True)) == {"us"}
    assert not Relayed.objects.filter(state="held", delivery__workspace=stand.source).exists()
    stand.sample.home = ""
    stand.sample.done.clear()  # it forgets what it has done wrong
    assert stand.retry()
    stand.run()
    assert_gone_over(stand)
    assert batch.share_groups.filter(state="fell_back").exists()
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_an_application_that_forgets_some_falls_back_and_what_went_over_comes_back() -> None:
    stand = office(6, teams=2, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    stand.sample.forgets = 3
    move(stand)
    assert "failed" in statuses(), stand.where()
    assert ShareGroup.objects.filter(state="fell_back").exists()
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_an_application_that_schedules_twice_in_the_target_falls_back() -> None:
    stand = office(4, teams=1, days=1, switches={"new_key": "adds"})
    stand.begin()
    stand.run_for(timedelta(hours=1))
    stand.sample.twice = True
    move(stand)
    assert statuses() == {"failed"}, stand.where()
    assert "twice" in ShareGroup.objects.get(state="fell_back").reason
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_an_application_that_goes_on_writing_to_the_source_falls_back() -> None:
    stand = office(4, teams=1, days=1, soak=timedelta(hours=6))
    stand.begin()
    stand.run_for(timedelta(hours=1))
    stand.batch = stand.new_batch("move")
    stand.allow(Step.HAND_OVER, stand.batch)
    stand.run(until=lambda: ShareGroup.objects.filter(state="settled").exists())
    for hours in (1, 2, 3):
        stand.world.at(stand.time.now() + timedelta(hours=hours), stand.write_to_the_source)
    stand.allow(Step.DELETE_OLD, stand.batch)
    stand.run(until=lambda: ShareGroup.objects.filter(state="fell_back").exists(), longest=timedelta(hours=8))
    assert "goes on writing" in ShareGroup.objects.get(state="fell_back").reason
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_a_group_waits_for_a_quiet_moment_or_until_staff_accept_what_is_in_the_way() -> None:
    stand = office(2, teams=1, days=1)
    for hour in range(40):
        for email in stand.people:
            own = stand.meet(f"hour {hour} of {email}", 1.0 + hour, email, bot=False, minutes=59, url=link(stand))
            stand.want(own, email)
    stand.begin()
    stand.run_for(timedelta(minutes=30))
    stand.batch = stand.new_batch("move")
    stand.allow(Step.HAND_OVER, stand.batch)
    stand.run(until=lambda: ShareGroup.objects.filter(planned_at__isnull=False).exists())
    group = ShareGroup.objects.get()
    assert group.planned_at is not None
    assert group.planned_at > stand.time.now() + timedelta(hours=30)
    assert "then nobody in this group meets" in group.reason
    stand.run_for(timedelta(minutes=20))
    application = Application.objects.get()
    now, before = stand.time.at, timedelta(minutes=30) + application.patience
    for common in in_the_way(
        cut_watch.meetings_of(Calendar.objects.values_list("pk", flat=True)), at=now, before=before
    ):
        cuts.accept(Assignment.objects.get(pk=common.meeting), stand.batch, actor=None, reason="may be doubled")
    stand.run(until=lambda: ShareGroup.objects.filter(state="settled").exists(), longest=timedelta(hours=2))
    assert AuditEntry.objects.filter(action="share_group.accept").exists()
    assert stand.proof().missed == []


def test_a_meeting_is_in_the_way_until_it_is_over_by_the_providers_clock_however_far_that_is_behind() -> None:
    stand = office(2, teams=1, days=1)
    stand.begin()
    stand.run_for(timedelta(minutes=30))
    move(stand, Step.VERIFY)
    calendars = Calendar.objects.values_list("pk", flat=True)
    first = cut_watch.meetings_of(calendars)[0]
    Workspace.objects.update(clock_offset=timedelta(minutes=5))
    stand.time.at = first.end + timedelta(minutes=4)
    found = in_the_way(cut_watch.meetings_of(calendars), at=stand.time.at, before=timedelta(0))
    assert first.meeting in {one.meeting for one in found}


def test_calendars_outside_the_batch_are_left_to_the_application_altogether() -> None:
    stand = office(4, teams=4, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    edit_meanwhile(stand, edits=12, span=timedelta(hours=16))
    outside = stand.people[-1]
    mine = Customer.objects.create(slug="inside", name="Inside")
    others = Customer.objects.create(slug="outside", name="Outside")
    stand.batch = stand.new_batch("move", customers=[mine])
    for workspace in (stand.source, stand.target):
        sync.run_sweep(sync.open_sweep(workspace, Sweep.Kind.CALENDARS))
    Calendar.objects.update(customer=mine)
    Calendar.objects.filter(email=outside).update(customer=others)
    stand.allow(Step.CLEAN_UP, stand.batch)
    stand.run()
    assert_gone_over(stand)
    assert not Intent.objects.filter(event__connection__calendar__email=outside).exists()
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_a_meeting_that_moves_just_after_the_cut_is_not_forgotten_by_an_application_that_is_slow() -> None:
    stand = office(4, teams=2, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    out_of_order(stand, "down")
    moved = []

    def move_all() -> None:
        for meeting in list(stand.world.meetings.values()):
            if meeting.start > stand.world.now() + timedelta(hours=5):
                stand.world.move(meeting, meeting.start + timedelta(minutes=15))
                moved.append(meeting)

    stand.batch = stand.new_batch("move")
    stand.allow(Step.CLEAN_UP, stand.batch)
    stand.run(until=lambda: ShareGroup.objects.exclude(cut_at=None).exists())
    stand.world.at(stand.time.now() + timedelta(minutes=1), move_all)
    stand.run()
    assert moved
    assert_gone_over(stand)
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_a_target_calendar_that_somebody_deletes_after_the_cut_is_scheduled_in_the_source_again() -> None:
    stand = office(4, teams=2, days=1, soak=timedelta(hours=6))
    stand.begin()
    stand.run_for(timedelta(hours=1))
    stand.batch = stand.new_batch("move")
    stand.allow(Step.DELETE_OLD, stand.batch)
    stand.run(until=lambda: ShareGroup.objects.filter(state="settled").count() > 1, longest=timedelta(hours=6))
    lost = stand.people[0]
    stand.here.delete_calendar(stand.calendar(lost, region=TARGET).id)
    stand.run_for(timedelta(hours=2))
    assert Calendar.objects.get(email=lost).relayed_from == stand.source, stand.where()
    stand.run_for(timedelta(days=1))
    stand.assert_proven()


def test_a_group_that_was_cut_is_watched_while_the_batch_rests() -> None:
    stand = office(4, teams=1, days=1)
    stand.begin()
    stand.run_for(timedelta(hours=1))
    move(stand, Step.HAND_OVER)
    assert stand.batch.reached == Step.HAND_OVER
    for hours in (1, 2, 3):
        stand.world.at(stand.time.now() + timedelta(hours=hours), stand.write_to_the_source)
    stand.run_for(timedelta(hours=8))
    assert "goes on writing" in ShareGroup.objects.get(state="fell_back").reason
    stand.run_for(timedelta(days=1))
    stand.assert_proven()
