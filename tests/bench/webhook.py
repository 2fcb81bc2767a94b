"""The webhook endpoint under load, against raw ASGI with asyncpg and a usual DRF view, in turns in one run."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import call_command
from matplotlib import pyplot

from calendars.models import Delivery, Provider, Region, WebhookEndpoint, WebhookSecret, Workspace
from tests.bench import machine, output
from tests.bench.processes import cpu_seconds

CONNECTIONS = 32
PROCESSES = 2
ROUNDS = {"small": 1, "medium": 3, "full": 5}
SECONDS = {"small": 3, "medium": 5, "full": 8}
MOST_A_SECOND = 5000  # so many requests are prepared for each second


@dataclass(frozen=True, slots=True)
class Side:
    """One of the servers that are compared."""

    name: str
    said: str
    command: tuple[str, ...]
    path: str


def main(size: str) -> None:
    """Measure, write what came of it."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    endpoint = _endpoint(secret)
    gunicorn = (
        sys.executable,
        "-m",
        "gunicorn",
        "--workers",
        str(PROCESSES),
        "--no-control-socket",
        "--log-level",
        "error",
    )
    uvicorn = (sys.executable, "-m", "uvicorn", "--workers", str(PROCESSES), "--no-access-log", "--log-level", "error")
    ours = f"/webhooks/recall/{endpoint.token}/?region=us-west-2"
    sides = [
        Side("raw", "raw ASGI, asyncpg, uvicorn", (*uvicorn, "tests.bench.webhook_raw:app"), "/raw/"),
        Side("recallops", "RecallOps, gunicorn", (*gunicorn, "recallops.wsgi"), ours),
        Side("threads", "RecallOps, gunicorn --threads 4", (*gunicorn, "--threads", "4", "recallops.wsgi"), ours),
        Side("usual", "usual DRF, gunicorn", (*gunicorn, "tests.bench.webhook_usual"), "/usual/"),
    ]
    rounds: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for number in range(ROUNDS[size]):
        for side in sides:
            rounds[side.name].append(_round(side, number, secret, endpoint, SECONDS[size]))
            Delivery.objects.all().delete()
    found = {
        "size": size,
        "machine": machine.describe(),
        "connections": CONNECTIONS,
        "processes": PROCESSES,
        "sides": {side.name: _summary(side, rounds[side.name]) for side in sides},
    }
    raw = found["sides"]["raw"]["a_second"]
    for one in found["sides"].values():
        one["of_raw"] = round(one["a_second"] / raw, 3)
    endpoint.workspace.delete()
    output.write("webhook", found)
    _plot(found)
    for one in found["sides"].values():
        sys.stdout.write(f"{one['said']:36} {one['a_second']:8.0f} a second, {one['of_raw']:.2f} of raw\n")


def _endpoint(secret: str) -> WebhookEndpoint:
    region = Region.objects.filter(provider=Provider.RECALL).first()
    Workspace.objects.filter(slug="bench-webhooks").delete()
    workspace = Workspace.objects.create(slug="bench-webhooks", name="Bench", region=region)
    WebhookSecret.objects.create(workspace=workspace, secret=secret)
    return WebhookEndpoint.objects.create(workspace=workspace)


def _round(side: Side, number: int, secret: str, endpoint: WebhookEndpoint, seconds: int) -> dict[str, Any]:
    port = _free_port()
    where = ("--bind", f"127.0.0.1:{port}") if "gunicorn" in side.command else ("--port", str(port))
    environment = _environment(secret, endpoint)
    if side.name == "usual":
        environment["DJANGO_SETTINGS_MODULE"] = "tests.bench.usual_settings"
    server = subprocess.Popen([*side.command, *where], env=environment, cwd=output.ROOT, start_new_session=True)
    try:
        _wait_for(port)
        task = {"port": port, "path": side.path, "secret": secret, "connections": CONNECTIONS}
        _load({**task, "run": f"warm{number}", "seconds": 1, "prepared": MOST_A_SECOND})
        before = cpu_seconds(server.pid)
        found = _load({**task, "run": f"r{number}", "seconds": seconds, "prepared": MOST_A_SECOND * seconds})
        good = found["statuses"].get("200", 0)
        found["cpu_us"] = round(1e6 * (cpu_seconds(server.pid) - before) / max(1, good))
        stored = Delivery.objects.filter(
            workspace=endpoint.workspace, delivery_id__startswith=f"msg_r{number}_"
        ).count()
        if set(found["statuses"]) != {"200"} or stored < good or found["sent_all"]:
            raise RuntimeError(f"{side.said}: {found}, of which {stored} were stored")
        return found
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _environment(secret: str, endpoint: WebhookEndpoint) -> dict[str, str]:
    """Return the settings of a production installation on our database."""
    uri = StringIO()
    call_command("database", "uri", stdout=uri)
    address = os.environ.get("DATABASE_URL") or uri.getvalue().strip()
    return {
        **os.environ,
        "DATABASE_URL": address,
        "BENCH_DATABASE": address,
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "ALLOWED_HOSTS": "127.0.0.1",
        "BEHIND_PROXY": "true",
        "DEBUG": "false",
        "BENCH_SECRET": secret,
        "BENCH_WORKSPACE": str(endpoint.workspace_id),
        "BENCH_ENDPOINT": str(endpoint.pk),
    }


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(1.5)  # until all its processes are up
            return
    raise TimeoutError("The server did not come up.")


def _load(task: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.load"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=True, cwd=output.ROOT)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _summary(side: Side, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    values = [one["a_second"] for one in rounds]
    return {
        "said": side.said,
        "a_second": round(statistics.median(values), 1),
        "rounds": values,
        "p99_ms": round(statistics.median(one["p99_ms"] for one in rounds), 1),
        "cpu_us": round(statistics.median(one["cpu_us"] for one in rounds)),
    }


def _plot(found: dict[str, Any]) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    sides = list(found["sides"].values())[::-1]
    colours = {"recallops": output.BLUE, "threads": output.BLUE}
    bars = axes.barh(
        [one["said"] for one in sides],
        [one["a_second"] for one in sides],
        color=[colours.get(name, output.GREY) for name in list(found["sides"])[::-1]],
    )
    axes.bar_label(bars, labels=[f"{one['a_second']:.0f}  ({one['of_raw']:.2f})" for one in sides], padding=3)
    axes.set_xlabel("webhooks a second, median of the rounds (share of raw)")
    axes.set_xlim(0, max(one["a_second"] for one in sides) * 1.2)
    axes.axvline(0.4 * found["sides"]["raw"]["a_second"], color=output.RED, linestyle="--", linewidth=1)
    output.draw("webhook", figure)
