"""Fills a customer's calendars from real exports (.ics), one calendar a file: to rehearse a move with them.

1. Read every file to plain values (`ics_reading.py`): the instances of the coming 28 days, or of the busiest four weeks
   of a past export, shifted by whole weeks. Trouble in any file ends it here: nothing is half added.
2. Join what is the same meeting in several files (one UID, one instance): shared, as it was in reality.
3. Put it into accounts, connect the calendars, and add bots as the company's application would.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recallops.sandbox.company import Customer, add_calendar, ask_for_bot, company, make_link, place
from recallops.sandbox.ics_reading import Export, IcsError, Instance, read_export
from recallops.sandbox.links import platform_of
from recallops.sandbox.meetings import GOOGLE, OUTLOOK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from recallops.sandbox.meetings import Account, Meeting
    from recallops.sandbox.records import Calendar
    from recallops.sandbox.workspaces import Workspace
    from recallops.sandbox.world import World

__all__ = ["IcsError", "IcsSummary", "add_ics"]

LINKS = (None, "missing", "all")
LARGEST = 50_000_000  # bytes of one file


@dataclass(slots=True)
class IcsCalendar:
    """What became of one file."""

    file: str
    email: str
    platform: str
    shifted_weeks: int
    instances: int
    recurring: int
    moved: int
    cancelled: int
    all_day: int
    links_given: int
    skipped: list[str]
    events: int = 0  # shown by the region
    events_with_bot: int = 0


@dataclass(slots=True)
class IcsSummary:
    """What a customer was filled with."""

    region: str
    workspace: str
    slug: str
    name: str
    domains: list[str]
    calendars: list[IcsCalendar] = field(default_factory=list)
    shared_meetings: int = 0
    bots: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)


def add_ics(
    world: World,
    *,
    region: str,
    workspace: str,
    paths: Iterable[Path | str] = (),
    texts: Mapping[str, str] | None = None,
    customer: str = "rehearsal",
    link: str | None = None,
    now: datetime | None = None,
    seed: int = 0,
) -> IcsSummary:
    """Add one customer whose calendars are real exports, from files or from texts by name.

    `link` "missing" gives a made-up link to every timed event that has none; "all" gives one to every timed event, so
    that no real link is used at all. All-day events never get one. Raises `IcsError` with a sentence naming the file.
    """
    if link not in LINKS:
        raise IcsError(f"link is {link!r}: leave it out, or say 'missing' or 'all'.")
    here = place(world, region, workspace)
    now = now or world.now()
    named = [(Path(path).name, _read(Path(path))) for path in paths] + list((texts or {}).items())
    if not named:
        raise IcsError("No file was named: give at least one .ics file.")
    exports = [read_export(name, text, now) for name, text in named]
    return _add(world, here, exports, customer=customer, link=link, seed=seed)


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise IcsError(f"{path.name}: {size // 1_000_000} MB are too much; export a shorter time.")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise IcsError(f"{path.name}: there is no such file ({path}); check the path.") from None
    except UnicodeDecodeError:
        raise IcsError(f"{path.name}: this is no text in UTF-8; export the calendar again as .ics.") from None
    except OSError as trouble:
        raise IcsError(f"{path.name}: it cannot be read ({trouble.strerror}); check the path and its rights.") from None


def _add(
    world: World, here: Workspace, exports: list[Export], *, customer: str, link: str | None, seed: int
) -> IcsSummary:
    slug = _slug(customer) or "rehearsal"
    people = company(world)
    whose = people.customers.get(slug)
    if whose is None:
        whose = Customer(slug, slug.replace("-", " ").title(), (f"{slug}.example",))
        people.add(whose)
    summary = IcsSummary(here.region_code, here.slug, slug, whose.name, list(whose.domains))
    accounts = [_open_account(world, whose, export) for export in exports]
    meetings: dict[tuple[str, datetime | None, datetime], Meeting] = {}
    for export, account in zip(exports, accounts, strict=True):
        given = 0
        for instance in export.instances:
            same = meetings.get((instance.uid, instance.original_start, instance.start))
            if same is not None:
                world.add_copy(same, account, wanted=False)
                _name_copy(same, account, instance)
                continue
            url = _link_of(instance, account.platform, link, seed)
            given += url is not None and url != instance.url
            meetings[instance.uid, instance.original_start, instance.start] = _make(world, account, instance, url)
        summary.calendars.append(_describe(export, account, given))
    calendars: list[Calendar] = []
    for account in accounts:
        client = people.clients[account.platform]
        calendars.append(add_calendar(world, here, account, client=client, customer=whose, note=True))
        whose.calendars += 1
    _add_bots(world, here, list(meetings.values()), calendars, summary)
    return summary


def _add_bots(
    world: World, here: Workspace, meetings: list[Meeting], calendars: list[Calendar], summary: IcsSummary
) -> None:
    summary.shared_meetings = sum(len(meeting.copies) > 1 for meeting in meetings)
    ids = {meeting.id for meeting in meetings}
    bots: set[str] = set()
    for calendar, described in zip(calendars, summary.calendars, strict=True):
        for meeting_id in [meeting_id for meeting_id in calendar.events if meeting_id in ids]:
            described.events += 1
            if ask_for_bot(world, here, calendar.id, world.meetings[meeting_id]):
                described.events_with_bot += 1
                event = here.event_of(calendar.id, meeting_id)
                bots.update(entry.bot_id for entry in event.bots) if event is not None else None
    summary.bots = len(bots)


def _open_account(world: World, customer: Customer, export: Export) -> Account:
    """Open an account named after the file, at the platform that wrote it."""
    platform = OUTLOOK if "microsoft" in export.program.lower() else GOOGLE
    stem = _slug(export.name.removesuffix(".ics"))[:40].strip("-") or "calendar"
    number, email = 1, f"{stem}@{customer.domains[0]}"
    while any(key[1] == email for key in world.accounts):
        number += 1
        email = f"{stem}-{number}@{customer.domains[0]}"
    return world.add_account(platform, email, stem.replace("-", " ").title())


def _link_of(instance: Instance, platform: str, link: str | None, seed: int) -> str | None:
    """Return the event's own link or a made-up one; all instances of a series share it."""
    if instance.all_day or link is None or (link == "missing" and platform_of(instance.url)):
        return instance.url
    rng = random.Random(f"{seed}:{instance.uid}")
    return make_link(rng, "google_meet" if platform == GOOGLE else "microsoft_teams")


def _make(world: World, account: Account, instance: Instance, url: str | None) -> Meeting:
    meeting = world.make_meeting(
        start=instance.start,
        end=instance.end,
        accounts=[account],
        title=instance.title,
        url=url,
        organizer=instance.organizer,
        attendees=instance.attendees,
        series=_short(instance.uid) if instance.original_start else None,
        original_start=instance.original_start,
        ical_uid=instance.uid,
        wanted=False,
    )
    _name_copy(meeting, account, instance)
    return meeting


def _name_copy(meeting: Meeting, account: Account, instance: Instance) -> None:
    """Google gives imported events an id of its own: UIDs of other programs may share the part before the @."""
    if account.platform == GOOGLE:
        moment = f"_{instance.original_start:%Y%m%dT%H%M%SZ}" if instance.original_start else ""
        meeting.copies[account.key].platform_id = _short(instance.uid) + moment


def _short(uid: str) -> str:
    name, _, host = uid.partition("@")
    return name if host == "google.com" else hashlib.blake2b(uid.encode(), digest_size=13).hexdigest()


def _describe(export: Export, account: Account, links_given: int) -> IcsCalendar:
    series = [instance for instance in export.instances if instance.original_start is not None]
    return IcsCalendar(
        file=export.name,
        email=account.email,
        platform=account.platform,
        shifted_weeks=export.shifted_weeks,
        instances=len(export.instances),
        recurring=len(series),
        moved=sum(instance.start != instance.original_start for instance in series),
        cancelled=export.cancelled,
        all_day=sum(instance.all_day for instance in export.instances),
        links_given=links_given,
        skipped=export.skipped,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def control_ics(world: World, wishes: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `ics` {region, workspace, files: [paths], link?, customer?}."""
    files = wishes["files"]
    return add_ics(
        world,
        region=wishes["region"],
        workspace=wishes["workspace"],
        paths=files.split() if isinstance(files, str) else files,
        customer=wishes.get("customer") or "rehearsal",
        link=wishes.get("link") or None,
    ).as_dict()
