"""Pages whose changes stay on record, and that write only the columns that a person changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import (
    BooleanField,
    DateTimeField,
    DurationField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    Model,
)
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calendars.models import AuditEntry, Connection, Region
from calendars.providers.dashboards import vendor_pages
from recallops.admin_base import ModelAdmin, post_action
from recallops.admin_display import link

PLAIN = (BooleanField, DateTimeField, DurationField, FloatField, ForeignKey, IntegerField)
"""Columns whose values may be put on record: no text, which may be a secret or somebody's."""

SEALED = Connection.SEALED
"""Columns of a connection that no list has any business opening."""


def sealed(*paths: str) -> list[str]:
    """Return the sealed columns of connections that are read along with something else, by the path to them."""
    return [f"{path}__{name}" for path in paths for name in SEALED]


class AuditedAdmin(ModelAdmin):
    """Every addition, change and deletion writes an audit entry with the names of the fields.

    What a switch, number, time, choice or reference was and became is in it, too; of texts there are never the values.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a new row; of an old one save what was changed, so that columns of the engine are left alone."""
        if not change:
            obj.save()
            return
        columns = {field.name for field in self.opts.concrete_fields}
        changed = [name for name in form.changed_data if name in columns]
        obj.changed_values = _values(self.opts, form, changed)
        changed += [name for name in self.saved_along(form) if name not in changed]
        if changed:
            obj.save(update_fields=changed)

    def control_state(self, obj: Any) -> Any:
        """Add the last act on it: whatever a person did meanwhile, another who did not see it shall look again."""
        acts = AuditEntry.objects.filter(subject_kind=self.opts.label_lower, subject_id=obj.pk)
        return [super().control_state(obj), acts.order_by("-pk").values_list("pk", flat=True).first()]

    def saved_along(self, form: Any) -> Sequence[str]:
        """Return columns that follow from what was changed."""
        return ()

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note an addition."""
        self._note(request, obj, "add")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note a change, by the names of the fields, and by their values where they are plain."""
        before, after = getattr(obj, "changed_values", ({}, {}))
        self._note(request, obj, "change", fields=sorted(_fields(message)), before=before or None, after=after or None)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Note deletions."""
        for obj in queryset:
            self._note(request, obj, "delete")
        return super().log_deletions(request, queryset)

    def _note(self, request: HttpRequest, obj: Model, what: str, **data: Any) -> None:
        AuditEntry.objects.record(actor=request.user, action=f"{self.opts.model_name}.{what}", subject=obj, **data)


class RevocableAdmin(AuditedAdmin):
    """What is made once, shown once, and revoked: nobody changes it, and its row says for good who had it."""

    revoked_words: ClassVar[Any] = ""
    """What is said after it was revoked."""

    controls: ClassVar = ("revoked_at", "expires_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes it."""
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Revoking is the one change."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may revoke it may see it."""
        seen = request.user.has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}")
        return seen or self.has_revoke_permission(request, obj)

    @post_action(label=gettext_lazy("revoke"), permission="revoke")
    def revoke(self, request: HttpRequest, obj: Any) -> str:
        """Close it for good."""
        with transaction.atomic():
            if not obj.revoke():
                return _("It was revoked already.")
            AuditEntry.objects.record(actor=request.user, action=f"{self.opts.model_name}.revoke", subject=obj)
        return str(self.revoked_words)


def _values(opts: Any, form: Any, changed: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the plain ones of the changed columns were and became."""
    plain = [name for name in changed if _is_plain(opts.get_field(name))]
    before = {name: _value(form.initial.get(name)) for name in plain}
    return before, {name: _value(form.cleaned_data.get(name)) for name in plain}


def _is_plain(column: Field[Any, Any]) -> bool:
    return isinstance(column, PLAIN) or bool(column.choices)


def _value(value: Any) -> Any:
    if isinstance(value, Model):
        return value.pk
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _fields(message: Any) -> Iterable[str]:
    """Return the fields that Django's own record of a change names."""
    for part in message if isinstance(message, list) else []:
        for what in ("changed", "added", "deleted"):
            yield from part.get(what, {}).get("fields", [])
            if name := part.get(what, {}).get("name"):
                yield str(name)


def vendor_links(region: Region, *codes: str) -> str | SafeString:
    """Return links to pages of the vendor's dashboard of a region: those that are named, or all."""
    pages = [page for page in vendor_pages(region) if not codes or page.code in codes]
    if not pages:
        return str(_("None: this region's address is not the vendor's own."))
    return format_html_join(", ", "{} ({})", ((link(page.url, page.label), page.purpose) for page in pages))
