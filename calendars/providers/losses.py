"""Errors for calls without a usable answer: not sent, not answered, or answered with something that cannot be used.

For a write the difference between "not sent" and "not answered" is the whole matter: what was not answered may have
been carried out.
"""

from __future__ import annotations

from dataclasses import dataclass

from calendars.providers import errors
from calendars.providers.errors import ErrorKind


@dataclass(frozen=True, slots=True)
class Attempted:
    """The call that went wrong."""

    provider: str
    host: str
    method: str
    endpoint: str

    @property
    def is_write(self) -> bool:
        """Tell whether it could have changed something."""
        return self.method != "GET"


def no_connection(call: Attempted) -> errors.ProviderError:
    """Nobody answered at that address."""
    return errors.Unreachable(
        f"No connection to {call.host} could be made; nothing was sent. It is tried again later.",
        endpoint=call.endpoint,
    )


def no_free_connection(call: Attempted) -> errors.ProviderError:
    """All our own connections are in use."""
    return errors.Unreachable(
        f"All connections to {call.host} are in use; nothing was sent. It is tried again later.", endpoint=call.endpoint
    )


def bad_certificate(call: Attempted) -> errors.ProviderError:
    """Who answers there cannot prove who it is."""
    return errors.Unreachable(
        f"{call.host} did not prove who it is: its certificate is not valid here. Nothing was sent. Check the region's "
        "base URL and the certificates of this machine.",
        kind=ErrorKind.CONFIGURATION,
        endpoint=call.endpoint,
    )


def not_sendable(call: Attempted) -> errors.ProviderError:
    """The request itself is no HTTP."""
    return errors.ProviderError(
        f"The request {call.endpoint} could not be written as HTTP; nothing was sent. RecallOps must be repaired.",
        kind=ErrorKind.OURS,
        endpoint=call.endpoint,
    )


def no_answer(call: Attempted, *, in_time: bool) -> errors.ProviderError:
    """It was sent, wholly or in part, and no answer came. `in_time`: the connection broke before the time was over."""
    happened = "broke the connection off" if in_time else "did not answer in time"
    if call.is_write:
        return _unknown(call, happened, status=None)
    return errors.Unavailable(
        f"{call.provider} {happened} ({call.endpoint}). It is tried again later.", endpoint=call.endpoint
    )


def unusable(call: Attempted, why: str, *, status: int, request_id: str) -> errors.ProviderError:
    """The status says success and the body is worth nothing; `why` finishes “the answer ...”."""
    if call.is_write:
        return _unknown(call, f"gave an answer that {why}", status=status)
    is_page = "web page" in why
    advice = "Check the base URL of the region." if is_page else "It is tried again later."
    return errors.BadAnswer(
        f"The answer of {call.endpoint} ({status}) {why}. {advice}",
        kind=ErrorKind.CONFIGURATION if is_page else ErrorKind.TEMPORARY,
        status=status,
        request_id=request_id,
        endpoint=call.endpoint,
    )


def _unknown(call: Attempted, happened: str, *, status: int | None) -> errors.ProviderError:
    return errors.OutcomeUnknown(
        f"{call.provider} {happened} after {call.endpoint} was sent: it may have been carried out, now or in a moment. "
        "It is settled by reading, not by sending it again.",
        status=status,
        endpoint=call.endpoint,
        may_have_happened=True,
    )
