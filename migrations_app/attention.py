"""What a person has to look at of e-mails and alerts that did not arrive."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from migrations_app.models import AlertChannel, Message
from recallops.admin_display import list_url

FAILING = _("Alerts cannot be posted to {name}: {problem}")


@dataclass(frozen=True, slots=True)
class Attention:
    """A sentence with a number in it, and where to see the rows behind it."""

    sentence: str
    url: str


def attention() -> list[Attention]:
    """Return what asks for a person, in two queries."""
    troubled = Message.objects.filter(state__in=[Message.State.FAILED, Message.State.PERHAPS]).order_by()
    counts: dict[str, int] = dict(troubled.values_list("state").annotate(n=Count("pk")))
    found = []
    if failed := counts.get(Message.State.FAILED, 0):
        words = ngettext(
            "%(count)d e-mail to a customer was not sent", "%(count)d e-mails to customers were not sent", failed
        )
        found.append(Attention(words % {"count": failed}, list_url(Message, state__exact=Message.State.FAILED)))
    if perhaps := counts.get(Message.State.PERHAPS, 0):
        words = ngettext(
            "Of %(count)d e-mail to a customer nobody knows whether it was sent",
            "Of %(count)d e-mails to customers nobody knows whether they were sent",
            perhaps,
        )
        found.append(Attention(words % {"count": perhaps}, list_url(Message, state__exact=Message.State.PERHAPS)))
    failing = AlertChannel.objects.defer("url").filter(enabled=True, failing_since__isnull=False)
    found += [
        Attention(str(FAILING).format(name=one.name, problem=one.last_problem), list_url(AlertChannel))
        for one in failing[:10]
    ]
    return found
