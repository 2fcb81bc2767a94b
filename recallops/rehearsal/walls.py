"""Walls round the process that plays: whatever is called in it, no connection goes out.

The database's client library is no part of Python and is not stopped; everything else that connects is.
"""

from __future__ import annotations

import sys
from typing import Any

OUTSIDE = "A rehearsal speaks with nobody: a connection was refused."


class OutsideError(Exception):
    """Something in a rehearsal wanted to speak with somebody."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        raise OutsideError(OUTSIDE)


def raise_walls() -> None:
    """Refuse every connection from now to the end of this process; there is no way to take it back."""
    sys.addaudithook(_refuse)
