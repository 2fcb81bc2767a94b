"""What is written down about the frame is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

SETTINGS = sorted(set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "recallops/settings.py").read_text())))
PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)(?:\[\w+\])?==", re.MULTILINE)


def test_there_are_settings_to_look_for() -> None:
    assert {"DATABASE_URL", "LEASE_SECONDS", "LOG_FORMAT"} <= set(SETTINGS)


@pytest.mark.parametrize("page", [".env.example", "docs/configuration.md"])
def test_every_setting_is_described_and_no_other(page: str) -> None:
    text = (ROOT / page).read_text()
    pattern = r"^#([A-Z_]+)=" if page == ".env.example" else r"^\| `([A-Z_]+)` \|"
    assert sorted(re.findall(pattern, text, re.MULTILINE)) == SETTINGS


@pytest.mark.parametrize("name", ["base", "local", "dev", "bench"])
def test_every_dependency_has_a_reason(name: str) -> None:
    reasons = (ROOT / "docs/dependencies.md").read_text()
    for package in PINNED.findall((ROOT / f"requirements/{name}.in").read_text()):
        assert re.search(rf"^\| [^|]*\b{re.escape(package)}\b", reasons, re.MULTILINE), package


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_files_are_hashed_and_name_no_index(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"://|--index-url|--find-links", text)
    pins = re.findall(r"^[a-z0-9].*?==[^\n]*\\\n(?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)+", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 10


def test_every_command_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert {"demo", "clean-demo", "test", "simulate", "bench", "lint", "types", "lock", "setup"} <= targets


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/rules.md"])
def test_every_test_that_a_promise_or_a_rule_names_is_there(page: str) -> None:
    text, path, named = (ROOT / page).read_text(), "", 0
    for file, name in re.findall(r"`(tests/[\w/]+\.py)`|`(test_\w+)`", text):
        path = file or path
        code = (ROOT / path).read_text()
        assert not name or re.search(rf"^def {name}\(", code, re.MULTILINE), f"{path}: {name}"
        named += bool(name)
    assert named > 20


def test_every_rule_names_a_test() -> None:
    rules = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", (ROOT / "docs/rules.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rules] == list(range(1, 19))
    assert all("`test_" in shown for _, shown in rules)
