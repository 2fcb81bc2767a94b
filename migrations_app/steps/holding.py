"""Whether a step still may write: its item is leased to it, and still at the step that is running."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from calendars.leases import MachineNow
from migrations_app.models import Item

SOMEBODY_ELSE = "Somebody else goes on with it."


def still_held(item: Item) -> bool:
    """Prolong the item's lease directly before a call that writes; return whether it was still ours.

    A worker that slept until somebody else took over, or whose item was sent back meanwhile, must not delete or make
    anything.
    """
    held = Item.objects.filter(pk=item.pk, step=item.step, lease_token=item.lease_token).exclude(lease_token=None)
    return bool(held.update(lease_until=MachineNow() + timedelta(seconds=settings.LEASE_SECONDS)))
