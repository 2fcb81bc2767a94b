"""A pass of reconcile ends in time, whatever there is to write: its driver is a task, and tasks have a time-out."""

from __future__ import annotations

import pytest
from django.conf import settings

from calendars import drivers
from calendars.models import Assignment, Intent
from calendars.providers.calls import Timeouts
from calendars.scheduling import reconcile
from migrations_app.itineraries import Step
from tests.harness import quick

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_pass_has_no_time_for_is_left_to_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    move = quick()
    move.allow(Step.VERIFY)
    move.run()
    move.allow(Step.HAND_OVER)
    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "PASS_SECONDS", -1.0)
        with pytest.raises(AssertionError, match="never at rest"):
            move.run()
    assert not Intent.objects.exclude(assignment=None).exists(), "nothing was written"
    assert Assignment.objects.filter(due_at__lte=move.time.now()).exists(), "it is due at once"
    move.run()
    assert not Assignment.objects.filter(over=False, both=True).exists()


def test_a_driver_ends_before_the_queue_gives_it_up() -> None:
    longest = max(map(drivers.longest, range(settings.DRIVERS))) + reconcile.PASS_SECONDS + Timeouts().worst_write
    assert longest < settings.Q_CLUSTER["timeout"]
