"""What customers are told, in plain words: no ids, no names of staff, and never what a provider said."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step
from migrations_app.models import Milestone

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from migrations_app.models import Batch

STATES = {
    "needs_you": _("waiting for you"),
    "moving": _("being moved"),
    "planned": _("planned"),
    "moved": _("moved"),
    "stays": _("stays where it was"),
    "cannot": _("cannot be moved"),
    "trouble": _("being looked into"),
}
"""The states of calendars, in the order in which they matter to their people."""

SENTENCES = {
    "needs_you": _(
        "The person it belongs to has to connect it again, where it was connected first. Until then its meetings are "
        "recorded as far as the old connection allows."
    ),
    "planned": _("Nothing has changed yet. Its meetings are recorded as before."),
    "moved": _("Its meetings are recorded in %(target)s."),
    "stays": _("Its meetings are recorded in %(source)s, as before."),
    "cannot": _("It cannot be moved by itself and stays in %(source)s. We tell you what can be done about it."),
    "trouble": _("Something did not work, and we are looking into it. Nothing is lost: its meetings are recorded."),
}
MOVING = {
    Step.RECREATE: _("It is set up in %(target)s. Its meetings are recorded as before."),
    Step.VERIFY: _("Its meetings are compared in both regions. They are recorded as before."),
    Step.HAND_OVER: _("Its meetings go over one by one. Each is recorded, once."),
    Step.DELETE_OLD: _("Its meetings are recorded in %(target)s. The old connection is removed later."),
    Step.CLEAN_UP: _("Its meetings are recorded in %(target)s."),
}
GOING_BACK = _("It goes back to %(source)s. Its meetings are recorded.")

PHASES = (
    _("We are preparing the move. Nothing has changed yet."),
    _("Your calendars are being set up in %(target)s. Meetings are recorded as before."),
    _("Meetings go over to %(target)s one by one. Each of them is recorded."),
    _("Meetings are recorded in %(target)s. The old connections are being removed."),
    _("The move is done."),
)
MOVING_WINDOW = _("Meetings go over while they go on being recorded. You need not do anything.")
BACK = _("The move goes back to %(source)s. Meetings are recorded.")
IS_BACK = _("The move was taken back: everything is in %(source)s, as before.")

STOPPED = _("Delayed: something did not work, and we are looking into it. Meetings are recorded.")
PAUSED = _("Paused by us. Meetings are recorded.")
DELAYED = _("Delayed: the move has not gone on for a while. We know, and meetings are recorded.")

TOO_MUCH_TOLD = _("You have told us a lot that we have not answered yet. We will; please wait with what is more.")

MEETINGS = {
    "covered": _("will be recorded"),
    "arranged": _("being arranged"),
    "checked": _("being checked"),
}

NOTICES = {
    Milestone.PLANNED: (_("The time of the move was set."), ""),
    Milestone.NEEDS_YOU: (_("Some calendars began to wait for you."), _("No calendar waits for you any more.")),
    Milestone.PROBLEM: (_("Something did not work; we began to look into it."), _("What did not work was mended.")),
    Milestone.DONE: (_("The last of your calendars was moved."), ""),
}


def sentence(batch: Batch, phase: int) -> str:
    """Say in one sentence how a move stands."""
    back = IS_BACK if batch.closed_at else BACK
    return str(back if batch.goes_back else PHASES[phase]) % _regions(batch)


def of_calendar(batch: Batch, state: str, step: str) -> str:
    """Say what a calendar's state means for its meetings."""
    if state == "moving":
        said = GOING_BACK if batch.goes_back else MOVING.get(Step(step), MOVING[Step.RECREATE])
    else:
        said = SENTENCES[state]
    return str(said) % _regions(batch)


def of_batch(batch: Batch) -> list[tuple[datetime | None, _StrOrPromise]]:
    """Return what a batch's own rows tell of its history; a moment that was not yet is None."""
    end = _("The move was taken back.") if batch.goes_back else _("The move was finished.")
    return [(batch.started_at, _("The move was begun.")), (batch.closed_at, end)]


def _regions(batch: Batch) -> dict[str, str]:
    return {"source": batch.source.region.label, "target": batch.target.region.label}
