"""The way to the sandbox: what goes over it is kept, and trouble strikes there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from django.db import connection

from tests.harness import Door
from tests.simulation.watch import Watch

if TYPE_CHECKING:
    from tests.simulation.play import Play

MOST_CALLS = 90  # for each calendar and each meeting; ten are usual, thirty where lists have short pages


@dataclass(slots=True)
class Logged:
    """One call as it went out and came back."""

    number: int
    at: datetime
    host: str
    method: str
    path: str
    query: str
    body: str
    status: str = "on its way"

    def __str__(self) -> str:
        return f"{self.number} {self.at:%d %H:%M:%S.%f} {self.host[:2]} {self.method} {self.path} {self.status}"


class SkewedClock:
    """The provider's clock: the world's time, some seconds ahead of ours or behind."""

    def __init__(self, ours: Any, seconds: float) -> None:
        self.ours, self.skew = ours, timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Return the provider's time."""
        return self.at

    @property
    def at(self) -> datetime:
        """Return the provider's time; looking at it makes it no later."""
        found: datetime = self.ours.at + self.skew
        return found

    @at.setter
    def at(self, moment: datetime) -> None:
        self.ours.at = moment - self.skew


class Wire(Door):
    """The way to the sandbox: keeps the log, and lets trouble strike at calls."""

    def __init__(self, play: Play) -> None:
        super().__init__(play.world)
        self.play = play
        self.watch = Watch(play)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one call, with whatever is to happen before and after it."""
        play = self.play
        self.calls += 1
        number = self.calls
        url = request.url
        logged = Logged(
            number, play.time.at, url.host, request.method, url.path, url.query.decode(), request.read().decode()
        )
        play.course.log.append(logged)
        most = MOST_CALLS * (len(play.scenario.people) + len(play.scenario.meetings))
        if number > most and play.workers.running:
            play.course.broken.append(f"more than {most} calls: the engine runs in circles")
            play.workers.die()
        if connection.in_atomic_block:
            play.course.broken.append(f"call {number} was made inside a transaction")
        strikes = play.strikes.get(number, ())
        self.watch.before(number, request)
        play.before(strikes)
        try:
            response = self.inner.handle_request(request)
            logged.status = str(response.status_code)
        except httpx.TransportError as error:
            logged.status = type(error).__name__
            if not isinstance(error, httpx.ConnectError):
                self.watch.after(number, request, None)
            play.after(strikes)
            raise
        self.watch.after(number, request, response)
        play.after(strikes)
        return response
