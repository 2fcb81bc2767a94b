"""What the script of continuous integration cannot test of itself."""

from __future__ import annotations

import re

from tests.conftest import CHROMIUMS, ROOT


def test_no_function_of_the_script_hides_a_program_that_it_looks_for() -> None:
    script = (ROOT / ".ci/run").read_text()
    functions = set(re.findall(r"^(\w+)\(\)", script, flags=re.MULTILINE))
    assert {"step", "production"} <= functions
    assert not functions & set(CHROMIUMS)
    assert all(name in script for name in CHROMIUMS)
