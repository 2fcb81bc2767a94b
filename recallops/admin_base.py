"""What every admin page stands on. Leaving unfold means changing the base classes in this file.

Four rules live here. Nothing happens on GET: an act is a method marked `@post_action`, served by an address that takes
POST only, checks the CSRF token and the permission on the object, and answers with one sentence. Nobody acts on what
he did not see: a press carries a digest of the state that its page showed. A list never counts a whole table. How
values are shown is in `admin_display`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import DateTimeField, Field, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _

from recallops.admin_counts import AtLeast
from recallops.admin_display import change_url, read_only_moments
from recallops.digest import digest_of
from recallops.encryption import EncryptedTextField

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    BaseModelAdmin = admin.ModelAdmin[Any]
    BaseTabularInline = admin.TabularInline[Any, Any]
    from django.contrib.admin.views.main import ChangeList as BaseChangeList

    BasePaginator = Paginator[Any]
else:
    from unfold.admin import ModelAdmin as BaseModelAdmin
    from unfold.admin import TabularInline as BaseTabularInline
    from unfold.views import ChangeList as BaseChangeList

    BasePaginator = Paginator

ONLY_POST = _("This address does something and takes POST only. Go back and press the button on the page.")
NOT_YOURS = _("You may look at this {name} but not do “{label}”: that needs the permission to {permission} it.")
STALE = _("This {name} changed meanwhile, after your page was shown, so nothing was done. Look again, then press.")
MOST_COUNTED = 10_000
MOST_CHOICES = 100
MOST_DIGITS = 18


def may_see(request: HttpRequest, model: type[Model]) -> bool:
    """Tell whether somebody may open a model's list."""
    return bool(admin.site.get_model_admin(model).has_view_permission(request))


def row_number(text: str) -> int | None:
    """Return the number of a row that stands in an address or a form; None for what is none."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


# --- lists


class BoundedPaginator(BasePaginator):
    """Counts up to `MOST_COUNTED` rows and no further; what lies beyond is found by filters and search."""

    template_name = "recallops/pagination.html"

    @cached_property
    def count(self) -> int:
        """The number of rows, or "at least 10,000"."""
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        found = rows.order_by()[: MOST_COUNTED + 1].count()
        return AtLeast(MOST_COUNTED) if found > MOST_COUNTED else found

    @property
    def is_cut(self) -> bool:
        """Tell whether there are more rows than can be paged to."""
        return isinstance(self.count, AtLeast)


class FewRelated(admin.RelatedFieldListFilter):
    """A filter by a related row that offers the first hundred; others are reached by search or by a link."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the choices without listing a big table."""
        ordering = self.field_admin_ordering(field, request, model_admin)
        rows = field.remote_field.model._default_manager.order_by(*(ordering or ("pk",)))
        return [(row.pk, str(row)) for row in rows[:MOST_CHOICES]]


def computed_once(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Compute what a method shows of an object once: a page asks several times for each of its read-only fields."""

    @wraps(method)
    def ask(self: Any, obj: Any) -> Any:
        known = obj.__dict__.setdefault("_shown_in_admin", {})
        if method.__qualname__ not in known:
            known[method.__qualname__] = method(self, obj)
        return known[method.__qualname__]

    return ask


# --- acts


@dataclass(frozen=True, slots=True)
class PostAction:
    """How an act is reached and who may do it."""

    name: str
    label: _StrOrPromise
    permission: str


def post_action(
    *, label: _StrOrPromise, permission: str = "change"
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Mark a method `(self, request, obj) -> sentence` of a ModelAdmin as an act on one object, by POST.

    Its address is `<id>/<name-with-dashes>/`, its URL name `<app>_<model>_<name>`. `permission` is one of the
    `has_..._permission` methods of the ModelAdmin. Every form that posts to it carries
    `<input type="hidden" name="shown" value="{{ shown }}">`: change pages have `shown` in their context, other views
    put `model_admin.shown(obj)` there. The ModelAdmin says by `controls` (or `control_state`) what it stands for.
    """

    def mark(method: Callable[..., str]) -> Callable[..., str]:
        method.post_action = PostAction(method.__name__, label, permission)  # type: ignore[attr-defined]
        return method

    return mark


class UncountedChangeList(BaseChangeList):
    """A list that does not ask how many rows there are without its filters."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Refuse what no column can hold before the database is asked for it."""
        if any("\x00" in text for name, texts in request.GET.lists() for text in (name, *texts)):
            raise IncorrectLookupParameters
        return super().get_filters(request)

    def get_results(self, request: HttpRequest) -> None:
        """Let the filtered count stand for the whole one, so that no page shows a number nobody counted."""
        super().get_results(request)
        self.full_result_count = self.result_count


class ModelAdmin(BaseModelAdmin):
    """The base of all our admin pages."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    empty_value_display = "–"

    empty_help: ClassVar[tuple[Any, str, Any]] = (_("There is nothing here yet."), "", "")
    """What its empty list says to do first: a sentence, and where (the name of an address, and of the link)."""

    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    """Exceptions of an act whose text is a sentence for the person who pressed."""

    controls: ClassVar[Sequence[str]] = ()
    """The columns that a press depends on: changed since the page was shown, it is refused. None named: all that are
    loaded, secrets excepted. Leave out what an engine writes all the time, or nobody can ever press."""

    @property
    def readonly_preprocess_fields(self) -> dict[str, Any]:
        """Show moments that are only looked at as all others are shown."""
        return read_only_moments(self.model)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Say of each moment that is typed that it is UTC, whatever the zone that moments are shown in."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(db_field, DateTimeField):
            field.help_text = format_lazy("{} {}", field.help_text, _("In UTC."))
        return field

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Use our own list."""
        return UncountedChangeList

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the acts."""
        kind = f"{self.opts.app_label}_{self.opts.model_name}"
        own = []
        for action in self.post_actions():
            address = f"<int:object_id>/{action.name.replace('_', '-')}/"
            view = self.admin_site.admin_view(self._view_of(action))
            own.append(path(address, view, name=f"{kind}_{action.name}"))
        return own + super().get_urls()

    @classmethod
    def post_actions(cls) -> list[PostAction]:
        """Return the acts on one object, by name."""
        marked = (getattr(getattr(cls, name, None), "post_action", None) for name in dir(cls))
        return [action for action in marked if action is not None]

    def control_state(self, obj: Any) -> Any:
        """Return what a press on an object depends on, as plain values; never a secret."""
        left_out = obj.get_deferred_fields()
        loaded = [
            field.attname
            for field in self.opts.concrete_fields
            if field.attname not in left_out and not isinstance(field, EncryptedTextField)
        ]
        return [getattr(obj, name) for name in self.controls or loaded]

    def shown(self, obj: Any) -> str:
        """Return what forms carry as `shown`: a digest of the state of an object that their page shows."""
        return digest_of(self.control_state(obj))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Give the page what its forms carry."""
        if (obj := kwargs.get("obj")) is not None and self.post_actions():
            context["shown"] = self.shown(obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _view_of(self, action: PostAction) -> Callable[..., HttpResponseBase]:
        def view(request: HttpRequest, object_id: int) -> HttpResponseBase:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"], str(ONLY_POST), content_type="text/plain")
            obj = self.get_object(request, str(object_id))
            if obj is None:
                missing: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
                    request, self.opts, str(object_id)
                )
                return missing
            self.require(request, obj, permission=action.permission, label=action.label)
            if request.POST.get("shown") != self.shown(obj):
                messages.error(request, STALE.format(name=self.opts.verbose_name))
                return HttpResponseRedirect(self.way_back(request, obj))
            try:
                said = getattr(self, action.name)(request, obj)
            except self.refusals as refusal:
                messages.error(request, str(refusal))
            else:
                if said:
                    messages.success(request, said)
            return HttpResponseRedirect(self.way_back(request, obj))

        return view

    def may(self, request: HttpRequest, obj: Model | None, *, permission: str = "change") -> bool:
        """Tell whether the person may do something to an object."""
        return bool(getattr(self, f"has_{permission}_permission")(request, obj))

    def require(self, request: HttpRequest, obj: Model, *, permission: str, label: _StrOrPromise) -> None:
        """Raise PermissionDenied, with a sentence, when the person may not."""
        if not self.may(request, obj, permission=permission):
            raise PermissionDenied(
                NOT_YOURS.format(name=self.opts.verbose_name, label=label, permission=permission.replace("_", " "))
            )

    def way_back(self, request: HttpRequest, obj: Model) -> str:
        """Return where to go after an act: the page it was pressed on, if that is one of ours."""
        back = request.POST.get("next", "")
        if back and url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
            return back
        return change_url(obj)


class HistoryAdmin(ModelAdmin):
    """Pages that are read, never written: what happened stays as it is."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes."""
        return False


class TabularInline(BaseTabularInline):
    """Rows of another table on an object's page."""

    extra = 0

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Name each input: the heading of its column is no label."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs.setdefault("aria-label", capfirst(db_field.verbose_name))
        return field

    @property
    def readonly_preprocess_fields(self) -> dict[str, Any]:
        """Show moments that are only looked at as all others are shown."""
        return read_only_moments(self.model)
