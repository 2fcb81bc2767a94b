"""What a person must look at next, in the order of its weight: which rows, in which list, what is said, what to do.

The number on the dashboard and the list behind it are made of the same filters (`listed`), so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from calendars.models import (
    ApiKey,
    ApiToken,
    Application,
    Assignment,
    Connection,
    ConnectionStatus,
    Delivery,
    Relayed,
    Verdict,
    WebhookRefusal,
    Workspace,
)
from migrations_app.models import (
    AlertChannel,
    Approval,
    Batch,
    BatchStatus,
    Finding,
    Inquiry,
    Item,
    ItemStatus,
    Message,
    Severity,
)
from recallops.admin_display import list_url

MISSED_WITHIN = timedelta(hours=24)
LATELY = timedelta(hours=24)
EXPIRES_WITHIN = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows, and the address of the list that holds exactly these."""

    rows: QuerySet[Any]
    url: str


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a person must look at. `says` takes `number` and, as it is shown, `shown`."""

    code: str
    listed: Listed
    says: Any
    todo: Any
    colour: str = "danger"


def listed(model: type[Model], **filters: Any) -> Listed:
    """Return the rows that pass some filters, and the address of the admin's list with the same filters."""
    asked = {name if "__" in name else f"{name}__exact": _in_an_address(value) for name, value in filters.items()}
    return Listed(model._default_manager.filter(**filters), list_url(model, **asked))


def _in_an_address(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def open_findings(severity: Severity) -> Listed:
    """Return the findings of open batches that nobody has solved or waived; a draft's are on its own pages."""
    rows = Finding.objects.filter(
        severity=severity, gone_at=None, waived_at=None, batch__closed_at=None, batch__draft=False
    )
    return Listed(rows, list_url(Finding, severity__exact=severity.value, state="open", batch_is="open"))


def in_trouble() -> Listed:
    """Return the workspaces that cannot be called."""
    return Listed(Workspace.objects.exclude(trouble=""), list_url(Workspace, trouble__isempty=0))


def fallen_off() -> Listed:
    """Return the connections that the provider no longer reads."""
    return listed(Connection, status=ConnectionStatus.DISCONNECTED.value)


def not_understood(now: datetime) -> Listed:
    """Return the webhooks of the last day that could not be read."""
    return listed(Delivery, state=Delivery.State.FAILED.value, received_at__gte=now - LATELY)


def refused(now: datetime) -> Listed:
    """Return the refusals of today and yesterday: one row for each endpoint, day and cause."""
    return listed(WebhookRefusal, day__gte=(now - LATELY).date())


def given_up() -> Listed:
    """Return the webhooks that the company's application never took."""
    return listed(Relayed, state=Relayed.State.DEAD.value)


def concerns(now: datetime) -> list[Concern]:
    """Return everything that may want a person, the weightiest first. Nothing is counted here."""
    return [*_of_meetings(now), *_of_batches(now), *_of_the_outside(now), *_of_messages()]


def _of_meetings(now: datetime) -> list[Concern]:
    soon = {"start__lt": now + MISSED_WITHIN, "end__gt": now}
    return [
        Concern(
            "missed",
            listed(Assignment, over=False, verdict=Verdict.MISSED.value, **soon),
            ngettext_lazy(
                "{shown} meeting of the next 24 hours has no bot",
                "{shown} meetings of the next 24 hours have no bot",
                "number",
            ),
            _("“Being added” should pass within minutes. If it stays, open the meeting: its writes say why."),
        ),
    ]


def _of_batches(now: datetime) -> list[Concern]:
    return [
        Concern(
            "stopped",
            listed(Batch, status=BatchStatus.STOPPED.value, draft=False),
            ngettext_lazy(
                "{shown} batch is stopped by a problem", "{shown} batches are stopped by a problem", "number"
            ),
            _("Read its reason, solve it, then press “Retry failed” on its page."),
        ),
        Concern(
            "press",
            listed(Batch, status=BatchStatus.WAITING.value, draft=False),
            ngettext_lazy(
                "{shown} batch waits for its next press", "{shown} batches wait for their next press", "number"
            ),
            _("What was allowed is done. Look at it, then allow the next step."),
            "warning",
        ),
        Concern(
            "approval",
            listed(Approval, state=Approval.State.WAITING.value, expires_at__gt=now),
            ngettext_lazy(
                "{shown} request waits for a second person", "{shown} requests wait for a second person", "number"
            ),
            _("Read what it would do, then approve or refuse it; who asked for it cannot."),
            "warning",
        ),
        Concern(
            "failed",
            listed(Item, status=ItemStatus.FAILED.value, open=True),
            ngettext_lazy("{shown} item of an open batch failed", "{shown} items of open batches failed", "number"),
            _("Each says why and whose turn it is. Solve it, then retry, or leave it where it is with a reason."),
        ),
        Concern(
            "user",
            listed(Item, status=ItemStatus.USER.value, open=True),
            ngettext_lazy(
                "{shown} item waits for its user or for somebody of yours",
                "{shown} items wait for their users or for somebody of yours",
                "number",
            ),
            _("Ask the user to connect again, or do what the entry says; then retry it."),
            "warning",
        ),
        Concern(
            "blocking",
            open_findings(Severity.BLOCKING),
            ngettext_lazy("{shown} finding blocks a batch", "{shown} findings block batches", "number"),
            _("Solve what it says and let the check run again, or waive it with a reason."),
        ),
    ]


def _of_the_outside(now: datetime) -> list[Concern]:
    return [
        Concern(
            "trouble",
            in_trouble(),
            ngettext_lazy("{shown} workspace cannot be called", "{shown} workspaces cannot be called", "number"),
            _("Its page says why, mostly a refused key. Give it the right key and test it."),
        ),
        Concern(
            "fell_off",
            fallen_off(),
            ngettext_lazy("{shown} connection fell off", "{shown} connections fell off", "number"),
            _("Its user connects the calendar again; nobody else can."),
            "warning",
        ),
        Concern(
            "refused",
            refused(now),
            ngettext_lazy(
                "{shown} kind of webhook was refused since yesterday",
                "{shown} kinds of webhooks were refused since yesterday",
                "number",
            ),
            _("Each row names the likely cause and what to do; the vendor tries again for a while."),
            "warning",
        ),
        Concern(
            "not_understood",
            not_understood(now),
            ngettext_lazy(
                "{shown} webhook of the last day was not understood",
                "{shown} webhooks of the last day were not understood",
                "number",
            ),
            _("Nothing is lost: it is stored. Read its reason, then try again."),
            "warning",
        ),
        Concern(
            "key_refused",
            listed(ApiKey, enabled=True, test_passed=False),
            ngettext_lazy(
                "{shown} API key in use failed its last test",
                "{shown} API keys in use failed their last test",
                "number",
            ),
            _("A wrong region and a revoked key look the same. Give the right one, test it, switch the old one off."),
        ),
        Concern(
            "key_untested",
            listed(ApiKey, enabled=True, test_passed__isnull=True),
            ngettext_lazy("{shown} API key was never tested", "{shown} API keys were never tested", "number"),
            _("Open it and press “Test connection”; it reads one page and changes nothing."),
            "warning",
        ),
        Concern(
            "token_expires",
            listed(ApiToken, revoked_at__isnull=True, expires_at__gt=now, expires_at__lt=now + EXPIRES_WITHIN),
            ngettext_lazy(
                "{shown} API token expires within 14 days", "{shown} API tokens expire within 14 days", "number"
            ),
            _("Make another one, let the application use it, then revoke this one."),
            "warning",
        ),
        Concern(
            "application_failing",
            listed(Application, failing_since__isnull=False),
            ngettext_lazy(
                "{shown} application does not take its webhooks",
                "{shown} applications do not take their webhooks",
                "number",
            ),
            _("They are kept and tried again. Its page says what it answered."),
        ),
        Concern(
            "given_up",
            given_up(),
            ngettext_lazy(
                "{shown} webhook for an application was given up",
                "{shown} webhooks for applications were given up",
                "number",
            ),
            _("When the application is well again, send them again from the list or from its page."),
            "warning",
        ),
    ]


def _of_messages() -> list[Concern]:
    """What customers wrote, and what does not reach them. Who mistyped an address to confirm asks again themselves."""
    return [
        Concern(
            "inquiries",
            Listed(Inquiry.objects.filter(answered_at=None), list_url(Inquiry, answered_at__isempty=1)),
            ngettext_lazy(
                "{shown} inquiry of a customer is not answered",
                "{shown} inquiries of customers are not answered",
                "number",
            ),
            _("Read it, answer by e-mail, then say on its page that it is answered."),
            "warning",
        ),
        Concern(
            "not_sent",
            listed(Message, state=Message.State.FAILED.value, notice__isnull=False),
            ngettext_lazy(
                "{shown} e-mail to a customer was not sent", "{shown} e-mails to customers were not sent", "number"
            ),
            _("Each says what the mail server answered. Mend that, then send it again from its page."),
            "warning",
        ),
        Concern(
            "perhaps_sent",
            listed(Message, state=Message.State.PERHAPS.value, notice__isnull=False),
            ngettext_lazy(
                "Of {shown} e-mail to a customer nobody knows whether it was sent",
                "Of {shown} e-mails to customers nobody knows whether they were sent",
                "number",
            ),
            _("It is never sent twice by itself. Ask the customer, or send it again from its page."),
            "warning",
        ),
        Concern(
            "channel_failing",
            listed(AlertChannel, enabled=True, failing_since__isnull=False),
            ngettext_lazy(
                "{shown} alert channel does not take its posts",
                "{shown} alert channels do not take their posts",
                "number",
            ),
            _("Its page says what the chat tool answered. Mend it, send a test, then send what was given up."),
            "warning",
        ),
    ]
