"""Batches: made here, and driven here by one button a step.

The page itself changes nothing. Each button posts to an address of its own, is checked there, and calls one function
of `control`, which decides; its refusals are sentences. The live part is read again every two seconds; the forms stand
outside it, so that nothing that is being typed is lost.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from migrations_app import approvals, control, drafts, numbers, postponing, presses, rehearsals, report
from migrations_app.admin import draft_pages, mail_page, page, report_files, track
from migrations_app.admin import rehearsals as rehearsal_pages
from migrations_app.admin.forms import CutLineForm, GoalForm, NumbersForm, PostponeForm
from migrations_app.control import NeedsApproval, Refused
from migrations_app.itineraries import Step, allows, position
from migrations_app.mail.acts import set_tell
from migrations_app.models import Batch, BatchStatus, ReportKey, Selection
from migrations_app.steps.hand_over import propose
from recallops.admin_base import HistoryAdmin, post_action, row_number
from recallops.admin_display import badge, moment, utc
from recallops.logs import one_line

MOMENTS = [("before", _("before")), ("cut", _("at the cut")), ("after", _("after")), ("now", _("now"))]
POLL_SECONDS = 2
POLL_SHARE = 20  # a page that takes long to read is read less often: at most a twentieth of the time
CHECKING = _("The checks are on their way; what they find is shown here.")
ALLOWED = _("“{step}” is allowed now.")
CUT = _("Meetings that start at {at} UTC or later go to the target.")
NO_MOMENT = _("Give it as year-month-day hour:minute in UTC, for example 2027-01-31 06:00, or leave it empty.")
MAY_PUT_OFF = _("Its customer may put it off until %(until)s.")
MAY_NOT_PUT_OFF = _("Its customer may not put it off any more.")
PAUSED = _("Paused. Hand-overs that have begun are brought to their end.")
RESUMED = _("Goes on.")
RETRIED = _("{count} will be tried again.")
LEFT = _("{count} stay where they are for good.")
SENT_BACK = _(
    "It goes back: every calendar to the source, and what the batch made in the target is deleted at the end."
)
REHEARSED = _("The rehearsal is asked for; it begins within seconds and takes some minutes.")
ASKED = _("Asked. Another person who may approve finds it under “Approvals”; nothing is allowed until then.")
NOT_TO_DELETE = _("This deletes calendars at the provider, which takes the role of an approver. Ask one to press it.")
NOTHING_FAILED = _("Nothing has failed and nothing waits for a person, so nothing was changed.")
NO_NUMBERS_CHANGED = _("Nothing was changed.")
NUMBERS_CHANGED = _("Changed: {names}.")

NOT_TO_SEE = _("Seeing batches needs the permission to view them.")


@admin.register(Batch)
class BatchAdmin(HistoryAdmin):
    """One migration."""

    empty_help = (
        _(
            "A batch moves chosen calendars from one workspace to another. It needs two workspaces with tested keys; "
            "the help page has the list."
        ),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = ["slug", "source", "target", "step", "state", "reason", moment("changed_at", _("last real change"))]
    list_select_related = ["source", "target", "handover"]
    list_filter = ["status", "step", "source", "target"]
    search_fields = ["slug__startswith"]
    ordering = ["-pk"]
    refusals: ClassVar = (Refused,)

    def shown(self, obj: Any) -> str:
        """What people decide; progress goes on under a page that is shown."""
        return control.digest(obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """As Django's own permissions say."""
        return request.user.has_perm("migrations_app.add_batch")

    def has_drive_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        """Pressing a button changes the batch; the row's own form does not exist."""
        return request.user.has_perm("migrations_app.change_batch")

    def has_delete_old_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        """Allowing a batch to delete calendars; where a second person approves that, whoever drives may ask for it."""
        if obj is not None and control.careful(obj):
            return self.has_drive_permission(request, obj)
        return self.has_drive_permission(request, obj) and request.user.has_perm("migrations_app.delete_old")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        """Leave out drafts: they have a list and pages of their own."""
        rows: QuerySet[Batch] = super().get_queryset(request)
        return rows.filter(draft=False)

    @admin.display(description=_("status"), ordering="status")
    def state(self, obj: Batch) -> SafeString:
        """Its status, and whether it is paused."""
        if obj.handover.paused and not obj.closed_at:
            return badge(_("paused"), "warning")
        return badge(obj.get_status_display(), BatchStatus(obj.status).colour)

    def get_urls(self) -> list[URLPattern]:
        """Add the live part, the cut lines and the report."""
        view = self.admin_site.admin_view
        own = [
            path("<int:object_id>/presses/", view(self.presses_view), name="migrations_app_batch_presses"),
            path("<int:object_id>/live/", self.live_view, name="migrations_app_batch_live"),
            path("<int:object_id>/cut-lines/", view(self.cut_lines_view), name="migrations_app_batch_cut_lines"),
            path("<int:object_id>/report/", view(self.report_view), name="migrations_app_batch_report"),
            path("<int:object_id>/report.json", view(self.report_json_view), name="migrations_app_batch_report_json"),
            path("<int:object_id>/report.zip", view(self.report_zip_view), name="migrations_app_batch_report_zip"),
            path("verify_report.py", view(self.verifier_view), name="migrations_app_batch_verifier"),
            path("<int:object_id>/customers/", view(self.customers_view), name="migrations_app_batch_customers"),
        ]
        return own + super().get_urls()

    # --- pages

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Go to the guided form."""
        if not self.has_add_permission(request):
            raise PermissionDenied(_("Making a batch needs the permission to add batches."))
        return HttpResponseRedirect(reverse("admin:migrations_app_batchdraft_add"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a batch: track, buttons, progress, reasons, ledger, findings, acts."""
        batch = self._batch_or_404(request, object_id)
        if batch.draft:
            return HttpResponseRedirect(draft_pages.page_url("route", batch))
        may_change = self.has_drive_permission(request, batch)
        shown = page.live(batch, may_change=may_change)
        delete = next((stop for stop in shown["track"] if stop.step == Step.DELETE_OLD), None)
        context = {
            **self.admin_site.each_context(request),
            **shown,
            **page.pulse(),
            **self._poll(batch, shown, took=0.0),
            "title": batch.slug,
            "opts": self.opts,
            "original": batch,
            "shown": shown["controls"],
            "delete_stop": delete,
            "may_delete": self.has_delete_old_permission(request, batch),
            "no_delete": NOT_TO_DELETE,
            "careful": ", ".join(control.careful(batch)),
            **self._previews(batch, asked="presses" in request.GET),
            "cut_line": batch.handover.cut_line,
            "most_times": postponing.MOST_TIMES,
            "rehearsal": rehearsal_pages.card(batch),
            "numbers_form": NumbersForm(
                initial={"soak": batch.soak, "canary_wait": batch.canary_wait, "drivers": batch.drivers}
            ),
            "preflight": draft_pages.ages(batch),
            "may_follow": batch.selection in Selection.listed() and self.has_add_permission(request),
            "chosen_how": draft_pages.chosen_how(batch),
            "proposals": propose(batch) if "propose" in request.GET and not batch.handover.external else None,
        }
        return TemplateResponse(request, "admin/migrations_app/batch/page.html", context)

    def live_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Serve the live part again, or only the sign of life when nothing else changed.

        Not behind the login redirect: a login page must not be put into the middle of this one.
        """
        if not self.admin_site.has_permission(request):
            return HttpResponse(headers={"HX-Refresh": "true"})
        begun = time.monotonic()
        batch = self._batch_or_404(request, str(object_id))
        shown = page.live(batch, may_change=self.has_drive_permission(request, batch))
        poll = self._poll(batch, shown, took=time.monotonic() - begun)
        same = request.GET.get("seen") == poll["seen"]
        context = {
            **shown,
            **page.pulse(),
            **poll,
            "controls_changed": request.GET.get("controls", "") not in ("", shown["controls"]),
            "controls": request.GET.get("controls") or shown["controls"],
        }
        if same:
            response = TemplateResponse(request, "admin/migrations_app/batch/_pulse.html", {**context, "swap": True})
            response["HX-Reswap"] = "none"
        else:
            response = TemplateResponse(request, "admin/migrations_app/batch/_live.html", {**context, "swap": True})
        response["Cache-Control"] = "no-store"
        return response

    def presses_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Say what each button would do; counted when the page asks for it, beside what is live."""
        batch = self._batch_or_404(request, str(object_id))
        shown = self._previews(batch, asked=True)
        if of := request.GET.get("of", ""):
            shown = {"previews": [one for one in shown["previews"] if one.press == of], "of": True}
        response = TemplateResponse(request, "admin/migrations_app/batch/_presses.html", shown)
        response["Cache-Control"] = "no-store"
        return response

    def _previews(self, batch: Batch, *, asked: bool) -> dict[str, Any]:
        if not asked:
            return {"previews": None}
        found = presses.previews(batch, track.limits(batch))
        return {"previews": found, "delete_previews": [one for one in found if one.press == Step.DELETE_OLD]}

    def cut_lines_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Offer cut lines; read when the page asks for them, since all meetings to come are looked at."""
        batch = self._batch_or_404(request, str(object_id))
        context = {
            "batch": batch,
            "proposals": propose(batch),
            "cut_line": batch.handover.cut_line,
            "may_change": self.has_drive_permission(request, batch),
        }
        return TemplateResponse(request, "admin/migrations_app/batch/_cut_lines.html", context)

    def report_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show the proof."""
        batch = self._batch_or_404(request, str(object_id))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Report of {batch.slug}",
            "opts": self.opts,
            "original": batch,
            "report": (built := report.build(batch)),
            "signing_key": ReportKey.objects.signing(),
            "ledger": [(name, built["ledger"][moment]) for moment, name in MOMENTS],
        }
        return TemplateResponse(request, "migrations_app/report.html", context)

    def report_json_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Hand out the whole proof as a file, while it is read."""
        return report_files.plain(self._batch_or_404(request, str(object_id)))

    def report_zip_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Hand out the whole proof with its signature."""
        return report_files.signed(self._batch_or_404(request, str(object_id)))

    def verifier_view(self, request: HttpRequest) -> HttpResponseBase:
        """Hand out the script that checks a signed report."""
        if not self.has_view_permission(request):
            raise PermissionDenied(NOT_TO_SEE)
        return report_files.verifier()

    def customers_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show who is told what, and offer to switch it on or off."""
        batch = self._batch_or_404(request, str(object_id))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Customers of %(batch)s") % {"batch": batch.slug},
            "opts": self.opts,
            "original": batch,
            "may_change": self.has_drive_permission(request, batch),
            "shown": self.shown(batch),
            **mail_page.customers(batch),
        }
        return TemplateResponse(request, "admin/migrations_app/batch/customers.html", context)

    def _batch_or_404(self, request: HttpRequest, object_id: str) -> Batch:
        number = row_number(object_id)
        if number is None or (batch := page.fetch(number)) is None:
            raise Http404("There is no such batch.")
        if not self.has_view_or_change_permission(request, batch):
            raise PermissionDenied(NOT_TO_SEE)
        return batch

    def has_view_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        """Whoever may press may look."""
        return bool(super().has_view_permission(request, obj)) or self.has_drive_permission(request)

    def _require_delete(self, request: HttpRequest, obj: Batch) -> None:
        """Whoever drives a batch may not yet let it delete anything at a provider."""
        if not self.has_delete_old_permission(request, obj):
            raise PermissionDenied(NOT_TO_DELETE)

    def _poll(self, batch: Batch, shown: dict[str, Any], *, took: float) -> dict[str, Any]:
        return {
            "seen": page.digest(shown),
            "every": 0 if batch.closed_at else max(POLL_SECONDS, round(took * POLL_SHARE)),
            "live_url": page.live_url(batch),
        }

    # --- acts

    @post_action(label=_("allow a step"), permission="drive")
    def goal(self, request: HttpRequest, obj: Batch) -> str:
        """Allow everything up to a step."""
        form = GoalForm(request.POST)
        if not form.is_valid():
            raise Refused(f"There is no such step. The steps are {', '.join(step.label for step in obj.steps)}.")
        step = Step(form.cleaned_data["step"])
        if position(step) >= position(Step.DELETE_OLD):
            self._require_delete(request, obj)
        try:
            control.set_goal(obj, step, actor=request.user, confirm=form.cleaned_data["confirm"])
        except NeedsApproval:
            return self._ask(request, obj, step)
        return ALLOWED.format(step=step.label)

    def _ask(self, request: HttpRequest, obj: Batch, step: Step | None) -> str:
        """Ask for a second person's approval, with what that person shall read."""
        told = presses.preview(obj, step.value if step else presses.BACK)
        reason = one_line(request.POST.get("reason", ""))[:400]
        approvals.ask(obj, step, actor=request.user, reason=reason, sentences=told.sentences if told else ())
        return str(ASKED)

    @post_action(label=_("run the checks again"), permission="drive")
    def check_again(self, request: HttpRequest, obj: Batch) -> str:
        """Run preflight again."""
        drafts.check(obj, actor=request.user)
        return str(CHECKING)

    @post_action(label=_("set the cut line"), permission="drive")
    def cut_line(self, request: HttpRequest, obj: Batch) -> str:
        """Choose which meetings go to the target."""
        form = CutLineForm(request.POST)
        if not form.is_valid():
            raise Refused("Give the cut line as year-month-day hour:minute in UTC, for example 2027-01-31 06:00.")
        control.set_cut_line(obj, form.cleaned_data["at"], actor=request.user)
        return CUT.format(at=f"{form.cleaned_data['at']:%Y-%m-%d %H:%M}")

    @post_action(label=_("let customers put it off"), permission="drive")
    def postpone_until(self, request: HttpRequest, obj: Batch) -> str:
        """Say up to when its customer may put the cut line off, or that it may not."""
        form = PostponeForm(request.POST)
        if not form.is_valid():
            raise Refused(NO_MOMENT)
        until = form.cleaned_data["until"]
        postponing.allow(obj, until, actor=request.user)
        return str(MAY_PUT_OFF % {"until": utc(until)} if until else MAY_NOT_PUT_OFF)

    @post_action(label=_("pause"), permission="drive")
    def pause(self, request: HttpRequest, obj: Batch) -> str:
        """Stop new work."""
        control.set_paused(obj, True, actor=request.user, reason=request.POST.get("reason", "")[:400])
        return str(PAUSED)

    @post_action(label=_("resume"), permission="drive")
    def resume(self, request: HttpRequest, obj: Batch) -> str:
        """Go on."""
        control.set_paused(obj, False, actor=request.user, reason=request.POST.get("reason", "")[:400])
        return str(RESUMED)

    @post_action(label=_("tell customers"), permission="drive")
    def tell_customers(self, request: HttpRequest, obj: Batch) -> str:
        """Switch e-mails to customers on or off."""
        on, reason = request.POST.get("on") == "1", request.POST.get("reason", "").strip()[:400]
        return set_tell(obj, on, actor=request.user, reason=reason)

    @post_action(label=_("retry failed"), permission="drive")
    def retry_failed(self, request: HttpRequest, obj: Batch) -> str:
        """Try again what failed or waited for a person."""
        count = control.retry_failed(obj, actor=request.user)
        if not count:
            raise Refused(str(NOTHING_FAILED))
        return RETRIED.format(count=count)

    @post_action(label=_("go back"), permission="drive")
    def go_back(self, request: HttpRequest, obj: Batch) -> str:
        """Cancel or reverse."""
        if allows(obj.goal, Step.RECREATE):
            self._require_delete(request, obj)
        try:
            control.go_back(obj, actor=request.user, confirm=request.POST.get("confirm", "")[:80])
        except NeedsApproval:
            return self._ask(request, obj, None)
        return str(SENT_BACK)

    @post_action(label=_("leave failed where they are"), permission="drive")
    def leave_failed(self, request: HttpRequest, obj: Batch) -> str:
        """Give up on what failed, so that the batch can end."""
        count = control.leave_failed(obj, actor=request.user, reason=request.POST.get("reason", ""))
        return LEFT.format(count=count)

    @post_action(label=_("rehearse"), permission="drive")
    def rehearse(self, request: HttpRequest, obj: Batch) -> str:
        """Ask for a rehearsal of its plan."""
        rehearsals.ask(obj, actor=request.user)
        return str(REHEARSED)

    @post_action(label=_("change the numbers"), permission="drive")
    def numbers(self, request: HttpRequest, obj: Batch) -> str:
        """Change waits and width."""
        form = NumbersForm(request.POST)
        if not form.is_valid():
            raise Refused("; ".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()))
        changed = numbers.change(
            obj, form.cleaned_data, actor=request.user, may_delete=self.has_delete_old_permission(request, obj)
        )
        if not changed:
            return str(NO_NUMBERS_CHANGED)
        return NUMBERS_CHANGED.format(names=", ".join(name.replace("_", " ") for name in changed))
