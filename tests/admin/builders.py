"""Rows for tests, one typed function a model; everything that a test does not care about has a plausible value."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth.models import Permission, User

from calendars.models import (
    ApiKey,
    ApiToken,
    Application,
    ApplicationSecret,
    Assignment,
    AuditEntry,
    Bot,
    BotProfile,
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerContact,
    CustomerDomain,
    Delivery,
    Event,
    IdMapping,
    Intent,
    Occurrence,
    Platform,
    ProviderCall,
    RateBudget,
    RecordingChoice,
    RecordingPolicy,
    Region,
    RelayAttempt,
    Relayed,
    Scope,
    Verdict,
    WebhookEndpoint,
    WebhookRefusal,
    WebhookSecret,
    Workspace,
)
from migrations_app import control, report_signing
from migrations_app.itineraries import Step
from migrations_app.models import (
    Alert,
    AlertChannel,
    AlertKind,
    AlertPost,
    Approval,
    Batch,
    CoverageReading,
    Finding,
    Inquiry,
    Item,
    ItemStatus,
    Message,
    Milestone,
    Notice,
    ReportKey,
    Severity,
    ShareGroup,
    StatusLink,
    StepRecord,
    Subscription,
)
from recallops import clock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_number = itertools.count(1)


def make_staff(name: str = "", *, permissions: tuple[str, ...] = (), superuser: bool = False) -> User:
    """A person of support, with Django's own permissions ("app.codename")."""
    user = User.objects.create_user(name or f"staff-{next(_number)}", password="correct horse", is_staff=True)
    if superuser:
        User.objects.filter(pk=user.pk).update(is_superuser=True)
    return allow(user, *permissions)


def allow(user: User, *permissions: str) -> User:
    """Give somebody permissions."""
    for permission in permissions:
        label, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    return User.objects.get(pk=user.pk)


def make_failed_log_in(name: str = "dana") -> AccessAttempt:
    return AccessAttempt.objects.create(
        username=name,
        ip_address="203.0.113.9",
        user_agent="Mozilla/5.0",
        http_accept="*/*",
        path_info="/admin/login/",
        failures_since_start=3,
    )


def make_region(code: str = "us-west-2", **fields: Any) -> Region:
    defaults = {"label": code, "base_url": f"https://{code}.recall.ai", **fields}
    region, _ = Region.objects.get_or_create(provider="recall", code=code, defaults=defaults)
    return region


def make_workspace(slug: str = "", *, region: Region | None = None, **fields: Any) -> Workspace:
    slug = slug or f"workspace-{next(_number)}"
    fields = {"name": slug.replace("-", " ").capitalize(), **fields}
    workspace = Workspace.objects.create(slug=slug, region=region or make_region(), **fields)
    RateBudget.objects.fill(workspace)
    return workspace


def make_key(workspace: Workspace, secret: str = "", **fields: Any) -> ApiKey:
    return ApiKey.objects.create(
        workspace=workspace, secret=secret or f"recall-secret-key-number-{next(_number):06}", **fields
    )


def make_customer(name: str = "", *, domain: str = "") -> Customer:
    number = next(_number)
    customer = Customer.objects.create(slug=f"customer-{number}", name=name or f"Customer {number}")
    CustomerDomain.objects.create(customer=customer, domain=domain or f"customer-{number}.example")
    return customer


def make_calendar(
    customer: Customer | None = None, *, email: str = "", family: str = "move", platform: str = Platform.GOOGLE
) -> Calendar:
    customer = customer or make_customer()
    return Calendar.objects.create(
        customer=customer,
        family=family,
        platform=platform,
        email=email or f"person-{next(_number)}@{customer.slug}.example",
    )


def make_connection(
    workspace: Workspace, calendar: Calendar | None = None, *, status: str = ConnectionStatus.CONNECTED, **fields: Any
) -> Connection:
    calendar = calendar or make_calendar(family=workspace.family)
    defaults: dict[str, Any] = {
        "remote_id": f"00000000-0000-4000-8000-{next(_number):012}",
        "platform_email": calendar.email,
        "oauth_client_id": "client.apps.example",
        "oauth_client_secret": "oauth-secret-of-the-client",
        "refresh_token": "refresh-token-of-the-user",
        "metadata": {"tenant": 7},
        "read_begun_at": clock.now(),
    }
    return Connection.objects.create(calendar=calendar, workspace=workspace, status=status, **{**defaults, **fields})


def make_assignment(
    owner: Workspace,
    *,
    calendars: tuple[Calendar, ...] = (),
    start: datetime | None = None,
    verdict: str = Verdict.SOURCE,
    **fields: Any,
) -> Assignment:
    number = next(_number)
    start = start or clock.now() + timedelta(hours=number % 200 + 1)
    assignment = Assignment.objects.create(
        **{
            "family": owner.family,
            "start": start,
            "end": start + timedelta(minutes=30),
            "url": f"https://meet.example/room-{number}",
            "identity": f"{number:064}",
            "owner": owner,
            "verdict": verdict,
            "verdict_at": clock.now(),
            "keys": {str(owner.pk): f"key-{number}"},
            "bot_config": {"bot_name": "Recorder"},
            **fields,
        }
    )
    for calendar in calendars:
        make_occurrence(calendar, assignment=assignment)
    return assignment


def make_occurrence(calendar: Calendar, *, assignment: Assignment | None = None, **fields: Any) -> Occurrence:
    defaults: dict[str, Any] = {"platform_id": f"platform-{next(_number)}", "wanted": True, "reason": "as found"}
    return Occurrence.objects.create(calendar=calendar, assignment=assignment, **{**defaults, **fields})


def make_event(connection: Connection, *, title: str = "Weekly sync", url: str = "", **fields: Any) -> Event:
    number = next(_number)
    start = fields.pop("start", clock.now() + timedelta(hours=number % 200 + 1))
    url = url or f"https://meet.example/room-{number}"
    bot = {"bot_id": f"bot-{number}", "start": start.isoformat(), "key": f"key-{number}", "url": url}
    defaults: dict[str, Any] = {
        "occurrence": fields.pop("occurrence", None) or make_occurrence(connection.calendar),
        "remote_id": f"event-{number}",
        "start": start,
        "end": start + timedelta(minutes=30),
        "url": url,
        "bots": [bot],
        "raw": {"summary": title},
        "digest": f"{number:032}",
        "remote_updated_at": clock.now(),
        "read_begun_at": clock.now(),
    }
    return Event.objects.create(workspace=connection.workspace, connection=connection, **{**defaults, **fields})


def make_bot(workspace: Workspace, **fields: Any) -> Bot:
    number = next(_number)
    defaults: dict[str, Any] = {
        "remote_id": f"bot-{number}",
        "join_at": clock.now() + timedelta(hours=1),
        "meeting_url": f"https://meet.example/room-{number}",
        "config": {"bot_name": "Recorder"},
        "read_begun_at": clock.now(),
    }
    return Bot.objects.create(workspace=workspace, **{**defaults, **fields})


def make_profile(name: str = "", **fields: Any) -> BotProfile:
    config = fields.pop("config", {"bot_name": "Notetaker"})
    return BotProfile.objects.create(name=name or f"profile-{next(_number)}", config=config, **fields)


def make_policy(subject: Customer | Calendar, **fields: Any) -> RecordingPolicy:
    whom = {"customer": subject} if isinstance(subject, Customer) else {"calendar": subject}
    return RecordingPolicy.objects.create(**whom, **fields)


def make_choice(subject: Customer | Occurrence, **fields: Any) -> RecordingChoice:
    """A choice for a series of a customer, or for one event."""
    series = fields.pop("series", f"series-{next(_number)}@calendar.example")
    whom = {"customer": subject, "series": series} if isinstance(subject, Customer) else {"occurrence": subject}
    return RecordingChoice.objects.create(**{"record": True, "made_by": "somebody", **whom, **fields})


def make_intent(workspace: Workspace, **fields: Any) -> Intent:
    defaults: dict[str, Any] = {
        "purpose": Intent.Purpose.ADD_BOT,
        "subject": f"event-{next(_number)}",
        "sent_at": clock.now(),
    }
    return Intent.objects.create(workspace=workspace, **{**defaults, **fields})


def make_call(workspace: Workspace, **fields: Any) -> ProviderCall:
    defaults: dict[str, Any] = {
        "at": clock.now(),
        "endpoint": "GET /api/v2/calendars/{id}/",
        "subject": f"00000000-0000-4000-8000-{next(_number):012}",
        "status": 200,
        "took_ms": 120,
        "waited_ms": 0,
        "attempt": 1,
        "request_id": f"request-{next(_number)}",
    }
    return ProviderCall.objects.create(workspace=workspace, **{**defaults, **fields})


def make_step(item: Item, **fields: Any) -> StepRecord:
    defaults: dict[str, Any] = {"at": clock.now(), "step": item.step, "status": item.status, "attempt": 1}
    return StepRecord.objects.create(item=item, **{**defaults, **fields})


def make_mapping(source: Workspace, target: Workspace, **fields: Any) -> IdMapping:
    number = next(_number)
    defaults: dict[str, Any] = {
        "kind": "calendar",
        "source_remote_id": f"old-{number}",
        "target_remote_id": f"new-{number}",
    }
    return IdMapping.objects.create(source=source, target=target, **{**defaults, **fields})


def make_token(*scopes: str, label: str = "app", **fields: Any) -> tuple[ApiToken, str]:
    """A token of the API and its text; without scopes it reads everything."""
    fields = {"expires_at": None, "created_by": None, **fields}
    return ApiToken.objects.issue(label=label, scopes=list(scopes or Scope.values), **fields)


def make_status_link(customer: Customer | None = None, **fields: Any) -> tuple[StatusLink, str]:
    """A link to the status page of a customer, and its secret."""
    fields = {"label": "Ada", "expires_at": clock.now() + timedelta(days=90), "created_by": None, **fields}
    return StatusLink.objects.issue(customer or make_customer(), **fields)


def make_inquiry(link: StatusLink | None = None, batch: Batch | None = None, **fields: Any) -> Inquiry:
    """Something that a customer told us."""
    link = link or make_status_link()[0]
    defaults: dict[str, Any] = {"text": "Is my meeting of Friday recorded?", "told_at": clock.now()}
    return Inquiry.objects.create(link=link, customer=link.customer, batch=batch, **{**defaults, **fields})


def make_subscription(link: StatusLink, email: str, **fields: Any) -> Subscription:
    """That somebody asked for e-mails, and did not confirm it so far."""
    defaults: dict[str, Any] = {"language": "en", "asked_at": clock.now()}
    return Subscription.objects.create(link=link, email=email, **{**defaults, **fields})


def make_endpoint(workspace: Workspace, **fields: Any) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(workspace=workspace, **fields)


def make_webhook_secret(workspace: Workspace, secret: str = "", **fields: Any) -> WebhookSecret:
    secret = secret or "whsec_" + base64.b64encode(f"signing secret number {next(_number):010}".encode()).decode()
    return WebhookSecret.objects.create(workspace=workspace, secret=secret, **fields)


def make_delivery(endpoint: WebhookEndpoint, *, body: bytes = b'{"event": "bot.done"}', **fields: Any) -> Delivery:
    defaults: dict[str, Any] = {
        "workspace": endpoint.workspace,
        "delivery_id": f"msg_{next(_number)}",
        "received_at": clock.now(),
        "sent_at": clock.now(),
        "event": "bot.done",
        "subject": "bot-1",
        "state": Delivery.State.HANDLED,
    }
    return Delivery.objects.create(endpoint=endpoint, body=body, **{**defaults, **fields})


def make_refusal(endpoint: WebhookEndpoint, *, days_ago: int = 0, **fields: Any) -> WebhookRefusal:
    moment = clock.now() - timedelta(days=days_ago)
    defaults = {"cause": "unknown", "day": moment.date(), "first_at": moment, "last_at": moment}
    return WebhookRefusal.objects.create(endpoint=endpoint, **{**defaults, **fields})


def make_application(slug: str = "", *, workspaces: tuple[Workspace, ...] = (), **fields: Any) -> Application:
    slug = slug or f"application-{next(_number)}"
    url = "https://hooks.example/recall/in?token=token-of-the-application"
    application = Application.objects.create(slug=slug, **{"name": slug.capitalize(), "url": url, **fields})
    for workspace in workspaces:
        workspace.application = application
        workspace.save(update_fields=["application"])
    return application


def make_application_secret(application: Application, secret: str = "", **fields: Any) -> ApplicationSecret:
    secret = secret or "whsec_" + base64.b64encode(f"application secret no. {next(_number):010}".encode()).decode()
    return ApplicationSecret.objects.create(application=application, secret=secret, **fields)


def make_relayed(application: Application, delivery: Delivery, *, state: str = "waiting", **fields: Any) -> Relayed:
    of_calendar = delivery.event.startswith("calendar.")
    kind = "calendar:" if of_calendar else ""
    defaults: dict[str, Any] = {
        "lane": f"{delivery.workspace_id}:{kind}{delivery.subject}",
        "of_calendar": of_calendar,
        "due_at": clock.now(),
    }
    return Relayed.objects.create(application=application, delivery=delivery, state=state, **{**defaults, **fields})


def make_try(relayed: Relayed, **fields: Any) -> RelayAttempt:
    defaults: dict[str, Any] = {"at": clock.now(), "seconds": 0.25, "status": 500, "problem": "It answered 500."}
    return RelayAttempt.objects.create(relayed=relayed, **{**defaults, **fields})


def make_contact(customer: Customer, email: str = "", **fields: Any) -> CustomerContact:
    email = email or f"contact-{next(_number)}@{customer.slug}.example"
    return CustomerContact.objects.create(customer=customer, email=email, **fields)


def make_message(batch: Batch, customer: Customer | None = None, **fields: Any) -> Message:
    """An e-mail to a customer about a milestone of its own."""
    number = next(_number)
    notice = Notice.objects.create(
        batch=batch, customer=customer or make_customer(), milestone=Milestone.PLANNED, found_at=clock.now()
    )
    contact = make_contact(notice.customer, f"contact-{number}@customer.example")
    defaults: dict[str, Any] = {
        "contact": contact,
        "email": contact.email,
        "subject": f"Your calendars move ({number})",
        "text": "Hello,\n\nthey move.\n",
        "due_at": clock.now(),
    }
    return Message.objects.create(notice=notice, **{**defaults, **fields})


def make_channel(name: str = "", **fields: Any) -> AlertChannel:
    url = "https://hooks.example/services/T0/B0/token-of-the-channel"
    name = name or f"channel-{next(_number)}"
    return AlertChannel.objects.create(name=name, **{"url": url, "format": AlertChannel.Format.SLACK, **fields})


def make_alert(batch: Batch | None = None, *, channel: AlertChannel | None = None, state: str = "waiting") -> Alert:
    number = next(_number)
    alert = Alert.objects.create(
        kind=AlertKind.STOPPED, key=f"fact {number}", batch=batch, sentence="It stopped.", found_at=clock.now()
    )
    if channel is not None:
        AlertPost.objects.create(alert=alert, channel=channel, state=state)
    return alert


def make_report_key(label: str = "2026") -> ReportKey:
    return report_signing.make_key(label=label, actor=None)


def make_share_group(batch: Batch, *, items: tuple[Item, ...] = (), **fields: Any) -> ShareGroup:
    name = items[0].title if items else f"person-{next(_number)}@acme.example"
    group = ShareGroup.objects.create(batch=batch, **{"name": name, "calendars": len(items), **fields})
    Item.objects.filter(pk__in=[item.pk for item in items]).update(group=group)
    return group


def make_external(batch: Batch) -> Application:
    """Let the company's application schedule both workspaces of a batch."""
    application = make_application(workspaces=(batch.source, batch.target))
    Workspace.objects.filter(pk__in=[batch.source_id, batch.target_id]).update(scheduler="external")
    batch.handover.external = True
    batch.handover.save(update_fields=["external"])
    return application


def make_batch(
    slug: str = "",
    *,
    source: Workspace | None = None,
    target: Workspace | None = None,
    actor: Any = None,
    **fields: Any,
) -> Batch:
    """A batch between two workspaces; `fields` are written past `control`, as the engine would."""
    source = source or make_workspace(region=make_region("us-west-2"))
    target = target or make_workspace(region=make_region("eu-central-1"))
    batch = control.create_batch(slug=slug or f"batch-{next(_number)}", source=source, target=target, actor=actor)
    if fields:
        Batch.objects.filter(pk=batch.pk).update(**fields)
    return Batch.objects.select_related("source__region", "target__region", "handover").get(pk=batch.pk)


def make_item(
    batch: Batch, *, connection: Connection | None = None, status: str = ItemStatus.READY, **fields: Any
) -> Item:
    connection = connection or make_connection(batch.source)
    defaults: dict[str, Any] = {
        "kind": Item.Kind.CONNECTION,
        "source_id": connection.remote_id,
        "title": connection.calendar.email,
        "step": Step.RECREATE,
    }
    return Item.objects.create(batch=batch, connection=connection, status=status, **{**defaults, **fields})


def make_finding(batch: Batch, *, severity: str = Severity.WARNING, sentence: str = "", **fields: Any) -> Finding:
    number = next(_number)
    defaults: dict[str, Any] = {
        "code": f"check-{number}",
        "step": Step.PREFLIGHT,
        "sentence": sentence or f"Something number {number} is not as it should be.",
        "remedy": "Look at it.",
        "found_at": clock.now(),
    }
    return Finding.objects.create(batch=batch, severity=severity, **{**defaults, **fields})


def make_approval(batch: Batch | None = None, *, asked_by: User | None = None, **fields: Any) -> Approval:
    """A request to delete, of a batch whose workspaces want a second person."""
    batch = batch or make_batch(goal=Step.HAND_OVER, step=Step.HAND_OVER)
    Workspace.objects.filter(pk=batch.source_id).update(second_person=True)
    defaults: dict[str, Any] = {"step": Step.DELETE_OLD, "asked_at": clock.now(), "shown": control.digest(batch)}
    defaults |= {"expires_at": clock.now() + timedelta(hours=24), "sentences": ["Deletes 3 calendars in us."]}
    return Approval.objects.create(batch=batch, asked_by=asked_by or make_staff(), **{**defaults, **fields})


def make_reading(batch: Batch, moment: str, counts: dict[str, int]) -> CoverageReading:
    return CoverageReading.objects.create(
        batch=batch, moment=moment, at=clock.now(), total=sum(counts.values()), counts=counts
    )


def make_act(batch: Batch, *, actor: Any = None, action: str = "batch.goal") -> AuditEntry:
    return AuditEntry.objects.record(actor=actor, action=action, subject=batch, before="", after="preflight")
