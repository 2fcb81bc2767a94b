"""From the numbers of a rehearsal to what staff read: how long, what may go wrong, and what lessens it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

BUSY_MINUTES = 30.0  # an endpoint that takes so long is worth a word
LARGE = 0.25  # of the calendars in one group is worth a word


@dataclass(frozen=True, slots=True)
class Risk:
    """Something to know before the real move, the worst first, and what lessens it."""

    level: str  # danger, warning or info
    sentence: str
    remedy: str = ""


def risks(result: Mapping[str, Any]) -> list[Risk]:
    """Return what a rehearsal has shown, the worst first."""
    order = {"danger": 0, "warning": 1, "info": 2}
    return sorted(_all(result), key=lambda risk: order[risk.level])


def _all(result: Mapping[str, Any]) -> Iterator[Risk]:
    yield from _held(result["held"])
    yield from _ending(result)
    yield from _calendars(result)
    yield from _cut(result["cut"])
    yield from _calls(result)
    yield from _groups(result)
    yield from _limits_of_it(result["made_of"])


def _held(held: Mapping[str, int]) -> Iterator[Risk]:
    look = _("Do not begin. Rehearse once more; if it shows again, report it with the number of this rehearsal.")
    if n := held["missed"]:
        yield Risk("danger", ngettext("%d meeting was missed.", "%d meetings were missed.", n) % n, look)
    if n := held["doubled"]:
        yield Risk("danger", ngettext("%d meeting had two bots.", "%d meetings had two bots.", n) % n, look)
    if n := held["unaccounted"]:
        yield Risk("danger", ngettext("%d meeting got no verdict.", "%d meetings got no verdict.", n) % n, look)


def _ending(result: Mapping[str, Any]) -> Iterator[Risk]:
    for reason in result["stops"]:
        yield Risk(
            "danger",
            _("The move stops for a person: {reason}").format(reason=reason),
            _("Solve it, or waive the finding that says so, before you allow “Recreate”."),
        )
    if result["ended"] != "closed":
        yield Risk(
            "danger",
            _("The move did not come to its end in the rehearsal."),
            _("See the steps below for where it stood, and what it waited for."),
        )
    if result["errors"]:
        yield Risk(
            "danger",
            _("RecallOps met errors of its own ({names}).").format(names=", ".join(sorted(set(result["errors"])))),
            _("They are in the log of the workers. Report them."),
        )


def _calendars(result: Mapping[str, Any]) -> Iterator[Risk]:
    items = result["items"]
    if n := items.get("user", 0):
        yield Risk(
            "warning",
            ngettext("%d calendar will wait for its user.", "%d calendars will wait for their users.", n) % n,
            _("Let them connect again before the move; the findings of this batch's preflight name them."),
        )
    if n := items.get("failed", 0) + items.get("not_movable", 0):
        yield Risk(
            "warning",
            ngettext("%d calendar cannot be moved.", "%d calendars cannot be moved.", n) % n,
            _("The reasons are listed below. They stay in the source, with their bots."),
        )


def _cut(cut: Mapping[str, Any]) -> Iterator[Risk]:
    if not cut:
        return
    if n := cut["late"]:
        yield Risk(
            "warning",
            ngettext(
                "%d meeting after the cut line is not handed over in time and stays in the source to its end.",
                "%d meetings after the cut line are not handed over in time and stay in the source to their end.",
                n,
            )
            % n,
            _("Choose a later cut line: more time lies before it then."),
        )
    if n := cut["near"]:
        minutes = round(cut["near_minutes"])
        yield Risk(
            "warning",
            ngettext(
                "%(n)d meeting starts within %(minutes)d minutes after the cut line.",
                "%(n)d meetings start within %(minutes)d minutes after the cut line.",
                n,
            )
            % {"n": n, "minutes": minutes},
            _("Choose a quieter moment: the batch's page proposes some."),
        )
    if n := cut["before"]:
        ends = span(cut["last_ends"]) if cut["last_ends"] is not None else "–"
        yield Risk(
            "info",
            ngettext(
                "%(n)d meeting starts before the cut line and stays in the source; it is over %(ends)s after the "
                "beginning.",
                "%(n)d meetings start before the cut line and stay in the source; the last is over %(ends)s after the "
                "beginning.",
                n,
            )
            % {"n": n, "ends": ends},
            _("An earlier cut line keeps fewer of them; its calendars are deleted in the source after their end."),
        )


def _calls(result: Mapping[str, Any]) -> Iterator[Risk]:
    if not result["slowest"]:
        return
    slowest = result["slowest"][0]
    yield Risk(
        "warning" if slowest["minutes"] >= BUSY_MINUTES else "info",
        _("{endpoint} in {region} takes longest: {calls} calls at {pace} a minute, {minutes} minutes.").format(
            endpoint=slowest["endpoint"],
            region=result["regions"].get(slowest["role"], slowest["role"]),
            calls=slowest["calls"],
            pace=round(slowest["pace"]),
            minutes=max(1, round(slowest["minutes"])),
        ),
        _("Ask the vendor for a higher limit, lower the reserve on the workspace's page, or move in several batches."),
    )
    if n := result["refused"]:
        yield Risk("warning", ngettext("%d call was refused with 429.", "%d calls were refused with 429.", n) % n)


def _groups(result: Mapping[str, Any]) -> Iterator[Risk]:
    groups, calendars = result["groups"], result["made_of"]["calendars"]
    if n := groups["mixed"]:
        yield Risk(
            "warning",
            ngettext(
                "%d meeting is shared with calendars that this batch does not move.",
                "%d meetings are shared with calendars that this batch does not move.",
                n,
            )
            % n,
            _("Such a meeting stays in the source until all who share it can go. Add their customers to the batch."),
        )
    largest = max(groups["largest"], default=0)
    if calendars and largest >= 2 and largest / calendars >= LARGE:
        yield Risk(
            "info",
            ngettext(
                "The largest group with common meetings has %d calendar.",
                "The largest group with common meetings has %d calendars.",
                largest,
            )
            % largest,
            _("A shared meeting changes sides when its last calendar is in the target; a customer at a time is safer."),
        )


def _limits_of_it(made_of: Mapping[str, Any]) -> Iterator[Risk]:
    if made_of["share"] < 1:
        share = f"{100 * made_of['share']:.1f}"
        limits = f"{100 * made_of['limits_share']:.1f}"
        yield Risk(
            "info",
            _(
                "A sample was played: {share} % of the calendars, with {limits} % of the limits, so that the times are "
                "those of all. Counts are the sample's."
            ).format(share=share, limits=limits),
            _("Meetings shared between calendars in and out of the sample are played as if they were not shared."),
        )


def span(seconds: float) -> str:
    """Return a span as people say it: "2 d 3 h", "25 h 40 min", "12 min", "40 s"."""
    rest = timedelta(seconds=max(0, round(seconds)))
    hours, below = divmod(rest, timedelta(hours=1))
    minutes, last = divmod(below, timedelta(minutes=1))
    if hours >= 48:
        return _("{days} d {hours} h").format(days=hours // 24, hours=hours % 24)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return _("{minutes} min").format(minutes=minutes)
    return _("{seconds} s").format(seconds=last.seconds)
