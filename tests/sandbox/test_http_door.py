"""The HTTP door: the same regions over loopback, webhooks that are really posted, and the command."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from recallops.sandbox.control import Control
from recallops.sandbox.server import Doors
from tests.sandbox.conftest import CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sandbox.conftest import Stage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doors(stage: Stage) -> Iterator[Doors]:
    doors = Doors(stage.world, Control(stage.world))
    doors.start()
    yield doors
    doors.stop()


@pytest.fixture
def client(doors: Doors, stage: Stage) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Token {stage.us.api_keys[0]}"}
    with httpx.Client(base_url=stage.world.regions["us-west-2"].base_url, headers=headers, timeout=10) as client:
        yield client


def address(stage: Stage) -> tuple[str, int]:
    parts = urlsplit(stage.world.regions["us-west-2"].base_url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def test_each_region_has_a_port_of_its_own(stage: Stage, client: httpx.Client) -> None:
    assert client.get("/api/v1/bot/").status_code == 200
    other = client.get(stage.world.regions["eu-central-1"].base_url + "/api/v1/bot/")
    assert other.status_code == 401
    assert other.headers["WWW-Authenticate"] == "Token"
    assert other.headers["Date"] == "Mon, 05 Jan 2026 12:00:00 GMT"


def test_next_links_lead_back_to_the_same_port(stage: Stage, client: httpx.Client) -> None:
    with stage.world.lock:
        stage.us.page_size = 1
        stage.connect(stage.alice)
        stage.connect(stage.bob)
    page = client.get("/api/v2/calendars/").json()
    assert page["next"].startswith(stage.world.regions["us-west-2"].base_url)
    assert len(client.get(page["next"]).json()["results"]) == 1


def calendar_of(stage: Stage) -> dict[str, str]:
    return {
        "platform": "google_calendar",
        "oauth_client_id": CLIENT,
        "oauth_client_secret": "google-secret",
        "oauth_refresh_token": stage.world.grant(stage.alice, CLIENT),
    }


def test_a_calendar_is_made_and_deleted_over_http(stage: Stage, client: httpx.Client) -> None:
    made = client.post("/api/v2/calendars/", json=calendar_of(stage))
    assert made.status_code == 201
    gone = client.delete(f"/api/v2/calendars/{made.json()['id']}/")
    assert (gone.status_code, gone.content) == (204, b"")
    assert "Content-Type" not in gone.headers


def test_one_connection_serves_many_requests(stage: Stage, client: httpx.Client) -> None:
    raw = http.client.HTTPConnection(*address(stage))
    sockets = set()
    for _ in range(3):
        raw.request("GET", "/api/v1/bot/", headers={"Authorization": stage.us.api_keys[0]})
        raw.getresponse().read()
        sockets.add(raw.sock.getsockname())
    raw.close()
    assert len(sockets) == 1


def test_chunked_bodies_and_closing_clients_are_understood(stage: Stage, client: httpx.Client) -> None:
    parts = iter([b'{"meeting_url": "https://', b'zoom.us/j/1"}'])
    answer = client.post("/api/v1/bot/", content=parts, headers={"Connection": "close"})
    assert answer.status_code == 201
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize(
    "noise", [b"\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"\x16\x03\x01\x02\r\n"]
)
def test_noise_closes_the_connection_and_nothing_else(stage: Stage, client: httpx.Client, noise: bytes) -> None:
    with socket.create_connection(address(stage), timeout=5) as raw:
        raw.sendall(noise)
        assert raw.recv(100) == b""
    assert client.get("/api/v1/bot/").status_code == 200


@pytest.mark.parametrize("part", [0.4, 0.9])  # within the headers, within the body
def test_a_request_whose_client_died_half_way_has_not_been_made(
    stage: Stage, client: httpx.Client, part: float
) -> None:
    key = {"Idempotency-Key": "once"}
    asked = client.build_request("POST", "/api/v2/calendars/", json=calendar_of(stage), headers=key)
    lines = [f"POST {asked.url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.headers.items()), "", ""]
    whole = "\r\n".join(lines).encode() + asked.read()
    with socket.create_connection(address(stage), timeout=5) as raw:
        raw.sendall(whole[: int(len(whole) * part)])
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100) == b""
    assert client.send(asked).status_code == 201


def test_a_dropped_connection_gives_no_answer(stage: Stage, client: httpx.Client) -> None:
    with stage.world.lock:
        stage.world.faults.add("drop", when="after")
    with pytest.raises(httpx.TransportError):
        client.post("/api/v1/bot/", json={"meeting_url": "https://zoom.us/j/1"})
    assert client.get("/api/v1/bot/").json()["count"] == 1


def test_latency_is_real_time_here_and_holds_nobody_else_up(stage: Stage, client: httpx.Client) -> None:
    with stage.world.lock:
        stage.world.faults.add("latency", seconds=5, endpoint="GET /api/v2/calendars/")
    with pytest.raises(httpx.ReadTimeout):
        client.get("/api/v2/calendars/", timeout=0.2)
    assert client.get("/api/v1/bot/", timeout=3).status_code == 200


def test_the_control_port_takes_commands(stage: Stage, doors: Doors) -> None:
    state = httpx.get(f"{doors.control_url}/state").json()
    assert state["regions"]["us-west-2"]["base_url"] == stage.world.regions["us-west-2"].base_url
    refused = httpx.post(f"{doors.control_url}/meeting", json={"start": "never"})
    assert refused.status_code == 400
    assert "error" in refused.json()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until other threads have brought something about, five seconds at most."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


class Receiver:
    """A server that takes webhooks: first it fails, then it does not."""

    def __init__(self) -> None:
        self.seen: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers = [500]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answers.pop() if receiver.answers else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?region=us"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.thread.join()
    receiver.server.server_close()


def test_webhooks_are_posted_and_retried_in_domain_time(stage: Stage, doors: Doors, receiver: Receiver) -> None:
    with stage.world.lock:
        stage.us.add_endpoint(receiver.url)
        calendar = stage.connect(stage.alice)
        stage.us.disconnect(calendar.id)
    headers, body = receiver.seen.get(timeout=5)
    assert json.loads(body) == {"event": "calendar.update", "data": {"calendar_id": calendar.id}}
    wait_for(lambda: stage.world.outbox.failed)
    with stage.world.lock:
        stage.clock.advance(timedelta(seconds=5))
    again, same = receiver.seen.get(timeout=5)
    assert (again["webhook-id"], same) == (headers["webhook-id"], body)
    assert int(again["webhook-timestamp"]) == int(headers["webhook-timestamp"]) + 5


def test_a_receiver_that_is_not_there_counts_as_a_failure(stage: Stage, doors: Doors, receiver: Receiver) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with stage.world.lock:
            stage.us.add_endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/")
            stage.us.disconnect(stage.connect(stage.alice).id)
        wait_for(lambda: stage.world.outbox.failed)
    assert stage.world.outbox.delivered == 0


class Command:
    """`manage.py sandbox` as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        # The command needs no database; the address only has to be readable.
        environment = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "DEBUG": "true"}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "sandbox", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = json.loads(self.process.stdout.readline())

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=10)
        return self.process.returncode


def test_the_command_serves_until_told_to_stop_and_resumes_on_the_same_ports(tmp_path: Path) -> None:
    options = ("--state", str(tmp_path / "state"), "--rate-factor", "0.05", "--seed", "3")
    first = Command(*options)
    try:
        assert set(first.line) == {"control", "identity", "resumed", "seed", "regions"}
        assert (first.line["resumed"], first.line["seed"]) == (False, 3)
        us = first.line["regions"]["us-west-2"]
        workspace = us["workspaces"]["main"]
        headers = {"Authorization": f"Token {workspace['api_keys'][0]}"}
        statuses = [httpx.get(f"{us['base_url']}/api/v1/bot/", headers=headers).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        body = {"meeting_url": "https://zoom.us/j/1", "recording_config": {"url": "http://127.0.0.1/"}}
        assert httpx.post(f"{us['base_url']}/api/v1/bot/", headers=headers, json=body).status_code == 201
    finally:
        assert first.end(signal.SIGTERM) == 0
    second = Command(*options)
    try:
        assert second.line["resumed"] is True
        assert second.line["regions"]["us-west-2"]["base_url"] == us["base_url"]
        assert second.line["identity"] == first.line["identity"]
        assert second.line["regions"]["us-west-2"]["workspaces"]["main"]["bots"] == 1
        assert httpx.get(f"{second.line['control']}/clock").json()["speed"] == 1.0
    finally:
        assert second.end(signal.SIGINT) == 0
