"""What preflight finds counts for a day: then it runs again before the first write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from calendars.models import Scheduler, Sweep, Workspace
from migrations_app import checks, control, drafts
from migrations_app.control import Refused
from migrations_app.itineraries import Step
from migrations_app.models import BatchStatus, Check, Item, PreflightCheck
from tests.harness import Move, quick

pytestmark = pytest.mark.django_db(transaction=True)


def exported() -> Move:
    move = quick()
    move.allow(Step.EXPORT)
    move.run()
    return move


def refusal(move: Move, step: Step) -> str:
    move.batch.refresh_from_db()
    return next(button.refusal for button in control.buttons(move.batch) if button.step == step)


def test_each_part_says_when_it_was_looked_at_also_where_nothing_was_found() -> None:
    move = exported()
    assert set(PreflightCheck.objects.values_list("name", flat=True)) == set(Check.values)
    parts = {part.check: part for part in checks.parts_with_findings(move.batch)}
    assert parts[Check.KEYS].findings == []
    assert [one.code for one in parts[Check.TARGET].findings] == ["target"]
    assert not any(part.stale for part in parts.values())


def test_every_finding_of_preflight_belongs_to_a_part() -> None:
    move = exported()
    codes = set(move.batch.findings.filter(step=Step.PREFLIGHT).values_list("code", flat=True))
    assert codes <= set(checks.CHECK_OF)


def test_within_a_day_the_first_write_is_allowed() -> None:
    move = exported()
    move.time.advance(timedelta(hours=23))
    assert refusal(move, Step.RECREATE) == ""


def test_after_a_day_the_first_write_is_refused_until_the_checks_ran_again() -> None:
    move = exported()
    move.time.advance(timedelta(hours=25))
    for step in (Step.RECREATE, Step.HAND_OVER):
        assert "Preflight last looked 25 hours ago" in refusal(move, step)
        with pytest.raises(Refused, match="Run the checks again"):
            control.set_goal(move.batch, step, actor=None)
    drafts.check(move.batch, actor=None)
    move.run()
    move.batch.refresh_from_db()
    assert (move.batch.step, move.batch.status) == (Step.RECREATE, BatchStatus.WAITING)
    assert refusal(move, Step.RECREATE) == ""
    move.finish()
    assert move.batch.status == BatchStatus.CLOSED
    move.assert_proven()


def test_how_long_it_counts_is_a_setting(settings: object) -> None:
    move = exported()
    settings.PREFLIGHT_HOURS = 2  # type: ignore[attr-defined]
    move.time.advance(timedelta(hours=3))
    assert "counts for 2" in refusal(move, Step.RECREATE)


def test_a_batch_that_is_past_it_is_not_held_up() -> None:
    move = exported()
    move.allow(Step.RECREATE)
    move.run()
    move.time.advance(timedelta(hours=50))
    assert refusal(move, Step.VERIFY) == ""
    with pytest.raises(Refused, match="past its checks"):
        drafts.check(move.batch, actor=None)


def test_checks_that_run_again_find_what_changed_and_keep_the_items() -> None:
    move = exported()
    items = list(Item.objects.order_by("pk").values_list("pk", flat=True))
    move.time.advance(timedelta(hours=1))
    move.connect("new@northwind.example")
    drafts.check(move.batch, actor=None)
    with pytest.raises(Refused, match="on their way"):
        drafts.check(move.batch, actor=None)
    move.run()
    assert list(Item.objects.order_by("pk").values_list("pk", flat=True))[: len(items)] == items
    assert Item.objects.filter(title="new@northwind.example").exists()


def test_retried_after_what_was_in_the_way_it_reads_anew() -> None:
    move = exported()
    Workspace.objects.filter(pk=move.target.pk).update(scheduler=Scheduler.EXTERNAL)
    drafts.check(move.batch, actor=None)
    move.run()
    move.batch.refresh_from_db()
    assert move.batch.status == BatchStatus.STOPPED
    move.time.advance(timedelta(hours=5))
    Workspace.objects.filter(pk=move.target.pk).update(scheduler=Scheduler.MANAGED)
    begun = move.time.now()
    control.retry_failed(move.batch, actor=None)
    move.run()
    read = Sweep.objects.filter(workspace=move.target, kind=Sweep.Kind.CALENDARS)
    assert read.latest("pk").begun_at >= begun, "only preflight reads the target's calendars"


def test_a_refused_key_dates_only_the_part_that_was_looked_at() -> None:
    move = exported()
    before = dict(PreflightCheck.objects.values_list("name", "looked_at"))
    move.time.advance(timedelta(hours=1))
    move.target.api_keys.update(enabled=False)
    drafts.check(move.batch, actor=None)
    move.run()
    after = dict(PreflightCheck.objects.values_list("name", "looked_at"))
    assert {name for name in after if after[name] != before[name]} == {Check.KEYS}
