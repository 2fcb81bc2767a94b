"""From an answer that is no success to the error that says what it means and what to do.

The shapes are the provider's: `{code, detail}`, a map of fields, an envelope with `errors`, or a web page.
Pure: takes what came, returns the exception to raise.
"""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from calendars.providers import errors
from calendars.providers.recall_endpoints import DELETE_BOT
from calendars.providers.redaction import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_DATA = object()  # the body was no JSON

# What to wait when the provider does not say; and never longer than this, whatever it says.
UNTOLD_THROTTLE = timedelta(seconds=10)
UNTOLD_NO_BOTS = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)

_CREDENTIAL_CODES = {"bad_refresh_token", "no_oauth_credentials"}
_TAG = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is no success."""

    provider: str
    endpoint: str
    status: int
    data: Any  # NO_DATA when the body is no JSON
    text: str
    retry_after: timedelta | None
    request_id: str
    is_write: bool
    secrets: Sequence[str] = field(default=(), repr=False)


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Return what a Retry-After header asks to wait, in seconds or as a date; `now` is the answer's own Date if any."""
    if not value:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", value):
        wait = timedelta(seconds=min(float(value), LONGEST_WAIT.total_seconds()))
    else:
        until = parse_http_date(value)
        if until is None:
            return None
        wait = until - now
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def parse_http_date(value: str | None) -> datetime | None:
    """Return the time of a Date header in UTC; None when it is missing or no date."""
    if not value:
        return None
    try:
        parsed = email.utils.parsedate_to_datetime(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def refusal(refused: Refused) -> errors.ProviderError:
    """Return the error that this answer means."""
    status, who = refused.status, refused.provider
    code = _code(refused)
    said = _said(refused)
    call = f"{refused.endpoint} answered {status}"

    def make(
        which: type[errors.ProviderError], sentence: str, /, *, wait: timedelta | None = None, **more: Any
    ) -> errors.ProviderError:
        return which(
            f"{sentence}{said}",
            status=status,
            code=code,
            request_id=refused.request_id,
            retry_after=refused.retry_after if wait is None else wait,
            endpoint=refused.endpoint,
            **more,
        )

    if status == 401:
        return make(
            errors.InvalidKey,
            f"{who} does not accept the API key in this region (401). The key may have been revoked, or it belongs to "
            "another region: every region has keys of its own, and the answer is the same for both. Check the "
            "workspace's region, or enter a key made in that region's dashboard.",
        )
    if status == 402:
        return make(
            errors.PaymentRequired,
            f"The {who} workspace has no credit left (402). The key is good; add credit in the dashboard, then retry.",
        )
    if status == 403:
        return make(
            errors.Blocked,
            f"{who} blocked the request (403). Its firewall refuses payloads with a localhost address and senders of "
            "ill repute; a key without the permission is refused, too. Look into what was sent, or ask the provider.",
        )
    if status == 404:
        return _not_found(refused, make)
    if code == "cannot_delete_bot" or (status == 405 and refused.endpoint == DELETE_BOT):
        return make(
            errors.BotAlreadyJoined,
            f"The bot is joining its meeting or has joined it ({status}): it can no longer be deleted, only asked to "
            "leave.",
        )
    if status == 405:
        return make(errors.MethodRefused, f"{call}: this cannot be done with it, or not any more.")
    if status == 409:
        return make(
            errors.Conflict,
            f"{call}: another call was working on the same thing at the same moment. It is tried again a little later.",
        )
    if status == 429:
        error = make(
            errors.Throttled,
            f"{call}: too many calls. All calls to it wait until {who} allows more.",
            wait=UNTOLD_THROTTLE if refused.retry_after is None else refused.retry_after,
        )
        assert isinstance(error, errors.Throttled)  # noqa: S101 - for the type checker
        error.told = refused.retry_after is not None
        return error
    if status == 507:
        return make(
            errors.NoBotsAvailable,
            f"{who} has no free bot for a meeting so near (507). It is tried again every half minute or as told.",
            wait=UNTOLD_NO_BOTS if refused.retry_after is None else refused.retry_after,
        )
    if status == 408 or status >= 500:
        return make(
            errors.Unavailable,
            f"{call}: {who} has trouble or is under load. It is tried again later.",
            may_have_happened=refused.is_write,
        )
    if status < 400:
        return make(
            errors.BadAnswer,
            f"{call} and points to another address. Redirects are not followed, the key would go along. Check the base "
            "URL of the region.",
            kind=errors.ErrorKind.CONFIGURATION,
            may_have_happened=False,
        )
    return _invalid(refused, code=code, make=make)


def _not_found(refused: Refused, make: Any) -> errors.ProviderError:
    if isinstance(refused.data, dict):
        found: errors.ProviderError = make(
            errors.NotFound, f"{refused.provider} knows no such thing in this workspace (404, {refused.endpoint})."
        )
        return found
    # A path that does not exist is answered by a web page. Taking that for "it is gone" would be a blind delete.
    page: errors.ProviderError = make(
        errors.BadAnswer,
        f"{refused.endpoint} answered 404 with a page that is not {refused.provider}'s own. Nothing follows from it "
        "about the thing that was asked for. Check the base URL of the region.",
        kind=errors.ErrorKind.CONFIGURATION,
    )
    return page


def _invalid(refused: Refused, *, code: str, make: Any) -> errors.ProviderError:
    fields = _fields(refused)
    everything = " ".join([_words(refused.data), *(word for words in fields.values() for word in words)]).lower()
    error: errors.InvalidRequest
    if "event has ended" in everything:
        error = make(errors.EventEnded, "The calendar event is over, no bot can be scheduled for it any more.")
    elif code in _CREDENTIAL_CODES:
        error = make(
            errors.CredentialRefused,
            "The calendar's own grant at Google or Microsoft does not work (any more). The person must connect again.",
        )
    else:
        error = make(
            errors.InvalidRequest,
            f"{refused.provider} refused what was sent ({refused.status}, {refused.endpoint}). Trying again does not "
            "help.",
        )
    error.fields = fields
    return error


def _code(refused: Refused) -> str:
    data = refused.data
    code = data.get("code") if isinstance(data, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", code) else ""


def _said(refused: Refused) -> str:
    """The provider's words as a last sentence: detail, else message with errors, else fields, else the page's text."""
    if refused.data is NO_DATA:
        words = _TAG.sub(" ", refused.text)
    else:
        words = _words(refused.data)
        fields = "; ".join(f"{name}: {' '.join(found)}" for name, found in _fields(refused).items())
        words = " ".join(part for part in (words, fields) if part)
    words = quote(words, secrets=refused.secrets)
    return f" {refused.provider} says: “{words}”" if words else ""


def _words(data: Any) -> str:
    if isinstance(data, dict):
        for name in ("detail", "message"):
            if isinstance(data.get(name), str):
                return str(data[name])
        return ""
    return data if isinstance(data, str) else ""


def _fields(refused: Refused) -> Mapping[str, tuple[str, ...]]:
    """Errors by field, from the envelope's `errors` or from a map of fields; cleaned and bounded."""
    data = refused.data
    if not isinstance(data, dict):
        return {}
    found = data.get("errors")
    if not isinstance(found, dict):
        found = {name: value for name, value in data.items() if isinstance(value, list)}
    fields = {}
    for name, value in list(found.items())[:20]:
        texts = value if isinstance(value, list) else [value]
        words = [quote(text, secrets=refused.secrets) for text in texts[:5] if isinstance(text, str)]
        if words:
            fields[quote(name, secrets=refused.secrets, limit=64)] = tuple(words)
    return fields
