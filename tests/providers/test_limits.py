"""The rate budget: nobody calls faster than allowed, however many threads and processes there are."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from calendars.models import EndpointLimit, Region, Workspace
from calendars.models.workspace import RateBudget, emission
from calendars.providers import limits
from calendars.providers.errors import BudgetBusy
from calendars.providers.limits import Budget, Usage, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 1, 5, 12, 0, 20, tzinfo=UTC)
LISTED = "GET /api/v2/calendar-events/{id}/"
UNLISTED = "GET /api/v3/novelty/"


@pytest.fixture
def workspace(transactional_db: None) -> Iterator[Workspace]:
    """A workspace that leaves a fifth of every limit to the live product; machine time stands still."""
    region, _ = Region.objects.get_or_create(
        provider="recall", code="us-west-2", defaults={"label": "US West", "base_url": "https://us-west-2.recall.ai"}
    )
    EndpointLimit.objects.update_or_create(provider="recall", endpoint=LISTED, defaults={"per_minute": 300})
    workspace = Workspace.objects.create(slug="acme-us", name="Acme", region=region, reserve_percent=20)
    limits.set_machine_now(NOW)
    yield workspace
    limits.close()


def budget_of(workspace: Workspace) -> Budget:
    return Budget(workspace.pk, sleep=lambda seconds: None)


def row(workspace: Workspace, endpoint: str = LISTED) -> RateBudget:
    return RateBudget.objects.get(workspace=workspace, endpoint=endpoint)


def test_the_first_call_makes_the_row_from_the_providers_limit_and_the_reserve(workspace: Workspace) -> None:
    assert budget_of(workspace).take(LISTED, 0) == 0
    made = row(workspace)
    assert (made.per_minute, made.taken, made.refused, made.note) == (300, 1, 0, None)
    assert made.emission == pytest.approx(emission(300, 20))
    assert made.tat == pytest.approx(NOW.timestamp() + made.emission)


def test_an_endpoint_without_a_stated_limit_gets_sixty_a_minute(workspace: Workspace) -> None:
    budget_of(workspace).take(UNLISTED, 0)
    assert row(workspace, UNLISTED).per_minute == 60


def test_a_limit_that_staff_edited_counts(workspace: Workspace) -> None:
    RateBudget.objects.create(workspace=workspace, endpoint=LISTED, per_minute=6, emission=10.0)
    budget = budget_of(workspace)
    assert [budget.take(LISTED, 60) for _ in range(3)] == pytest.approx([0, 10, 20])


def test_slots_follow_each_other_evenly_without_a_burst(workspace: Workspace) -> None:
    slept: list[float] = []
    budget = Budget(workspace.pk, sleep=slept.append)
    waits = [budget.take(LISTED, 60) for _ in range(5)]
    step = emission(300, 20)
    assert waits == pytest.approx([0, step, 2 * step, 3 * step, 4 * step], abs=1e-6)
    assert slept == waits[1:]


def test_unused_slots_are_not_saved_up(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    budget.take(LISTED, 60)
    limits.set_machine_now(NOW + timedelta(hours=1))
    assert budget.take(LISTED, 60) == 0
    assert budget.take(LISTED, 60) == pytest.approx(emission(300, 20), abs=1e-6)


def test_who_would_wait_too_long_is_told_so_and_holds_no_slot(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    for _ in range(5):
        budget.take(LISTED, 60)
    before = row(workspace)
    with pytest.raises(BudgetBusy) as caught:
        budget.take(LISTED, 1.0)
    assert caught.value.wait == pytest.approx(5 * before.emission, abs=1e-6)
    assert caught.value.endpoint == LISTED
    after = row(workspace)
    assert (after.tat, after.taken, after.window_taken) == (before.tat, before.taken, before.window_taken)


def test_a_429_moves_the_whole_budget_and_is_counted(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    budget.take(LISTED, 0)
    budget.push(LISTED, 30)
    with pytest.raises(BudgetBusy) as caught:
        budget_of(workspace).take(LISTED, 10)
    assert caught.value.wait == pytest.approx(30, abs=1e-6)
    pushed = row(workspace)
    assert (pushed.refused, pushed.note) == (1, "The provider answered 429 and asked to wait 30.0 s.")
    budget.push(LISTED, 5)  # never back
    assert row(workspace).tat == pushed.tat
    assert budget.take(LISTED, 60) == pytest.approx(30, abs=1e-6)


def test_endpoints_and_workspaces_do_not_slow_each_other(workspace: Workspace) -> None:
    other = Workspace.objects.create(slug="acme-eu", name="Acme", region=workspace.region)
    budget_of(workspace).push(LISTED, 0)
    for _ in range(4):
        budget_of(workspace).take(LISTED, 60)
    assert budget_of(other).take(LISTED, 0) == 0
    assert budget_of(workspace).take(UNLISTED, 0) == 0


def test_a_slot_taken_inside_a_transaction_outlives_its_rollback(workspace: Workspace) -> None:
    with transaction.atomic():
        budget_of(workspace).take(LISTED, 0)
        transaction.set_rollback(True)
    assert row(workspace).taken == 1


def test_threads_get_a_slot_each(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: budget.take(LISTED, 3600), range(200)))
    step = emission(300, 20)
    assert waits == pytest.approx([number * step for number in range(200)], abs=1e-4)


def test_a_budget_that_another_thread_has_just_made_is_not_taken_for_a_busy_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = limits._line.one
    quicker = [(UNLISTED, limits.UNLISTED_PER_MINUTE, workspace.pk)]

    def another_makes_it_after_the_first_statement(statement: str, values: tuple[object, ...]) -> object:
        answer = ask(statement, values)
        if quicker:
            ask(limits._CREATE, quicker.pop())
        return answer

    monkeypatch.setattr(limits._line, "one", another_makes_it_after_the_first_statement)
    assert budget_of(workspace).take(UNLISTED, 10) == 0


def _take_many(workspace_id: int, count: int, waits: multiprocessing.Queue[list[float]]) -> None:
    limits.set_machine_now(NOW)
    budget = Budget(workspace_id, sleep=lambda seconds: None)
    waits.put([budget.take(LISTED, 3600) for _ in range(count)])
    limits.close()


def test_processes_get_a_slot_each(workspace: Workspace) -> None:
    budget_of(workspace).take(LISTED, 0)  # this process's connection is open when the others are forked off
    context = multiprocessing.get_context("fork")
    waits: multiprocessing.Queue[list[float]] = context.Queue()
    workers = [context.Process(target=_take_many, args=(workspace.pk, 50, waits)) for _ in range(4)]
    for worker in workers:
        worker.start()
    taken = sorted(wait for _ in workers for wait in waits.get(timeout=60))
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    step = emission(300, 20)
    assert taken == pytest.approx([number * step for number in range(1, 201)], abs=1e-4)
    assert budget_of(workspace).take(LISTED, 3600) == pytest.approx(201 * step, abs=1e-4)


def test_who_waits_for_a_slot_does_not_stop_the_others(workspace: Workspace) -> None:
    waiting, done = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waiting.set()
        assert done.wait(30)

    budget_of(workspace).take(LISTED, 0)
    sleeper = threading.Thread(target=lambda: Budget(workspace.pk, sleep=sleep).take(LISTED, 60))
    sleeper.start()
    assert waiting.wait(30)
    assert budget_of(workspace).take(UNLISTED, 0) == 0
    done.set()
    sleeper.join(30)
    assert not sleeper.is_alive()


def test_no_minute_holds_more_calls_than_the_limit() -> None:
    for per_minute in range(1, 1201):
        for reserve in (0, 20, 99):
            in_any_minute = int(60 / emission(per_minute, reserve)) + 1
            assert in_any_minute <= max(per_minute, 1)


# -- used and left


def test_used_and_left_of_the_present_minute(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    for _ in range(3):
        budget.take(LISTED, 60)
    step = emission(300, 20)
    shown = usage(row(workspace), now=NOW)
    assert (shown.allowed, shown.used, shown.left) == (235, 3, 232)
    assert shown.wait == pytest.approx(3 * step, abs=1e-4)
    assert usage(row(workspace), now=NOW + timedelta(seconds=40)) == Usage(allowed=235, used=0, left=235, wait=0)
    limits.set_machine_now(NOW + timedelta(seconds=40))  # the next minute begins at 12:01:00
    budget.take(LISTED, 60)
    assert usage(row(workspace), now=NOW + timedelta(seconds=41)).used == 1
    assert row(workspace).taken == 4


def test_more_used_than_allowed_leaves_nothing() -> None:
    full = RateBudget(emission=10.0, tat=0, window_start=NOW.timestamp() // 60 * 60, window_taken=9)
    assert usage(full, now=NOW) == Usage(allowed=6, used=9, left=0, wait=0)


# -- the connection


def test_the_connection_is_its_own_and_does_not_wait_for_the_disk(workspace: Workspace) -> None:
    assert limits._line.one("SHOW synchronous_commit", ()) == ("off",)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert limits._line.one("SELECT pg_backend_pid()", ()) != cursor.fetchone()


def test_a_lost_connection_is_opened_again_and_all_budgets_move_on_a_little(workspace: Workspace) -> None:
    budget = budget_of(workspace)
    budget.take(LISTED, 0)
    budget.take(UNLISTED, 0)
    (backend,) = limits._line.one("SELECT pg_backend_pid()", ()) or (0,)
    limits.set_machine_now(None)
    RateBudget.objects.update(tat=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    assert 0.5 < budget.take(LISTED, 60) <= 1.0  # real machine time went on a little since
    assert row(workspace).taken == 2
    assert row(workspace, UNLISTED).tat > 0


def test_a_database_that_stays_away_is_reported_as_django_does(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**parameters: object) -> None:
        raise psycopg.OperationalError("connection refused")

    limits.close()
    monkeypatch.setattr(psycopg, "connect", refuse)
    with pytest.raises(OperationalError, match="connection refused"):
        budget_of(workspace).take(LISTED, 0)


def test_a_statement_that_fails_is_not_taken_for_a_lost_connection(workspace: Workspace) -> None:
    (before,) = limits._line.one("SELECT pg_backend_pid()", ()) or (0,)
    with pytest.raises(psycopg.errors.UndefinedTable):
        limits._line.one("SELECT 1 FROM nowhere", ())
    limits._line.one("SET statement_timeout = '10ms'", ())
    with pytest.raises(OperationalError, match="statement timeout"):
        limits._line.one("SELECT pg_sleep(5)", ())
    assert limits._line.one("SELECT pg_backend_pid()", ()) == (before,)


def test_a_workspace_that_is_not_there_has_no_budget(workspace: Workspace) -> None:
    with pytest.raises(LookupError):
        Budget(workspace.pk + 1000).take(LISTED, 0)
