"""The control API: what a demo or a test may do to a world. JSON over HTTP, one command a path.

`GET /<command>?name=value` or `POST /<command>` with a JSON object. 200 with an object, 400 with `{"error": sentence}`,
404 for a command that does not exist. There are no keys: it is bound to the loopback and made for play.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from recallops.sandbox.control_world import HANDLERS as WORLD_HANDLERS
from recallops.sandbox.control_world import Arguments, BadArguments
from recallops.sandbox.messages import Refused, Response, answer, iso, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from recallops.sandbox.messages import Request
    from recallops.sandbox.world import World

    Handler = Callable[["World", dict[str, Any]], Any]


class Control:
    """Runs commands on a world."""

    def __init__(
        self,
        world: World,
        *,
        state_file: Path | None = None,
        handlers: Mapping[str, Handler] | None = None,
    ) -> None:
        self.world = world
        self.state_file = state_file
        self.handlers: dict[str, Handler] = {
            **WORLD_HANDLERS,
            "clock": self._clock,
            "clock/jump": self._jump,
            "clock/freeze": self._freeze,
            "clock/speed": self._speed,
            "save": self._save,
            **(handlers or {}),
        }

    def register(self, command: str, handler: Handler) -> None:
        """Add a command: called with the world (lock held, time advanced) and the arguments; returns JSON."""
        self.handlers[command] = handler

    def handle(self, request: Request) -> Response:
        """Run one command."""
        handler = self.handlers.get(request.path.strip("/"))
        if handler is None:
            return answer(404, {"error": f"no such command; there are: {', '.join(sorted(self.handlers))}"})
        self.world.advance()
        try:
            given = Arguments(parse_qsl(request.query, keep_blank_values=True))
            if request.body:
                body = json.loads(request.body)
                if not isinstance(body, dict):
                    raise BadArguments("the body is a JSON object")
                given.update(body)
            value = handler(self.world, given)
        except Refused as refused:
            return answer(400, {"error": f"the region refuses ({refused.status}): {json.dumps(refused.body)}"})
        except (BadArguments, ValueError, TypeError) as trouble:
            return answer(400, {"error": str(trouble)})
        except KeyError as trouble:
            return answer(400, {"error": f"there is no {trouble}"})
        return answer(200, {} if value is None else value)

    # --- the clock ----------------------------------------------------------------------------------------------

    def _clock(self, world: World, _: dict[str, Any]) -> dict[str, Any]:
        speed = getattr(world.clock, "speed", lambda: 1.0)()
        return {"now": iso(world.now()), "speed": speed, "next_timer": iso(world.next_timer())}

    def _jump(self, world: World, given: dict[str, Any]) -> dict[str, Any]:
        """Move the clock forward to a time, or to the next timer (`to`: "next")."""
        to = world.next_timer() if given["to"] == "next" else parse_time(given["to"])
        if to is not None:
            self._settable("jump")(to)
            world.advance()
        return self._clock(world, given)

    def _freeze(self, world: World, given: dict[str, Any]) -> dict[str, Any]:
        return self._set_speed(world, 0.0)

    def _speed(self, world: World, given: dict[str, Any]) -> dict[str, Any]:
        speed = float(given["speed"])
        if speed < 0:
            raise BadArguments("time does not run backwards")
        return self._set_speed(world, speed)

    def _set_speed(self, world: World, speed: float) -> dict[str, Any]:
        at: datetime = world.clock.now()
        self._settable("set")(at=at, speed=speed)
        return self._clock(world, {})

    def _settable(self, verb: str) -> Callable[..., Any]:
        change: Callable[..., Any] | None = getattr(self.world.clock, verb, None)
        if change is None:
            raise BadArguments("this clock cannot be set; start the sandbox with a clock file")
        return change

    # --- the state file -----------------------------------------------------------------------------------------

    def _save(self, world: World, _: dict[str, Any]) -> dict[str, Any]:
        if self.state_file is None:
            raise BadArguments("the sandbox was started without a state file")
        world.save(self.state_file)
        return {"saved": True}
