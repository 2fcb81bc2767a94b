"""One file for each step of a move; each is *ensure*: it may run any number of times."""

from __future__ import annotations

from collections.abc import Callable

from migrations_app.itineraries import OF_THE_ITEM, Step
from migrations_app.models import Batch, Item
from migrations_app.outcomes import Outcome
from migrations_app.steps import clean_up, delete_old, export, hand_over, preflight, recreate, restore, verify

BATCH_STEPS: dict[Step, Callable[[Batch], Outcome]] = {
    Step.PREFLIGHT: preflight.run,
    Step.EXPORT: export.run,
    Step.CLEAN_UP: clean_up.run,
}
ITEM_STEPS: dict[Step, Callable[[Item], Outcome]] = {
    Step.RECREATE: recreate.run,
    Step.VERIFY: verify.run,
    Step.HAND_OVER: hand_over.run,
    Step.DELETE_OLD: delete_old.run,
    Step.RESTORE: restore.run,
    Step.HAND_BACK: hand_over.back,
    Step.EMPTY_TARGET: delete_old.empty_target,
}

assert set(ITEM_STEPS) == set(OF_THE_ITEM)  # noqa: S101 (a step without code must not start)
