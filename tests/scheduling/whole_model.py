"""Explores larger worlds than the tests do, all of two faults: `python -m tests.scheduling.whole_model`. Takes minutes.

Prints each world with its states, its ends and what excused a miss or a double there; fails when a promise is broken.
"""

from __future__ import annotations

import os
import sys
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "recallops.settings")
os.environ.setdefault("DEBUG", "true")
django.setup()

from tests.scheduling.explorer import explore  # noqa: E402 (Django must be set up first)
from tests.scheduling.faults import WEBHOOKS  # noqa: E402
from tests.scheduling.promises import exactly_one_bot  # noqa: E402
from tests.scheduling.regions import SOURCE, TARGET, Setting  # noqa: E402

WAYS: tuple[dict[str, Any], ...] = ({}, {"owner": TARGET, "backwards": True})
OURS = ("loss", "crash", "refusal", "frozen", "outage", "reverse", "pause", "restore")
WORLD = ("cancel", "disconnect", "lose bot", "foreign bot")
TOO_LARGE = 1_000_000


def worlds() -> Iterator[Setting]:
    """Return what is explored; the way back mirrors the way there, so the dearest ones go there only."""
    there, _ = WAYS
    for pair in product(("crash", "frozen", "reverse", "outage"), WORLD):
        yield Setting(kinds=frozenset(pair), faults=2, ordered_at=9, **there)
    yield Setting(kinds=frozenset({"crash", "move"}), faults=2, ordered_at=10, **there)
    for way in WAYS:
        for kind in (*OURS, *WORLD):
            yield Setting(kinds=frozenset({kind}), **way)
        yield Setting(kinds=frozenset({"move"}), webhooks=tuple(WEBHOOKS), workers=2, **way)
        yield Setting(kinds=frozenset({"move"}), webhooks=tuple(WEBHOOKS), cut=20, **way)
        for pair in combinations(OURS, 2):
            yield Setting(kinds=frozenset(pair), faults=2, ordered_at=9, **way)
        for kind in ("crash", "loss", "frozen", "outage", "reverse", "disconnect"):
            yield Setting(kinds=frozenset({kind, "reverse one"}), faults=2, calendars=2, ordered_at=9, **way)
        missing = frozenset({(SOURCE if way else TARGET, 1)})
        for kind in ("crash", "frozen", "lose bot"):
            yield Setting(kinds=frozenset({"connect", kind}), faults=2, calendars=2, missing=missing, **way)


def main() -> int:
    """Explore them all; return how many broke a promise."""
    states = ends = broken = number = 0
    for setting in worlds():
        number += 1
        found = explore(setting, judge=exactly_one_bot, most=TOO_LARGE)
        states, ends, broken = states + found.states, ends + found.ends, broken + bool(found.wrong)
        way = "back " if setting.backwards else "there"
        kinds = " and ".join(sorted(setting.kinds))
        sys.stdout.write(f"{way} {setting.calendars} {kinds:32} {found.states:>8} {found.ends:>6} {found.excused}\n")
        if found.wrong:
            sys.stdout.write(f"{found}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{number} worlds, {states} states, {ends} ends, {broken} broken promises\n")
    return broken


if __name__ == "__main__":
    sys.exit(main())
