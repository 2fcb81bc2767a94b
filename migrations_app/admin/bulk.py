"""Acts on many rows of a list: first a page that says what will happen to how many, then the press that does it.

The page shows the plan of `migrations_app.bulk`; the press carries that plan's digest, and is shown the page again when
the rows have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from migrations_app.bulk import MOST, Plan
from migrations_app.control import Refused
from recallops.admin_base import ModelAdmin

CHANGED = _("Some of them changed since this page was shown. Look at the numbers again, then press once more.")
NOTHING = _("Nothing was changed: somebody else was faster.")


@dataclass(frozen=True, slots=True)
class Bulk:
    """An act on many rows: its words, how it is planned and how it is done."""

    action: str
    title: Any
    does: Any
    button: Any
    plan: Callable[[Sequence[int]], Plan]
    run: Callable[[Sequence[int], str], int]
    done: Callable[[int], str]
    asks_why: Any = ""


def carry_out(admin: ModelAdmin, request: HttpRequest, queryset: Any, bulk: Bulk) -> HttpResponse | None:
    """Show what the act would do, or do it when that was confirmed; None leads back to the list."""
    ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
    plan = bulk.plan(ids[:MOST])
    reason, problem = request.POST.get("reason", "")[:400], ""
    if "confirmed" in request.POST:
        if request.POST.get("planned") != plan.digest:
            problem = str(CHANGED)
        else:
            try:
                count = bulk.run(plan.will, reason)
            except Refused as refusal:
                problem = str(refusal)
            else:
                if count:
                    messages.success(request, bulk.done(count))
                else:
                    messages.warning(request, NOTHING)
                return None
    context = {
        **admin.admin_site.each_context(request),
        "title": bulk.title,
        "opts": admin.opts,
        "bulk": bulk,
        "plan": plan,
        "will": len(plan.will),
        "more_names": len(plan.will) - len(plan.names),
        "refused": sorted(plan.refused.items(), key=lambda one: -one[1][0]),
        "cut": len(ids) > MOST,
        "most": MOST,
        "problem": problem,
        "reason": reason,
        "checkbox": ACTION_CHECKBOX_NAME,
        "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/migrations_app/bulk.html", context)
