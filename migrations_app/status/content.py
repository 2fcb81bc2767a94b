"""What a status page says of a customer's moves, from the rows that staff see. Nothing of anybody else's is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from calendars.models import Assignment, ConnectionStatus, Customer, Occurrence, Platform, Verdict
from migrations_app import consents, postponing
from migrations_app.coverage import COVERED
from migrations_app.itineraries import Step, allows
from migrations_app.models import Batch, BatchStatus, ErrorKind, Item, ItemStatus, Milestone, Notice, ShareGroup
from migrations_app.status import words
from recallops import clock
from recallops.workers import last_sign

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

SHOWN_AFTER_END = timedelta(days=30)
AHEAD = timedelta(hours=48)  # of which meetings are listed
MOST_MEETINGS = 40
PER_PAGE = 100  # calendars
MOST_NOTICES = 20
MOST_NAMED = 6  # calendars of one meeting
LONGEST_MEETING = timedelta(days=1)  # what began earlier is not looked for
WINDOW = timedelta(hours=1)
SOON = timedelta(minutes=15)  # after a change nothing counts as delayed

PREPARE, SET_UP, HAND_OVER, TIDY_UP = range(4)
PHASES = (gettext_lazy("Prepare"), gettext_lazy("Set up"), gettext_lazy("Hand over"), gettext_lazy("Tidy up"))
PHASE_OF = {
    Step.RECREATE: SET_UP,
    Step.VERIFY: SET_UP,
    Step.HAND_OVER: HAND_OVER,
    Step.DELETE_OLD: TIDY_UP,
    Step.CLEAN_UP: TIDY_UP,
}
"""The phases that customers are told of, and which of them an item's step belongs to."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase, and whether it is done, goes on now, or comes later."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Standing:
    """In which phase a customer's calendars are: None for none of them, one more than there are when all is done."""

    phase: int | None
    going: bool  # somebody has allowed what comes next


@dataclass(frozen=True, slots=True)
class CalendarLine:
    """A calendar, and how it is."""

    email: str
    platform: str
    state: str
    word: str
    sentence: str
    connect: int | None  # under which its person may connect it again


@dataclass(frozen=True, slots=True)
class MeetingLine:
    """A coming meeting of some of the customer's calendars."""

    start: datetime
    end: datetime
    emails: tuple[str, ...]
    more: int  # calendars that are not named
    state: str
    word: str
    region: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calendars are in a state."""

    state: str
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """Something that has happened."""

    at: datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Window:
    """When the first meetings are the target's."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """All that is shown of one move of a customer."""

    source: str
    target: str
    closed: bool
    sentence: str
    trouble: str  # why it is delayed; empty when it is not
    over: int  # calendars whose meetings have gone over; on the way back those that are back
    total: int
    waiting: int  # calendars, for the customer
    left: str
    phases: Sequence[Phase]
    window: Window | None
    tallies: Sequence[Tally]
    calendars: Sequence[CalendarLine]
    found: int  # calendars in the chosen state, on all pages
    page: int
    pages: int
    show: str
    meetings: Sequence[MeetingLine] | None  # None: nobody looks at them any more
    more_meetings: bool
    changes: Sequence[Change]


def batches_of(customer: Customer) -> QuerySet[Batch]:
    """Return the batches that a customer is shown, open ones first, then the newest."""
    mine = _items(customer).filter(batch=OuterRef("pk"))
    lately = Q(closed_at=None) | Q(closed_at__gte=clock.now() - SHOWN_AFTER_END)
    rows = Batch.objects.filter(lately, Q(Exists(mine)) | Q(customers=customer), draft=False).distinct()
    return rows.select_related("source__region", "target__region", "handover").order_by(
        Case(When(closed_at=None, then=Value(0)), default=Value(1)), "-pk"
    )


def _items(customer: Customer) -> QuerySet[Item]:
    return Item.objects.filter(kind=Item.Kind.CONNECTION, connection__calendar__customer=customer)


def move_of(batch: Batch, customer: Customer, *, show: str = "", page: int = 1) -> Move:
    """Read one move of a customer. `show` is a state of calendars, or empty for all of them."""
    items = _items(customer).filter(batch=batch).annotate(state=_state(batch))
    rows = items.order_by().values_list("state", "step").annotate(n=Count("pk"))
    counts = {(state, step): number for state, step, number in rows}
    by_state = {state: sum(n for (one, _step), n in counts.items() if one == state) for state in words.STATES}
    total = sum(by_state.values())
    show = show if by_state.get(show) else ""
    found = by_state[show] if show else total
    pages = max(1, ceil(found / PER_PAGE))
    page = min(max(page, 1), pages)
    standing = standing_of(batch, counts)
    trouble = _trouble(batch, going=bool(by_state["planned"] + by_state["moving"] + by_state["over"]))
    meetings = None if batch.closed_at is not None else _meetings(batch, customer, known=trouble != words.DELAYED)
    return Move(
        source=batch.source.region.label,
        target=batch.target.region.label,
        closed=batch.closed_at is not None,
        sentence=words.sentence(batch, standing, moved=by_state["moved"], back=by_state["stays"], total=total),
        trouble=str(trouble),
        over=by_state["stays"] if batch.goes_back else by_state["moved"] + by_state["over"],
        total=total,
        waiting=by_state["needs_you"],
        left="" if trouble else _left(batch, standing, by_state),
        phases=_phases(standing) if standing.phase is not None else (),
        window=window_of(batch),
        tallies=[Tally(state, str(word), by_state[state]) for state, word in words.STATES.items() if by_state[state]],
        calendars=_calendars(batch, items.filter(state=show) if show else items, page),
        found=found,
        page=page,
        pages=pages,
        show=show,
        meetings=meetings[:MOST_MEETINGS] if meetings is not None else None,
        more_meetings=meetings is not None and len(meetings) > MOST_MEETINGS,
        changes=_changes(batch, customer),
    )


def standing_of(batch: Batch, counts: Mapping[tuple[str, str], int]) -> Standing:
    """Return where a customer's calendars are, from how many of them are in which state at which step. Pure.

    Those of other customers in the same batch count for nothing. Where calendars are in several phases, and some have
    come to it, meetings go over.
    """
    if batch.goes_back or batch.closed_at is not None:
        return Standing(None, going=False)
    active = {step for (state, step), n in counts.items() if n and state in ("planned", "moving", "over")}
    states = {state for (state, _step), n in counts.items() if n}
    done = "moved" in states
    if not active:
        return Standing(len(PHASES) if states == {"moved"} else None if states else PREPARE, going=not states)
    going = any(allows(batch.goal, step) for step in active) and batch.reached != batch.goal
    if not done and not allows(batch.goal, Step.RECREATE):
        return Standing(PREPARE, going=bool(batch.goal) and batch.reached != batch.goal)
    found = {PHASE_OF.get(Step(step), SET_UP) for step in active} | ({TIDY_UP} if done else set())
    return Standing(min(max(found), HAND_OVER) if len(found) > 1 else found.pop(), going=going)


def window_of(batch: Batch) -> Window | None:
    """Return from when on meetings are the target's; None where that is not known, or is over."""
    line = batch.handover.cut_line
    if line is None or batch.goes_back or batch.closed_at is not None or line + WINDOW < clock.now():
        return None
    return Window(line, line + WINDOW)


# --- the parts


def _state(batch: Batch) -> Case:
    """Tell the state of an item in a word of `words.STATES`, in the database."""
    begun = allows(batch.goal, Step.RECREATE) or batch.goes_back
    there = [
        When(group__state=ShareGroup.State.FELL_BACK, then=Value("trouble")),
        When(step__in=[Step.DELETE_OLD, Step.CLEAN_UP], then=Value("over")),
    ]
    left = [] if batch.closed_at is None else [When(pk__isnull=False, then=Value("left"))]
    return Case(
        When(status=ItemStatus.DONE, then=Value("moved")),
        When(status=ItemStatus.BACK, then=Value("stays")),
        *left,
        When(status=ItemStatus.USER, error_kind=ErrorKind.CUSTOMER, then=Value("needs_you")),
        When(status=ItemStatus.NOT_MOVABLE, then=Value("cannot")),
        When(status__in=[ItemStatus.FAILED, ItemStatus.USER], then=Value("trouble")),
        *([] if batch.goes_back else there),
        default=Value("moving" if begun else "planned"),
        output_field=CharField(),
    )


def _phases(standing: Standing) -> list[Phase]:
    at = standing.phase or 0
    now = "now" if standing.going else "next"
    return [
        Phase(str(name), "done" if number < at else now if number == at else "next")
        for number, name in enumerate(PHASES)
    ]


def _trouble(batch: Batch, *, going: bool) -> _StrOrPromise:
    """Say why it is delayed, to those who have something that should go on."""
    if batch.closed_at is not None or not going:
        return ""
    if batch.status == BatchStatus.STOPPED:
        return words.STOPPED
    if batch.handover.paused:
        return words.PAUSED
    if not batch.goal or batch.reached == batch.goal:
        return ""
    since, now = last_sign(), clock.now()
    lost = since is None or since > timedelta(seconds=settings.HEARTBEAT_LOST_SECONDS)
    lately = [at for at in (batch.changed_at, batch.started_at) if at is not None and at > now - SOON]
    return words.DELAYED if lost and not lately else ""


def _left(batch: Batch, standing: Standing, by_state: dict[str, int]) -> str:
    """Say how long it takes until meetings have gone over, from what was foretold before the first write.

    Nothing where that is not known, where it does not go on, and where another wait is the longer one: for the cut line
    before, for the time to look back afterwards.
    """
    going = by_state["planned"] + by_state["moving"]
    waits = batch.handover.cut_line is not None and batch.handover.cut_line > clock.now()
    if not batch.predicted_seconds or not standing.going or not going or waits:
        return ""
    minutes = ceil(batch.predicted_seconds * going / sum(by_state.values()) / 60)
    if minutes < 90:
        return ngettext("about %(count)s minute", "about %(count)s minutes", minutes) % {"count": minutes}
    hours = ceil(minutes / 60)
    return ngettext("about %(count)s hour", "about %(count)s hours", hours) % {"count": hours}


def _calendars(batch: Batch, items: Any, page: int) -> list[CalendarLine]:
    rank = Case(*[When(state=state, then=Value(place)) for place, state in enumerate(words.STATES)])
    again = Case(When(consents.possible(), then=F("pk")))
    rows = items.order_by(rank, "connection__calendar__email", "pk").values_list(
        "connection__calendar__email", "connection__calendar__platform", "state", "step", "connection__status", again
    )
    return [
        CalendarLine(
            email=_named(email),
            platform=Platform(platform).label if platform in Platform.values else "",
            state=state,
            word=str(words.STATES[state]),
            sentence=words.of_calendar(batch, state, step, fell_off=status != ConnectionStatus.CONNECTED),
            connect=connect,
        )
        for email, platform, state, step, status, connect in rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    ]


def _named(email: str) -> str:
    """Return a calendar's address; one without an address goes by an id of the provider, which is not told."""
    return email if "@" in email else _("a calendar without an address")


def _meetings(batch: Batch, customer: Customer, *, known: bool) -> list[MeetingLine]:
    """Return the meetings of the next days, nearest first, one more than are shown. Only the customer's own calendars
    are named, and no titles: who has the link need not be invited. `known`: somebody looks after them."""
    now = clock.now()
    moved = _items(customer).filter(batch=batch, connection__calendar=OuterRef("calendar"))
    mine = Occurrence.objects.filter(Exists(moved), calendar__customer=customer, wanted=True)
    mine = mine.filter(assignment=OuterRef("pk")).order_by("calendar__email")
    number = mine.order_by().values("assignment").annotate(n=Count("pk")).values("n")
    rows = (
        Assignment.objects.filter(
            Exists(mine), over=False, end__gt=now, start__gt=now - LONGEST_MEETING, start__lt=now + AHEAD
        )
        .annotate(emails=ArraySubquery(mine.values("calendar__email")[:MOST_NAMED]), number=Subquery(number))
        .order_by("start", "pk")
        .values_list("start", "end", "verdict", "owner", "emails", "number")
    )
    regions = {batch.target_id: batch.target.region.label, batch.source_id: batch.source.region.label}
    found = []
    for start, end, verdict, owner, emails, count in rows[: MOST_MEETINGS + 1]:
        state = _covered(verdict, begun=start <= now) if known else "checked"
        found.append(
            MeetingLine(
                start=start,
                end=end,
                emails=tuple(map(_named, emails)),
                more=count - len(emails),
                state=state,
                word=str(words.MEETINGS[state]),
                region=regions.get(owner, "") if state == "covered" else "",
            )
        )
    return found


def _covered(verdict: str, *, begun: bool) -> str:
    if verdict in COVERED or verdict == Verdict.DOUBLED:
        return "covered"
    if verdict == Verdict.MISSED:
        return "missing" if begun else "arranged"
    return "checked"


def _changes(batch: Batch, customer: Customer) -> list[Change]:
    """Return what has happened, the newest first."""
    happened = [Change(at, str(sentence)) for at, sentence in words.of_batch(batch) if at is not None]
    notices = Notice.objects.filter(batch=batch, customer=customer).order_by("-found_at")
    for found_at, ended_at, milestone in notices.values_list("found_at", "ended_at", "milestone")[:MOST_NOTICES]:
        said, over = words.NOTICES[Milestone(milestone)]
        happened.append(Change(found_at, str(said)))
        if ended_at is not None and over:
            happened.append(Change(ended_at, str(over)))
    if batch.postponed:
        moments = postponing.acts(batch).order_by("-pk").values_list("at", "after")
        happened += [Change(at, words.put_off(datetime.fromisoformat(str(to)))) for at, to in moments[:MOST_NOTICES]]
    return sorted(happened, key=lambda one: one.at, reverse=True)
