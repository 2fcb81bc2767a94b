"""Which steps, in which order. A move, and the way back, are read here first."""

from __future__ import annotations

from django.db import models


class Step(models.TextChoices):
    """The steps of a move, then those of the way back; both end in the same clean up."""

    PREFLIGHT = "preflight", "Preflight"
    EXPORT = "export", "Export"
    RECREATE = "recreate", "Recreate"
    VERIFY = "verify", "Verify"
    HAND_OVER = "hand_over", "Hand over"
    DELETE_OLD = "delete_old", "Delete old"
    RESTORE = "restore", "Restore"
    HAND_BACK = "hand_back", "Hand back"
    EMPTY_TARGET = "empty_target", "Empty target"
    CLEAN_UP = "clean_up", "Clean up"


# Cancel and reverse are one way: each of its steps finds nothing to do where the move had not come that far.
BACK: tuple[Step, ...] = (Step.RESTORE, Step.HAND_BACK, Step.EMPTY_TARGET, Step.CLEAN_UP)
FORWARD: tuple[Step, ...] = tuple(step for step in Step if step not in BACK[:-1])

# Steps that a batch takes as a whole; all others are taken by each item on its own, side by side.
OF_THE_BATCH = frozenset({Step.PREFLIGHT, Step.EXPORT, Step.CLEAN_UP})
OF_THE_ITEM: tuple[Step, ...] = tuple(step for step in Step if step not in OF_THE_BATCH)


def way(*, back: bool) -> tuple[Step, ...]:
    """Return the steps of a batch that goes forward or back."""
    return BACK if back else FORWARD


def position(step: str) -> int:
    """Return a step's place among all; -1 for "none yet"."""
    return list(Step).index(Step(step)) if step else -1


def after(step: Step) -> Step | None:
    """Return the step that follows on the step's own way, or None after the last."""
    steps = way(back=step in BACK)
    place = steps.index(step) + 1
    return steps[place] if place < len(steps) else None


def allows(goal: str, step: str) -> bool:
    """Tell whether a goal lets things take a step."""
    return position(step) <= position(goal)
