"""What a step says after it ran: done, or why not, and whose turn it is. Pure values."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from calendars.providers import errors
from migrations_app.itineraries import Step
from migrations_app.models import ErrorKind
from recallops import clock

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
MOST_ATTEMPTS = 40  # of one step with passing errors in a row; then a person looks


class How(StrEnum):
    """The kinds of outcome."""

    DONE = "done"
    WAIT = "wait"
    USER = "user"
    FAILED = "failed"
    NOT_MOVABLE = "not_movable"
    STOP = "stop"  # the whole batch


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended, with a sentence for people."""

    how: How
    reason: str = ""
    due_at: datetime | None = None
    kind: ErrorKind = ErrorKind.NONE
    passing: bool = False  # an error that is likely to pass: counted, tried again
    anew: Step | None = None  # the step from which a retry begins


DONE = Outcome(How.DONE)


def wait(reason: str, until: datetime) -> Outcome:
    """Wait for something, with its reason and a domain time to look again."""
    return Outcome(How.WAIT, reason, until)


def user(reason: str, kind: ErrorKind = ErrorKind.CUSTOMER) -> Outcome:
    """Wait for a person."""
    return Outcome(How.USER, reason, kind=kind)


def failed(reason: str, kind: ErrorKind = ErrorKind.PERMANENT, *, anew: Step | None = None) -> Outcome:
    """Give up until somebody presses retry, which begins with the same step, or with an earlier one."""
    return Outcome(How.FAILED, reason, kind=kind, anew=anew)


def not_movable(reason: str) -> Outcome:
    """Say that this can never be moved by us."""
    return Outcome(How.NOT_MOVABLE, reason, kind=ErrorKind.CUSTOMER)


def stop(reason: str) -> Outcome:
    """Stop the whole batch: going on would fail for every item in the same way."""
    return Outcome(How.STOP, reason, kind=ErrorKind.CONFIGURATION)


def after_error(error: errors.ProviderError, *, attempts: int) -> Outcome:
    """Return what a provider's error means for the step that met it."""
    now = clock.now()
    if isinstance(error, errors.InvalidKey | errors.Blocked | errors.PaymentRequired):
        return stop(error.sentence)
    if isinstance(error, errors.BudgetBusy):
        return Outcome(How.WAIT, error.sentence, now + timedelta(seconds=error.wait * clock.speed()))
    # a balancer under repair answers web pages, too: what came through to nobody is tried again
    if error.kind == errors.ErrorKind.TEMPORARY or isinstance(error, errors.BadAnswer | errors.Unreachable):
        if attempts >= MOST_ATTEMPTS:
            return failed(f"Given up after {attempts} tries: {error.sentence}", ErrorKind.TEMPORARY)
        backoff = min(FIRST_RETRY * 2 ** min(attempts, 10), LONGEST_RETRY) * random.uniform(0.5, 1.5)
        until = now + (error.retry_after or backoff)
        return Outcome(How.WAIT, error.sentence, until, ErrorKind.TEMPORARY, passing=True)
    if error.kind == errors.ErrorKind.CUSTOMER:
        return user(error.sentence)
    return failed(error.sentence, ErrorKind(error.kind.value))
