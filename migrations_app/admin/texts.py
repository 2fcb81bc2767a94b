"""What the help page explains, in few words. docs/architecture.md has all of them."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from migrations_app.itineraries import Step

STEPS = (
    (Step.PREFLIGHT.label, _("Looks at keys, limits, webhooks and both workspaces. Writes nothing at the provider.")),
    (Step.EXPORT.label, _("Reads all calendars and meetings of the source. Writes nothing at the provider.")),
    (Step.RECREATE.label, _("Connects each calendar in the target with its own credentials. Bots stay in the source.")),
    (Step.VERIFY.label, _("Compares both sides, calendar by calendar and meeting by meeting.")),
    (
        Step.HAND_OVER.label,
        _("Gives each meeting from the cut line on a bot in the target, reads it back, then removes the source's."),
    ),
    (
        Step.DELETE_OLD.label,
        _("Deletes the calendars in the source, one of each platform first. Confirmed by typing the batch's name."),
    ),
    (Step.CLEAN_UP.label, _("Takes a last look, wipes the credentials that were kept, and closes the batch.")),
    (
        _("Going back"),
        _("Until it is closed a batch can be sent back: Restore, Hand back, Empty target, Clean up."),
    ),
)

WORDS = (
    (_("workspace"), _("one account in one region of the vendor")),
    (_("connection"), _("how a calendar is known in one workspace; a calendar that moves has two for a while")),
    (_("batch"), _("one move: from which workspace to which, whose calendars, how far it is allowed to go")),
    (_("item"), _("one calendar that a batch moves, or one thing that only a person can do")),
    (_("cut line"), _("the meeting start from which meetings go to the target; earlier ones stay to their end")),
    (_("finding"), _("something that a check found; a blocking one is solved or waived before the next step")),
    (_("ledger"), _("one row for each meeting that one bot must attend, with who covers it")),
    (_("doubled, moving"), _("both regions have a bot: the normal middle of a hand-over, minutes at most")),
    (_("missed"), _("no bot is there yet; “being added” should pass within minutes")),
    (_("stale"), _("the last reading is older than the last sign of a change; it is read again by itself")),
    (_("frozen"), _("too near its start to be changed safely: it stays where it is")),
    (_("waiting for user"), _("only the calendar's owner can go on, by connecting it again")),
    (_("soak"), _("the time from a calendar's last hand-over to its delete in the source")),
)

ROLES = (
    (_("viewer"), _("sees everything but the pages of secrets, changes nothing")),
    (_("operator"), _("drives batches, retries, keeps customers and policies")),
    (_("approver"), _("in addition allows deletes, approves what others ask for, waives blocking findings")),
    (_("administrator"), _("in addition keeps workspaces, keys, webhooks and the accounts of staff")),
)
