"""The sandbox stands apart: its core needs the standard library and nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "recallops" / "sandbox"
# What a module may use besides the standard library and the sandbox itself.
MORE = {
    "transport": {"httpx"},
    "ics_reading": {"icalendar", "recurring_ical_events"},
    "identity_assertion": {"cryptography"},
}


@pytest.mark.parametrize("module", sorted(path.stem for path in CORE.glob("*.py")))
def test_a_module_of_the_sandbox_imports_no_app_and_no_library(module: str) -> None:
    tree = ast.parse((CORE / f"{module}.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    foreign = {
        name
        for name in imported
        if not name.startswith("recallops.sandbox")
        and name.partition(".")[0] not in sys.stdlib_module_names | MORE.get(module, set())
    }
    assert foreign == set()
