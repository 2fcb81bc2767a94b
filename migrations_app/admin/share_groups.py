"""Share groups: calendars that go over at one instant, what is in the way of it, and what staff accept."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from calendars.models import Assignment
from migrations_app import cuts
from migrations_app.admin import share_group_page as page
from migrations_app.admin.items import STATUS_COLOURS
from migrations_app.control import Refused
from migrations_app.models import ShareGroup
from recallops.admin_base import FewRelated, HistoryAdmin, UncountedChangeList, computed_once, post_action, row_number
from recallops.admin_display import badge, coloured, moment, table, to
from recallops.logs import one_line

STATE_COLOURS = {state.value: state.colour for state in ShareGroup.State}
MOST_CALENDARS = 100

GIVE_REASON = _("Say why this meeting may be doubled: the reason stays on record.")
NO_MEETING = _("This is no coming meeting of the group. Load the page again.")
NO_EXCEPTION = _("This meeting is no exception.")
CUT_ALREADY = _("This group is cut already, or its batch is closed: exceptions change nothing any more.")
ACCEPTED = _("Accepted. It may be doubled; the group is looked at again within a minute.")
NO_MORE = _("It is no exception any more; the group is looked at again within a minute.")


class ShareGroupList(UncountedChangeList):
    """A list that counts the webhooks of the groups it shows."""

    def get_results(self, request: HttpRequest) -> None:
        """Count for all rows of the page at once."""
        super().get_results(request)
        rows = list(self.result_list)
        found = page.webhooks(page.items_of(rows))
        none = page.Passed()
        for row in rows:
            source, target = found.get((row.pk, False), none), found.get((row.pk, True), none)
            row.held_now, row.let_go_now = source.held + target.held, target.let_go
        self.result_list = rows


@admin.register(ShareGroup)
class ShareGroupAdmin(HistoryAdmin):
    """Calendars that go over together. The engine forms and cuts them; people accept exceptions."""

    empty_help = (
        _(
            "Where the company's own application schedules, calendars with common meetings go over together, in "
            "groups. They are formed when calendars are ready to hand over."
        ),
        "admin:migrations_app_batch_changelist",
        _("Look at the batches"),
    )

    list_display = [
        "title",
        "batch",
        coloured(STATE_COLOURS, "state", _("state")),
        "calendars",
        "meetings",
        moment("planned_at", _("planned cut")),
        moment("cut_at", _("cut at")),
        "without_bot",
        "held",
        "let_go",
        "reason",
    ]
    list_display_links = ["title"]
    list_filter = [("batch", FewRelated), "state"]
    search_fields = ["name__startswith"]
    search_help_text = "Begin of the e-mail address that names the group"
    ordering = ["-batch", "pk"]
    fields = [
        "title",
        "batch_link",
        "state",
        "reason",
        "meetings",
        "lacking",
        "planned_at",
        "cut_at",
        "settled_at",
        "fell_back_at",
        "webhooks_table",
        "calendars_table",
    ]
    readonly_fields = ["title", "batch_link", "webhooks_table", "calendars_table"]
    change_form_outer_before_template = "admin/migrations_app/share_group_exceptions.html"
    change_form_outer_after_template = "admin/migrations_app/share_group_acts.html"
    refusals: ClassVar = (Refused,)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Count webhooks once for a page."""
        return ShareGroupList

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read what the page decides by along with it."""
        rows = super().get_queryset(request)
        return rows.select_related(
            "batch__handover", "batch__source__application", "batch__source__region", "batch__target__region"
        ).defer("batch__source__application__url")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Read its exceptions along: only its own page shows them."""
        return page.with_exceptions(self.get_queryset(request)).filter(pk=row_number(object_id) or 0).first()

    def control_state(self, obj: ShareGroup) -> Any:
        """What staff decide by: whether it is cut, and what was accepted. The engine forms it anew at every look."""
        accepted = [(one["pk"], one["exception"]) for one in obj.accepted_json]  # type: ignore[attr-defined]
        return [obj.state, obj.batch.closed_at, accepted]

    def has_accept_permission(self, request: HttpRequest, obj: ShareGroup | None = None) -> bool:
        """Whoever may change batches decides which of their meetings may be doubled."""
        return request.user.has_perm("migrations_app.change_batch")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the meetings that are in the way, and tell the page whether its person may accept them."""
        if obj := kwargs.get("obj"):
            members = page.calendars_of(self._items(obj))
            found = page.obstacles(obj, members)
            context |= {
                "may_accept": self.has_accept_permission(request),
                "matters": page.may_change_exceptions(obj),
                "in_the_way": found[: page.MOST_MEETINGS],
                "more_in_the_way": len(found) > page.MOST_MEETINGS,
                "accepted": obj.accepted_json,
                "acts": page.acts(obj, members),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    # --- acts

    @post_action(label=_("accept as exception"), permission="accept")
    def accept(self, request: HttpRequest, obj: ShareGroup) -> str:
        """Accept that a meeting may be doubled."""
        reason = one_line(" ".join(request.POST.get("reason", "").replace("\x00", "").split()))[:300]
        meeting = self._meeting(request, obj)
        if not reason:
            raise Refused(GIVE_REASON)
        cuts.accept(meeting, obj.batch, actor=request.user, reason=reason)
        return str(ACCEPTED)

    @post_action(label=_("no more an exception"), permission="accept")
    def accept_no_more(self, request: HttpRequest, obj: ShareGroup) -> str:
        """Take an exception back."""
        meeting = self._meeting(request, obj)
        if not meeting.exception:
            raise Refused(NO_EXCEPTION)
        cuts.accept(meeting, obj.batch, actor=request.user, reason="")
        return str(NO_MORE)

    def _meeting(self, request: HttpRequest, obj: ShareGroup) -> Assignment:
        """Return the meeting that was pressed on. Raises Refused."""
        if not page.may_change_exceptions(obj):
            raise Refused(CUT_ALREADY)
        given = request.POST.get("meeting", "")
        found = page.coming_meetings(page.calendars_of(self._items(obj)))
        meeting = found.filter(pk=row_number(given) or 0).first()
        if meeting is None:
            raise Refused(NO_MEETING)
        return meeting

    def _items(self, obj: Any) -> Any:
        """Return its items, read once."""
        if not hasattr(obj, "_items_read"):
            obj._items_read = list(page.items_of([obj]))
        return obj._items_read

    # --- what is shown

    @admin.display(description=_("calendars of"), ordering="name")
    def title(self, obj: ShareGroup) -> str:
        """One of its calendars, and how many more."""
        return str(obj)

    @admin.display(description=_("batch"))
    def batch_link(self, obj: ShareGroup) -> str | SafeString:
        """Its batch."""
        return to(obj.batch)

    @admin.display(description=_("without bot"), ordering="lacking")
    def without_bot(self, obj: ShareGroup) -> int:
        """Meetings without a bot in the target yet."""
        return obj.lacking

    @admin.display(description=_("held webhooks"))
    def held(self, obj: Any) -> str:
        """Webhooks of both regions that the application does not get now."""
        return f"{obj.held_now:,}"

    @admin.display(description=_("passed on from the target"))
    def let_go(self, obj: Any) -> str:
        """Webhooks of the target that are not held, so since the cut."""
        return f"{obj.let_go_now:,}"

    @admin.display(description=_("webhooks of its calendars"))
    @computed_once
    def webhooks_table(self, obj: ShareGroup) -> SafeString:
        """What of each region the application gets, and what is held."""
        found = page.webhooks(self._items(obj))
        sides = [(obj.batch.source, found.get((obj.pk, False))), (obj.batch.target, found.get((obj.pk, True)))]
        return table(
            [_("from"), _("held"), _("to be sent"), _("delivered"), _("given up")],
            [
                [side, *(f"{n:,}" for n in (one.held, one.waiting, one.delivered, one.dead))]
                for side, one in ((side, one or page.Passed()) for side, one in sides)
            ],
        )

    @admin.display(description=_("calendars"))
    @computed_once
    def calendars_table(self, obj: ShareGroup) -> str | SafeString:
        """Its calendars, and where each is."""
        items = self._items(obj)
        listed = table(
            [_("calendar"), _("its item is at"), _("status")],
            [
                [
                    to(item.connection.calendar) if item.connection else "–",
                    to(item, item.get_step_display()),
                    badge(item.get_status_display(), STATUS_COLOURS[item.status]),
                ]
                for item in items[:MOST_CALENDARS]
            ],
        )
        more = f"and {len(items) - MOST_CALENDARS} more" if len(items) > MOST_CALENDARS else ""
        return format_html("{}{}", listed, more)
