"""Until when going back is without loss, what it would do now, and what each next step takes away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q
from django.utils.translation import gettext_lazy as _

from calendars.models import ConnectionStatus
from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch, ItemStatus
from recallops import clock

CANCEL, REVERSE = _("Cancel"), _("Reverse")

NOTHING_MADE = _("Nothing has been made in the target: the batch is closed, and nothing else happens.")
DELETES = _("{made} calendar(s) that this batch made in the target are deleted there; whatever else is there stays.")
HANDS_BACK = _("{handed} coming meeting(s) get their bots in the source first, and then lose those in the target.")
MAKES_AGAIN = _(
    "{deleted} calendar(s) that are deleted in the source are made again there, with new ids, by the credentials that "
    "this batch keeps."
)
TOKENLESS = _(
    "{lost} of them cannot: the source showed no token. Unless their users connect them there first, they stay in the "
    "target, and the batch closes without them."
)
OFF = _(
    "{off} calendar(s) are not connected in the source any more: unless their users reconnect them there first, they "
    "stay in the target, with their bots, and the batch closes without them."
)
UNTIL_ALLOWED = _("Going back is without loss until “Delete old” is allowed.")
UNTIL_LOOKED = _(
    "Going back is without loss until {until:%Y-%m-%d %H:%M} UTC; from then on calendars are deleted in the source."
)
UNTIL_NOW = _("Calendars are deleted in the source from now on, each as soon as its checks pass.")
SINCE_DELETED = _(
    "Going back is possible until the batch is closed, but no longer without loss: ids of the source are gone."
)
UNDER_WAY = _("This batch goes back.")
WENT_BACK = _("This batch went back: it is closed.")
CLOSED = _(
    "There is no way back in this batch: it is closed, and its credentials are wiped. Make one in the other direction."
)

TAKES_AWAY = {
    Step.RECREATE: _("nothing; going back deletes what was made in the target"),
    Step.VERIFY: _("nothing"),
    Step.HAND_OVER: _("nothing; going back hands the meetings over once more, which takes as many calls again"),
    Step.DELETE_OLD: _("the source's ids, and what its dashboard shows of those calendars; going back makes new ones"),
    Step.CLEAN_UP: _("the credentials: from then on going back is a batch of its own, in the other direction"),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What going back depends on."""

    goal: str = ""
    step: str = Step.PREFLIGHT
    closed: bool = False
    goes_back: bool = False
    made: int = 0
    handed: int = 0  # coming meetings that the target owns
    deleted: int = 0  # in the source
    lost: int = 0  # of those: without a token
    off: int = 0  # in the target, and not connected in the source
    earliest: datetime | None = None  # before which no calendar is looked at; None: at once


@dataclass(frozen=True, slots=True)
class Undo:
    """What staff read about going back."""

    name: str
    until: str
    does: tuple[str, ...]
    takes_away: tuple[tuple[str, str], ...]
    possible: bool
    needs_confirmation: bool


def undo(facts: Facts, *, now: datetime) -> Undo:
    """Say until when going back is without loss, what it does, and what each step that is left takes away."""
    confirm = allows(facts.goal, Step.RECREATE)
    name = str(REVERSE if facts.handed or facts.deleted else CANCEL)
    if facts.closed or facts.goes_back:
        said = (WENT_BACK if facts.goes_back else CLOSED) if facts.closed else UNDER_WAY
        return Undo(name, str(said), (), (), possible=False, needs_confirmation=confirm)
    deeds = [
        (MAKES_AGAIN, facts.deleted),
        (TOKENLESS, facts.lost),
        (OFF, facts.off),
        (HANDS_BACK, facts.handed),
        (DELETES, facts.made),
    ]
    does = tuple(sentence.format(**asdict(facts)) for sentence, count in deeds if count)
    left = tuple((str(step.label), str(words)) for step, words in TAKES_AWAY.items() if allows(step, facts.step))
    return Undo(name, _until(facts, now), does or (str(NOTHING_MADE),), left, possible=True, needs_confirmation=confirm)


def _until(facts: Facts, now: datetime) -> str:
    if facts.deleted:
        return str(SINCE_DELETED)
    if not allows(facts.goal, Step.DELETE_OLD):
        return str(UNTIL_ALLOWED)
    if facts.earliest is not None and facts.earliest > now:
        return UNTIL_LOOKED.format(until=facts.earliest)
    return str(UNTIL_NOW)


def item_counts() -> dict[str, Count]:
    """Return what is to be counted of a batch's items, as aggregates, so that a page counts it with everything else."""
    gone = Q(connection__status=ConnectionStatus.DELETED)
    there = Q(target_connection__isnull=False) & ~Q(target_connection__status=ConnectionStatus.DELETED)
    here = Q(connection__status=ConnectionStatus.CONNECTED)
    return {
        "made": Count("pk", filter=there & Q(created_target=True)),
        "deleted": Count("pk", filter=gone & there),
        "lost": Count("pk", filter=gone & there & Q(connection__has_token=False)),
        "off": Count("pk", filter=there & ~gone & ~here),
    }


def looks() -> dict[str, Any]:
    """Return when the engine looks at a batch's items again, as aggregates: how many at once, and the first time."""
    active = Q(status__in=ItemStatus.active())
    return {"at_once": Count("pk", filter=active & Q(due_at=None)), "soonest": Min("due_at", filter=active)}


def meeting_counts(batch: Batch) -> dict[str, Any]:
    """Return what is to be counted of a batch's assignments, as aggregates."""
    handed = Q(owner=batch.target_id, over=False, flipped_at__isnull=False)
    return {"handed": Count("pk", filter=handed)}


def of(batch: Batch, *, earliest: datetime | None, **counts: int) -> Undo:
    """Return what to tell of a batch with these counts. `earliest`: when the first of its items is looked at again."""
    facts = Facts(
        goal=batch.goal,
        step=batch.step,
        closed=batch.closed_at is not None,
        goes_back=batch.goes_back,
        earliest=earliest,
        **counts,
    )
    return undo(facts, now=clock.now())
