"""Ctrl-C and its like: an exception where that is safe, a note where it is not, and a hint to hurry at the end."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody wants the demo to end."""


class Signals:
    """Takes the signals that end a program while it is in use."""

    def __init__(self) -> None:
        self.came = False
        self.hurry = False
        self._held = 0
        self._ending = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals; give them back at the end."""
        before = {number: signal.signal(number, self._handle) for number in NUMBERS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raise nothing in here, but at its end: what is begun inside must be written down."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self.came and not self._held and not self._ending:
            raise Interrupted

    def ending(self) -> None:
        """Raise nothing any more; one more signal means: hurry."""
        self._ending = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.hurry = self._ending
        self.came = True
        if not self._held and not self._ending:
            raise Interrupted
