"""`manage.py add_workspace`: a workspace from a terminal, its key never on the command line."""

from __future__ import annotations

import getpass
import importlib
import io
import sys
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from calendars.models import ApiKey, AuditEntry, RateBudget, Region, Workspace
from calendars.providers import limits
from calendars.providers.connect import use_transport
from recallops import clock
from recallops.sandbox.transport import SandboxTransport
from recallops.sandbox.world import World
from tests.harness import REGIONS, START

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two regions with a workspace each, behind the in-process door; no key in the environment."""
    importlib.import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
    monkeypatch.delenv("RECALLOPS_API_KEY", raising=False)
    with clock.use(clock.ManualClock(START)):
        world = World(clock.ManualClock(START), seed=1)
        for code, url in REGIONS.items():
            world.add_region(code, url)
            world.regions[code].add_workspace("main")
            Region.objects.filter(code=code).update(base_url=url)
        use_transport(SandboxTransport(world))
        yield world
    use_transport(None)
    limits.close()


def key_of(world: World, code: str) -> str:
    key: str = world.regions[code].workspaces["main"].api_keys[0]
    return key


def add(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("add_workspace", *arguments, stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def test_a_key_from_the_environment_opens_the_region(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = key_of(world, "us-west-2")
    monkeypatch.setenv("RECALLOPS_API_KEY", secret)
    code, said = add("us", "--region", "us-west-2", "--name", "Acme US", "--family", "acme")
    assert (code, "The key opens Recall.ai us-west-2." in said) == (0, True), said
    assert secret not in said
    workspace = Workspace.objects.get()
    assert (workspace.slug, workspace.name, workspace.family) == ("us", "Acme US", "acme")
    assert workspace.region.code == "us-west-2"
    key = ApiKey.objects.get()
    assert (key.secret, key.tested_at) == (secret, START)
    assert RateBudget.objects.filter(workspace=workspace).count() >= 16
    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "data"))
    assert entries == [
        ("workspace.add", {"region": "us-west-2"}),
        ("apikey.add", {"workspace": "us", "fingerprint": key.fingerprint}),
    ]


def test_without_the_variable_the_key_is_asked_for_and_not_echoed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = key_of(world, "eu-central-1")
    asked: list[str] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return f"  {secret}\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", answer)
    code, said = add("eu", "--region", "eu-central-1")
    assert (code, asked) == (0, ["API key of eu (Recall.ai eu-central-1): "]), said
    assert ApiKey.objects.get().secret == secret
    assert secret not in said
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "   ")
    assert add("eu2", "--region", "eu-central-1") == (
        1,
        "No key was given. Type it at the prompt, or set RECALLOPS_API_KEY.",
    )
    assert not Workspace.objects.filter(slug="eu2").exists()


def test_without_a_terminal_it_says_where_to_put_the_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a key that somebody piped in"))
    assert add("us", "--region", "us-west-2") == (1, "There is no terminal to ask for the key. Set RECALLOPS_API_KEY.")
    assert not Workspace.objects.exists()


def test_there_is_no_argument_for_a_key() -> None:
    command = importlib.import_module("calendars.management.commands.add_workspace").Command()
    options = {
        option
        for action in command.create_parser("manage.py", "add_workspace")._actions
        for option in action.option_strings
    }
    assert {"--region", "--add-key"} <= options
    assert not {option for option in options if "secret" in option or option == "--key" or "api" in option}


@pytest.mark.parametrize("key", ["Token abc-def", "schlüssel", "two\nlines", "\x1b[31mred"])
def test_what_cannot_be_a_key_is_refused(world: World, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("RECALLOPS_API_KEY", key)
    code, said = add("us", "--region", "us-west-2")
    assert (code, said.startswith("That is no API key")) == (1, True)
    assert not Workspace.objects.exists()


def test_an_unknown_region_is_answered_with_the_known_ones(world: World) -> None:
    code, said = add("us", "--region", "us-east-9")
    assert code == 1
    assert said.startswith("There is no region “us-east-9” of Recall.ai. Known: ap-northeast-1, eu-central-1, ")
    assert add("us")[1].startswith("There is no region “” of Recall.ai. Known: ")


def test_a_slug_must_be_one(world: World) -> None:
    assert add("two words", "--region", "us-west-2")[1].startswith("“two words” is no slug")
    assert add("x" * 51, "--region", "us-west-2")[0] == 1


def test_a_taken_slug_is_not_changed_and_another_key_is_offered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLOPS_API_KEY", key_of(world, "us-west-2"))
    add("us", "--region", "us-west-2")
    code, said = add("us", "--region", "eu-central-1")
    assert (code, said) == (
        1,
        "There is a workspace “us” already, in Recall.ai us-west-2. To give it another key, run this again with "
        "--add-key.",
    )
    assert Workspace.objects.get().region.code == "us-west-2"


def test_a_second_key_is_added_to_a_known_workspace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLOPS_API_KEY", key_of(world, "us-west-2"))
    add("us", "--region", "us-west-2")
    assert add("us", "--add-key")[1].startswith("“us” has this very key already (fingerprint ")
    assert add("eu", "--add-key")[1] == "There is no workspace “eu” to add a key to. Leave out --add-key to make it."
    assert "not in eu-central-1" in add("us", "--add-key", "--region", "eu-central-1")[1]
    monkeypatch.setenv("RECALLOPS_API_KEY", world.regions["us-west-2"].workspaces["main"].add_key())
    code, said = add("us", "--add-key", "--label", "rotated")
    assert code == 0, said
    assert sorted(ApiKey.objects.values_list("label", flat=True)) == ["key", "rotated"]


def test_a_key_of_another_region_is_explained_and_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = key_of(world, "eu-central-1")
    monkeypatch.setenv("RECALLOPS_API_KEY", secret)
    code, said = add("us", "--region", "us-west-2")
    assert (code, "region" in said, "--add-key" in said) == (3, True, True)
    assert secret not in said
    assert ApiKey.objects.get().test_result in said
