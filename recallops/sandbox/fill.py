"""Fills a source workspace with a plausible company: customers, calendars, meetings, and the bots of its application.

1. Make the customers and their people; open their accounts.
2. Put all meetings into the accounts (`diary.py` plans them). Nobody wants anything yet.
3. Connect the calendars: the region takes over the events in its window.
4. Cancel instances, disconnect what is to be disconnected.
5. Put a bot on every event to be recorded, as the company's application did. What got a bot is wanted: the truth.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from recallops.sandbox.company import (
    CERTIFICATE,
    Customer,
    add_calendar,
    ask_for_bot,
    company,
    login_group,
    place,
    realtime_url,
)
from recallops.sandbox.diary import FIRST_HOURS, Diary, Person
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from recallops.sandbox.messages import parse_time

if TYPE_CHECKING:
    from recallops.sandbox.diary import Plan
    from recallops.sandbox.meetings import Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace
    from recallops.sandbox.world import World

_MON_FRI, _MON_SAT, _SUN_THU, _ALL = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (6, 0, 1, 2, 3), (0, 1, 2, 3, 4, 5, 6)

# Name, domains, time zone, working days, platforms, links. The zones go round the globe: somebody is always at work.
_CUSTOMERS = (
    ("Northwind Logistics", ("northwind.example", "northwind-freight.example"), "America/New_York", _MON_FRI, "g", "m"),
    ("Bluebird Software", ("bluebird.example",), "Europe/Berlin", _MON_FRI, "o", "t"),
    ("Harbor Health", ("harborhealth.example", "harborclinic.example"), "America/Los_Angeles", _ALL, "g", "z"),
    ("Sakura Robotics", ("sakura-robotics.example",), "Asia/Tokyo", _MON_FRI, "g", "m"),
    ("Lumen Energy", ("lumen.example", "lumen-grid.example"), "Europe/London", _MON_FRI, "o", "t"),
    ("Kestrel Studios", ("kestrel.example",), "America/Sao_Paulo", _MON_FRI, "go", "z"),
    ("Ganga Retail", ("gangaretail.example",), "Asia/Kolkata", _MON_SAT, "o", "t"),
    ("Southern Cross Hotels", ("southerncross.example",), "Pacific/Auckland", _ALL, "g", "m"),
    ("Oasis Construction", ("oasis.example", "oasis-sites.example"), "Asia/Riyadh", _SUN_THU, "o", "w"),
    ("Merlion Bank", ("merlionbank.example",), "Asia/Singapore", _MON_FRI, "o", "t"),
    ("Aurora Games", ("aurora-games.example",), "Europe/Helsinki", _MON_FRI, "g", "m"),
    ("Timberline Outdoor", ("timberline.example",), "America/Denver", _MON_FRI, "og", "z"),
)
_PLATFORMS = {"g": (GOOGLE,), "o": (OUTLOOK,), "go": (GOOGLE, OUTLOOK), "og": (OUTLOOK, GOOGLE)}
_LINKS = {"m": "google_meet", "t": "microsoft_teams", "z": "zoom", "w": "webex"}
_FIRST = (
    "alice", "bruno", "chen", "dora", "emeka", "fatima", "goran", "hana", "ivan",
    "julia", "kofi", "lena", "marco", "nadia", "omar", "priya", "quentin", "rosa",
    "sven", "tala", "uma", "viktor", "wanda", "xavier", "yuki", "zoe",
)  # fmt: skip
_LAST = (
    "adler", "brandt", "costa", "diaz", "ekwueme", "farah", "garcia", "hansen", "ito",
    "jansen", "kaya", "lindgren", "moreau", "novak", "okafor", "petrov", "quist", "rossi",
    "silva", "tanaka", "ueda", "vargas", "weber", "xu", "yilmaz", "zeman",
)  # fmt: skip
_NOTED = 0.25  # of calendars carry metadata


@dataclass(slots=True)
class CustomerSummary:
    """A customer as it was filled."""

    slug: str
    name: str
    domains: list[str]
    calendars: int


@dataclass(slots=True)
class Summary:
    """What a workspace was filled with. `clients` are the company's own OAuth clients, secrets in clear."""

    region: str
    workspace: str
    start: datetime
    customers: list[CustomerSummary] = field(default_factory=list)
    calendars: int = 0
    google: int = 0
    outlook: int = 0
    disconnected: list[str] = field(default_factory=list)  # e-mail addresses
    tokenless: list[str] = field(default_factory=list)
    certificate: list[str] = field(default_factory=list)
    with_metadata: int = 0
    events: int = 0  # shown by the region now
    deleted_events: int = 0
    events_with_bot: int = 0
    shared_meetings: int = 0
    bots: int = 0
    bots_first_hours: int = 0  # that join within the first six hours
    waiting_outside: int = 0  # meetings beyond the window
    login_group: str = ""
    realtime_url: str = ""
    clients: list[dict[str, str]] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return {**asdict(self), "start": self.start.isoformat()}


def fill(
    world: World,
    *,
    region: str,
    workspace: str,
    calendars: int = 200,
    customers: int = 12,
    events: int = 4000,
    seed: int = 0,
    start: datetime | None = None,
    disconnected: int | None = None,
    tokenless: int | None = None,
    certificate: int | None = None,
) -> Summary:
    """Fill a workspace; `events` is the number of calendar entries that its 28-day window shows.

    `start` is the time around which meetings are laid, normally now. The odd calendars (disconnected, token-less,
    certificate) come by themselves from 40 calendars on; a number given counts.
    """
    here = place(world, region, workspace)
    if calendars < 1 or customers < 1 or events < 0:
        raise ValueError("A company needs at least one customer with one calendar.")
    odd = (3, 1, 1) if calendars >= 40 else (0, 0, 0)
    numbers = [
        default if told is None else told
        for told, default in zip((disconnected, tokenless, certificate), odd, strict=True)
    ]
    if sum(numbers) > calendars:
        raise ValueError(f"{sum(numbers)} odd calendars do not fit into {calendars}.")
    rng = random.Random(seed)
    summary = Summary(region, workspace, start or world.now())
    found = _make_customers(world, min(customers, calendars), calendars)
    people = _hire(world, rng, found)
    plans = Diary(rng, summary.start, people).write(found, events)
    meetings = [_make(world, plan) for plan in plans]
    connected = _connect(world, here, rng, people, numbers, summary)
    _cancel(world, here, plans, meetings, connected)
    for email in summary.disconnected:
        calendar = next(calendar for person, calendar in connected.items() if person.email == email)
        world.revoke(str(calendar.refresh_token))
        here.disconnect(calendar.id, "invalid_grant", quiet=True)
    for plan, meeting in zip(plans, meetings, strict=True):
        for person in plan.people:
            if person.customer in plan.recorded:
                ask_for_bot(world, here, connected[person].id, meeting)
    _count(world, here, found, summary, meetings)
    return summary


def _make_customers(world: World, count: int, calendars: int) -> list[Customer]:
    """Make customers of uneven size; each has at least one calendar."""
    weights = [1 / (place + 1.5) ** 0.7 for place in range(count)]
    spare = calendars - count
    made = []
    given = 0
    for number in range(count):
        name, own, zone, week, platforms, links = _CUSTOMERS[number % len(_CUSTOMERS)]
        domains: tuple[str, ...] = own
        again = number // len(_CUSTOMERS)
        if again:
            name = f"{name} {again + 1}"
            domains = tuple(domain.replace(".example", f"-{again + 1}.example") for domain in domains)
        share = round(spare * sum(weights[: number + 1]) / sum(weights)) - given
        given += share
        customer = Customer(
            slug=name.lower().replace(" ", "-"),
            name=name,
            domains=domains,
            zone=zone,
            week=week,
            platforms=_PLATFORMS[platforms],
            links=_LINKS[links],
            calendars=1 + share,
        )
        company(world).add(customer)
        made.append(customer)
    return made


def _hire(world: World, rng: random.Random, customers: list[Customer]) -> dict[str, list[Person]]:
    """Give each customer its people: distinct addresses, spread over its domains and platforms."""
    hired: dict[str, list[Person]] = {}
    for customer in customers:
        hired[customer.slug] = []
        names = [(first, last) for first in _FIRST for last in _LAST]
        for number in range(customer.calendars):
            first, last = names.pop(rng.randrange(len(names))) if names else (f"person{number}", "more")
            domain = customer.domains[0 if number % 3 < 2 else -1]
            platform = customer.platforms[0 if number % 4 < 3 else -1]
            person = Person(platform, f"{first}.{last}@{domain}", f"{first} {last}".title(), customer.slug)
            world.add_account(platform, person.email, person.name)
            hired[customer.slug].append(person)
    return hired


def _make(world: World, plan: Plan) -> Meeting:
    return world.make_meeting(
        start=plan.start,
        end=plan.end,
        accounts=[world.accounts[person.key] for person in plan.people],
        title=plan.title,
        url=plan.url,
        attendees=plan.attendees,
        series=plan.series,
        original_start=plan.original_start,
        ical_uid=plan.ical_uid,
        description=plan.description,
        wanted=False,
    )


def _connect(
    world: World,
    here: Workspace,
    rng: random.Random,
    people: dict[str, list[Person]],
    odd: list[int],
    summary: Summary,
) -> dict[Person, Calendar]:
    """Connect everybody's calendar, and choose the odd ones: of different customers as far as there are enough."""
    clients = company(world).clients
    everybody = [person for staff in people.values() for person in staff]
    chosen = rng.sample(everybody, len(everybody))
    outlook = [person for person in chosen if person.platform == OUTLOOK][: odd[2]]
    others = [person for person in chosen if person not in outlook]
    summary.certificate = [person.email for person in outlook]
    summary.disconnected = [person.email for person in others[: odd[0]]]
    summary.tokenless = [person.email for person in others[odd[0] : odd[0] + odd[1]]]
    connected = {}
    for person in everybody:
        customer = company(world).customers[person.customer]
        noted = rng.random() < _NOTED
        calendar = add_calendar(
            world,
            here,
            world.accounts[person.key],
            client=clients[CERTIFICATE if person in outlook else person.platform],
            customer=customer,
            note=noted,
        )
        calendar.hide_token = person.email in summary.tokenless
        summary.with_metadata += noted
        connected[person] = calendar
    return connected


def _cancel(
    world: World, here: Workspace, plans: list[Plan], meetings: list[Meeting], connected: dict[Person, Calendar]
) -> None:
    """Cancel instances after the region has seen them, and let it see that at once: they stay as deleted events."""
    for plan, meeting in zip(plans, meetings, strict=True):
        if plan.cancelled:
            world.cancel(meeting)
            for person in plan.people:
                here.sync_copy(connected[person].id, meeting.id)


def _count(world: World, here: Workspace, customers: list[Customer], summary: Summary, meetings: list[Meeting]) -> None:
    summary.customers = [
        CustomerSummary(customer.slug, customer.name, list(customer.domains), customer.calendars)
        for customer in customers
    ]
    summary.calendars = sum(customer.calendars for customer in customers)
    ids = {meeting.id for meeting in meetings}
    slugs = {customer.slug for customer in customers}
    for calendar in here.calendars.values():
        if calendar.account and company(world).customer_of(calendar.account[1]) in slugs:
            summary.google += calendar.platform == GOOGLE
            summary.outlook += calendar.platform == OUTLOOK
    shown = [event for event in here.events.values() if event.meeting_id in ids]
    with_bot = [event for event in shown if event.bots]
    bots = {entry.bot_id: entry.start_time for event in with_bot for entry in event.bots}
    seen = {event.meeting_id for event in shown}
    summary.events = sum(not event.is_deleted for event in shown)
    summary.deleted_events = len(shown) - summary.events
    summary.events_with_bot = len(with_bot)
    summary.bots = len(bots)
    summary.bots_first_hours = sum(joins <= summary.start + FIRST_HOURS for joins in bots.values())
    summary.shared_meetings = sum(len(meeting.copies) > 1 and meeting.id in seen for meeting in meetings)
    summary.waiting_outside = sum(meeting.id not in seen and meeting.start > summary.start for meeting in meetings)
    summary.login_group = login_group(world, here)
    summary.realtime_url = realtime_url(here)
    summary.clients = [
        {"name": name, **{key: value for key, value in asdict(client).items() if value}}
        for name, client in company(world).clients.items()
    ]


def control_fill(world: World, wishes: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `fill` {region, workspace, calendars?, customers?, events?, seed?, start?, ...}."""
    wishes = dict(wishes)
    for name in ("calendars", "customers", "events", "seed", "disconnected", "tokenless", "certificate"):
        if name in wishes:
            wishes[name] = int(wishes[name])
    if "start" in wishes:
        wishes["start"] = parse_time(wishes["start"])
    return fill(world, **wishes).as_dict()
