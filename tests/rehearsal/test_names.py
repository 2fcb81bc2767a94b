"""Pseudonyms, and the walls round the player."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recallops.rehearsal.pseudonyms import Pseudonyms
from recallops.sandbox.links import platform_of
from tests.conftest import ROOT, manage


def test_the_same_thing_has_one_name_in_a_rehearsal_and_another_in_the_next() -> None:
    one, other = Pseudonyms(), Pseudonyms()
    assert one.name("key", "a") == one.name("key", "a")
    assert len({one.name("key", "a"), one.name("key", "b"), one.name("link", "a"), other.name("key", "a")}) == 4


@pytest.mark.parametrize("platform", ["zoom", "google_meet", "microsoft_teams", "webex"])
def test_a_link_stays_one_that_bots_can_join(platform: str) -> None:
    made = Pseudonyms().url("https://acme.example/secret", platform)
    assert platform_of(made) == platform
    assert "secret" not in made


def test_no_link_stays_no_link() -> None:
    assert Pseudonyms().url("", "zoom") == ""


def test_behind_the_walls_no_connection_goes_out() -> None:
    code = (
        "import socket; from recallops.rehearsal.walls import raise_walls; raise_walls()\n"
        "socket.create_connection(('127.0.0.1', 9), timeout=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "OutsideError: A rehearsal speaks with nobody" in done.stderr


def test_the_player_does_not_play_in_the_real_tables() -> None:
    done = manage("play_rehearsal")
    assert done.returncode != 0
    assert "manage.py rehearse" in done.stderr


def test_the_player_s_keys_open_nothing_that_is_stored() -> None:
    code = "from django.conf import settings; print(settings.ENCRYPTION_KEYS, settings.SECRET_KEY)"
    ours = manage("shell", "--no-imports", "-c", code).stdout
    theirs = manage("shell", "--no-imports", "-c", code, RECALLOPS_REHEARSAL="recallops_rehearsal_1").stdout
    assert ours.strip()
    assert theirs.strip()
    assert not set(ours.split()) & set(theirs.split())
