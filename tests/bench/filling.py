"""A database filled for measuring, with the one person of staff who looks at it."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from migrations_app import scale
from migrations_app.models import Batch

STAFF = "bench"


def fill(calendars: int, *, events: int = scale.EVENTS) -> Batch:
    """Replace all rows by a batch of so many calendars with so many events each, ready to be handed over."""
    empty()
    staff = get_user_model().objects.create_superuser(username=STAFF, email="bench@acme.example", password=None)
    return scale.fill(calendars, events=events, by=staff)


def empty() -> None:
    """Remove all rows but those that migrations bring."""
    scale.empty()
    get_user_model().objects.filter(username=STAFF).delete()
