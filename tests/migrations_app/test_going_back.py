"""Cancel and reverse: from every step the way leads back, with nothing missed, doubled, lost, or left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars import sync
from calendars.api.chains import chains
from calendars.models import ApiKey, Assignment, Connection, Customer, IdMapping, Intent, Sweep, Workspace
from calendars.providers.recall_endpoints import CREATE_CALENDAR, DELETE_CALENDAR
from migrations_app import control, report, tasks, undo
from migrations_app.admin import page
from migrations_app.itineraries import BACK, Step
from migrations_app.models import Batch, BatchStatus, Item, ItemStatus
from migrations_app.outcomes import Outcome, stop
from migrations_app.steps import ITEM_STEPS, delete_old
from recallops.sandbox.meetings import GOOGLE
from tests.harness import OFFICE, SOURCE, TARGET, Move, quick

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BEN = OFFICE
DAN = "dan@southwind.example"
HOUR = timedelta(hours=1)


def go_back(move: Move, batch: Batch | None = None) -> None:
    """Press the button."""
    batch = batch or move.batch
    control.go_back(batch, actor=None, confirm=batch.slug)


def people_in(move: Move, region: str) -> set[str]:
    """Return whose calendars a region has."""
    calendars = move.world.regions[region].workspaces["main"].calendars.values()
    return {calendar.account[1] for calendar in calendars if calendar.account}


def assert_back(move: Move, *, wanted: int = 6) -> None:
    """Fail unless everything is as if there had never been a batch, but for ids."""
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED, move.where()
    items = Item.objects.filter(batch=move.batch, kind=Item.Kind.CONNECTION)
    assert {item.status for item in items} <= {ItemStatus.BACK}
    assert people_in(move, SOURCE) == set(OFFICE)
    assert people_in(move, TARGET) == set()
    assert move.bots(TARGET) == []
    assert not Intent.objects.filter(state__in=Intent.OPEN).exists()
    assert not Connection.objects.exclude(refresh_token="").exists()
    assert set(Assignment.objects.values_list("owner__slug", flat=True)) <= {"us"}
    move.assert_proven(wanted=wanted)


def told_of(move: Move) -> undo.Undo:
    """Return what the batch's page says of going back."""
    batch = page.fetch(move.batch.pk)
    assert batch is not None
    told: undo.Undo = page.live(batch, may_change=True)["undo"]
    return told


# -- cancel in each step


@pytest.mark.parametrize("step", [Step.PREFLIGHT, Step.EXPORT, Step.RECREATE, Step.VERIFY, Step.HAND_OVER])
def test_a_batch_that_rests_after_a_step_goes_back_without_a_trace(step: Step) -> None:
    move = quick()
    move.allow(step)
    move.run()
    go_back(move)
    move.run()
    assert_back(move)


def test_a_batch_that_was_never_started_is_closed_by_going_back() -> None:
    move = quick()
    control.go_back(move.batch, actor=None)
    move.run()
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED
    assert move.writes() == []
    move.assert_proven(wanted=6)


# -- reverse


def test_before_delete_old_only_what_the_batch_made_goes_from_the_target() -> None:
    move = quick()
    move.connect(BEN, region=TARGET)  # somebody connected it there before
    move.connect(DAN, region=TARGET)  # has nothing to do with this batch
    move.time.advance(timedelta(minutes=5))
    move.world.advance()
    move.allow(Step.HAND_OVER)
    move.run()
    assert {row.owner for row in Assignment.objects.select_related("owner")} == {move.target}
    go_back(move)
    move.run()
    assert people_in(move, SOURCE) == {ADA, BEN}
    assert people_in(move, TARGET) == {BEN, DAN}
    assert move.bots(TARGET) == []
    move.assert_proven(wanted=6)


def test_after_delete_old_calendars_are_made_again_in_the_source_by_the_credentials_that_were_kept() -> None:
    move = quick()
    before = {calendar.id for calendar in move.there.calendars.values()}
    move.allow(Step.DELETE_OLD)
    move.run()
    assert people_in(move, SOURCE) == set()
    go_back(move)
    move.run()
    after = {calendar.id for calendar in move.there.calendars.values()}
    assert not before & after
    assert_back(move)


def test_in_the_middle_of_delete_old_those_that_are_deleted_are_made_again_and_the_others_stay() -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run(until=lambda: len(people_in(move, SOURCE)) == 1)
    kept = {calendar.id for calendar in move.there.calendars.values()}
    go_back(move)
    move.run()
    assert kept < {calendar.id for calendar in move.there.calendars.values()}
    assert_back(move)


def test_every_id_is_followed_there_and_back_again() -> None:
    move = quick()
    first = move.calendar(ADA).id
    move.allow(Step.DELETE_OLD)
    move.run()
    second = move.calendar(ADA, region=TARGET).id
    go_back(move)
    move.run()
    third = move.calendar(ADA).id
    for asked in (first, second, third):
        [chain] = chains([asked], kinds=["calendar"])
        assert chain.newest is not None
        assert chain.newest.target_remote_id == third
    assert not IdMapping.objects.filter(kind="event", superseded=False, target=move.target).exclude(
        source_remote_id__in=IdMapping.objects.filter(kind="event", target=move.target).values("source_remote_id")
    )


def test_an_id_that_never_changed_in_the_source_holds_again() -> None:
    move = quick()
    there = move.calendar(ADA).id
    move.allow(Step.HAND_OVER)
    move.run()
    here = move.calendar(ADA, region=TARGET).id
    go_back(move)
    move.run()
    for asked in (there, here):
        [chain] = chains([asked], kinds=["calendar"])
        assert chain.newest is not None
        assert chain.newest.target_remote_id == there


# -- trouble on the way


@pytest.mark.parametrize("endpoint", [CREATE_CALENDAR, DELETE_CALENDAR])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_whose_answer_was_lost_before_it_was_sent_back_is_settled_first(endpoint: str, when: str) -> None:
    move = quick()
    move.world.faults.add("drop", when=when, endpoint=endpoint, times=1)
    move.allow(Step.CLEAN_UP)
    purposes = {CREATE_CALENDAR: Intent.Purpose.CREATE_CALENDAR, DELETE_CALENDAR: Intent.Purpose.DELETE_CALENDAR}
    unsure = Intent.objects.filter(purpose=purposes[endpoint], state=Intent.State.SENT)
    move.run(until=unsure.exists)
    go_back(move)
    move.run()
    assert_back(move)


def test_a_calendar_that_the_source_cannot_connect_again_stays_in_the_target_with_its_bots() -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run()
    Connection.objects.filter(workspace=move.source, calendar__email=BEN).update(refresh_token="")
    go_back(move)
    move.run()
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED
    assert dict(Item.objects.filter(batch=move.batch, kind="connection").values_list("title", "status")) == {
        ADA: ItemStatus.BACK,
        BEN: ItemStatus.USER,
    }
    assert people_in(move, SOURCE) == {ADA}
    assert people_in(move, TARGET) == {BEN}
    move.assert_proven(wanted=6)


def test_a_provider_that_revokes_the_grant_with_the_delete_costs_one_calendar_on_the_way_back() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    move.world.switches.update({"delete_revokes_grant": (GOOGLE,)})
    go_back(move)
    move.run(until=lambda: Batch.objects.get(pk=move.batch.pk).status == BatchStatus.STOPPED)
    assert len(people_in(move, TARGET)) == len(OFFICE) - 1
    move.heard("could not use its grant any more")


def test_a_pause_holds_the_way_back_and_never_its_second_half() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    go_back(move)
    control.set_paused(move.batch, True, actor=None)
    move.run_for(2 * HOUR)
    assert move.bots(SOURCE) == []
    control.set_paused(move.batch, False, actor=None)
    move.run()
    assert_back(move)


# -- pressed at a moment when a worker, or somebody else, is at it


def test_a_calendar_that_somebody_deletes_in_the_source_on_the_way_back_waits_for_a_person() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    go_back(move)
    move.run(until=lambda: Item.objects.filter(title=BEN, step=Step.EMPTY_TARGET).exists())
    move.there.delete_calendar(move.calendar(BEN).id)
    move.run()
    assert Item.objects.get(title=BEN).status == ItemStatus.FAILED
    move.heard("Somebody deleted it in the source on the way back")
    assert BEN in people_in(move, TARGET)
    move.retry()
    move.run()
    assert_back(move)


def test_whoever_has_connected_again_in_the_source_needs_no_token() -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run()
    Connection.objects.filter(workspace=move.source, calendar__email=BEN).update(refresh_token="")
    again = move.connect(BEN)
    move.run_for(2 * HOUR)  # until somebody reads the list of calendars again
    go_back(move)
    move.run()
    assert set(move.batch.items.filter(kind="connection").values_list("status", flat=True)) == {ItemStatus.BACK}
    assert people_in(move, TARGET) == set()
    assert move.calendar(BEN).id == again.id
    move.assert_proven(wanted=6)


def test_a_worker_that_is_about_to_mark_a_calendar_as_closing_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    looked, pressed = delete_old._fell_back, []

    def press(item: Item) -> bool:
        if not pressed:
            pressed.append(item)
            go_back(move)
        return looked(item)

    monkeypatch.setattr(delete_old, "_fell_back", press)
    move.run(longest=10 * HOUR)
    assert pressed
    assert_back(move)


def test_an_export_that_is_under_way_makes_no_items_any_more() -> None:
    move = quick()
    move.allow(Step.CLEAN_UP)
    pressed = False

    def press(number: int, request: object) -> None:
        nonlocal pressed
        if not pressed and Batch.objects.filter(step=Step.EXPORT).exists():
            pressed = True
            go_back(move)
            assert tasks.find_work(move.batch.slug, move.room) == []  # another driver sees that there is nothing

    move.door.before = press
    move.run()
    assert pressed
    assert not Item.objects.filter(kind=Item.Kind.CONNECTION).exists()
    assert_back(move)


def test_a_batch_with_a_refused_key_goes_back_where_no_call_is_needed() -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    ApiKey.objects.filter(workspace=move.target).update(enabled=False)
    ApiKey.objects.create(workspace=move.target, secret="refused")
    move.run_for(2 * HOUR)
    assert Workspace.objects.exclude(trouble="").exists()
    go_back(move)
    move.run()
    assert_back(move)


def test_what_somebody_deleted_in_the_target_has_its_meetings_in_the_source_before_the_batch_lets_go() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    for email in OFFICE:
        move.here.delete_calendar(move.calendar(email, region=TARGET).id)
    sync.run_sweep(sync.open_sweep(move.target, Sweep.Kind.CALENDARS))
    go_back(move)
    for _ in range(12):  # the batch's driver is quicker than that of the meetings
        for piece in tasks.find_work(move.batch.slug, move.room):
            piece()
    move.run()
    assert_back(move)


def test_what_stops_the_way_there_does_not_stop_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    move = quick()
    move.allow(Step.CLEAN_UP)

    def press(item: Item) -> Outcome:
        go_back(move)
        return stop("The key was refused.")

    monkeypatch.setitem(ITEM_STEPS, Step.VERIFY, press)
    move.run()
    assert_back(move)


def test_what_was_deleted_before_it_could_be_moved_does_not_hold_up_the_way_back() -> None:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    move.there.delete_calendar(move.calendar(BEN).id)
    move.run_for(8 * HOUR)  # until somebody reads the list of calendars again
    go_back(move)
    move.run()
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED, move.where()
    move.heard("there is nothing to bring back")


def test_what_another_batch_moves_by_now_is_left_to_it() -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run()
    move.connect(BEN)
    first, move.batch = move.batch, move.new_batch("another")
    move.allow(Step.EXPORT)
    move.run()
    go_back(move, first)
    move.run(until=lambda: Batch.objects.get(pk=first.pk).status == BatchStatus.STOPPED)
    move.heard("batch another moves that one")
    assert Item.objects.get(batch=first, title=BEN).status == ItemStatus.FAILED
    go_back(move)
    move.run()
    control.retry_failed(first, actor=None)
    move.batch = first
    move.run()
    assert_back(move)


def test_closing_a_batch_leaves_the_tokens_that_a_newer_one_needs() -> None:
    move = quick()
    move.finish()
    back = control.create_batch(slug="other-way", source=move.target, target=move.source)
    move.batch = back
    move.allow(Step.DELETE_OLD)
    move.run()
    newer = move.new_batch("newer")
    move.allow(Step.EXPORT, newer)
    move.run()
    wanted = Connection.objects.filter(items__batch=newer).exclude(refresh_token="")
    assert wanted.count() == len(OFFICE)
    move.allow(Step.CLEAN_UP, back)
    move.run()
    assert Batch.objects.get(pk=back.pk).status == BatchStatus.CLOSED
    assert wanted.count() == len(OFFICE)


def test_a_delete_that_a_list_shows_before_its_lost_answer_was_settled_is_settled_all_the_same() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    move.world.faults.add("drop", when="after", endpoint=DELETE_CALENDAR, times=1)
    move.allow(Step.CLEAN_UP)
    unsure = Intent.objects.filter(purpose=Intent.Purpose.DELETE_CALENDAR, state=Intent.State.SENT)
    move.run(until=unsure.exists)
    assert sync.run_sweep(sync.open_sweep(move.source, Sweep.Kind.CALENDARS))
    assert unsure.get().connection.status == "deleted"
    move.run()
    assert not unsure.exists()
    move.assert_proven(wanted=6)


def test_a_calendar_that_is_left_in_the_target_is_not_closing_any_more() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    go_back(move)
    closing = Connection.objects.filter(workspace=move.target, closing=True)
    move.run(until=closing.exists)
    Item.objects.filter(batch=move.batch, step=Step.EMPTY_TARGET).update(status=ItemStatus.FAILED)
    move.run()
    control.leave_failed(move.batch, actor=None, reason="they stay in both for now")
    move.run()
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.CLOSED
    assert not closing.exclude(status="deleted").exists()


# -- two batches that share meetings


@pytest.mark.parametrize("back", [("one",), ("one", "two")])
def test_two_batches_with_common_meetings_go_their_own_ways(back: tuple[str, ...]) -> None:
    people = (ADA, BEN, DAN)
    move = quick(people=people, batches=0)
    move.batch = move.new_batch("all")
    move.allow(Step.PREFLIGHT)  # so that the customers are known
    move.run()
    go_back(move)
    move.run()
    for slug, customer in (("one", "northwind"), ("two", "southwind")):
        move.batch = move.new_batch(slug, customers=Customer.objects.filter(slug__startswith=customer))
        move.allow(Step.HAND_OVER)
    move.run()
    for slug in back:
        go_back(move, Batch.objects.get(slug=slug))
    for batch in Batch.objects.filter(closed_at=None).exclude(handover__backwards=True):
        move.allow(Step.CLEAN_UP, batch)
    move.run()
    stayed = {DAN} if back == ("one",) else set()
    assert people_in(move, TARGET) == stayed
    assert people_in(move, SOURCE) == set(people) - stayed
    move.assert_proven(wanted=8)


# -- what people are told, and refused


def test_without_its_name_nothing_goes_back_once_something_may_have_been_made() -> None:
    move = quick()
    move.allow(Step.RECREATE)
    with pytest.raises(control.Refused, match="typing the batch's name: move"):
        control.go_back(move.batch, actor=None, confirm="mvoe")
    move.batch.refresh_from_db()
    assert not move.batch.goes_back


def test_twice_is_refused_and_a_closed_batch_names_the_other_way() -> None:
    move = quick()
    move.finish()
    with pytest.raises(control.Refused, match="Make a batch from eu to us"):
        go_back(move)
    other = move.new_batch("other")
    control.go_back(other, actor=None)
    with pytest.raises(control.Refused, match="goes back already"):
        control.go_back(other, actor=None)


def test_a_batch_that_goes_back_has_no_steps_of_the_way_there() -> None:
    move = quick()
    move.allow(Step.HAND_OVER)
    move.run()
    go_back(move)
    with pytest.raises(control.Refused, match="no step of this batch"):
        control.set_goal(move.batch, Step.DELETE_OLD, actor=None, confirm="move")
    with pytest.raises(control.Refused, match="goes back"):
        control.set_cut_line(move.batch, move.start, actor=None)
    assert [button.step for button in control.buttons(move.batch)] == list(BACK)


def test_the_report_accounts_for_every_calendar_that_is_in_the_source_again() -> None:
    move = quick()
    move.allow(Step.DELETE_OLD)
    move.run()
    go_back(move)
    move.run()
    built = report.build(move.batch)
    assert built["items"]["back"] == built["items"]["exported"] == len(OFFICE)
    assert built["items"]["adds_up"]
    assert built["items"]["unaccounted"]["total"] == 0
    assert built["batch"]["goes_back"]


def test_what_staff_are_told_follows_the_batch() -> None:
    move = quick()
    told = told_of(move)
    assert (told.name, told.does) == (undo.CANCEL, (undo.NOTHING_MADE,))
    move.allow(Step.HAND_OVER)
    move.run()
    told = told_of(move)
    assert told.name == undo.REVERSE
    assert told.does == (undo.HANDS_BACK.format(handed=6), undo.DELETES.format(made=2))
    assert [label for label, _ in told.takes_away] == ["Delete old", "Clean up"]
    move.allow(Step.DELETE_OLD)
    assert told_of(move).until == undo.UNTIL_NOW
    move.turn()
    assert told_of(move).until == undo.UNTIL_LOOKED.format(until=move.time.at + move.batch.soak)
    move.run()
    told = told_of(move)
    assert told.does[0] == undo.MAKES_AGAIN.format(deleted=2)
    assert [label for label, _ in told.takes_away] == ["Clean up"]
