"""Until when going back is without loss, what it would do now, and what each next step takes away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q

from calendars.models import ConnectionStatus
from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch
from recallops import clock

CANCEL, REVERSE = "Cancel", "Reverse"

NOTHING_MADE = "Nothing has been made in the target: the batch is closed, and nothing else happens."
DELETES = "{made} calendar(s) that this batch made in the target are deleted there; whatever else is there stays."
HANDS_BACK = "{handed} coming meeting(s) get their bots in the source first, and then lose those in the target."
MAKES_AGAIN = (
    "{deleted} calendar(s) that are deleted in the source are made again there, with new ids, by the credentials that "
    "this batch keeps."
)
TOKENLESS = "{lost} of them cannot: the source showed no token. Their users must connect them again."
OFF = "{off} calendar(s) are not connected in the source any more: they stay in the target until their users reconnect."
UNTIL_ALLOWED = "Going back is without loss until “Delete old” is allowed."
UNTIL_SOAKED = (
    "Going back is without loss until {until:%Y-%m-%d %H:%M} UTC; from then on calendars are deleted in the source."
)
UNTIL_NOW = "Calendars are deleted in the source from now on, each as soon as its checks pass."
SINCE_DELETED = (
    "Going back is possible until the batch is closed, but no longer without loss: ids of the source are gone."
)
UNDER_WAY = "This batch goes back."
WENT_BACK = "This batch went back: it is closed."
CLOSED = (
    "There is no way back in this batch: it is closed, and its credentials are wiped. Make one in the other direction."
)

TAKES_AWAY = {
    Step.RECREATE: "nothing; going back deletes what was made in the target",
    Step.VERIFY: "nothing",
    Step.HAND_OVER: "nothing; going back hands the meetings over once more, which takes as many calls again",
    Step.DELETE_OLD: "the source's ids, and what its dashboard shows of those calendars; going back makes new ones",
    Step.CLEAN_UP: "the credentials: from then on going back is a batch of its own, in the other direction",
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
    soaked: datetime | None = None  # from when the first calendar may be deleted; None: at once


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
    name = REVERSE if facts.handed or facts.deleted else CANCEL
    if facts.closed or facts.goes_back:
        said = (WENT_BACK if facts.goes_back else CLOSED) if facts.closed else UNDER_WAY
        return Undo(name, said, (), (), possible=False, needs_confirmation=confirm)
    deeds = [
        (MAKES_AGAIN, facts.deleted),
        (TOKENLESS, facts.lost),
        (OFF, facts.off),
        (HANDS_BACK, facts.handed),
        (DELETES, facts.made),
    ]
    does = tuple(sentence.format(**asdict(facts)) for sentence, count in deeds if count)
    left = tuple((step.label, words) for step, words in TAKES_AWAY.items() if allows(step, facts.step))
    return Undo(name, _until(facts, now), does or (NOTHING_MADE,), left, possible=True, needs_confirmation=confirm)


def _until(facts: Facts, now: datetime) -> str:
    if facts.deleted:
        return SINCE_DELETED
    if not allows(facts.goal, Step.DELETE_OLD):
        return UNTIL_ALLOWED
    if facts.soaked is not None and facts.soaked > now:
        return UNTIL_SOAKED.format(until=facts.soaked)
    return UNTIL_NOW


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


def meeting_counts(batch: Batch) -> dict[str, Any]:
    """Return what is to be counted of a batch's assignments, as aggregates."""
    handed = Q(owner=batch.target_id, over=False, flipped_at__isnull=False)
    return {"handed": Count("pk", filter=handed), "flipped": Min("flipped_at", filter=handed)}


def of(batch: Batch, *, flipped: datetime | None, **counts: int) -> Undo:
    """Return what to tell of a batch with these counts. `flipped`: when the first meeting went over."""
    facts = Facts(
        goal=batch.goal,
        step=batch.step,
        closed=batch.closed_at is not None,
        goes_back=batch.goes_back,
        soaked=flipped + batch.soak if flipped else None,
        **counts,
    )
    return undo(facts, now=clock.now())
