"""Starts the keeper of the rehearsal that is next: a process of its own, which dies with the workers' parent."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

from migrations_app import rehearsals
from recallops import orphans

_keeper: subprocess.Popen[bytes] | None = None


def pump() -> int:
    """Start the next rehearsal, if there is one and none runs; return how many were started."""
    global _keeper
    if _keeper is not None and _keeper.poll() is None:
        return 0
    _keeper = None
    pk = rehearsals.waiting()
    if pk is None:
        return 0
    _keeper = subprocess.Popen(  # noqa: S603 (our own words)
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "rehearse", str(pk)],
        env=orphans.watched_environment(),
        start_new_session=True,
    )
    return 1
