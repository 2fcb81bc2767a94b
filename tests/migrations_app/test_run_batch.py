"""`manage.py run_batch`: a move from a terminal, and each way in which watching it can end."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models.functions import Now

from calendars.models import ApiKey, AuditEntry, Customer, Region, Workspace
from calendars.providers import limits
from calendars.providers.connect import use_transport
from migrations_app import control, tasks, watch
from migrations_app.itineraries import Step
from migrations_app.management.commands import run_batch
from migrations_app.management.commands.run_batch import Command
from migrations_app.management.display import RichDisplay
from migrations_app.models import Batch, Finding, Item, Severity
from migrations_app.watch import Code
from recallops import clock
from recallops.models import WorkerHeartbeat
from tests.harness import Move

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def installation() -> Iterator[None]:
    """An installation as migrated, with living workers; time goes on only where a test says so."""
    importlib.import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
    WorkerHeartbeat.objects.create(host="test", pid=1, beaten_at=Now())
    before = clock._clock
    yield
    clock.install(before)
    use_transport(None)
    limits.close()


@pytest.fixture
def pair() -> tuple[Workspace, Workspace]:
    """Two workspaces in two regions, with nothing behind them."""
    us, eu = (Region.objects.get(code=code) for code in ("us-west-2", "eu-central-1"))
    return Workspace.objects.create(slug="us", name="US", region=us), Workspace.objects.create(
        slug="eu", name="EU", region=eu
    )


def stop_workers() -> None:
    WorkerHeartbeat.objects.all().delete()


def run(*arguments: str, pauses: Callable[[float], None] | None = None) -> tuple[int, str]:
    """Run the command; return its exit code and all that it said."""
    out = io.StringIO()
    command = Command(stdout=out, stderr=out)
    command.pause = pauses or (lambda seconds: None)  # type: ignore[method-assign]
    try:
        call_command(command, "--source", "us", "--target", "eu", *arguments, no_color=True)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def a_move(**options: Any) -> Move:
    """A small filled world, with short waits before the delete."""
    move = Move(**{"calendars": 2, "events": 6, **options})
    Batch.objects.filter(pk=move.batch.pk).update(soak=timedelta(0), canary_wait=timedelta(minutes=5))
    return move


def working(move: Move) -> Callable[[float], None]:
    """What happens while the command pauses: the workers work, and time goes on."""

    def pause(seconds: float) -> None:
        WorkerHeartbeat.objects.update(beaten_at=Now())
        move.turn()
        move._jump()

    return pause


# -- the whole way


def test_it_moves_a_workspace_and_writes_the_report(tmp_path: Path) -> None:
    move = a_move()
    code, said = run("--confirm-delete", "move", "--report", str(tmp_path / "report.json"), pauses=working(move))
    assert code == 0, said
    assert "Batch “move” goes on: us to eu." in said
    assert "Closed: all 2 calendar(s) are moved." in said
    assert "for information: The target is empty." in said
    assert " wait: " in said
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["batch"]["status"] == "closed"
    assert written["items"]["sentence"] == "2 exported = 2 moved + 0 waiting + 0 not movable + 0 failed."
    assert {key.secret for key in ApiKey.objects.all()}.isdisjoint(said.split())
    assert run()[1].startswith("“Clean up” deletes")  # the old one is closed: this would be a new one


def test_a_closed_batch_called_by_its_name_is_simply_reported(tmp_path: Path) -> None:
    move = a_move()
    assert run("--confirm-delete", "move", pauses=working(move))[0] == 0
    code, said = run("--name", "move", "--report", str(tmp_path / "report.json"))
    assert (code, "Closed: all 2" in said) == (0, True)
    assert (tmp_path / "report.json").exists()


def test_until_a_step_it_stops_there_and_goes_on_from_there() -> None:
    move = a_move()
    code, said = run("--until", "verify", pauses=working(move))
    assert (code, "“Verify” is done for all 2 calendar(s)." in said) == (0, True), said
    assert set(Item.objects.values_list("step", flat=True)) == {Step.HAND_OVER}
    code, said = run("--until", "hand_over", pauses=working(move))
    assert (code, "“Hand over” is done" in said) == (0, True), said
    assert AuditEntry.objects.filter(action="batch.goal", actor_name__startswith="terminal").count() == 2


def test_watching_a_batch_whose_goal_is_further_changes_nothing() -> None:
    move = a_move()
    assert run("--until", "verify", pauses=working(move))[0] == 0
    assert run("--until", "export", pauses=working(move))[0] == 0
    move.batch.refresh_from_db()
    assert move.batch.goal == Step.VERIFY


# -- what it makes


def test_it_makes_the_batch_once_and_goes_on_with_it_afterwards(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    assert "Batch “us-to-eu” is made" in run("--until", "export")[1]
    assert "Batch “us-to-eu” goes on" in run("--until", "export")[1]
    assert list(Batch.objects.values_list("slug", "goal")) == [("us-to-eu", "export")]


def test_other_customers_are_another_batch(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    for slug in ("alpha", "beta"):
        Customer.objects.create(slug=slug, name=slug)
    run("--until", "export", "--customer", "alpha")
    run("--until", "export", "--customer", "beta", "--customer", "alpha")
    run("--until", "export", "--customer", "alpha", "--customer", "beta")
    made = {batch.slug: sorted(batch.customers.values_list("slug", flat=True)) for batch in Batch.objects.all()}
    assert made == {"us-to-eu": ["alpha"], "us-to-eu-2": ["alpha", "beta"]}
    code, said = run("--until", "export", "--customer", "beta", "--name", "us-to-eu")
    assert (code, said) == (1, "The batch “us-to-eu” was made for other customers (alpha). Choose another --name.")


def test_a_cut_line_needs_a_zone_and_is_set(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    code, said = run("--until", "export", "--cut-line", "2026-11-24T06:00:00")
    assert (code, "is no time with a zone" in said) == (1, True)
    run("--until", "export", "--cut-line", "2026-11-24T06:00:00+01:00")
    assert Batch.objects.get().handover.cut_line.isoformat() == "2026-11-24T05:00:00+00:00"


# -- what it refuses


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--until", "everything"), "There is no step “everything”. The steps are: preflight, export, recreate, "),
        (("--until", "export", "--customer", "nobody"), "There is no customer “nobody” yet."),
        (("--report", "/nowhere/at/all.json"), "The report cannot be written to /nowhere/at/all.json"),
        (("--pause",), "There is no such batch between us and eu."),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_made(
    pair: tuple[Workspace, Workspace], arguments: tuple[str, ...], sentence: str
) -> None:
    code, said = run(*arguments)
    assert code == 1
    assert said.startswith(sentence)
    assert not Batch.objects.exists()


def test_an_unknown_workspace_is_answered_with_the_known_ones() -> None:
    Workspace.objects.create(slug="us", name="US", region=Region.objects.get(code="us-west-2"))
    assert run() == (1, "There is no workspace “eu”. Known: us. Make one with manage.py add_workspace.")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ((), "“Clean up” deletes calendars in us. Confirm it with --confirm-delete us-to-eu, or stop before it"),
        (("--confirm-delete", "us"), "--confirm-delete must be the batch's name: us-to-eu"),
    ],
)
def test_without_the_right_name_nothing_is_allowed_and_nothing_made(
    pair: tuple[Workspace, Workspace], typed: tuple[str, ...], sentence: str
) -> None:
    code, said = run(*typed)
    assert (code, said.startswith(sentence)) == (Code.NOT_CONFIRMED, True), said
    assert not Batch.objects.exists()


def test_a_refusal_of_the_product_is_given_back_with_its_sentence(pair: tuple[Workspace, Workspace]) -> None:
    batch = control.create_batch(slug="us-to-eu", source=pair[0], target=pair[1])
    Finding.objects.create(
        batch=batch,
        step=Step.PREFLIGHT,
        code="nothing",
        severity=Severity.BLOCKING,
        sentence="There is no calendar to move.",
        found_at=clock.now(),
    )
    code, said = run("--until", "verify")
    assert (code, "1 blocking finding(s) must be solved or waived first: There is no calendar" in said) == (1, True)


# -- how watching ends


def test_no_living_worker_is_said_and_the_batch_is_kept(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    pauses: list[float] = []
    code, said = run("--until", "export", pauses=pauses.append)
    assert (code, run_batch.NO_WORKER in said) == (Code.NO_WORKER, True)
    assert sum(pauses) == run_batch.PATIENCE  # workers that are just starting are waited for
    assert Batch.objects.get().goal == Step.EXPORT


def test_a_key_of_another_region_stops_it_with_the_explanation() -> None:
    move = a_move()
    other = move.world.regions["us-west-2"].workspaces["main"].api_keys[0]
    ApiKey.objects.filter(workspace=move.target).delete()
    ApiKey.objects.create(workspace=move.target, secret=other)
    code, said = run("--until", "verify", pauses=working(move))
    assert (code, "The key of eu does not open Recall.ai eu-central-1" in said) == (Code.STOPPED, True), said
    assert other not in said


def test_after_the_key_was_corrected_retry_goes_on() -> None:
    move = a_move()
    key = ApiKey.objects.get(workspace=move.target)
    good = key.secret
    key.secret = "no-such-key-in-this-region"
    key.save()
    assert run("--until", "export", pauses=working(move))[0] == Code.STOPPED
    key.secret = good
    key.save()
    code, said = run("--until", "export", "--retry-failed", pauses=working(move))
    assert code == 0, said


def test_a_blocking_finding_stops_it() -> None:
    move = a_move()
    Workspace.objects.filter(pk=move.source.pk).update(scheduler="external")
    code, said = run("--until", "export", pauses=working(move))
    assert (code, "is scheduled by the company's own application" in said) == (Code.BLOCKED, True), said


def test_failed_items_have_an_exit_code_of_their_own() -> None:
    move = a_move()
    assert run("--until", "export", pauses=working(move))[0] == 0
    Item.objects.filter(pk=Item.objects.first().pk).update(status="failed", reason="The provider refused it.")  # type: ignore[union-attr]
    code, said = run("--until", "recreate", pauses=working(move))
    assert (code, "1 calendar(s) failed, the first: " in said) == (Code.FAILED, True), said
    assert "The provider refused it." in said


def test_calendars_that_wait_for_a_person_have_an_exit_code_of_their_own() -> None:
    move = a_move()
    assert run("--until", "export", pauses=working(move))[0] == 0
    Item.objects.filter(pk=Item.objects.first().pk).update(status="user", reason="Connect it again.")  # type: ignore[union-attr]
    code, said = run("--until", "recreate", pauses=working(move))
    assert (code, "1 calendar(s) stay in the source until a person has done something" in said) == (Code.PEOPLE, True)


def test_ctrl_c_leaves_the_batch_alone_and_says_how_to_come_back(pair: tuple[Workspace, Workspace]) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    code, said = run("--until", "hand-over", pauses=interrupt)
    assert code == Code.INTERRUPTED
    assert "manage.py run_batch --source us --target eu --name us-to-eu --until hand_over" in said
    assert "--pause" in said
    batch = Batch.objects.get()
    assert (batch.goal, batch.handover.paused) == (Step.HAND_OVER, False)
    assert list(tasks.moving()) == [batch]


def test_pause_and_resume_are_the_buttons_of_the_page(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    run("--until", "export")
    assert run("--pause") == (
        0,
        "Batch “us-to-eu” goes on: us to eu.\n" + run_batch.PAUSED.format(name="us-to-eu") + "\n",
    )
    assert Batch.objects.get().handover.paused
    assert run("--until", "export", "--resume")[0] == Code.NO_WORKER
    assert not Batch.objects.get().handover.paused


def test_a_database_that_comes_back_is_waited_for(
    pair: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, away = watch.look, iter(range(5))

    def sometimes(pk: int) -> watch.Look:
        if next(away, None) is not None:
            raise OperationalError("the connection is closed")
        return look(pk)

    monkeypatch.setattr(watch, "look", sometimes)
    stop_workers()
    assert run("--until", "export")[0] == Code.NO_WORKER


def test_a_database_that_stays_away_ends_the_watching(
    pair: tuple[Workspace, Workspace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(pk: int) -> watch.Look:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(watch, "look", never)
    code, said = run("--until", "export", "--report", str(tmp_path / "report.json"))
    assert (code, run_batch.NO_DATABASE in said) == (Code.NO_DATABASE, True)


# -- what it shows


def test_the_words_of_a_provider_cannot_steer_the_terminal(pair: tuple[Workspace, Workspace]) -> None:
    stop_workers()
    run("--until", "export")
    batch = Batch.objects.get()
    Finding.objects.create(
        batch=batch,
        step=Step.EXPORT,
        code="bound",
        severity=Severity.WARNING,
        sentence="\x1b]0;owned\x07\x1b[2J a title\u202e \nsecond line",
        found_at=clock.now(),
    )
    said = run("--until", "export")[1]
    assert "warning: ]0;owned[2J a title second line" in said
    assert "\x1b" not in said


def test_a_terminal_gets_a_table_that_takes_words_as_they_are() -> None:
    console_module, live_module = importlib.import_module("rich.console"), importlib.import_module("rich.live")
    move = a_move()
    assert run("--until", "verify", pauses=working(move))[0] == 0
    seen = watch.look(move.batch.pk)
    item = Item.objects.first()
    found = Finding(severity=Severity.BLOCKING, sentence="[red]not markup[/red]", item=item)
    out = io.StringIO()
    console = console_module.Console(file=out, force_terminal=True, width=120, markup=False, highlight=False)
    with live_module.Live(console=console, auto_refresh=False) as live:
        RichDisplay(console, live).show(seen, [found], workers=False, last=True)
    assert "[red]not markup[/red]" in out.getvalue()
    assert "Hand over" in out.getvalue()
    assert "no worker is alive" in out.getvalue()


# -- for some calendars


def test_a_file_makes_a_batch_of_its_calendars_and_says_what_was_left_out(
    pair: tuple[Workspace, Workspace], tmp_path: Path
) -> None:
    stop_workers()
    people = tmp_path / "people.csv"
    people.write_text("ada@acme.example\nwhat is this\n")
    arguments = ("--calendars-file", str(people), "--until", "preflight")
    code, said = run(*arguments)
    assert code == Code.NO_WORKER
    assert "Line 2 is left out: what is this." in said
    batch = Batch.objects.get()
    assert (batch.draft, batch.selection, batch.file_name, batch.goal) == (False, "file", "people.csv", "preflight")
    assert "goes on" in run(*arguments)[1]
    others = tmp_path / "others.csv"
    others.write_text("ben@acme.example\n")
    code, said = run("--calendars-file", str(others), "--until", "preflight", "--name", batch.slug)
    assert code == 1
    assert "made for another choice of calendars (people.csv)" in said
    assert Batch.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--canary-percent", "0"), "from 1 to 99"),
        (("--canary-percent", "5"), "holds no calendar"),
        (("--canary-percent", "5", "--calendars-file", "x.csv"), "Choose the calendars in one way"),
        (("--calendars-file", "/nowhere/x.csv"), "cannot be read"),
    ],
)
def test_a_choice_of_calendars_that_cannot_be_is_refused_and_makes_nothing(
    arguments: tuple[str, ...], words: str, pair: tuple[Workspace, Workspace]
) -> None:
    code, said = run(*arguments, "--until", "preflight")
    assert code == 1
    assert words in said
    assert not Batch.objects.exists()
