"""`manage.py sandbox`: simulated Recall regions on the loopback of this machine, one port each."""

from __future__ import annotations

import importlib
import importlib.util
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from recallops.clock import FileClock, WallClock
from recallops.sandbox.control import Control
from recallops.sandbox.control_world import regions as regions_json
from recallops.sandbox.server import Doors
from recallops.sandbox.world import World

if TYPE_CHECKING:
    from argparse import ArgumentParser

EXTRAS = "recallops.sandbox.extras"  # commands that fill a world and play in it


class Command(BaseCommand):
    help = "Start simulated regions; print one JSON line with URLs, keys and secrets; serve until SIGTERM or Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--regions", nargs="+", default=["us-west-2", "eu-central-1"], metavar="CODE")
        parser.add_argument("--ports", nargs="+", type=int, default=[], metavar="PORT", help="one a region; 0: any")
        parser.add_argument("--identity-port", type=int, default=0)
        parser.add_argument("--control-port", type=int, default=0)
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--workspace", default="main", help="slug of the workspace that each new region gets")
        parser.add_argument("--clock-file", type=Path, help="share the domain clock of this file; else the wall's")
        parser.add_argument("--state", type=Path, help="load the world from this file if it exists; save it at the end")
        parser.add_argument("--rate-factor", type=float, help="multiply all rate limits")
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *args: Any, **options: Any) -> None:
        clock = FileClock(options["clock_file"]) if options["clock_file"] else WallClock()
        state_file: Path | None = options["state"]
        resumed = state_file is not None and state_file.exists()
        world = World.load(state_file, clock) if state_file and resumed else World(clock, options["seed"])
        world.switches.refuse_localhost = False  # all of this lives on the loopback
        ports = _ports(world, options["regions"], options["ports"])
        for code in options["regions"]:
            if code not in world.regions:
                world.add_region(code).add_workspace(options["workspace"])
        if options["rate_factor"] is not None:
            for region in world.regions.values():
                for workspace in region.workspaces.values():
                    workspace.rate_factor = options["rate_factor"]
        control = Control(world, state_file=state_file, handlers=_extras())
        doors = _open(world, control, ports, options)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with world.lock:
            line = {
                "control": doors.control_url,
                "identity": doors.identity_url,
                "resumed": resumed,
                "seed": world.seed,
                "regions": regions_json(world),
            }
        doors.start()
        self.stdout.write(json.dumps(line))
        self.stdout.flush()
        stop.wait()
        doors.stop()
        if state_file is not None:
            with world.lock:
                world.save(state_file)


def _ports(world: World, codes: list[str], given: list[int]) -> dict[str, int]:
    """Return the wished port of each region: the given one, else the one it had when it was saved."""
    if given and len(given) != len(codes):
        raise CommandError("--ports needs one port for each of --regions")
    ports = {}
    for code, region in world.regions.items():
        if port := _port(region.base_url):
            ports[code] = port
    ports.update({code: port for code, port in zip(codes, given, strict=False) if port})
    return ports


def _port(url: str) -> int:
    """Return the port of a base URL; 0 when it names none."""
    tail = url.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _open(world: World, control: Control, ports: dict[str, int], options: dict[str, Any]) -> Doors:
    wished: dict[str, Any] = {"control_port": options["control_port"], "host": options["host"]}
    identity_port = options["identity_port"] or _port(world.identity.base_url)
    try:
        return Doors(world, control, ports=ports, identity_port=identity_port, **wished)
    except OSError as trouble:
        if any(options["ports"]) or options["control_port"] or options["identity_port"]:
            raise CommandError(f"a port cannot be had: {trouble}") from None
        return Doors(world, control, **wished)  # the ports of last time are taken by somebody else


def _extras() -> dict[str, Any]:
    if importlib.util.find_spec(EXTRAS) is None:
        return {}
    handlers: dict[str, Any] = importlib.import_module(EXTRAS).HANDLERS
    return handlers
