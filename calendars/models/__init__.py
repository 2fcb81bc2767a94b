"""The world as it is."""

from __future__ import annotations

from calendars.models.api_token import ApiToken, Scope
from calendars.models.assignment import Assignment, Bot, Intent, Verdict
from calendars.models.calendar import (
    Calendar,
    Connection,
    ConnectionStatus,
    Customer,
    CustomerDomain,
    Handover,
    Platform,
)
from calendars.models.call import ProviderCall
from calendars.models.contact import CustomerContact
from calendars.models.driver import Driver
from calendars.models.event import Event, Occurrence, Sweep
from calendars.models.policy import BotProfile, RecordingChoice, RecordingPolicy, Which
from calendars.models.record import AuditEntry, AuditHead, IdMapping
from calendars.models.region import EndpointLimit, Provider, Region
from calendars.models.relay import Application, ApplicationSecret, RelayAttempt, Relayed
from calendars.models.webhook import Delivery, WebhookEndpoint, WebhookRefusal, WebhookSecret
from calendars.models.workspace import ApiKey, DedupScheme, OAuthClient, RateBudget, Scheduler, Workspace

__all__ = [
    "ApiKey",
    "ApiToken",
    "Application",
    "ApplicationSecret",
    "Assignment",
    "AuditEntry",
    "AuditHead",
    "Bot",
    "BotProfile",
    "Calendar",
    "Connection",
    "ConnectionStatus",
    "Customer",
    "CustomerContact",
    "CustomerDomain",
    "DedupScheme",
    "Delivery",
    "Driver",
    "EndpointLimit",
    "Event",
    "Handover",
    "IdMapping",
    "Intent",
    "OAuthClient",
    "Occurrence",
    "Platform",
    "Provider",
    "ProviderCall",
    "RateBudget",
    "RecordingChoice",
    "RecordingPolicy",
    "Region",
    "RelayAttempt",
    "Relayed",
    "Scheduler",
    "Scope",
    "Sweep",
    "Verdict",
    "WebhookEndpoint",
    "WebhookRefusal",
    "WebhookSecret",
    "Which",
    "Workspace",
]
