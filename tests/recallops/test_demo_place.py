"""The demo's data folder, and what a second call of it means."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recallops.demo.outside import Outside
from recallops.demo.place import DemoError, Options, Place, own_database, write_private

SMALL = Options(calendars=6, events=60)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return Place(tmp_path / "demo")


def test_only_one_demo_has_a_place(place: Place) -> None:
    first = place.lock()
    assert first is not None
    assert place.lock() is None
    assert place.holder() == os.getpid()
    first.close()
    assert place.holder() is None


def test_password_and_keys_are_its_owners_only(place: Place) -> None:
    place.prepare(SMALL)
    place.secrets()
    assert stat.S_IMODE(place.secrets_file.stat().st_mode) == 0o600
    assert place.secrets() == place.secrets()


def test_secrets_travel_by_environment(place: Place) -> None:
    place.prepare(SMALL)
    environment = place.environment(database="", lock=None)
    assert environment["SECRET_KEY"] == place.secrets()["SECRET_KEY"]
    assert environment["ENCRYPTION_KEYS"] == place.secrets()["ENCRYPTION_KEYS"]


def test_tuning_that_was_set_by_hand_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER_THREADS", "3")
    place.prepare(SMALL)
    assert place.environment(database="", lock=None)["DRIVER_THREADS"] == "3"


def test_a_folder_with_other_files_is_left_alone(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "letters.txt").write_text("dear")
    with pytest.raises(DemoError, match="not the demo's"):
        place.prepare(SMALL)
    with pytest.raises(DemoError, match="not the demo's"):
        place.clear()
    assert (place.folder / "letters.txt").exists()


def test_options_come_back_as_they_were_kept(place: Place) -> None:
    options = replace(SMALL, ics=("/a.ics", "/b.ics"))
    place.prepare(options)
    assert Options.of(place.kept()["options"]) == options


def test_the_demo_has_a_database_of_its_own_beside_the_one_that_is_named() -> None:
    name, url = own_database("postgresql://me:secret@db.example:5433/recallops?sslmode=require")
    assert name == "recallops_demo"
    assert url == "postgresql://me:secret@db.example:5433/recallops_demo?sslmode=require"


def test_an_unfinished_demo_with_other_options_is_not_thrown_away(place: Place) -> None:
    place.prepare(SMALL)
    place.keep(phase="moving")
    with pytest.raises(DemoError, match="--calendars 6"):
        Outside(place).go(Options(), leave=True)
    assert place.kept()["phase"] == "moving"


def test_a_world_that_was_not_saved_after_the_run_began_is_refused(place: Place) -> None:
    place.prepare(SMALL)
    place.world_file.write_bytes(b"")
    stamp = place.world_file.stat().st_mtime_ns
    place.keep(phase="moving", running={"pid": 1, "world": stamp})
    with pytest.raises(DemoError, match="clean-demo"):
        Outside(place).go(SMALL, leave=True)


def test_a_finished_demo_prints_its_proof_again(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.prepare(SMALL)
    place.keep(phase="proven")
    proof = {"closed": True, "wanted": 50, "held": 50, "during": 5, "during_asked": 0}
    place.proof_file.write_text(json.dumps(proof))
    assert Outside(place).go(SMALL, leave=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"missed 0", "doubled 0", "unaccounted 0"} <= set(lines)


def test_a_file_that_cannot_be_read_is_named_before_anything_is_made(place: Place) -> None:
    with pytest.raises(DemoError, match=r"nothing\.ics"):
        Outside(place).go(replace(SMALL, ics=("/nothing.ics",)), leave=True)
    assert not place.folder.exists()


def test_clean_removes_the_folder(place: Place) -> None:
    place.prepare(SMALL)
    assert Outside(place).clean() == 0
    assert not place.folder.exists()
    assert not place.lock_file.exists()


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "1")
    write_private(file, "2")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("2", 0o600)


@pytest.mark.parametrize(
    ("now", "monday"),
    [
        (datetime(2026, 11, 21, 3, tzinfo=UTC), datetime(2026, 11, 23, 5, 30, tzinfo=UTC)),
        (datetime(2026, 11, 23, 5, 29, tzinfo=UTC), datetime(2026, 11, 23, 5, 30, tzinfo=UTC)),
        (datetime(2026, 11, 23, 5, 30, tzinfo=UTC), datetime(2026, 11, 30, 5, 30, tzinfo=UTC)),
    ],
)
def test_its_time_begins_on_the_coming_monday(now: datetime, monday: datetime) -> None:
    from recallops.demo.setting_up import coming_monday

    assert coming_monday(now) == monday
