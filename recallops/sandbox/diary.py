"""Who meets whom when: the plan of a plausible company's diaries, as values. Nothing is done to a world here.

Every customer has a budget of calendar entries inside the 28-day window. It goes to recurring series first, as far as
they fit, to whole days of calls in a personal room, to meetings with other customers, and what is left to single
meetings, so that the sum comes out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recallops.sandbox.company import Customer, make_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recallops.sandbox.meetings import AccountKey

WINDOW = timedelta(days=28)
BEYOND = 35  # days: series go on beyond the window, these instances enter it later
FIRST_HOURS = timedelta(hours=6)
OPENS, CLOSES = 7 * 60, 18 * 60  # minutes of the local day
QUARTER = timedelta(minutes=15)

# Parts of a customer's budget; the rest are single meetings.
STANDUPS, WEEKLIES, FORTNIGHTLIES, ROOMS, ACROSS = 0.20, 0.20, 0.07, 0.10, 0.06
RUSH = 0.025  # extra meetings (of all entries) in the first hours: whenever a demo starts, something is going on
MOVED, CANCELLED = 0.04, 0.03  # instances of series
UNRECORDED, WITHOUT_LINK, RECORDED_BY_ONE = 0.06, 0.07, 0.2

_SINGLES = (
    "Design review", "Hiring interview", "Budget talk", "Incident review", "Demo", "Kick-off", "Sales call",
    "Contract questions", "Onboarding", "Pairing", "Roadmap", "Customer call", "Architecture talk", "Training",
)  # fmt: skip
_OUTSIDERS = ("lee@partner.example", "kim@supplier.example", "ana@agency.example", "joe@press.example")
_RESOURCES = ("room-atlas@resource.calendar.example", "room-iris@resource.calendar.example")
_RESPONSES = ("accepted",) * 12 + ("tentative", "needsAction", "needsAction", "declined")


@dataclass(frozen=True, slots=True)
class Person:
    """One member of a customer's staff, with an account at one platform."""

    platform: str
    email: str
    name: str
    customer: str

    @property
    def key(self) -> AccountKey:
        """Return the key of the account."""
        return self.platform, self.email


@dataclass(slots=True)
class Plan:
    """One meeting to be made. `recorded` names the customers that want a bot there."""

    start: datetime
    end: datetime
    title: str
    people: tuple[Person, ...]
    url: str | None = None
    recorded: frozenset[str] = frozenset()
    attendees: dict[str, str] = field(default_factory=dict)
    series: str | None = None
    ical_uid: str | None = None
    original_start: datetime | None = None
    cancelled: bool = False
    description: str = ""


class Diary:
    """Plans the meetings of all customers. The same random generator and people give the same plans."""

    def __init__(self, rng: random.Random, start: datetime, people: dict[str, list[Person]]) -> None:
        self.rng = rng
        self.start = start
        self.people = people
        self.plans: list[Plan] = []
        self.spent = dict.fromkeys(people, 0)
        self._busy: dict[AccountKey, list[tuple[datetime, datetime]]] = {}
        self._customers: dict[str, Customer] = {}
        self._series = 0

    def write(self, customers: Sequence[Customer], entries: int) -> list[Plan]:
        """Plan about `entries` calendar entries inside the window, and some beyond it."""
        self._customers = {customer.slug: customer for customer in customers}
        self._rush(round(entries * RUSH))
        everybody = sum(len(people) for people in self.people.values())
        done = spent = 0
        for customer in customers:
            done += len(self.people[customer.slug])
            budget = round(entries * done / everybody) - spent
            spent += budget
            self._write_customer(customer, budget)
        return self.plans

    def _write_customer(self, customer: Customer, budget: int) -> None:
        people = self.people[customer.slug]
        teams = [people[place : place + 5] for place in range(0, len(people), 5)]
        self.rng.shuffle(teams)
        for part, days, title, length in (
            (STANDUPS, 1, "Stand-up", 15),
            (WEEKLIES, 7, "Weekly", 45),
            (FORTNIGHTLIES, 14, "Planning", 60),
        ):
            left = budget * part
            for team in teams * 3:
                cost = len(team) * 28 * 5 / 7 if days == 1 else len(team) * 28 / days
                if cost <= left:
                    left -= self._make_series(customer, team, days=days, title=title, minutes=length)
        left = budget * ROOMS
        while left >= 4 and self.spent[customer.slug] < budget:
            left -= self._room_day(customer, self.rng.choice(people))
        left = budget * ACROSS
        others = [slug for slug in self.people if slug != customer.slug]
        while others and left >= 2 and self.spent[customer.slug] < budget:
            guests = self.rng.sample(self.people[self.rng.choice(others)], 1)
            left -= self._single(customer, [self.rng.choice(people), *guests])
        while self.spent[customer.slug] < budget:
            most = min(budget - self.spent[customer.slug], len(people), self.rng.choice((1, 1, 2, 2, 3, 4, 6)))
            self._single(customer, self.rng.sample(people, most))
        for _ in range(round(budget * 0.02)):  # beyond the window
            self._single(customer, [self.rng.choice(people)], beyond=True)

    # --- kinds of meetings --------------------------------------------------------------------------------------

    def _make_series(self, customer: Customer, team: list[Person], *, days: int, title: str, minutes: int) -> int:
        """Plan a recurring series; some instances are moved, some cancelled. Return the entries in the window."""
        rng = self.rng
        self._series += 1
        name = f"{customer.slug.replace('-', '')}{self._series:04d}{rng.getrandbits(48):012x}"
        url = self._link(customer)
        at = rng.randrange(OPENS + 60, 12 * 60, 15) if days == 1 else rng.randrange(OPENS, CLOSES - minutes, 15)
        workdays = list(self._workdays(customer, -1, BEYOND))
        if days > 1:
            first = rng.choice(workdays[: max(1, days * 5 // 7)])
            workdays = [day for day in workdays if (day - first).days % days == 0]
        attendees = self._responses(team)
        if rng.random() < 0.2:
            attendees[rng.choice(_RESOURCES)] = "accepted"
        recorded = self._recorded(team)
        before = self.spent[customer.slug]
        for day in workdays:
            original = self._at(customer, day, at)
            start = original
            if rng.random() < MOVED:
                start = original + rng.choice((1, 2, 3, 24, 26)) * timedelta(hours=1)
            self._put(
                Plan(
                    start,
                    start + timedelta(minutes=minutes),
                    f"{title} {customer.name.split()[0]} {self._series}",
                    tuple(team),
                    url,
                    recorded,
                    attendees,
                    series=name,
                    ical_uid=f"{name}@google.com",
                    original_start=original,
                    cancelled=rng.random() < CANCELLED,
                )
            )
        return self.spent[customer.slug] - before

    def _room_day(self, customer: Customer, person: Person) -> int:
        """Plan a day of calls one after the other, all in one person's room: the same link each time."""
        rng = self.rng
        room = make_link(rng, "zoom", customer.domains[0].partition(".")[0])
        count = rng.randint(3, 6)
        day = rng.choice(list(self._workdays(customer)))
        at = rng.randrange(OPENS, CLOSES - count * 30, 30)
        for number in range(count):
            start = self._at(customer, day, at) + number * timedelta(minutes=30)
            self._put(
                Plan(
                    start,
                    start + timedelta(minutes=30),
                    f"Call {number + 1}",
                    (person,),
                    room,
                    self._recorded([person]),
                    {rng.choice(_OUTSIDERS): "accepted"},
                )
            )
        return count

    def _single(self, customer: Customer, people: list[Person], *, beyond: bool = False) -> int:
        """Plan one meeting in the organizer's working hours, at a time when all are free if one is found soon."""
        rng = self.rng
        days = list(self._workdays(customer, 29, BEYOND) if beyond else self._workdays(customer))
        if not beyond and rng.random() < 0.015:
            midnight = self._at(customer, rng.choice(days), 0)
            return self._put(Plan(midnight, midnight + timedelta(days=1), "Out of office", tuple(people)))
        length = timedelta(minutes=rng.choice((15, 25, 30, 30, 45, 50, 60, 60, 90)))
        for _ in range(8):
            start = self._at(customer, rng.choice(days), rng.randrange(OPENS, CLOSES, 15))
            if self._free(people, start, start + length):
                break
        return self._put(self._plan_single(customer, people, start, start + length))

    def _plan_single(self, customer: Customer, people: list[Person], start: datetime, end: datetime) -> Plan:
        rng = self.rng
        plan = Plan(start, end, rng.choice(_SINGLES), tuple(people), attendees=self._responses(people))
        if rng.random() < 0.3:
            plan.attendees[rng.choice(_OUTSIDERS)] = rng.choice(_RESPONSES)
        if rng.random() < 0.1:
            plan.attendees[rng.choice(_RESOURCES)] = "accepted"
        if rng.random() < WITHOUT_LINK:
            return plan
        plan.url = self._link(customer)
        plan.recorded = self._recorded(people)
        if rng.random() < 0.03:
            plan.title, plan.recorded, plan.description = "Private appointment", frozenset(), "visibility: private"
        return plan

    def _rush(self, count: int) -> None:
        """Plan meetings in the first hours, and a few that are on already; customers at work are preferred."""
        slots = round(FIRST_HOURS / QUARTER)
        origin = self.start.replace(minute=self.start.minute // 15 * 15, second=0, microsecond=0)
        for number in range(count):
            running = number % 20 == 7
            start = origin - QUARTER if running else origin + (1 + number % slots) * QUARTER
            weights = [
                len(self.people[slug]) * (8 if _at_work(customer, start) else 1)
                for slug, customer in self._customers.items()
            ]
            customer = self.rng.choices(list(self._customers.values()), weights)[0]
            people = self.people[customer.slug]
            team = self.rng.sample(people, min(len(people), self.rng.choice((1, 1, 2))))
            length = timedelta(minutes=60 if running else self.rng.choice((15, 30, 30, 45)))
            plan = self._plan_single(customer, team, start, start + length)
            if not plan.url:
                plan.url, plan.recorded = self._link(customer), frozenset({customer.slug})
            self._put(plan)

    # --- parts --------------------------------------------------------------------------------------------------

    def _put(self, plan: Plan) -> int:
        """Take a plan in; return how many entries it costs the organizer's customer's budget (or a guest's)."""
        self.plans.append(plan)
        if plan.cancelled or not self.start - timedelta(days=1) <= plan.start <= self.start + WINDOW:
            return 1
        for person in plan.people:
            self.spent[person.customer] += 1
            self._busy.setdefault(person.key, []).append((plan.start, plan.end))
        return len(plan.people)

    def _recorded(self, people: Iterable[Person]) -> frozenset[str]:
        wanted = {person.customer for person in people if self.rng.random() >= UNRECORDED}
        if len(wanted) > 1 and self.rng.random() < RECORDED_BY_ONE:
            wanted = {min(wanted)}
        return frozenset(wanted)

    def _responses(self, people: Sequence[Person]) -> dict[str, str]:
        return {person.email: self.rng.choice(_RESPONSES) for person in people[1:]}

    def _link(self, customer: Customer) -> str:
        return make_link(self.rng, customer.links, customer.domains[0].partition(".")[0])

    def _free(self, people: Iterable[Person], start: datetime, end: datetime) -> bool:
        return not any(
            begin < end and start < finish for person in people for begin, finish in self._busy.get(person.key, ())
        )

    def _workdays(self, customer: Customer, first: int = 0, last: int = 27) -> Iterator[date]:
        """Yield the customer's working days between two days, counted from the start."""
        zone = ZoneInfo(customer.zone)
        day = (self.start + timedelta(days=first)).astimezone(zone).date()
        end = (self.start + timedelta(days=last)).astimezone(zone).date()
        while day <= end:
            if day.weekday() in customer.week:
                yield day
            day += timedelta(days=1)

    def _at(self, customer: Customer, day: date, minutes: int) -> datetime:
        """Return a local time of day as UTC."""
        local = datetime.combine(day, time(), ZoneInfo(customer.zone)) + timedelta(minutes=minutes)
        return local.astimezone(UTC)


def _at_work(customer: Customer, when: datetime) -> bool:
    local = when.astimezone(ZoneInfo(customer.zone))
    return local.weekday() in customer.week and OPENS <= local.hour * 60 + local.minute < CLOSES
