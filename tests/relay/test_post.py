"""One request to the application, over real sockets: signed, bounded, and never elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from calendars.models import Application
from calendars.relay.post import Outcome, Parcel, headers_for, post
from tests.relaying import APPLICATIONS_SECRET, TARGETS_SECRET

PARCEL = Parcel(
    id="msg_of_the_vendor", body=b'{"event":"bot.done","data":{}}', region="eu-central-1", workspace="acme-eu"
)


class Receiver:
    """An application on loopback that does what a test says."""

    def __init__(self, act: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                act(self)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever asked may be gone
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/in?token=secret-of-the-url"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], Receiver]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start receivers; stop them in the end."""
    started: list[Receiver] = []

    def start(act: Callable[[BaseHTTPRequestHandler], None]) -> Receiver:
        started.append(Receiver(act))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer at once."""

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return act


def send(to: Application, secrets: Sequence[str] = (APPLICATIONS_SECRET,)) -> Outcome:
    """Pass the parcel on now."""
    return post(to, secrets, PARCEL, now=datetime.now(UTC))


def application(url: str, **fields: Any) -> Application:
    """Return an application that is not stored."""
    return Application(slug="recorder", url=url, **fields)


def test_the_application_can_prove_it_with_the_librarys_own_check_and_read_where_it_comes_from(serve: Serve) -> None:
    receiver = serve(answer(200))
    outcome = send(application(receiver.url))
    assert (outcome.delivered, outcome.status) == (True, 200)
    [(path, headers, body)] = receiver.got
    assert (path, body) == ("/in?token=secret-of-the-url", PARCEL.body)
    assert Webhook(APPLICATIONS_SECRET).verify(body, headers) == {"event": "bot.done", "data": {}}
    with pytest.raises(WebhookVerificationError):
        Webhook(TARGETS_SECRET).verify(body, headers)
    assert headers["webhook-id"] == "msg_of_the_vendor"
    assert (headers["recallops-region"], headers["recallops-workspace"]) == ("eu-central-1", "acme-eu")
    assert headers["host"] == receiver.url.split("/")[2]


def test_while_a_secret_changes_the_old_and_the_new_one_both_open_it() -> None:
    headers = headers_for(
        PARCEL, [TARGETS_SECRET, APPLICATIONS_SECRET], family="webhook", timestamp=int(datetime.now(UTC).timestamp())
    )
    for secret in (TARGETS_SECRET, APPLICATIONS_SECRET):
        assert Webhook(secret).verify(PARCEL.body, headers)


def test_an_older_receiver_gets_the_older_names_and_only_those() -> None:
    headers = headers_for(PARCEL, [APPLICATIONS_SECRET], family="svix", timestamp=1)
    assert {"svix-id", "svix-timestamp", "svix-signature"} <= set(headers)
    assert not any(name.startswith("webhook-") for name in headers)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
def test_a_redirect_is_not_followed(serve: Serve, status: int) -> None:
    elsewhere = serve(answer(200))
    receiver = serve(answer(status, Location=elsewhere.url))
    outcome = send(application(receiver.url))
    assert (outcome.delivered, outcome.status) == (False, status)
    assert "redirects are not followed" in outcome.problem
    assert elsewhere.got == []


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_any_other_answer_is_no_delivery_and_its_beginning_is_kept(serve: Serve, status: int) -> None:
    said = (
        b"<p>out of order</p>\x00 /in?token=secret-of-the-url whsec_"
        + b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
        + b" x" * 5000
    )
    outcome = send(application(serve(answer(status, said)).url))
    assert (outcome.delivered, outcome.status, outcome.problem) == (False, status, f"It answered {status}.")
    assert outcome.answer.startswith("<p>out of order</p>")
    assert len(outcome.answer) <= 500
    assert "\x00" not in outcome.answer
    assert "QUFBQUFB" not in outcome.answer
    assert "secret-of-the-url" not in outcome.answer


def test_an_answer_after_the_time_out_is_no_delivery(serve: Serve) -> None:
    done = threading.Event()
    receiver = serve(lambda request: (done.wait(5), answer(200)(request))[1])
    begun = time.monotonic()
    outcome = send(application(receiver.url, timeout=timedelta(seconds=0.2)))
    done.set()
    assert (outcome.delivered, outcome.status) == (False, None)
    assert "No answer within" in outcome.problem
    assert time.monotonic() - begun < 3


def test_what_drips_and_what_breaks_off_is_no_delivery_and_holds_nobody(serve: Serve) -> None:
    stop = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(500)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        for _ in range(200):
            if stop.wait(0.05):
                return
            request.wfile.write(b".")
            request.wfile.flush()

    outcome = send(application(serve(drip).url, timeout=timedelta(seconds=0.3)))
    stop.set()
    assert outcome.problem == "It answered 500."
    broken = send(application(serve(lambda request: request.connection.close()).url))
    assert broken.status is None
    assert "broke off" in broken.problem


def test_where_nobody_listens_and_where_nothing_can_be_signed_is_said(serve: Serve) -> None:
    receiver = Receiver(answer(200))
    receiver.stop()
    assert "No connection" in send(application(receiver.url)).problem
    assert "no secret in use" in send(application(receiver.url), []).problem
    assert "enter it again" in send(application(receiver.url), ["whsec_%%%"]).problem


def test_without_the_setting_nothing_is_sent_into_a_private_network(serve: Serve, settings: Any) -> None:
    settings.RELAY_PRIVATE = False
    receiver = serve(answer(200))
    for url in (receiver.url, receiver.url.replace("http:", "https:"), receiver.url.replace("127.0.0.1", "localhost")):
        outcome = send(application(url))
        assert not outcome.delivered
        assert "secret-of-the-url" not in outcome.problem
    assert receiver.got == []


def test_a_proxy_of_the_environment_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, receiver = serve(answer(200)), serve(answer(204))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert send(application(receiver.url)).status == 204
    assert proxy.got == []
