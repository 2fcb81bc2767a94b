"""The move's own rows."""

from __future__ import annotations

from migrations_app.models.alert import Alert, AlertChannel, AlertKind, AlertPost
from migrations_app.models.approval import Approval
from migrations_app.models.batch import (
    Batch,
    BatchStatus,
    CoverageReading,
    ErrorKind,
    Finding,
    Item,
    ItemStatus,
    Severity,
)
from migrations_app.models.consent import Consent
from migrations_app.models.draft import BatchDraft
from migrations_app.models.inquiry import Inquiry
from migrations_app.models.message import MailTemplate, Message, Milestone, Notice
from migrations_app.models.preflight import Check, PreflightCheck
from migrations_app.models.rehearsal import Rehearsal, RehearsalState
from migrations_app.models.report_key import ReportKey
from migrations_app.models.selection import SearchBy, SelectedCalendar, Selection
from migrations_app.models.share_group import ShareGroup
from migrations_app.models.status_link import StatusLink, StatusVisit
from migrations_app.models.step_record import StepRecord
from migrations_app.models.subscription import Subscription

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertKind",
    "AlertPost",
    "Approval",
    "Batch",
    "BatchDraft",
    "BatchStatus",
    "Check",
    "Consent",
    "CoverageReading",
    "ErrorKind",
    "Finding",
    "Inquiry",
    "Item",
    "ItemStatus",
    "MailTemplate",
    "Message",
    "Milestone",
    "Notice",
    "PreflightCheck",
    "Rehearsal",
    "RehearsalState",
    "ReportKey",
    "SearchBy",
    "SelectedCalendar",
    "Selection",
    "Severity",
    "ShareGroup",
    "StatusLink",
    "StatusVisit",
    "StepRecord",
    "Subscription",
]
