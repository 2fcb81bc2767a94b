"""What the pages of the guided new batch show, in a fixed number of queries whatever the size of the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from calendars.models import Connection, Platform, Scheduler, Sweep, Workspace
from migrations_app import checks, drafts, inventory, picture, planner, selection
from migrations_app.itineraries import FORWARD, Step
from migrations_app.models import Batch, BatchStatus, Check, SelectedCalendar, Selection
from migrations_app.steps.hand_over import propose
from recallops import clock
from recallops.admin_base import row_number
from recallops.workers import workers_alive

MOST_SHOWN = 20
MOST_PROBLEMS = 50
DAYS = (2, 3, 7)

PAGES = {
    "route": _("Source and target"),
    "calendars": _("Calendars"),
    "cut_line": _("Cut line"),
    "checks": _("Checks"),
    "summary": _("Summary"),
}

STEPS = {
    Step.PREFLIGHT: _("Looks at keys, limits, the target and every calendar. Nothing is written at the provider."),
    Step.EXPORT: _("Reads the source whole, and makes one item for each calendar. Nothing is written at the provider."),
    Step.RECREATE: _("Makes each calendar in the target, with its user's grant. The source goes on as it is."),
    Step.VERIFY: _("Waits until the target shows the same meetings."),
    Step.HAND_OVER: _("Moves meeting by meeting: a bot in the target, read back, then the source's bot is removed."),
    Step.DELETE_OLD: _("Deletes the calendars in the source, a day after their last meeting moved, a canary first."),
    Step.CLEAN_UP: _("Wipes the credentials that were kept, and leaves a checklist of what only a person can do."),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page of the form, as the track shows it."""

    label: Any
    url: str
    current: bool


def page_url(page: str, draft: Batch) -> str:
    """Return the address of a page of a draft."""
    return reverse(f"admin:migrations_app_batchdraft_{page}", args=[draft.pk])


def track(draft: Batch, current: str) -> list[Leaf]:
    """Return the pages in order; each can be opened at any time."""
    return [Leaf(label, page_url(page, draft), page == current) for page, label in PAGES.items()]


def after(page: str) -> str:
    """Return the page that follows."""
    names = list(PAGES)
    return names[min(names.index(page) + 1, len(names) - 1)]


# --- calendars


def calendars(draft: Batch) -> dict[str, Any]:
    """Return how many calendars are chosen, the first of them, and what of a file is left out."""
    mine = inventory.chosen(draft).order_by()
    lines = SelectedCalendar.objects.filter(batch=draft.pk)
    found = inventory.counts(
        chosen=mine,
        known=Connection.objects.live().filter(workspace=draft.source_id),
        free=selection.pool(draft),
        left_out=lines.exclude(problem=""),
        unknown=lines.filter(problem="unknown"),
    )
    shown = mine.order_by("calendar__email", "pk").values_list("calendar__email", "calendar__platform", "remote_id")
    return {
        **found,
        "first": [(email, Platform(platform).label, remote) for email, platform, remote in shown[:MOST_SHOWN]],
        "most_shown": MOST_SHOWN,
        "problems": list(problem_lines(draft, most=MOST_PROBLEMS)) if found["left_out"] else [],
        "most_problems": MOST_PROBLEMS,
        "split": selection.split_meetings(draft),
        "read_at": read_at(draft),
        "reading": is_reading(draft),
    }


def problem_lines(draft: Batch, *, most: int | None = None) -> Iterator[dict[str, Any]]:
    """Return the lines of a file that are left out, each with the reason in words."""
    rows = selection.left_out(draft)
    for row in rows[:most] if most else rows.iterator(chunk_size=selection.CHUNK):
        yield {
            "line": row.line,
            "text": row.text,
            "platform": row.platform,
            "problem": row.get_problem_display(),
            "why": selection.why(row, draft.source),
        }


def read_at(draft: Batch) -> datetime | None:
    """Return when the source's calendars were last read whole; None when never, or long ago."""
    lists = Sweep.objects.filter(workspace=draft.source_id, kind=Sweep.Kind.CALENDARS)
    newest: datetime | None = lists.aggregate(at=Max("finished_at"))["at"]
    return newest


def is_reading(draft: Batch) -> bool:
    """Tell whether preflight is on its way."""
    return draft.step == Step.PREFLIGHT and bool(draft.goal) and draft.status != BatchStatus.STOPPED


# --- cut line


def cut_line(draft: Batch, *, days: int) -> dict[str, Any]:
    """Return the picture of the coming meetings, and the planner's proposals."""
    if external(draft):
        return {"external": True}
    now, numbers = clock.now(), inventory.numbers(draft)
    choices = propose(draft)
    line = draft.handover.cut_line
    meetings = inventory.meetings(draft, until=now + timedelta(days=days))
    return {
        "external": False,
        "proposals": choices,
        "line": line,
        "soonest": line is not None and line <= now,
        "proposed": line is not None and any(choice.at == line for choice in choices),
        "days": days,
        "all_days": DAYS,
        "meetings": len(meetings),
        "near_minutes": round(numbers.near / timedelta(minutes=1)),
        "freeze_minutes": round(numbers.freeze / timedelta(minutes=1)),
        "picture": picture.draw(
            [start for start, _end in meetings],
            now=now,
            days=days,
            near=numbers.near,
            line=line,
            proposals=[choice.at for choice in choices],
        ),
        "reading": is_reading(draft),
    }


def external(draft: Batch) -> bool:
    """Tell whether the company's own application schedules: then there is no cut line."""
    return draft.source.scheduler == Scheduler.EXTERNAL


# --- checks and summary


def preflight(batch: Batch) -> dict[str, Any]:
    """Return the checks by parts, whether they are on their way, and what they wait for."""
    parts = checks.parts_with_findings(batch)
    open_ones = [one for part in parts for one in part.findings if one.waived_at is None]
    return {
        **ages(batch, parts),
        "blocking": sum(one.severity == "blocking" for one in open_ones),
        "warnings": sum(one.severity == "warning" for one in open_ones),
        "reading": is_reading(batch),
    }


def ages(batch: Batch, parts: list[checks.Part] | None = None) -> dict[str, Any]:
    """Return how old the checks are, and why they cannot be run again, if they cannot."""
    parts = checks.parts(batch) if parts is None else parts
    looked = [part for part in parts if part.looked_at is not None]
    return {
        "parts": parts,
        "looked": bool(looked),
        "stale": any(part.stale for part in parts) or 0 < len(looked) < len(Check),
        "counts_for": checks.counts_for() // timedelta(hours=1),
        "again": drafts.why_no_check(batch),
        "now": clock.now(),
    }


def workers() -> dict[str, Any]:
    """Return whether anybody would do what is asked for."""
    return {"no_workers": not workers_alive()}


def summary(draft: Batch) -> dict[str, Any]:
    """Return what the batch will do, in numbers that are known now."""
    load = inventory.load(draft)
    limits = inventory.limits(draft)
    return {
        **preflight(draft),
        "load": load,
        "bots": inventory.members(draft).count(),
        "takes": planner.sentence(load, limits, regions=inventory.regions(draft)),
        "line": draft.handover.cut_line,
        "soonest": draft.handover.cut_line is not None and draft.handover.cut_line <= clock.now(),
        "external": external(draft),
        "chosen_how": chosen_how(draft),
        "steps": [(step.label, STEPS[step]) for step in FORWARD],
    }


def chosen_how(batch: Batch) -> str:
    """Say in words how the calendars of a batch were chosen."""
    said = str(Selection(batch.selection).label)
    if batch.selection == Selection.SEARCH:
        return f"{said}: {batch.get_search_by_display()} “{batch.search_text}”"
    if batch.selection == Selection.FILE:
        return f"{said}: {batch.file_name} ({batch.file_encoding})"
    if batch.selection == Selection.SHARE:
        return f"{said}: {batch.share_percent} %"
    if batch.selection == Selection.REST and batch.follows is not None:
        return f"{said}: {batch.follows}"
    return said


def route_problems(source: str, target: str) -> list[drafts.Problem]:
    """Return what is wrong with a choice, as far as two workspaces are chosen."""
    numbers = [number for one in (source, target) if (number := row_number(one)) is not None]
    known = Workspace.objects.select_related("region").in_bulk(numbers)
    if len(numbers) < 2 or any(number not in known for number in numbers):
        return []
    return drafts.problems(known[numbers[0]], known[numbers[1]])
