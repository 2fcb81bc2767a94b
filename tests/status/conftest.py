"""A moment that stands still, and two customers in the middle of one move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from calendars.models import Customer, Verdict
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, ErrorKind, ItemStatus
from recallops import clock
from tests.admin import builders as make
from tests.admin.builders import NOON

RAW = "invalid_grant 7f3a: Token has been expired or revoked (recall-req-991)"


@pytest.fixture(autouse=True)
def time_stands_still() -> Iterator[clock.ManualClock]:
    moment = clock.ManualClock(NOON)
    with clock.use(moment):
        yield moment


@dataclass
class Company:
    """A batch that is handing over, and whose calendars are in it."""

    batch: Batch
    northwind: Customer
    southwind: Customer


@pytest.fixture
def company(db: None) -> Company:
    """Four calendars of Northwind in four states, two of Southwind, and a meeting that one of each shares."""
    staff = make.make_staff("olga.of.support")
    batch = make.make_batch(
        "secret-project-tango", actor=staff, goal=Step.DELETE_OLD, step=Step.HAND_OVER, status=BatchStatus.RUNNING,
        started_at=NOON - timedelta(hours=3), predicted_seconds=3600.0,
    )  # fmt: skip
    customers = [make.make_customer(name, domain=f"{name.lower()}.example") for name in ("Northwind", "Southwind")]
    states = (
        (ItemStatus.DONE, Step.DELETE_OLD, ErrorKind.NONE),
        (ItemStatus.WAITING, Step.HAND_OVER, ErrorKind.NONE),
        (ItemStatus.USER, Step.RECREATE, ErrorKind.CUSTOMER),
        (ItemStatus.FAILED, Step.VERIFY, ErrorKind.PERMANENT),
    )
    shared = make.make_assignment(batch.source, start=NOON + timedelta(hours=2))
    for customer, some in zip(customers, (states, states[:2]), strict=True):
        for number, (status, step, kind) in enumerate(some):
            email = f"person-{number}@{customer.name.lower()}.example"
            calendar = make.make_calendar(customer, email=email, family=batch.source.family)
            connection = make.make_connection(batch.source, calendar)
            make.make_item(batch, connection=connection, status=status, step=step, error_kind=kind, reason=RAW)
            start = NOON + timedelta(hours=3 + number)
            verdict = Verdict.MISSED if number == 1 else Verdict.SOURCE
            alone = make.make_assignment(batch.source, calendars=(calendar,), start=start, verdict=verdict)
            make.make_event(connection, occurrence=alone.occurrences.get(), title=f"Plan of {customer.name}")
            if number == 0:
                make.make_occurrence(calendar, assignment=shared)
    return Company(batch, *customers)
