"""What people did, in words: who did it stands before them."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

ACTS = {
    "batch.create": _("made the batch"),
    "batch.draft": _("began the draft"),
    "batch.route": _("chose source and target"),
    "batch.select": _("chose the calendars"),
    "batch.check": _("asked for the checks"),
    "batch.goal": _("allowed a step"),
    "batch.cut_line": _("set the cut line"),
    "batch.postpone_until": _("said until when the customer may put it off"),
    "batch.postpone": _("put it off on the status page"),
    "batch.go_back": _("sent it back"),
    "batch.pause": _("paused"),
    "batch.resume": _("resumed"),
    "batch.tell_customers": _("switched e-mails to customers"),
    "batch.retry_failed": _("pressed “retry failed”"),
    "batch.leave_failed": _("left what failed where it is"),
    "batch.numbers": _("changed the numbers"),
    "batch.skip": _("left calendars where they are"),
    "batch.waive": _("waived findings"),
    "rehearsal.ask": _("asked for a rehearsal"),
    "rehearsal.stop": _("stopped a rehearsal"),
    "approval.ask": _("asked for a second person's approval"),
    "approval.approved": _("approved what was asked for"),
    "approval.refused": _("refused what was asked for"),
    "approval.withdrawn": _("withdrew what was asked for"),
    "approval.lapsed": _("could not approve any more what was asked for"),
    "finding.waive": _("waived a finding"),
    "share_group.cut": _("cut a share group"),
    "share_group.fall_back": _("let a share group fall back to the source"),
}
