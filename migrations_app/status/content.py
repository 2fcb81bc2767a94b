"""What a status page says of a customer's moves, from the rows that staff see. Nothing of anybody else's is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext_lazy, ngettext

from calendars.models import Customer, Occurrence, Platform, Verdict
from migrations_app.coverage import COVERED
from migrations_app.itineraries import Step, allows, position
from migrations_app.models import Batch, BatchStatus, ErrorKind, Item, ItemStatus, Milestone, Notice
from migrations_app.status import words
from recallops import clock
from recallops.workers import last_sign

SHOWN_AFTER_END = timedelta(days=30)
AHEAD = timedelta(hours=48)  # of which meetings are listed
MOST_MEETINGS = 40
PER_PAGE = 100  # calendars
MOST_NOTICES = 20
SHORTEST_WINDOW = timedelta(hours=1)

# The phases that customers are told of, each up to a step of the engine's.
PHASES = (
    (Step.EXPORT, gettext_lazy("Prepare")),
    (Step.VERIFY, gettext_lazy("Set up")),
    (Step.HAND_OVER, gettext_lazy("Hand over")),
    (Step.CLEAN_UP, gettext_lazy("Tidy up")),
)
HAND_OVER, TIDY_UP = 2, 3


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase, and whether it is done, goes on now, or comes later."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class CalendarLine:
    """A calendar, and how it is."""

    email: str
    platform: str
    state: str
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class MeetingLine:
    """A coming meeting of some of the customer's calendars."""

    start: datetime
    end: datetime
    emails: tuple[str, ...]
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
    """When meetings go over."""

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
    moved: int
    total: int
    left: str
    phases: Sequence[Phase]
    window: Window | None
    tallies: Sequence[Tally]
    calendars: Sequence[CalendarLine]
    found: int  # calendars in the chosen state, on all pages
    page: int
    pages: int
    show: str
    meetings: Sequence[MeetingLine]
    more_meetings: bool
    waiting: int  # calendars, for the customer
    changes: Sequence[Change]
    changed_at: datetime | None


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
    show = show if by_state.get(show) else ""
    found = by_state[show] if show else sum(by_state.values())
    pages = max(1, ceil(found / PER_PAGE))
    page = min(max(page, 1), pages)
    listed = items.filter(state=show) if show else items
    meetings = _meetings(batch, customer)
    phase = _phase(batch, [step for (state, step), n in counts.items() if n and state in ("planned", "moving")])
    return Move(
        source=batch.source.region.label,
        target=batch.target.region.label,
        closed=batch.closed_at is not None,
        sentence=words.sentence(batch, phase),
        trouble=_trouble(batch),
        moved=by_state["moved"],
        total=sum(by_state.values()),
        left=_left(batch, by_state),
        phases=[
            Phase(str(name), "done" if number < phase else "now" if number == phase else "next")
            for number, (_step, name) in enumerate(PHASES)
        ],
        window=window_of(batch),
        tallies=[Tally(state, str(word), by_state[state]) for state, word in words.STATES.items() if by_state[state]],
        calendars=_calendars(batch, listed, page),
        found=found,
        page=page,
        pages=pages,
        show=show,
        meetings=meetings[:MOST_MEETINGS],
        more_meetings=len(meetings) > MOST_MEETINGS,
        waiting=by_state["needs_you"],
        changes=_changes(batch, customer),
        changed_at=batch.changed_at or batch.started_at,
    )


def window_of(batch: Batch) -> Window | None:
    """Return when meetings go over; None where that is not known, or is long past."""
    line = batch.handover.cut_line
    if line is None or batch.goes_back or batch.closed_at is not None:
        return None
    return Window(line, line + max(SHORTEST_WINDOW, timedelta(seconds=batch.predicted_seconds or 0)))


# --- the parts


def _state(batch: Batch) -> Case:
    """Tell the state of an item in a word of `words.STATES`, in the database."""
    begun = allows(batch.goal, Step.RECREATE) or batch.goes_back
    return Case(
        When(status=ItemStatus.DONE, then=Value("moved")),
        When(status=ItemStatus.BACK, then=Value("stays")),
        When(status=ItemStatus.USER, error_kind=ErrorKind.CUSTOMER, then=Value("needs_you")),
        When(status=ItemStatus.NOT_MOVABLE, then=Value("cannot")),
        When(status__in=[ItemStatus.FAILED, ItemStatus.USER], then=Value("trouble")),
        default=Value("moving" if begun else "planned"),
        output_field=CharField(),
    )


def _phase(batch: Batch, steps: Sequence[str]) -> int:
    """Return the number of the phase that goes on; one more than there are when all is done.

    It is that of the calendars that go on; where these are in several, meetings go over. Where none goes on, it is that
    of the batch itself.
    """
    if batch.closed_at is not None:
        return len(PHASES)
    if not allows(batch.goal, Step.RECREATE):
        return 0
    places = [position(step) for step in steps or [batch.step]]
    found = {next((n for n, (last, _name) in enumerate(PHASES) if at <= position(last)), TIDY_UP) for at in places}
    return min(max(found), HAND_OVER) if len(found) > 1 else found.pop()


def _trouble(batch: Batch) -> str:
    if batch.closed_at is not None:
        return ""
    if batch.status == BatchStatus.STOPPED:
        return str(words.STOPPED)
    if batch.handover.paused:
        return str(words.PAUSED)
    if not batch.goal or batch.reached == batch.goal:
        return ""
    since = last_sign()
    lost = since is None or since > timedelta(seconds=settings.HEARTBEAT_LOST_SECONDS)
    return str(words.DELAYED) if lost else ""


def _left(batch: Batch, by_state: dict[str, int]) -> str:
    """Say how long it still takes, from what was foretold before the first write; nothing where that is not known."""
    going = by_state["planned"] + by_state["moving"]
    if not batch.predicted_seconds or batch.goes_back or batch.closed_at is not None or not going:
        return ""
    minutes = ceil(batch.predicted_seconds * going / (going + by_state["moved"]) / 60)
    if minutes < 90:
        return ngettext("about %(count)s minute", "about %(count)s minutes", minutes) % {"count": minutes}
    hours = ceil(minutes / 60)
    return ngettext("about %(count)s hour", "about %(count)s hours", hours) % {"count": hours}


def _calendars(batch: Batch, items: Any, page: int) -> list[CalendarLine]:
    rank = Case(*[When(state=state, then=Value(place)) for place, state in enumerate(words.STATES)])
    rows = items.order_by(rank, "connection__calendar__email", "pk").values_list(
        "connection__calendar__email", "connection__calendar__platform", "state", "step"
    )
    return [
        CalendarLine(
            email=email,
            platform=Platform(platform).label if platform in Platform.values else "",
            state=state,
            word=str(words.STATES[state]),
            sentence=words.of_calendar(batch, state, step),
        )
        for email, platform, state, step in rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    ]


def _meetings(batch: Batch, customer: Customer) -> list[MeetingLine]:
    """Return the meetings of the next days, nearest first, one more than are shown. Only the customer's own calendars
    are named, and no titles: who has the link need not be invited."""
    now = clock.now()
    rows = (
        Occurrence.objects.filter(
            Exists(_items(customer).filter(batch=batch, connection__calendar=OuterRef("calendar"))),
            calendar__customer=customer,
            wanted=True,
            assignment__over=False,
            assignment__end__gt=now,
            assignment__start__lt=now + AHEAD,
        )
        .order_by("assignment__start", "assignment", "calendar__email")
        .values_list(
            *("assignment", "assignment__start", "assignment__end", "assignment__verdict", "assignment__owner"),
            "calendar__email",
        )
    )
    found: dict[int, MeetingLine] = {}
    for pk, start, end, verdict, owner, email in rows[: MOST_MEETINGS * 10]:
        if (known := found.get(pk)) is not None:
            emails = known.emails if email in known.emails else (*known.emails, email)
        elif len(found) > MOST_MEETINGS:
            break
        else:
            emails = (email,)
        state = _covered(verdict)
        region = batch.target.region.label if owner == batch.target_id else batch.source.region.label
        found[pk] = MeetingLine(start, end, emails, state, str(words.MEETINGS[state]), region)
    return list(found.values())


def _covered(verdict: str) -> str:
    if verdict in COVERED or verdict == Verdict.DOUBLED:
        return "covered"
    return "arranged" if verdict == Verdict.MISSED else "checked"


def _changes(batch: Batch, customer: Customer) -> list[Change]:
    """Return what has happened, the newest first."""
    happened = [Change(at, str(sentence)) for at, sentence in words.of_batch(batch) if at is not None]
    notices = Notice.objects.filter(batch=batch, customer=customer).order_by("-found_at")
    for found_at, ended_at, milestone in notices.values_list("found_at", "ended_at", "milestone")[:MOST_NOTICES]:
        said, over = words.NOTICES[Milestone(milestone)]
        happened.append(Change(found_at, str(said)))
        if ended_at is not None and over:
            happened.append(Change(ended_at, str(over)))
    return sorted(happened, key=lambda one: one.at, reverse=True)
