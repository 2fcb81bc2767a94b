"""A second person for deletes: one asks, another approves, and nobody his own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from calendars.models import AuditEntry, Workspace
from calendars.relay import outbox
from migrations_app import approvals, control
from migrations_app.control import NeedsApproval, Refused
from migrations_app.itineraries import BACK, Step
from migrations_app.models import Approval, Batch, ItemStatus
from recallops import clock
from tests.admin import builders as make
from tests.admin.pressing import press, said

pytestmark = pytest.mark.django_db
State = Approval.State
DRIVES = ("migrations_app.view_batch", "migrations_app.change_batch", "migrations_app.view_approval")
APPROVES = (*DRIVES, "migrations_app.approve", "migrations_app.delete_old")


@pytest.fixture
def batch() -> Batch:
    """At rest before the delete, in a workspace that wants a second person."""
    batch = make.make_batch("acme", goal=Step.HAND_OVER, step=Step.DELETE_OLD)
    for _ in range(2):
        make.make_item(batch, step=Step.DELETE_OLD, status=ItemStatus.READY)
    Workspace.objects.filter(pk=batch.source_id).update(second_person=True)
    return Batch.objects.get(pk=batch.pk)


@pytest.fixture
def olga() -> User:
    return make.make_staff("olga", permissions=DRIVES)


@pytest.fixture
def anna() -> User:
    return make.make_staff("anna", permissions=APPROVES)


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def ask(batch: Batch, user: User) -> Approval:
    """Ask by the button of the batch's page."""
    press(browser(user), batch, "goal", step="delete_old", confirm="acme", reason="agreed with acme")
    return Approval.objects.get(state=State.WAITING)


def goal_of(batch: Batch) -> str:
    return Batch.objects.values_list("goal", flat=True).get(pk=batch.pk)


def test_the_press_asks_and_allows_nothing_until_another_person_approves(batch: Batch, olga: User, anna: User) -> None:
    response = press(browser(olga), batch, "goal", step="delete_old", confirm="acme", reason="agreed with acme")
    assert "Another person who may approve" in said(response)
    assert goal_of(batch) == Step.HAND_OVER
    asked = Approval.objects.get()
    assert (asked.asked_by, asked.step, asked.reason, asked.state) == (
        olga,
        "delete_old",
        "agreed with acme",
        "waiting",
    )
    assert f"Deletes 2 calendars in {batch.source}." in asked.sentences[0]
    press(browser(anna), asked, "approve", reason="looked at it")
    batch.refresh_from_db()
    asked.refresh_from_db()
    assert (batch.goal, batch.delete_confirmed_by) == (Step.DELETE_OLD, olga)
    assert (asked.state, asked.decided_by, asked.said) == (State.APPROVED, anna, "looked at it")
    entries = AuditEntry.objects.order_by("pk").values_list("action", "actor_name")
    assert list(entries)[-3:] == [("approval.ask", "olga"), ("approval.approved", "anna"), ("batch.goal", "anna")]


def test_the_page_offers_whoever_drives_the_form_that_asks(batch: Batch, olga: User) -> None:
    address = reverse("admin:migrations_app_batch_change", args=[batch.pk])
    assert 'id="confirm-name"' in browser(olga).get(address).content.decode()
    Workspace.objects.update(second_person=False)
    page = browser(olga).get(address).content.decode()
    assert 'id="confirm-name"' not in page
    assert "which takes the role of an approver" in page


@pytest.mark.parametrize("side", ["source", "target"])
def test_either_workspace_can_want_a_second_person(side: str) -> None:
    batch = make.make_batch("acme", goal=Step.HAND_OVER)
    Workspace.objects.filter(pk=getattr(batch, f"{side}_id")).update(second_person=True)
    fresh = Batch.objects.get(pk=batch.pk)
    with pytest.raises(NeedsApproval):
        control.set_goal(fresh, Step.CLEAN_UP, actor=None, confirm="acme")
    assert goal_of(batch) == Step.HAND_OVER


def test_where_no_workspace_wants_it_one_person_is_enough(anna: User) -> None:
    batch = make.make_batch("acme", goal=Step.HAND_OVER)
    press(browser(anna), batch, "goal", step="delete_old", confirm="acme")
    assert goal_of(batch) == Step.DELETE_OLD
    assert not Approval.objects.exists()


def test_the_name_is_typed_before_anything_is_asked_for(batch: Batch, olga: User) -> None:
    response = press(browser(olga), batch, "goal", step="delete_old", confirm="acne")
    assert "type the batch's name" in said(response)
    assert not Approval.objects.exists()


def test_nobody_approves_what_he_asked_for_himself(batch: Batch, anna: User) -> None:
    asked = ask(batch, anna)
    response = press(browser(anna), asked, "approve")
    assert "another person has to approve" in said(response)
    assert goal_of(batch) == Step.HAND_OVER
    page = browser(anna).get(reverse("admin:migrations_app_approval_change", args=[asked.pk])).content.decode()
    assert "approve/" not in page
    assert "withdraw/" in page
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).update(state=State.APPROVED, decided_by=anna)


def test_whoever_may_only_drive_approves_nothing(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, anna)
    assert press(browser(olga), asked, "approve").status_code == 403
    assert press(browser(olga), asked, "refuse", reason="no").status_code == 403
    assert "only that person withdraws it" in said(press(browser(olga), asked, "withdraw"))
    asked.refresh_from_db()
    assert asked.state == State.WAITING


def test_what_changed_since_it_was_asked_is_not_approved_any_more(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, olga)
    Batch.objects.filter(pk=batch.pk).update(soak=timedelta(minutes=1))
    assert "not any more as olga saw it" in said(press(browser(anna), asked, "approve"))
    asked.refresh_from_db()
    assert asked.state == State.LAPSED
    assert goal_of(batch) == Step.HAND_OVER


def test_a_request_that_is_too_old_is_not_approved_any_more(
    batch: Batch, olga: User, anna: User, time_stands_still: clock.ManualClock
) -> None:
    asked = ask(batch, olga)
    time_stands_still.at += timedelta(hours=24)
    assert not Approval.objects.waiting().exists()
    assert "too old" in said(press(browser(anna), asked, "approve"))
    assert goal_of(batch) == Step.HAND_OVER


def test_what_stands_in_the_way_of_the_goal_keeps_the_request_waiting(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, olga)
    make.make_finding(batch, severity="blocking", sentence="A key was refused.")
    assert "A key was refused." in said(press(browser(anna), asked, "approve"))
    asked.refresh_from_db()
    assert asked.state == State.WAITING
    assert goal_of(batch) == Step.HAND_OVER


def test_refusing_needs_a_reason_and_the_person_who_asked_reads_it(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, olga)
    assert "why not" in said(press(browser(anna), asked, "refuse", reason=" "))
    press(browser(anna), asked, "refuse", reason="not before <b>Monday</b>")
    page = browser(olga).get(reverse("admin:migrations_app_approval_change", args=[asked.pk])).content.decode()
    assert "not before &lt;b&gt;Monday&lt;/b&gt;" in page
    assert goal_of(batch) == Step.HAND_OVER
    assert ask(batch, olga).pk != asked.pk, "it may be asked for again"


def test_one_request_waits_for_a_batch_and_its_page_says_so(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, olga)
    assert "asked for this batch already" in said(press(browser(anna), batch, "goal", step="clean_up", confirm="acme"))
    page = browser(anna).get(reverse("admin:migrations_app_batch_change", args=[batch.pk])).content.decode()
    assert "olga asked for “Delete old”" in page
    assert reverse("admin:migrations_app_approval_change", args=[asked.pk]) in page
    assert 'name="confirm"' not in page


def test_a_request_that_nobody_can_approve_any_more_makes_room_for_another(batch: Batch, olga: User) -> None:
    first = ask(batch, olga)
    Batch.objects.filter(pk=batch.pk).update(soak=timedelta(minutes=1))
    press(browser(olga), batch, "goal", step="delete_old", confirm="acme")
    first.refresh_from_db()
    assert first.state == State.LAPSED
    assert Approval.objects.filter(state=State.WAITING).count() == 1


def test_going_back_waits_for_a_second_person_where_it_deletes(batch: Batch, olga: User, anna: User) -> None:
    press(browser(olga), batch, "go_back", confirm="acme")
    assert not Batch.objects.get(pk=batch.pk).goes_back
    asked = Approval.objects.get()
    assert asked.act == Approval.Act.GO_BACK
    press(browser(anna), asked, "approve")
    after = Batch.objects.select_related("handover").get(pk=batch.pk)
    assert after.goes_back
    assert (after.step, after.delete_confirmed_by) == (BACK[0], olga)


def test_going_back_before_anything_was_made_needs_nobody_else(olga: User) -> None:
    batch = make.make_batch("acme", goal=Step.EXPORT)
    Workspace.objects.filter(pk=batch.source_id).update(second_person=True)
    press(browser(olga), batch, "go_back")
    assert Batch.objects.select_related("handover").get(pk=batch.pk).goes_back


def test_going_back_asks_again_when_somebody_allowed_to_write_at_the_same_moment(
    olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = make.make_batch("early", goal=Step.EXPORT, step=Step.EXPORT)
    Workspace.objects.filter(pk=early.source_id).update(second_person=True)

    @contextmanager
    def meanwhile(families: list[str]) -> Iterator[None]:
        Batch.objects.filter(pk=early.pk).update(goal=Step.RECREATE)
        yield

    monkeypatch.setattr(outbox, "quiet", meanwhile)
    with pytest.raises(Refused, match="typing the batch's name"):
        control.go_back(early, actor=olga)
    with pytest.raises(NeedsApproval):
        control.go_back(early, actor=olga, confirm="early")


def test_without_a_second_person_deletes_need_the_right_for_it(olga: User) -> None:
    batch = make.make_batch("acme", goal=Step.HAND_OVER)
    assert press(browser(olga), batch, "goal", step="delete_old", confirm="acme").status_code == 403
    assert press(browser(olga), batch, "go_back", confirm="acme").status_code == 403
    page = browser(olga).get(reverse("admin:migrations_app_batch_change", args=[batch.pk])).content.decode()
    assert "takes the role of an approver" in page
    assert 'name="confirm"' not in page
    assert goal_of(batch) == Step.HAND_OVER


def test_the_terminal_says_that_a_second_person_has_to_approve_in_the_admin(batch: Batch) -> None:
    with pytest.raises(CommandError, match="A second person has to approve this") as stopped:
        call_command(
            "run_batch",
            source=batch.source.slug,
            target=batch.target.slug,
            name="acme",
            until="delete-old",
            confirm_delete="acme",
        )
    assert "in the admin" in str(stopped.value)
    assert goal_of(batch) == Step.HAND_OVER


def test_the_list_shows_what_waits_for_oneself(batch: Batch, olga: User, anna: User) -> None:
    asked = ask(batch, olga)
    mine = reverse("admin:migrations_app_approval_changelist") + "?for=me"

    def listed(user: User) -> list[Any]:
        return list(browser(user).get(mine).context["cl"].result_list)

    assert listed(anna) == [asked]
    assert listed(olga) == []
    with pytest.raises(Refused):
        approvals.withdraw(asked, actor=anna)
    approvals.withdraw(asked, actor=olga)
    assert listed(anna) == []


def waits_of(batch: Batch) -> tuple[timedelta, timedelta]:
    return Batch.objects.values_list("soak", "canary_wait").get(pk=batch.pk)


@pytest.mark.parametrize(("soak", "canary_wait"), [("00:00:00", "01:00:00"), ("1 00:00:00", "00:00:01")])
def test_the_waits_that_were_approved_do_not_get_shorter_afterwards(
    soak: str, canary_wait: str, batch: Batch, olga: User, anna: User
) -> None:
    Batch.objects.filter(pk=batch.pk).update(soak=timedelta(days=1), canary_wait=timedelta(hours=1))
    press(browser(anna), ask(batch, olga), "approve")
    before = waits_of(batch)
    for person in (olga, anna):
        answer = press(browser(person), batch, "numbers", soak=soak, canary_wait=canary_wait, drivers="2")
        assert "allowed with these waits" in said(answer)
        assert waits_of(batch) == before
    press(browser(olga), batch, "numbers", soak="2 00:00:00", canary_wait="01:00:00", drivers="2")
    assert waits_of(batch) == (timedelta(days=2), timedelta(hours=1))


def test_without_a_second_person_whoever_may_delete_makes_them_shorter(olga: User, anna: User) -> None:
    batch = make.make_batch(goal=Step.DELETE_OLD, soak=timedelta(days=1), delete_confirmed_at=make.NOON)
    shorter = {"soak": "00:00:00", "canary_wait": str(batch.canary_wait), "drivers": str(batch.drivers)}
    assert "only by an approver" in said(press(browser(olga), batch, "numbers", **shorter))
    assert press(browser(anna), batch, "numbers", **shorter).status_code == 302
    assert waits_of(batch)[0] == timedelta(0)
    entry = AuditEntry.objects.get(action="batch.numbers")
    assert (entry.before, entry.after) == ({"soak": "1 day, 0:00:00"}, {"soak": "0:00:00"})
