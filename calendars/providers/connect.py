"""From a workspace's row to a client: the only place that opens an API key."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import QuerySet

from calendars.models import ApiKey, Workspace
from calendars.providers import errors, recording
from calendars.providers.calls import Timeouts
from calendars.providers.limits import Budget
from calendars.providers.recall import RecallClient
from recallops import clock
from recallops.prepared import Given, prepared

if TYPE_CHECKING:
    from calendars.providers.http import Transport

NO_KEY = "{workspace} has no enabled API key. Add one on the workspace's page, or with manage.py add_workspace."

_transport: Transport | None = None


def use_transport(transport: Transport | None) -> None:
    """Send every call through another door: tests and simulation."""
    global _transport
    _transport = transport
    recording.forget()
    _client.cache_clear()


def timeouts() -> Timeouts:
    """Return the time-outs of every call, from settings."""
    return Timeouts(read=settings.PROVIDER_TIMEOUT)


def client_for(workspace: Workspace, *, max_wait: float = 5.0) -> RecallClient:
    """Return a client for a workspace, by its newest enabled key. Raises errors.InvalidKey when it has none."""
    newest = _keys(limit=1, workspace=workspace.pk)
    if not newest:
        raise errors.InvalidKey(NO_KEY.format(workspace=workspace))
    return _client(workspace.pk, workspace.region.base_url, *newest[0]).with_options(max_wait=max_wait)


@prepared
def _keys() -> QuerySet[ApiKey, tuple[int, str]]:
    keys = ApiKey.objects.filter(workspace=Given("workspace"), enabled=True).order_by("-created_at", "-pk")
    return keys.values_list("pk", "fingerprint")


@lru_cache(maxsize=64)
def _client(workspace_id: int, base_url: str, key: int, fingerprint: str) -> RecallClient:
    """Make a client by a key, which is opened once; another secret has another fingerprint."""
    return RecallClient(
        base_url=base_url,
        api_key=ApiKey.objects.get(pk=key, fingerprint=fingerprint).secret,
        budget=Budget(workspace_id),
        transport=_transport,
        timeouts=timeouts(),
        on_call=partial(recording.note, workspace_id),
    )


def test_key(key: ApiKey) -> str:
    """Try a key against its region, store when and with which result, and return the sentence for staff."""
    client = RecallClient(
        base_url=key.workspace.region.base_url,
        api_key=key.secret,
        budget=Budget(key.workspace_id),
        transport=_transport,
        timeouts=timeouts(),
        on_call=partial(recording.note, key.workspace_id),
    )
    try:
        probe = client.probe()
    except errors.ProviderError as error:
        sentence = error.sentence
        passed = False
    else:
        passed = True
        Workspace.objects.filter(pk=key.workspace_id).update(trouble="")
        sentence = f"The key opens {key.workspace.region}."
        if probe.out_of_credit:
            sentence = f"The key opens {key.workspace.region}, but the workspace has no credit."
    recording.write()
    ApiKey.objects.filter(pk=key.pk).update(tested_at=clock.now(), test_result=sentence[:400], test_passed=passed)
    return sentence
