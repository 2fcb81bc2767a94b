"""`manage.py simulate` plays seeds beside the configured database, and fails when one of them does."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from recallops.management.commands.simulate import seeds_of
from tests.simulation import many
from tests.simulation.process import Line


@pytest.mark.parametrize(("text", "seeds"), [("1..3", [1, 2, 3]), ("7", [7]), ("7..7", [7])])
def test_seeds_are_given_as_a_range_or_alone(text: str, seeds: list[int]) -> None:
    assert list(seeds_of(text)) == seeds


@pytest.mark.parametrize("text", ["", "a..b", "3..1", "1-3"])
def test_what_is_no_range_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CommandError, match="seed"):
        call_command("simulate", "--seeds", text)


def test_a_failed_run_is_shown_counted_and_can_be_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [Line(1, calls=70), Line(2, calls=80, missed=1, trouble="missed: the weekly"), Line(3, calls=90, excused=1)]
    asked: dict[str, Any] = {}

    def play(seeds: range, **options: Any) -> list[Line]:
        asked.update(options, seeds=list(seeds))
        return lines

    monkeypatch.setattr(many, "play", play)
    with pytest.raises(CommandError, match=r"1 of 3 runs failed: \[2\].*simulate --seeds 2 --days 1.5"):
        call_command("simulate", "--seeds", "1..3", "--days", "1.5", "--processes", "1")
    said = capsys.readouterr().out
    assert asked == {"seeds": [1, 2, 3], "processes": 1, "calendars": None, "days": 1.5}
    assert "missed: the weekly" in said
    assert "3 runs: 240 calls" in said
    assert "missed 1, doubled 0, excused 1, lost 0" in said


def test_without_the_tests_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tests.simulation", None)
    monkeypatch.delattr("tests.simulation", raising=False)
    with pytest.raises(CommandError, match="needs a checkout with the folder tests"):
        call_command("simulate", "--seeds", "1")
