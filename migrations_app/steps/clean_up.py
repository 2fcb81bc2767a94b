"""Clean up: leave nothing behind but the record.

1. Read what changed once more, and let what follows from it be done: later nobody does.
2. Take the ledger's last reading.
3. Wipe the credentials that were kept for the move.
4. Write down what only a person can do, as a checklist.
5. Let go: calendars of the batch have no standing order any more, its items are no longer open.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from calendars import sync
from calendars.leases import free
from calendars.models import Assignment, Calendar, Connection, Intent, Verdict, Workspace
from calendars.providers import errors
from calendars.relay import outbox
from migrations_app import coverage, inventory
from migrations_app.itineraries import Step
from migrations_app.models import Batch, CoverageReading, Item, ItemStatus
from migrations_app.outcomes import DONE, How, Outcome, wait
from recallops import clock

COMING_BACK = "{count} meeting(s) of groups that fell back are being brought back to the source."
READING = "Reading {workspace} once more before it is let go."
FOLLOWING = "{count} meeting(s) changed just now; they are brought up to date before they are let go."
LOOK_AGAIN = timedelta(minutes=1)
LAST_LOOK_AGAIN = timedelta(seconds=15)
MOST_LAST_LOOKS = 40  # ten minutes: a region that is gone, or a key that was revoked, keeps no batch open
FRESH = timedelta(minutes=1)
SOON = timedelta(minutes=2)
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
    if batch.attempts < MOST_LAST_LOOKS and (not_yet := _last_look(batch)) is not None:
        return not_yet
    for moment in (CoverageReading.Moment.CUT, CoverageReading.Moment.AFTER):
        coverage.read(batch, moment)
    with transaction.atomic():
        # from here on there is no way back: nobody may turn it round at the same moment
        if not Batch.objects.select_for_update().filter(pk=batch.pk, step=Step.CLEAN_UP).exists():
            return wait(TURNED, clock.now())
        _wipe(batch)
        _make_checklist(batch)
        mine = Item.objects.filter(batch=batch)
        Calendar.objects.filter(handover=batch.handover).update(handover=None)
        both = Q(items__in=mine) | Q(items_as_target__in=mine)
        Connection.objects.filter(both).exclude(status="deleted").update(closing=False)
        mine.update(open=False)
        if not batch.goes_back:
            _go_on_in_the_target(batch)
        _let_go(batch)
        outbox.settle_held(batch.target_id)
        Batch.objects.filter(pk=batch.pk).update(calls_after=inventory.calls(batch))
    others = Batch.objects.filter(closed_at=None).exclude(pk=batch.pk)
    for workspace in (batch.source, batch.target):
        if not others.filter(source=workspace).exists() and not others.filter(target=workspace).exists():
            sync.unwatch(workspace)
    return DONE


def _last_look(batch: Batch) -> Outcome | None:
    """Return what to wait for; None when the batch's meetings are as they were read just now."""
    fresh = clock.now() - FRESH
    for workspace in (batch.source, batch.target):
        read = workspace.swept_at is not None and workspace.swept_at >= fresh and batch.attempts > 0
        if workspace.watched and not read:
            try:
                through = sync.sweep_changes(workspace)
            except errors.ProviderError:
                through = False
            if not through:
                again = max(sync.go_on_at(workspace), clock.now() + LAST_LOOK_AGAIN)
                return Outcome(How.WAIT, READING.format(workspace=workspace), again, passing=True)
    if count := _unfinished(batch):
        return Outcome(How.WAIT, FOLLOWING.format(count=count), clock.now() + LAST_LOOK_AGAIN, passing=True)
    return None


def _unfinished(batch: Batch) -> int:
    """Count the coming meetings of which something is under way that nobody would go on with."""
    now = clock.now()
    unsure = Intent.objects.filter(assignment=OuterRef("pk"), state__in=Intent.OPEN)
    soon = Q(verdict__in=[Verdict.MISSED, Verdict.DOUBLED, Verdict.STALE], due_at__lte=now + SOON)
    mine = coverage.assignments_of(batch).filter(over=False, start__gt=now, owner__always_on=False)
    return mine.filter(Q(due_at__lte=now) | ~free() | soon | Exists(unsure)).count()


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
    mine.exclude(pk__in=still_ordered.values("pk")).update(due_at=None)


def _wipe(batch: Batch) -> None:
    """Wipe tokens and secrets, unless another open batch still needs those of its source."""
    Workspace.objects.filter(pk=batch.source_id).exclude(
        batches_out__in=Batch.objects.filter(closed_at=None).exclude(pk=batch.pk)
    ).update(holds_credentials=False)
    items = Item.objects.filter(batch=batch)
    on_their_way = Item.objects.filter(open=True).exclude(batch=batch)  # as the source of a newer batch
    mine = Connection.objects.filter(Q(items__in=items) | Q(items_as_target__in=items))
    mine.exclude(items__in=on_their_way).update(refresh_token="", oauth_client_secret="")
    if not Batch.objects.filter(closed_at=None, source=batch.source).exclude(pk=batch.pk).exists():
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
