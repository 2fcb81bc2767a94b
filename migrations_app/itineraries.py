"""Which steps, in which order. A move is read here first."""

from __future__ import annotations

from django.db import models


class Step(models.TextChoices):
    """The steps of a move, in the order of the forward itinerary."""

    PREFLIGHT = "preflight", "Preflight"
    EXPORT = "export", "Export"
    RECREATE = "recreate", "Recreate"
    VERIFY = "verify", "Verify"
    HAND_OVER = "hand_over", "Hand over"
    DELETE_OLD = "delete_old", "Delete old"
    CLEAN_UP = "clean_up", "Clean up"


FORWARD: tuple[Step, ...] = tuple(Step)

# Steps that a batch takes as a whole; all others are taken by each item on its own, side by side.
OF_THE_BATCH = frozenset({Step.PREFLIGHT, Step.EXPORT, Step.CLEAN_UP})
OF_THE_ITEM: tuple[Step, ...] = tuple(step for step in FORWARD if step not in OF_THE_BATCH)

assert OF_THE_BATCH | set(OF_THE_ITEM) == set(FORWARD)  # noqa: S101 (a step must be somebody's)


def position(step: str) -> int:
    """Return a step's place in the itinerary; -1 for "none yet"."""
    return FORWARD.index(Step(step)) if step else -1


def after(step: Step) -> Step | None:
    """Return the step that follows, or None after the last."""
    place = position(step) + 1
    return FORWARD[place] if place < len(FORWARD) else None


def allows(goal: str, step: str) -> bool:
    """Tell whether a goal lets things take a step."""
    return position(step) <= position(goal)
