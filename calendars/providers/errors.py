"""What can go wrong between us and a provider, as one family of exceptions.

Each error carries a sentence that staff can act on, and a kind that says who has to do something. What a provider
wrote is quoted inside the sentence, cleaned and shortened; a secret never is. Who catches one of these asks two things:

- `kind`: try again later, give up, repair the configuration, ask the customer, or repair RecallOps;
- `may_have_happened`: the request may have been carried out although we saw no success, so read before writing again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class ErrorKind(StrEnum):
    """Who has to do something about an error."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    CONFIGURATION = "configuration"
    CUSTOMER = "customer"
    OURS = "ours"

    @property
    def label(self) -> str:
        """Return the words that staff see."""
        return _LABELS[self]

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        """Return pairs for a model field or a filter."""
        return [(kind.value, kind.label) for kind in cls]


_LABELS = {
    ErrorKind.TEMPORARY: "temporary: tried again",
    ErrorKind.PERMANENT: "permanent: trying again does not help",
    ErrorKind.CONFIGURATION: "configuration: staff must change something",
    ErrorKind.CUSTOMER: "needs the customer",
    ErrorKind.OURS: "ours: RecallOps must be repaired",
}


class ProviderError(Exception):
    """A call to a provider did not give what it should.

    `retry_after` is domain time: what the provider asked us to wait, or what is usual for this error.
    """

    default_kind = ErrorKind.TEMPORARY

    def __init__(
        self,
        sentence: str,
        *,
        kind: ErrorKind | None = None,
        status: int | None = None,
        code: str = "",
        request_id: str = "",
        retry_after: timedelta | None = None,
        endpoint: str = "",
        may_have_happened: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.kind = kind or self.default_kind
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.endpoint = endpoint
        self.may_have_happened = may_have_happened

    def __str__(self) -> str:
        return self.sentence


class InvalidKey(ProviderError):
    """401: the key is revoked, mistyped, or belongs to another region; the provider does not say which."""

    default_kind = ErrorKind.CONFIGURATION


class Blocked(ProviderError):
    """403: the provider's firewall, or a missing permission, refused the request."""

    default_kind = ErrorKind.CONFIGURATION


class PaymentRequired(ProviderError):
    """402: the workspace has no credit. The key itself is good."""

    default_kind = ErrorKind.CONFIGURATION


class NotFound(ProviderError):
    """404 in the provider's own form: there is no such thing in this workspace."""

    default_kind = ErrorKind.PERMANENT


class MethodRefused(ProviderError):
    """405: this cannot be done with it (any more)."""

    default_kind = ErrorKind.PERMANENT


class BotAlreadyJoined(MethodRefused):
    """The bot is joining or has joined: it cannot be deleted, only asked to leave."""


class Conflict(ProviderError):
    """409: another call works on the same thing. Try again, each time later."""


class Throttled(ProviderError):
    """429: too many calls. `retry_after` is always set; `told` says whether the provider named it."""

    told: bool = True


class NoBotsAvailable(ProviderError):
    """507: no ad-hoc bot is free. Try again as told, with a fresh idempotency key. Nothing was done."""


class InvalidRequest(ProviderError):
    """400 and the like: the provider refuses what was sent. `fields` has its words by field."""

    default_kind = ErrorKind.PERMANENT
    fields: Mapping[str, tuple[str, ...]] = {}


class EventEnded(InvalidRequest):
    """No bot can be scheduled, the calendar event is over."""


class CredentialRefused(InvalidRequest):
    """The person's own grant at Google or Microsoft does not work (any more): they must connect again."""

    default_kind = ErrorKind.CUSTOMER


class Unavailable(ProviderError):
    """5xx, or a read whose answer did not come: the provider has trouble. Try again later."""


class Unreachable(ProviderError):
    """No connection could be made; nothing was sent."""


class OutcomeUnknown(ProviderError):
    """A write was sent and its answer was lost. It may be carried out, even a little later: read, then decide."""


class BadAnswer(ProviderError):
    """What came back is not what the provider documents: a web page, half an answer, too large, or not readable."""


class ForeignHost(ProviderError):
    """A list says that it goes on somewhere else than at this provider. The key was not sent there."""

    default_kind = ErrorKind.PERMANENT


class BudgetBusy(ProviderError):
    """No call was made: the rate budget is taken for the next `wait` seconds of machine time."""

    def __init__(self, wait: float, *, endpoint: str = "") -> None:
        super().__init__(f"The rate budget of {endpoint or 'this call'} is taken for {wait:.0f} s.", endpoint=endpoint)
        self.args = (wait,)
        self.wait = wait
