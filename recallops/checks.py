"""System checks: settings that are each well formed, but cannot work, or not together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from recallops import clock, encryption


@register(Tags.security)
def keys_open(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Every key in ENCRYPTION_KEYS is one."""
    try:
        encryption.box()
    except ImproperlyConfigured as error:
        hint = 'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        return [Error(str(error), hint=hint, id="recallops.E001")]
    return []


@register
def times_fit(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Leases outlast calls, and the guard outlasts heartbeats."""
    found: list[CheckMessage] = []
    if settings.LEASE_SECONDS <= settings.PROVIDER_TIMEOUT:
        says = f"LEASE_SECONDS ({settings.LEASE_SECONDS:g}) must be more than PROVIDER_TIMEOUT"
        hint = "A worker makes no call that its lease may not outlast, so it would make none."
        found.append(Error(f"{says} ({settings.PROVIDER_TIMEOUT:g}).", hint=hint, id="recallops.E002"))
    if settings.HEARTBEAT_STALE_SECONDS <= 2 * settings.HEARTBEAT_SECONDS:
        says = f"HEARTBEAT_STALE_SECONDS ({settings.HEARTBEAT_STALE_SECONDS:g}) must be more than twice"
        hint = "Else workers are taken for hung between two heartbeats."
        found.append(
            Error(f"{says} HEARTBEAT_SECONDS ({settings.HEARTBEAT_SECONDS:g}).", hint=hint, id="recallops.E003")
        )
    if settings.HEARTBEAT_LOST_SECONDS < settings.HEARTBEAT_STALE_SECONDS:
        says = f"HEARTBEAT_LOST_SECONDS ({settings.HEARTBEAT_LOST_SECONDS:g}) must not be less than"
        found.append(
            Error(f"{says} HEARTBEAT_STALE_SECONDS ({settings.HEARTBEAT_STALE_SECONDS:g}).", id="recallops.E004")
        )
    return found


@register
def callables_exist(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """What the workers and the health page call is there."""
    found: list[CheckMessage] = []
    for setting in ("PUMPS", "LAST_PROGRESS", "OLDEST_DUE"):
        value = getattr(settings, setting)
        for path in [value] if isinstance(value, str) else value:
            try:
                import_string(path)
            except ImportError as error:
                found.append(Error(f"{setting} names {path}, which cannot be imported: {error}", id="recallops.E005"))
    return found


@register
def clock_file_is_readable(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """The file of the domain clock is one."""
    if not settings.CLOCK_FILE:
        return []
    try:
        clock.FileClock(settings.CLOCK_FILE).now()
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        says = f"RECALLOPS_CLOCK_FILE names {settings.CLOCK_FILE}, which is no clock: {error}"
        return [Error(says, hint="Unset it: domain time is then the wall's.", id="recallops.E006")]
    return []


@register
def data_folder_is_writable(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """The data folder can be written to, or made."""
    folder: Path = settings.DATA_DIR
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    says = f"The data folder {folder} cannot be written to."
    return [Error(says, hint="Choose another one with RECALLOPS_DATA_DIR.", id="recallops.E007")]


@register(Tags.security, deploy=True)
def fit_for_production(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Nothing of a development installation, a demo or a rehearsal is left."""
    found: list[CheckMessage] = []
    if settings.DEVELOPMENT:
        says = "This is an installation for development: its keys are made up, and it does not ask for https."
        found.append(Warning(says, hint="Set DATABASE_URL, and DEBUG to false.", id="recallops.W001"))
    if settings.CLOCK_FILE:
        says = "RECALLOPS_CLOCK_FILE is set: domain time is not the wall's, and real meetings would be missed."
        found.append(Warning(says, hint="Unset it.", id="recallops.W002"))
    return found
