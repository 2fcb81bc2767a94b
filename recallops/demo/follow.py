"""Follows a demo that another process runs, until it has its proof."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, connections

from recallops.demo.display import display, say
from recallops.demo.progress import look
from recallops.demo.proof import Proof
from recallops.demo.run import Demo
from recallops.demo.setting_up import BATCH

if TYPE_CHECKING:
    from recallops.demo.place import Place


def follow(place: Place) -> int:
    """Show a running demo's progress, then its proof; return the exit code that it deserves."""
    say(f"Admin: {place.kept().get('url', '')} (login in {place.secrets_file})")
    try:
        with display() as screen:
            while place.kept().get("phase") == "moving":
                if place.holder() is None:
                    break
                try:
                    snapshot = look(BATCH)
                except (DatabaseError, InterfaceError):
                    connections.close_all()
                else:
                    if snapshot is not None:
                        screen.show(snapshot, jumps=None)
                time.sleep(screen.every)
    except KeyboardInterrupt:
        return 130
    finally:
        connections.close_all()
    if place.kept().get("phase") != "proven":
        say("The demo ended without a proof. `make demo` goes on with it.")
        return 1
    return Demo.tell(Proof(**json.loads(place.proof_file.read_text())))
