"""The track of a batch: its steps with what is done, what is left, and about how long that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from calendars.providers.recall_endpoints import (
    ADD_BOT,
    CREATE_CALENDAR,
    DELETE_CALENDAR,
    GET_CALENDAR,
    LIST_BOTS,
    LIST_CALENDARS,
    LIST_EVENTS,
    REMOVE_BOT,
)
from migrations_app import control, planner
from migrations_app.itineraries import OF_THE_BATCH, OF_THE_ITEM, Step, position
from migrations_app.models import Batch, BatchStatus, ItemStatus

ONLY_LOOKING = _("You may look at this batch but not change it: that needs the permission to change batches.")
STATE_WORDS = {"done": _("done"), "now": _("now"), "goal": _("allowed"), "ahead": _("not allowed yet")}
ENDPOINT_NAMES = {
    LIST_CALENDARS: "list-calendars",
    CREATE_CALENDAR: "create-calendar",
    GET_CALENDAR: "get-calendar",
    DELETE_CALENDAR: "delete-calendar",
    LIST_EVENTS: "list-events",
    ADD_BOT: "add-bot",
    REMOVE_BOT: "remove-bot",
    LIST_BOTS: "list-bots",
}


@dataclass(frozen=True, slots=True)
class Stop:
    """One step on the track."""

    step: str
    label: str
    state: str
    word: str
    passed: int
    of: int
    left: str
    stopped: bool
    refusal: str
    needs_confirmation: bool
    next: bool
    goal: bool


def track(batch: Batch, moved: Mapping[tuple[str, str], int], *, may_change: bool) -> list[Stop]:
    """Return the steps of a batch; `moved`: its calendars by step and status."""
    of = sum(n for (_step, status), n in moved.items() if status != ItemStatus.NOT_MOVABLE)
    budgets = limits(batch)
    stops: list[Stop] = []
    next_found = False
    for button in control.buttons(batch):
        refusal = button.refusal if may_change else str(ONLY_LOOKING)
        is_next = not next_found and not refusal and not batch.closed_at
        next_found = next_found or is_next
        passed = 0
        if button.step in OF_THE_ITEM:
            passed = sum(
                n
                for (step, status), n in moved.items()
                if status != ItemStatus.NOT_MOVABLE
                and (status in (ItemStatus.DONE, ItemStatus.BACK) or position(step) > position(button.step))
            )
        goes_on = button.state in ("now", "goal") and position(button.step) <= position(batch.goal)
        stops.append(
            Stop(
                step=button.step.value,
                label=button.label,
                state=button.state,
                word=_word(batch, button, left=of - passed if button.step in OF_THE_ITEM else 0),
                passed=passed,
                of=of if button.step not in OF_THE_BATCH else 0,
                left=time_left(batch, button.step, budgets, share=1 - passed / of if of else 1.0) if goes_on else "",
                stopped=button.state == "now" and batch.status == BatchStatus.STOPPED,
                refusal=refusal,
                needs_confirmation=button.needs_confirmation,
                next=is_next,
                goal=button.step == batch.goal,
            )
        )
    return stops


def limits(batch: Any) -> Mapping[str, planner.Limits]:
    """Return what may be used of the limits, from what was read along with the batch."""
    sides = {planner.SOURCE: batch.source, planner.TARGET: batch.target}
    return {
        role: {
            row["endpoint"]: planner.usable(row["per_minute"], reserve_percent=side.reserve_percent)
            for row in batch.budgets_json
            if row["workspace"] == side.pk
        }
        for role, side in sides.items()
    }


def time_left(batch: Batch, step: Step, budgets: Mapping[str, planner.Limits], *, share: float) -> str:
    """Say how long the calls of a step still take, and which limit bounds them; nothing where that is not known.

    `share` is the part of the step that is still to be done. Waits for meetings and soak times come on top.
    """
    if not batch.planned or batch.goes_back or share <= 0:
        return ""
    found = planner.bound(planner.Load(**batch.planned), budgets, steps=[step])
    if found is None:
        return ""
    seconds = found.seconds * share / planner.EFFICIENCY
    name = ENDPOINT_NAMES.get(found.endpoint, found.endpoint)
    return _("{about} at the {endpoint} limit").format(about=planner.about(timedelta(seconds=seconds)), endpoint=name)


def refusals(stops: Sequence[Stop]) -> list[tuple[str, str]]:
    """Return why buttons are missing, each sentence once with the steps it holds for."""
    reasons: dict[str, list[str]] = {}
    for stop in stops:
        if stop.refusal and stop.state != "done" and stop.refusal != control.ALREADY_ALLOWED.format(step=stop.label):
            reasons.setdefault(stop.refusal, []).append(stop.label)
    return [(", ".join(labels), sentence) for sentence, labels in reasons.items()]


def _word(batch: Batch, button: control.Button, *, left: int) -> str:
    """Return the state of a step in a word; calendars that did not come along are not passed over."""
    if button.state == "done" and left:
        return _("{left} not through").format(left=left)
    if button.state != "now":
        return str(STATE_WORDS[button.state])
    if batch.status == BatchStatus.STOPPED:
        return str(_("stopped"))
    if position(button.step) > position(batch.goal):
        return str(_("waits for the press"))
    return str(_("under way"))
