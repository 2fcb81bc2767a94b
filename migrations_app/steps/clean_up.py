"""Clean up: leave nothing behind but the record.

1. Read what changed once more, and let what follows from it be done: later nobody does.
2. Take the ledger's last reading.
3. Wipe the credentials that were kept for the move.
4. Write down what only a person can do, as a checklist.
5. Let go: calendars of the batch have no standing order any more, its items are no longer open.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from calendars import sync
from calendars.leases import free, locked
from calendars.models import Assignment, Calendar, Connection, Intent, Sweep, Verdict, Workspace
from calendars.providers import errors
from calendars.relay import outbox
from migrations_app import coverage, inventory
from migrations_app.findings import Found, note
from migrations_app.itineraries import Step, position
from migrations_app.models import Batch, Consent, CoverageReading, Item, ItemStatus, Severity
from migrations_app.outcomes import DONE, How, Outcome, wait
from recallops import clock

COMING_BACK = "{count} meeting(s) of groups that fell back are being brought back to the source."
READING = "Reading {workspace} once more before it is let go."
FOLLOWING = "{count} meeting(s) are not settled yet; they are waited for before they are let go."
LOOK_AGAIN = timedelta(minutes=1)
LAST_LOOK_AGAIN = timedelta(seconds=15)
MOST_LAST_LOOKS = 40  # ten minutes or so: a region that is gone, or a key that was revoked, keeps no batch open
GIVEN_UP = "Closed all the same after ten minutes: {why}"
REMEDY = "Look at the meetings of the next hours in both regions."
LONGEST_BACK = timedelta(hours=2)  # what has not come back by then stays where it is covered

TURNED = "It, or some of its calendars, were sent another way meanwhile."

CHECKLIST = {
    "webhooks": "Webhook endpoints in {source}: remove them in the vendor's dashboard, and check those of {target}.",
    "secrets": "Webhook verification secrets: the application knows those of {target}.",
    "keys": "API keys of {source}: disable them in the vendor's dashboard once nothing uses them.",
    "oauth": "OAuth clients at Google and Microsoft: redirect addresses of {target} are allowed.",
    "credentials": "Bot credentials (Zoom, Teams, Meet logins) and transcription keys are set in {target}.",
    "recordings": "Recordings of {source} that must be kept are exported; they do not move.",
    "subscription": "The subscription of {source} is cancelled when everything else is done.",
}

CHECKLIST_BACK = {
    "webhooks": "Webhook endpoints in {target}: remove them in the vendor's dashboard if nothing else uses them.",
    "keys": "API keys of {target}: disable them in the vendor's dashboard if nothing else uses them.",
    "recordings": "Recordings that bots of {target} made meanwhile are exported if they must be kept.",
    "ids": "Ids changed once more where calendars were made again in {source}: the API's id map names them.",
}


def run(batch: Batch) -> Outcome:
    """Close the batch."""
    if count := _coming_back(batch):
        return wait(COMING_BACK.format(count=count), clock.now() + LOOK_AGAIN)
    patient = batch.attempts < MOST_LAST_LOOKS
    not_yet = _last_look(batch)
    if not_yet is not None and patient:
        return not_yet
    for moment in (CoverageReading.Moment.CUT, CoverageReading.Moment.AFTER):
        coverage.read(batch, moment)
    with transaction.atomic():
        # from here on there is no way back: nobody may turn it round at the same moment
        mine = Batch.objects.filter(pk=batch.pk)
        if not mine.select_for_update().filter(step=Step.CLEAN_UP).exists():
            return wait(TURNED, clock.now())
        if steps := _tried_again(batch):
            mine.update(step=min(steps, key=position), due_at=None, attempts=0)
            return wait(TURNED, clock.now())
        if patient and (count := _unfinished(batch)):  # somebody may have changed something meanwhile
            return _look_again(FOLLOWING.format(count=count))
        if not_yet is not None:
            note(
                batch, Step.CLEAN_UP, Found("last_look", Severity.WARNING, GIVEN_UP.format(why=not_yet.reason), REMEDY)
            )
        _wipe(batch)
        _make_checklist(batch)
        items = Item.objects.filter(batch=batch)
        Calendar.objects.filter(handover=batch.handover).update(handover=None)
        both = Q(items__in=items) | Q(items_as_target__in=items)
        Connection.objects.filter(both).exclude(status="deleted").update(closing=False)
        items.update(open=False)
        if not batch.goes_back:
            _go_on_in_the_target(batch)
        _let_go(batch)
        outbox.settle_held(batch.target_id)
        mine.update(calls_after=inventory.calls(batch))
    others = Batch.objects.filter(closed_at=None, draft=False).exclude(pk=batch.pk)
    for workspace in (batch.source, batch.target):
        if not others.filter(source=workspace).exists() and not others.filter(target=workspace).exists():
            sync.unwatch(workspace)
    return DONE


def _last_look(batch: Batch) -> Outcome | None:
    """Return what to wait for; None when the batch's meetings are as a reading shows them that was begun just now.

    A workspace that cannot be read does not keep the other from being read.
    """
    unread = [workspace for workspace in (batch.source, batch.target) if not _read(workspace)]
    if count := _unfinished(batch):
        return _look_again(FOLLOWING.format(count=count))
    if unread:
        lists = Sweep.objects.filter(workspace__in=unread).exclude(kind=Sweep.Kind.BOTS)
        return _look_again(READING.format(workspace=unread[0]), sync.go_on_at(lists))
    return None


def _look_again(reason: str, at: datetime | None = None) -> Outcome:
    soon = clock.now() + LAST_LOOK_AGAIN
    return Outcome(How.WAIT, reason, max(at or soon, soon), passing=True)


def _read(workspace: Workspace) -> bool:
    """Read what changed, if anybody reads this workspace; return whether that is known now."""
    begun = clock.now()
    if not workspace.watched:
        return True
    try:
        through = sync.sweep_changes(workspace, turn=True)
    except errors.ProviderError:
        return False
    workspace.refresh_from_db(fields=["swept_at"])  # an older sweep may have been open
    return through and workspace.swept_at is not None and workspace.swept_at >= begun


def _unfinished(batch: Batch) -> int:
    """Count the meetings to come of which something is under way that nobody would go on with."""
    now = clock.now()
    unsure = Intent.objects.filter(assignment=OuterRef("pk"), state__in=Intent.OPEN)
    unwell = Q(verdict__in=[Verdict.MISSED, Verdict.DOUBLED])
    mine = coverage.assignments_of(batch).filter(over=False, end__gt=now, owner__always_on=False)
    return mine.filter(Q(due_at__lte=now) | ~free() | unwell | Exists(unsure)).count()


def _tried_again(batch: Batch) -> set[str]:
    """Return the steps of calendars that somebody lets be tried again at this moment."""
    again = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION, status__in=ItemStatus.active())
    return set(again.values_list("step", flat=True))


def _coming_back(batch: Batch) -> int:
    """Count the meetings of share groups that fell back which have not come back yet."""
    if not batch.share_groups.filter(fell_back_at__gte=clock.now() - LONGEST_BACK).exists():
        return 0
    theirs = Assignment.objects.filter(
        Q(owner=batch.target_id) | Q(both=True),
        over=False,
        start__gt=clock.now(),
        occurrences__calendar__handover=batch.handover,
        occurrences__calendar__relayed_from=batch.source_id,
    )
    return theirs.exclude(verdict__in=[Verdict.UNWANTED, Verdict.OVER]).distinct().count()


def _go_on_in_the_target(batch: Batch) -> None:
    """Schedule the target as the source was: a move is no reason to stop."""
    if batch.source.always_on and not batch.target.always_on:
        profile = batch.target.bot_profile_id or batch.source.bot_profile_id
        Workspace.objects.filter(pk=batch.target_id).update(always_on=True, bot_profile=profile)
        batch.target.refresh_from_db()
        sync.keep_reading(batch.target)


def _let_go(batch: Batch) -> None:
    """Nobody looks at these meetings any more: their workspaces are read no longer, so we know nothing of them.

    Those of a workspace that is always scheduled go on.
    """
    still_ordered = Assignment.objects.filter(occurrences__calendar__handover__isnull=False)
    mine = coverage.assignments_of(batch).filter(over=False, owner__always_on=False)
    rows = locked(mine.exclude(pk__in=still_ordered.values("pk")))
    Assignment.objects.filter(pk__in=rows).update(due_at=None)


def _wipe(batch: Batch) -> None:
    """Wipe tokens and secrets, unless another open batch still needs those of its source."""
    Workspace.objects.filter(pk=batch.source_id).exclude(
        batches_out__in=Batch.objects.filter(closed_at=None, draft=False).exclude(pk=batch.pk)
    ).update(holds_credentials=False)
    items = Item.objects.filter(batch=batch)
    Consent.objects.filter(item__in=items).update(refresh_token="")
    mine = Connection.objects.filter(Q(items__in=items) | Q(items_as_target__in=items))
    leaving = Batch.objects.filter(closed_at=None, draft=False).exclude(pk=batch.pk).values("source")
    mine.exclude(workspace__in=leaving).update(refresh_token="", oauth_client_secret="")
    if not Batch.objects.filter(closed_at=None, draft=False, source=batch.source).exclude(pk=batch.pk).exists():
        Connection.objects.filter(workspace=batch.source).update(refresh_token="", oauth_client_secret="")


def _make_checklist(batch: Batch) -> None:
    Item.objects.bulk_create(
        [
            Item(
                batch=batch,
                kind=Item.Kind.CHECKLIST,
                source_id=code,
                title=text.format(source=batch.source, target=batch.target)[:320],
                step=Step.CLEAN_UP,
                status=ItemStatus.USER,
                reason="Only a person can do this.",
            )
            for code, text in (CHECKLIST_BACK if batch.goes_back else CHECKLIST).items()
        ],
        ignore_conflicts=True,
    )
