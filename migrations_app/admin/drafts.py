"""The guided new batch: five pages, each of which saves. Until “Make the batch” it is a draft, and does nothing.

A page changes nothing when it is read. What a page asks is saved by posting it to its own address; what does something
beyond the draft (the checks, making it, throwing it away) is an act with an address of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from migrations_app import drafts, selection
from migrations_app.admin import draft_pages
from migrations_app.admin.draft_forms import AUTO, OWN, SOONEST, LineForm, RouteForm, SelectionForm
from migrations_app.control import Refused
from migrations_app.models import Batch, BatchDraft, SearchBy, Selection
from recallops import clock
from recallops.admin_base import STALE, HistoryAdmin, post_action, row_number
from recallops.admin_display import change_url, list_url, moment
from recallops.exporting import Column, csv_response, file_name

NEEDS = _("Making a batch needs the permission to add batches.")
SAVED = _("Saved. This draft can be finished at any time; it is in the list of drafts.")
BEGUN = _("The draft {name} is saved. Choose its calendars now, or come back later.")
CHECKING = _("The checks are on their way. This page shows what they find.")
READING = _("The source is being read. It goes on while you do something else; this page says how far it is.")
MADE = _("The batch {name} is made and does nothing yet. Allow its first step below.")
GONE = _("The draft {name} is thrown away. Nothing was done at the provider.")
LEFT_OUT = [
    Column(_("Calendar"), "text"),
    Column(_("Platform"), "platform"),
    Column(_("Line"), "line"),
    Column(_("Left out"), "problem"),
    Column(_("Why"), "why"),
]


@admin.register(BatchDraft)
class DraftAdmin(HistoryAdmin):
    """Drafts of batches."""

    empty_help = (
        _("A batch that somebody began to put together is kept here until it is made or thrown away."),
        "admin:migrations_app_batch_add",
        _("Make a batch"),
    )

    list_display = ["slug", "source", "target", "how", "created_by", moment("changed_at", _("last saved"))]
    list_select_related = ["source", "target", "created_by", "follows"]
    search_fields = ["slug__startswith"]
    refusals: ClassVar = (Refused,)
    controls: ClassVar = ("draft", "slug", "source_id", "target_id", "goal", "checked_from", "selection", "selected_at")

    # --- who may

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may add batches puts them together."""
        return request.user.has_perm("migrations_app.add_batch")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see batches may see what becomes one."""
        seen = (request.user.has_perm(f"migrations_app.{act}_batch") for act in ("view", "change", "add"))
        return any(seen)

    def has_make_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As making a batch."""
        return self.has_add_permission(request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the batch also when it was made meanwhile: then an act says so."""
        return _batches().filter(pk=row_number(object_id) or 0).first()

    def control_state(self, obj: Any) -> Any:
        """Its own columns, and the cut line."""
        return [*super().control_state(obj), obj.handover.cut_line]

    @admin.display(description=_("calendars"), ordering="selection")
    def how(self, obj: BatchDraft) -> str:
        """How its calendars were chosen."""
        return draft_pages.chosen_how(obj)

    # --- addresses

    def get_urls(self) -> list[URLPattern]:
        """Add the pages."""
        view, kind = self.admin_site.admin_view, "migrations_app_batchdraft"
        own = [path("add/problems/", view(self.problems_view), name=f"{kind}_problems")]
        for page in draft_pages.PAGES:
            address = f"<int:object_id>/{page.replace('_', '-')}/"
            own.append(path(address, view(getattr(self, f"{page}_view")), name=f"{kind}_{page}"))
        own.append(path("<int:object_id>/lines.csv", view(self.lines_view), name=f"{kind}_lines"))
        return own + super().get_urls()

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Show what a draft comes to."""
        if (number := row_number(object_id)) is None:
            raise Http404
        return self.summary_view(request, number)

    def way_back(self, request: HttpRequest, obj: Any) -> str:
        """Return to the page of the draft; to the batch when it was made, to the list when it is gone."""
        is_draft = Batch.objects.filter(pk=obj.pk).values_list("draft", flat=True).first()
        if is_draft is None:
            return list_url(BatchDraft)
        if not is_draft:
            return _batch_url(obj)
        back = super().way_back(request, obj)
        return draft_pages.page_url("summary", obj) if back == change_url(obj) else back

    # --- source and target

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Begin a draft: source and target."""
        if not self.has_add_permission(request):
            raise PermissionDenied(str(NEEDS))
        follows = self._followed(request)
        form = RouteForm(request.POST or None, initial=_route_of(follows))
        if request.method == "POST" and form.is_valid():
            try:
                draft = drafts.begin(**form.cleaned_data, actor=request.user, follows=follows)
            except Refused as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, str(BEGUN).format(name=draft))
                return HttpResponseRedirect(draft_pages.page_url("calendars", draft))
        context = {
            **self._frame(request, None, "route"),
            "form": form,
            "follows": follows,
            "drafts": list(BatchDraft.objects.select_related("source", "target", "created_by")[:10]),
            "problems": [],
        }
        return TemplateResponse(request, "admin/migrations_app/batch_new/route.html", context)

    def _followed(self, request: HttpRequest) -> Batch | None:
        """Return the batch whose rest is to be moved, when the form was reached from there."""
        asked = row_number(str((request.POST if request.method == "POST" else request.GET).get("follows", "")))
        if asked is None:
            return None
        found: Batch | None = _batches().filter(pk=asked, draft=False, selection__in=Selection.listed()).first()
        return found

    def problems_view(self, request: HttpRequest) -> HttpResponse:
        """Say what is wrong with a choice of source and target, while it is made."""
        if not self.has_add_permission(request):
            raise PermissionDenied(str(NEEDS))
        found = draft_pages.route_problems(request.GET.get("source", ""), request.GET.get("target", ""))
        context = {"problems": found, "asked": True}
        return TemplateResponse(request, "admin/migrations_app/batch_new/_problems.html", context)

    def route_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Change name, source and target of a draft."""

        def save(draft: Batch, form: RouteForm) -> None:
            drafts.set_route(draft, **form.cleaned_data, actor=request.user)

        def show(draft: Batch) -> dict[str, Any]:
            return {"problems": drafts.problems(draft.source, draft.target, but=draft)}

        def make(draft: Batch, data: Any, files: Any) -> RouteForm:
            return RouteForm(data, initial=_route_of(draft) | {"slug": draft.slug})

        return self._page(request, object_id, "route", make=make, save=save, show=show)

    # --- calendars

    def calendars_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Choose which calendars move."""

        def make(draft: Batch, data: Any, files: Any) -> SelectionForm:
            return SelectionForm(data, files, draft=draft, initial=_selection_of(draft))

        def save(draft: Batch, form: SelectionForm) -> None:
            self._choose(request, draft, form)

        def show(draft: Batch) -> dict[str, Any]:
            return draft_pages.calendars(draft) | {"way": Selection}

        return self._page(request, object_id, "calendars", make=make, save=save, show=show)

    def _choose(self, request: HttpRequest, draft: Batch, form: SelectionForm) -> None:
        data = form.cleaned_data
        way = data["selection"]
        with drafts.held(draft):
            if way == Selection.ALL:
                selection.choose_all(draft)
            elif way == Selection.CUSTOMERS:
                selection.choose_customers(draft, data["customers"])
            elif way == Selection.SEARCH:
                selection.choose_by_search(draft, by=data["search_by"] or SearchBy.BEGINS, text=data["search_text"])
            elif way == Selection.SHARE:
                selection.choose_share(draft, data["share_percent"])
            elif way == Selection.REST and draft.follows is not None:
                selection.choose_rest(draft, draft.follows)
            elif way == Selection.FILE and form.opened is not None:
                selection.choose_by_file(draft, form.opened, name=data["file"].name)
            else:
                return
            drafts.note_selection(draft, actor=request.user)
        if way == Selection.FILE:
            self._tell_of_file(request, draft)

    def _tell_of_file(self, request: HttpRequest, draft: Batch) -> None:
        kept = draft.selected.filter(problem="").count()
        left = draft.selected.exclude(problem="").count()
        said = ngettext("{count} calendar of the file is taken.", "{count} calendars of the file are taken.", kept)
        messages.success(request, said.format(count=kept))
        if left:
            said = ngettext(
                "{count} line is left out; why is said below.", "{count} lines are left out; why is said below.", left
            )
            messages.warning(request, said.format(count=left))

    def lines_view(self, request: HttpRequest, object_id: int) -> StreamingHttpResponse:
        """Hand out the lines of a file that are left out, with the reasons."""
        batch = _batches().filter(pk=object_id).first()
        if batch is None:
            raise Http404
        if not self.has_view_permission(request, batch):
            raise PermissionDenied(str(NEEDS))
        return csv_response(_left_out(batch), LEFT_OUT, name=file_name(batch.slug, "left out"))

    # --- cut line, checks, summary

    def cut_line_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Choose the cut line, with the coming meetings before one's eyes."""

        def make(draft: Batch, data: Any, files: Any) -> LineForm:
            return LineForm(data)

        def save(draft: Batch, form: LineForm) -> None:
            at = clock.now() if form.cleaned_data["line"] == SOONEST else form.cleaned_data["moment"]
            drafts.set_cut_line(draft, at, actor=request.user)

        def show(draft: Batch) -> dict[str, Any]:
            asked = request.GET.get("days", "")
            days = int(asked) if asked in {str(one) for one in draft_pages.DAYS} else draft_pages.DAYS[1]
            return draft_pages.cut_line(draft, days=days) | {"auto": AUTO, "soonest_value": SOONEST, "own": OWN}

        return self._page(request, object_id, "cut_line", make=make, save=save, show=show)

    def checks_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show preflight by parts."""
        return self._page(
            request, object_id, "checks", show=lambda draft: draft_pages.preflight(draft) | draft_pages.workers()
        )

    def summary_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Show what the batch will do, before it is made."""
        return self._page(request, object_id, "summary", show=draft_pages.summary)

    def _page(
        self,
        request: HttpRequest,
        object_id: int,
        page: str,
        *,
        show: Callable[[Batch], dict[str, Any]],
        make: Callable[[Batch, Any, Any], Any] | None = None,
        save: Callable[[Batch, Any], None] | None = None,
    ) -> HttpResponseBase:
        """Serve a page: show it, or save what it asks and go on."""
        draft = _batches().filter(pk=object_id).first()
        if draft is None:
            raise Http404
        if not self.has_view_permission(request, draft):
            raise PermissionDenied(str(NEEDS))
        if not draft.draft:
            return HttpResponseRedirect(_batch_url(draft))
        form = None
        if request.method == "POST" and make and save:
            self.require(request, draft, permission="make", label=str(draft_pages.PAGES[page]))
            form = make(draft, request.POST, request.FILES)
            good = form.is_valid()
            if request.POST.get("shown") != self.shown(draft):
                form.add_error(None, STALE.format(name=self.opts.verbose_name))
            elif good:
                try:
                    save(draft, form)
                except Refused as refusal:
                    form.add_error(None, str(refusal))
                else:
                    messages.success(request, str(SAVED))
                    following = page if "stay" in request.POST else draft_pages.after(page)
                    return HttpResponseRedirect(draft_pages.page_url(following, draft))
            draft = _batches().get(pk=object_id)
        elif make:
            form = make(draft, None, None)
        context = {**self._frame(request, draft, page), "form": form, **show(draft)}
        return TemplateResponse(request, f"admin/migrations_app/batch_new/{page}.html", context)

    def _frame(self, request: HttpRequest, draft: Batch | None, page: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": str(_("New batch")) if draft is None else str(_("New batch: {name}")).format(name=draft),
            "opts": self.opts,
            "draft": draft,
            "original": draft,
            "shown": self.shown(draft) if draft is not None else "",
            "may_make": self.has_make_permission(request, draft),
            "page": page,
            "page_name": draft_pages.PAGES[page],
            "pages": draft_pages.track(draft, page) if draft is not None else [],
        }

    # --- acts

    @post_action(label=_("run the checks"), permission="make")
    def run_checks(self, request: HttpRequest, obj: Batch) -> str:
        """Run preflight, for the first time or again."""
        _still(obj)
        drafts.check(obj, actor=request.user)
        return str(CHECKING)

    @post_action(label=_("read the source"), permission="make")
    def read_source(self, request: HttpRequest, obj: Batch) -> str:
        """Read the source's calendars and coming meetings, then run the checks."""
        _still(obj)
        drafts.check(obj, actor=request.user, read_ahead=True)
        return str(READING)

    @post_action(label=_("make the batch"), permission="make")
    def make(self, request: HttpRequest, obj: Batch) -> str:
        """Make the batch of its draft."""
        drafts.make(obj, actor=request.user)
        return str(MADE).format(name=obj)

    @post_action(label=_("throw the draft away"), permission="make")
    def discard(self, request: HttpRequest, obj: Batch) -> str:
        """Throw the draft away."""
        drafts.discard(obj, actor=request.user)
        return str(GONE).format(name=obj)


def _still(obj: Batch) -> None:
    """Refuse what belongs to a draft when the batch was made meanwhile."""
    if not obj.draft:
        raise Refused(str(drafts.NO_DRAFT))


def _batches() -> Any:
    return Batch.objects.select_related("source__region", "target__region", "handover", "created_by", "follows")


def _batch_url(batch: Any) -> str:
    return reverse("admin:migrations_app_batch_change", args=[batch.pk])


def _route_of(batch: Batch | None) -> dict[str, Any]:
    return {"source": batch.source_id, "target": batch.target_id} if batch is not None else {}


def _selection_of(draft: Batch) -> dict[str, Any]:
    named = list(draft.customers.all()) if draft.selection == Selection.CUSTOMERS else []
    return {
        "selection": draft.selection,
        "customers": named,
        "search_by": draft.search_by,
        "search_text": draft.search_text,
        "share_percent": draft.share_percent,
    }


def _left_out(batch: Batch) -> Iterator[list[Any]]:
    """Return what is left out of a file, in the form in which it can be corrected and uploaded once more."""
    for one in draft_pages.problem_lines(batch):
        yield [one["text"], one["platform"], one["line"], one["problem"], one["why"]]
