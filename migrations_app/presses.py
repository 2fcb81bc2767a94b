"""What each button of a batch would do if it were pressed now: a dry run of the same plan, counted from the same rows.

The engine goes by items, meetings and limits; so do these counts. What they cannot know is what fails on the way, and
what changes at the provider meanwhile: then the run does less, and each calendar left out says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migrations_app import ahead, control, inventory, planner, undo
from migrations_app.ahead import Facts
from migrations_app.itineraries import FORWARD, Step, position
from migrations_app.models import Batch

PAUSE, RESUME, RETRY, LEAVE, BACK = "pause", "resume", "retry_failed", "leave_failed", "go_back"


@dataclass(frozen=True, slots=True)
class Preview:
    """What one button would do."""

    press: str
    label: str
    sentences: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    seconds: float = 0.0

    @property
    def about(self) -> str:
        """How long the calls take at the limits, in words."""
        return planner.about(timedelta(seconds=self.seconds))


def previews(batch: Batch, limits: Mapping[str, planner.Limits]) -> list[Preview]:
    """Return what each button that may be pressed now would do, in the order of the page."""
    if batch.closed_at:
        return []
    facts = ahead.facts_of(batch)
    steps = [_of_step(batch, facts, button.step, limits) for button in control.buttons(batch) if not button.refusal]
    others = [_of_pause(batch, facts), _of_retry(batch, facts), _of_leaving(batch, facts), _of_going_back(batch, facts)]
    return steps + [one for one in others if one is not None]


def preview(batch: Batch, press: str) -> Preview | None:
    """Return what one button would do; None when it may not be pressed now."""
    return next((one for one in previews(batch, inventory.limits(batch)) if one.press == press), None)


# --- what is said


def _of_step(batch: Batch, facts: Facts, step: Step, limits: Mapping[str, planner.Limits]) -> Preview:
    """Say what allowing everything up to a step does, from where the goal is now."""
    allowed = [one for one in FORWARD if position(batch.goal) < position(one) <= position(step)]
    said: list[str] = []
    counts: dict[str, int] = {}
    for one in allowed:
        sentences, numbers = SAYS[one](batch, facts)
        said += sentences
        counts |= numbers
    if facts.user and step != Step.PREFLIGHT:
        said.append(
            ngettext(
                "{count} calendar waits for a person and is left out until it is retried.",
                "{count} calendars wait for a person and are left out until they are retried.",
                facts.user,
            ).format(count=number_format(facts.user))
        )
    calls, seconds = 0, 0.0
    if batch.planned:
        load = planner.Load(**batch.planned)
        calls = sum(planner.calls(load, steps=allowed).values())
        seconds = planner.predicted_duration(load, limits, steps=allowed).total_seconds()
    return Preview(step.value, str(step.label), tuple(said), counts, calls, seconds)


Said = tuple[list[str], dict[str, int]]


def _preflight(batch: Batch, facts: Facts) -> Said:
    return [_("Looks at both workspaces: keys, limits, calendars, the next day's meetings. Nothing is written.")], {}


def _export(batch: Batch, facts: Facts) -> Said:
    if not facts.listed:
        return [
            _("Reads every calendar, meeting and bot of {source}. Nothing is written.").format(source=batch.source)
        ], {}
    sentence = ngettext(
        "Reads {source} whole and lists {count} calendar. Nothing is written.",
        "Reads {source} whole and lists {count} calendars. Nothing is written.",
        facts.listed,
    )
    return [sentence.format(source=batch.source, count=number_format(facts.listed))], {"listed": facts.listed}


def _recreate(batch: Batch, facts: Facts) -> Said:
    made = ngettext("Makes {count} calendar in {target}.", "Makes {count} calendars in {target}.", facts.make).format(
        count=number_format(facts.make), target=batch.target
    )
    said = [made] if facts.make or not facts.adopt else []
    if facts.adopt:
        said.append(
            ngettext(
                "Takes {count} calendar that is in {target} already, as it is.",
                "Takes {count} calendars that are in {target} already, as they are.",
                facts.adopt,
            ).format(count=number_format(facts.adopt), target=batch.target)
        )
    if facts.stuck:
        said.append(
            ngettext(
                "{count} calendar is connected several times in {target}: it fails until the surplus is removed.",
                "{count} calendars are connected several times in {target}: they fail until the surplus is removed.",
                facts.stuck,
            ).format(count=number_format(facts.stuck), target=batch.target)
        )
    return said, {"make": facts.make, "adopt": facts.adopt}


def _verify(batch: Batch, facts: Facts) -> Said:
    sentence = ngettext(
        "Compares {count} calendar with its copy in {target}, event by event. Nothing is written.",
        "Compares {count} calendars with their copies in {target}, event by event. Nothing is written.",
        facts.compare,
    )
    return [sentence.format(count=number_format(facts.compare), target=batch.target)], {"compare": facts.compare}


def _hand_over(batch: Batch, facts: Facts) -> Said:
    calendars = number_format(facts.hand_over)
    if batch.handover.external:
        sentence = ngettext(
            "{count} calendar goes over with its share group, at a moment when nobody in it meets.",
            "{count} calendars go over with their share groups, each group at a moment when nobody in it meets.",
            facts.hand_over,
        )
        return [sentence.format(count=calendars)], {"hand_over": facts.hand_over}
    counts = {"hand_over": facts.hand_over}
    if facts.meetings is None:
        return [_("Hands over the coming meetings; how many, the export tells.")], counts
    if facts.cut_line is None:
        return [_("No coming meeting is known, so none is handed over.")], {**counts, "meetings": 0, "staying": 0}
    which = _("from the cut line {at:%Y-%m-%d %H:%M} UTC on")
    if batch.handover.cut_line is None:
        which = _("from {at:%Y-%m-%d %H:%M} UTC on, the proposed cut line")
    moving = ngettext(
        "Hands {count} meeting over to {target}, {which}: its bot is added there first, then removed in {source}.",
        "Hands {count} meetings over to {target}, {which}: bots are added there first, then removed in {source}.",
        facts.meetings,
    ).format(
        count=number_format(facts.meetings),
        target=batch.target,
        source=batch.source,
        which=which.format(at=facts.cut_line),
    )
    said = [moving]
    if facts.staying:
        said.append(
            ngettext(
                "{count} coming meeting stays with {source} to its end: too near, before the line, or shared.",
                "{count} coming meetings stay with {source} to their ends: too near, before the line, or shared.",
                facts.staying,
            ).format(count=number_format(facts.staying), source=batch.source)
        )
    return said, {**counts, "meetings": facts.meetings, "staying": facts.staying}


def _delete_old(batch: Batch, facts: Facts) -> Said:
    said = [
        ngettext(
            "Deletes {count} calendar in {source}. This cannot be taken back.",
            "Deletes {count} calendars in {source}. This cannot be taken back.",
            facts.delete,
        ).format(count=number_format(facts.delete), source=batch.source)
    ]
    if facts.delete:
        said.append(
            ngettext(
                "{count} goes first and is watched for {wait}; none goes before {soak} after its last hand-over, "
                "nor while one of its meetings is missed, doubled or stale.",
                "{count} go first, one of each kind, and are watched for {wait}; none goes before {soak} after its "
                "last hand-over, nor while one of its meetings is missed, doubled or stale.",
                facts.kinds,
            ).format(count=number_format(facts.kinds), wait=batch.canary_wait, soak=batch.soak)
        )
    return said, {"delete": facts.delete, "kinds": facts.kinds}


def _clean_up(batch: Batch, facts: Facts) -> Said:
    return [
        _("Reads both workspaces once more, wipes the credentials that were kept, and closes the batch: no way back.")
    ], {}


SAYS = {
    Step.PREFLIGHT: _preflight,
    Step.EXPORT: _export,
    Step.RECREATE: _recreate,
    Step.VERIFY: _verify,
    Step.HAND_OVER: _hand_over,
    Step.DELETE_OLD: _delete_old,
    Step.CLEAN_UP: _clean_up,
}


def _of_pause(batch: Batch, facts: Facts) -> Preview:
    press, label = (RESUME, _("Resume")) if batch.handover.paused else (PAUSE, _("Pause"))
    waiting = facts.meetings
    if waiting is None:  # nothing was read yet, or share groups go over by lines of their own
        anything = _("Hand-overs begin again.") if batch.handover.paused else _("No new hand-over begins until then.")
        return Preview(press, label, (anything,))
    if batch.handover.paused:
        said = ngettext(
            "Hand-overs begin again; {count} meeting waits for that.",
            "Hand-overs begin again; {count} meetings wait for that.",
            waiting,
        )
    else:
        said = ngettext(
            "No new hand-over begins: {count} meeting stays where it is until then. What has begun is ended.",
            "No new hand-over begins: {count} meetings stay where they are until then. What has begun is ended.",
            waiting,
        )
    return Preview(press, label, (said.format(count=number_format(waiting)),), {"meetings": waiting})


def _of_retry(batch: Batch, facts: Facts) -> Preview | None:
    count = facts.failed + facts.user if facts.listed else 0
    if not count and not facts.stopped:
        return None
    said = []
    if count:
        said.append(
            ngettext(
                "{count} calendar is tried again: {failed} failed, {user} waited for a person.",
                "{count} calendars are tried again: {failed} failed, {user} waited for a person.",
                count,
            ).format(count=number_format(count), failed=number_format(facts.failed), user=number_format(facts.user))
        )
    if facts.stopped:
        said.append(_("The batch goes on at “{step}”, where it was stopped.").format(step=batch.get_step_display()))
    return Preview(RETRY, _("Retry failed"), tuple(said), {"items": count})


def _of_leaving(batch: Batch, facts: Facts) -> Preview | None:
    if not facts.failed:
        return None
    said = ngettext(
        "{count} calendar that failed stays in {where} for good, with its bots.",
        "{count} calendars that failed stay in {where} for good, with their bots.",
        facts.failed,
    ).format(count=number_format(facts.failed), where=batch.origin)
    return Preview(LEAVE, _("Leave failed where they are"), (said,), {"items": facts.failed})


def _of_going_back(batch: Batch, facts: Facts) -> Preview | None:
    told = undo.of(batch, earliest=None, **facts.back)
    if not told.possible:
        return None
    return Preview(BACK, told.name, told.does, facts.back)
