"""What customers are told, in plain words: no ids, no names of staff, and never what a provider said."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step, allows
from migrations_app.models import Milestone
from migrations_app.postponing import Why
from recallops.admin_display import minute

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    from migrations_app.models import Batch
    from migrations_app.status.content import Standing

STATES = {
    "needs_you": _("waiting for you"),
    "trouble": _("being looked into"),
    "cannot": _("cannot be moved"),
    "left": _("was not moved"),
    "planned": _("planned"),
    "moving": _("being moved"),
    "over": _("gone over"),
    "moved": _("moved"),
    "stays": _("back where it was"),
}
"""The states of calendars, in the order in which they matter to their people."""

SENTENCES = {
    "needs_you": _("The person it belongs to has to connect it again. Until then it cannot be moved."),
    "trouble": _("Something did not work, and we are looking into it."),
    "cannot": _("It is not moved. We tell you what can be done about it."),
    "left": _("The move has ended without it."),
    "planned": _("Nothing has changed yet."),
    "over": _("Its meetings have gone over to %(target)s. The old connection is removed later."),
    "moved": _("It is in %(target)s."),
    "stays": _("It is in %(source)s again."),
}
MOVING = {
    Step.RECREATE: _("It is being set up in %(target)s. Its meetings are recorded as before."),
    Step.VERIFY: _("Its meetings are compared in both regions. They are recorded as before."),
    Step.HAND_OVER: _("Its meetings go over. The list below says where each is recorded."),
}
MOVING_OFF = _("It is being connected in %(target)s.")
COMES_NEXT = _("It waits for the next part of the move.")
GOING_BACK = _("It goes back to %(source)s.")

GOING = (
    _("We are preparing the move. Nothing has changed yet."),
    _("Your calendars are being set up in %(target)s. Meetings are recorded as before."),
    _("Meetings go over to %(target)s."),
    _("Meetings have gone over to %(target)s. The old connections are being removed."),
    _("All your calendars are in %(target)s."),
)
RESTING = (
    _("The move is prepared. Nothing has changed yet."),
    _("The move is prepared. Next, your calendars are set up in %(target)s."),
    _("Your calendars are set up in %(target)s. Next, meetings go over; until then they are recorded as before."),
    _("Meetings have gone over to %(target)s. The old connections stay for now."),
    _("All your calendars are in %(target)s."),
)
"""How it stands in each phase: while it goes on, and before somebody has allowed it."""

SOME = _("%(moved)s of %(total)s calendars are moved. The others are not going on at the moment.")
ENDED = _("The move has ended: %(moved)s of %(total)s calendars are in %(target)s.")
MOVING_WINDOW = _("Meetings that begin from now on are recorded in the other region.")
BACK = _("The move goes back to %(source)s.")
IS_BACK = _("The move was taken back: your calendars are in %(source)s again.")
BACK_ENDED = _("The move was taken back: %(back)s of %(total)s calendars are in %(source)s again.")

STOPPED = _("Delayed: something did not work, and we are looking into it.")
PAUSED = _("Paused by us.")
DELAYED = _("Delayed: the move has not gone on for a while.")

PUT_OFF = _("The move was put off on this page, to %(at)s.")
NOT_PUT_OFF = {
    Why.NOT_HERE: _("The time of this move cannot be changed here. Write to us below if it does not suit you."),
    Why.BEGUN: _("Your meetings have begun to go over, so the time stays. Write to us below if something is wrong."),
    Why.TOO_OFTEN: _("The time was changed as often as it can be here. Write to us below if it does not suit you."),
    Why.TOO_NEAR: _("It is too near to be changed here. Write to us below if it does not suit you."),
    Why.CHANGED: _("The time was changed meanwhile. Look at it again; then choose, if it does not suit you."),
    Why.NOT_POSSIBLE: _("Choose one of the times in the list: another one is not possible, or not any more."),
}

TOO_MUCH_TOLD = _("You have told us a lot that we have not answered yet. We will; please wait with what is more.")
TOO_MANY_ASKED = _("E-mails were asked for at too many addresses with this link. Try again tomorrow, or tell us yours.")

RECONNECTED = {
    "done": _("Thank you, that worked. The calendar is connected in the other region as the move goes on."),
    "other": _(
        "You gave access with another address than the calendar's, and we have kept nothing of it. Try again, and sign "
        "in with exactly the address that is shown below."
    ),
    "declined": _("You gave no access, and nothing has changed. You can try again at any time."),
    "partly": _("We may not read the calendar with what you allowed. Try again, and leave everything ticked."),
    "late": _("That took too long, or was done twice. Try again."),
    "away": _("Google or Microsoft did not answer. Try again in a few minutes."),
    "ours": _("Something is not set up well on our side. We have been told, and mend it; please try again later."),
    "gone": _("This calendar does not wait for anybody at the moment."),
}
"""What came of connecting a calendar again."""

MEETINGS = {
    "covered": _("will be recorded"),
    "arranged": _("being arranged"),
    "missing": _("not recorded so far"),
    "checked": _("being checked"),
}

NOTICES = {
    Milestone.PLANNED: (_("The move was announced."), ""),
    Milestone.NEEDS_YOU: (_("Some calendars began to wait for you."), _("No calendar waits for you any more.")),
    Milestone.PROBLEM: (_("We began to look into a problem."), _("Nothing is looked into any more.")),
    Milestone.DONE: (_("The end of the move was announced."), ""),
}


def sentence(batch: Batch, standing: Standing, *, moved: int, back: int, total: int) -> str:
    """Say in one sentence how a move stands for a customer."""
    if batch.goes_back:
        ended = IS_BACK if back == total else BACK_ENDED
        said = BACK if batch.closed_at is None else ended
    elif batch.closed_at is not None:
        said = ENDED
    elif standing.phase is None:
        said = SOME
    else:
        said = (GOING if standing.going else RESTING)[standing.phase]
    return str(said) % {**_regions(batch), "moved": moved, "back": back, "total": total}


def of_calendar(batch: Batch, state: str, step: str, *, fell_off: bool = False) -> str:
    """Say what a calendar's state means. `fell_off`: nothing of it is recorded where it comes from."""
    if state == "moving" and batch.goes_back:
        said = GOING_BACK
    elif state == "moving" and fell_off and step != Step.HAND_OVER:
        said = MOVING_OFF if allows(batch.goal, step) else COMES_NEXT
    elif state == "moving":
        said = MOVING.get(Step(step), COMES_NEXT) if allows(batch.goal, step) else COMES_NEXT
    else:
        said = SENTENCES[state]
    return str(said) % _regions(batch)


def of_batch(batch: Batch) -> list[tuple[datetime | None, _StrOrPromise]]:
    """Return what a batch's own rows tell of its history; a moment that was not yet is None."""
    end = _("The move was taken back.") if batch.goes_back else _("The move ended.")
    return [(batch.started_at, _("We began to prepare the move.")), (batch.closed_at, end)]


def put_off(to: datetime) -> str:
    """Say that the customer put the move off, with the new time."""
    return str(PUT_OFF) % {"at": minute(to)}


def _regions(batch: Batch) -> dict[str, str]:
    return {"source": batch.source.region.label, "target": batch.target.region.label}
