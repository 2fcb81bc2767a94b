"""The one door to HTTP: the only module that imports httpx, and the only place that retries.

A call, step by step:

1. take a slot of the rate budget (raises BudgetBusy rather than wait long);
2. send, through a pool of connections shared by all workspaces of a region; redirects are not followed, no proxy and
   no .netrc is taken from the environment, cookies are not kept;
3. read the body up to a bound, decode it, write one line to the log and one record to `on_call`;
4. a read that was lost or met 502/503/504 is sent again, at most three times in all; a write only when no connection
   could be made. Longer waits are never slept here: the error carries `retry_after`, and a row keeps it.

After a 429 the whole budget of that endpoint is moved, for all workers.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from calendars.providers import errors, losses, redaction
from calendars.providers.bodies import BodyError, decode_json, read_body
from calendars.providers.calls import TRIES, Answer, CallRecord, RateBudget, Timeouts
from calendars.providers.cursor import normal_base
from calendars.providers.losses import Attempted
from calendars.providers.refusals import NO_DATA, Refused, parse_http_date, parse_retry_after, refusal
from recallops import clock, waits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

calls_log = logging.getLogger("recallops.calls")
# The libraries' own lines hold whole URLs, with e-mail addresses and cursors in them.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

Transport = httpx.BaseTransport  # for those who hand in one of their own

USER_AGENT = "RecallOps"
_RETRIED_STATUSES = {502, 503, 504}
_REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-requestid", "x-amz-cf-id")


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of sending once: a response or none, its body, what broke it off, and why the body is unusable."""

    response: httpx.Response | None
    raw: bytes
    trouble: httpx.TransportError | None
    unusable: str
    begun_at: datetime
    took_ms: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error, and whether the same request may be sent again at once."""

    error: errors.ProviderError
    again: bool


class Http:
    """Calls one provider's region with one API key. Cheap to make; safe to share between threads."""

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str,
        secret: str,
        provider: str,
        budget: RateBudget,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts | None = None,
        max_wait: float = 5.0,
        max_body: int = 8 * 1024 * 1024,
        on_call: Callable[[CallRecord], None] | None = None,
        sleep: Callable[[float], None] = waits.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.base_url = normal_base(base_url)
        self.provider = provider
        self._host = urlsplit(self.base_url).netloc
        self.timeouts = timeouts or Timeouts()
        self.max_wait = max_wait
        self.max_body = max_body
        self._budget = budget
        self._key = secret
        self._headers = httpx.Headers(
            {
                "Host": self._host,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": USER_AGENT,
                "Authorization": authorization,
            }
        )
        self._transport = transport
        if transport is None:
            _pool(self.base_url)  # refuses an unencrypted address now rather than at the first call
        self._on_call = on_call
        self._sleep = sleep
        self._jitter = jitter

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def __reduce__(self) -> Any:
        raise TypeError("A client holds an API key and is not pickled: pass the workspace's id.")

    def with_options(self, *, max_wait: float | None, on_call: Callable[[CallRecord], None] | None) -> Http:
        """Return the same door with another patience or another collector; the connections are shared."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.max_wait = self.max_wait if max_wait is None else max_wait
        other._on_call = on_call or self._on_call
        return other

    def call(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        query: str = "",
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        empty_ok: bool = False,
        subject: str = "",
    ) -> Answer:
        """Make one call and return its answer; any ProviderError otherwise.

        `path` and `query` are encoded already. `endpoint` is the name under which budget, log and counts know it.
        `subject` is the id that it is about, where the path has none.
        """
        call = Attempted(provider=self.provider, host=self._host, method=method, endpoint=endpoint)
        failure: _Failure | None = None
        for attempt in range(1, TRIES + 1):
            if failure is not None:
                self._sleep(0.1 * 2 ** (attempt - 1) * (0.5 + self._jitter()))
            try:
                waited = self._budget.take(endpoint, self.max_wait)
            except errors.BudgetBusy:
                if failure is None:
                    raise
                break  # the trouble that made us try again says more than a busy budget
            came = self._exchange(self._request(method, path, query=query, body=body, idempotency_key=idempotency_key))
            outcome = self._understand(came, call, body=body, empty_ok=empty_ok)
            self._record(outcome, came, call, subject=subject or _id_in(endpoint, path), waited=waited, attempt=attempt)
            if isinstance(outcome, Answer):
                return outcome
            failure = outcome
            if not failure.again:
                break
        assert failure is not None  # noqa: S101 - the loop runs at least once
        raise failure.error

    def _request(
        self, method: str, path: str, *, query: str, body: Mapping[str, Any] | None, idempotency_key: str | None
    ) -> httpx.Request:
        url = f"{self.base_url}{path}"
        headers = self._headers.copy()
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        limits = self.timeouts
        return httpx.Request(
            method,
            f"{url}?{query}" if query else url,
            headers=headers,
            content=content,
            extensions={
                "timeout": {"connect": limits.connect, "read": limits.read, "write": limits.write, "pool": limits.pool}
            },
        )

    def _exchange(self, request: httpx.Request) -> _Came:
        """Send once and read. Nothing is raised, so that none of httpx's errors, which hold the request, gets out."""
        begun_at, started = clock.now(), time.monotonic()
        response: httpx.Response | None = None
        raw, trouble, unusable = b"", None, ""
        try:
            # looked up each time: after a fork there is a new pool
            response = (self._transport or _pool(self.base_url)).handle_request(request)
            stream = response.stream
            assert isinstance(stream, httpx.SyncByteStream)  # noqa: S101 - the transport is a synchronous one
            raw = read_body(
                stream,
                encoding=response.headers.get("content-encoding", ""),
                limit=self.max_body,
                deadline=started + self.timeouts.total,
            )
        except httpx.TransportError as error:
            trouble, unusable = error, "stops in the middle"
        except BodyError as error:
            unusable = str(error)
        finally:
            if response is not None:
                response.close()
        return _Came(response, raw, trouble, unusable, begun_at, (time.monotonic() - started) * 1000)

    def _understand(
        self, came: _Came, call: Attempted, *, body: Mapping[str, Any] | None, empty_ok: bool
    ) -> Answer | _Failure:
        """From what came to an answer or an error."""
        if came.response is None:
            return _lost(came.trouble, call)
        data: Any = NO_DATA
        unusable = came.unusable
        if not unusable:
            try:
                data = decode_json(came.raw) if came.raw.strip() else None
            except BodyError as error:
                unusable = str(error)
        secrets = [self._key, *redaction.secrets_in(body)]
        answer = _answer(came.response, data=data, begun_at=came.begun_at, took_ms=came.took_ms, secrets=secrets)
        if answer.status >= 300:
            return self._refused(answer, call, raw=came.raw, secrets=secrets)
        if data is None and not empty_ok and answer.status != 204:
            unusable = "is empty instead of JSON"
        if not unusable:
            return answer
        failed = losses.unusable(call, unusable, status=answer.status, request_id=answer.request_id)
        return _Failure(failed, again=came.trouble is not None and not call.is_write)

    def _refused(self, answer: Answer, call: Attempted, *, raw: bytes, secrets: Sequence[str]) -> _Failure:
        """The answer is no success: say which, and move the budget after a 429."""
        told = parse_retry_after(answer.headers.get("retry-after"), now=answer.server_date or answer.begun_at)
        error = refusal(
            Refused(
                provider=self.provider,
                endpoint=call.endpoint,
                status=answer.status,
                data=answer.data,
                text=raw[:4_000].decode("utf-8", "replace") if answer.data is NO_DATA else "",
                retry_after=told,
                request_id=answer.request_id,
                is_write=call.is_write,
                secrets=secrets,
            )
        )
        if isinstance(error, errors.Throttled) and error.retry_after is not None:
            self._budget.push(call.endpoint, error.retry_after.total_seconds() / clock.speed())
        again = not call.is_write and answer.status in _RETRIED_STATUSES and told is None
        return _Failure(error, again=again)

    def _record(
        self, outcome: Answer | _Failure, came: _Came, call: Attempted, *, subject: str, waited: float, attempt: int
    ) -> None:
        found = outcome if isinstance(outcome, Answer) else outcome.error
        error = "" if isinstance(outcome, Answer) else type(found).__name__
        level = logging.WARNING if error else logging.INFO
        if calls_log.isEnabledFor(level):
            shown = (f" {error}" if error else "") + (f" id {found.request_id}" if found.request_id else "")
            calls_log.log(
                level, "%s %s %.0f ms try %d%s", call.endpoint, found.status or "-", came.took_ms, attempt, shown
            )
        if self._on_call is not None:
            headers: Mapping[str, str] = came.response.headers if came.response is not None else {}
            self._on_call(
                CallRecord(
                    endpoint=call.endpoint,
                    subject=subject
                    or (_id_of_new(outcome.data) if isinstance(outcome, Answer) and call.is_write else ""),
                    status=found.status,
                    error=error,
                    took_ms=came.took_ms,
                    waited_ms=waited * 1000,
                    attempt=attempt,
                    begun_at=came.begun_at,
                    server_date=parse_http_date(headers.get("date")),
                    request_id=found.request_id,
                )
            )


def _id_in(endpoint: str, path: str) -> str:
    """Return what stands in a path where its endpoint's name has {id}."""
    for name, part in zip(endpoint.partition(" ")[2].split("/"), path.split("/"), strict=False):
        if name == "{id}":
            return part
    return ""


def _id_of_new(data: Any) -> str:
    """Return the id of what a call made."""
    made = data.get("id") if isinstance(data, dict) else None
    return made if isinstance(made, str) and len(made) <= 80 and made.isascii() and made.isprintable() else ""


def _answer(
    response: httpx.Response, *, data: Any, begun_at: datetime, took_ms: float, secrets: Sequence[str]
) -> Answer:
    headers = response.headers
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")
    return Answer(
        status=response.status_code,
        data=data,
        headers=headers,
        begun_at=begun_at,
        server_date=parse_http_date(headers.get("date")),
        took_ms=took_ms,
        request_id=redaction.quote(request_id, secrets=secrets, limit=100) if request_id else "",
    )


def _lost(trouble: httpx.TransportError | None, call: Attempted) -> _Failure:
    """No answer came at all. Sent again is a read, and a write that found no connection."""
    if isinstance(trouble, httpx.PoolTimeout):
        return _Failure(losses.no_free_connection(call), again=True)
    if isinstance(trouble, httpx.ConnectError | httpx.ConnectTimeout):
        if "CERTIFICATE" in str(trouble).upper():
            return _Failure(losses.bad_certificate(call), again=False)
        return _Failure(losses.no_connection(call), again=True)
    if isinstance(trouble, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return _Failure(losses.not_sendable(call), again=False)
    in_time = not isinstance(trouble, httpx.TimeoutException)
    return _Failure(losses.no_answer(call, in_time=in_time), again=not call.is_write)


# One pool of connections for each base URL and process. After a fork the child starts with none: two processes on one
# socket would read each other's answers. The parent's are kept referenced, unclosed, since closing them would end its
# connections.
_pools: dict[str, httpx.HTTPTransport] = {}
_inherited: list[dict[str, httpx.HTTPTransport]] = []
_pools_lock = threading.Lock()
_ssl_context: ssl.SSLContext | None = None


def _pool(base_url: str) -> httpx.HTTPTransport:
    global _ssl_context
    found = _pools.get(base_url)
    if found is not None:
        return found
    parts = urlsplit(base_url)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise errors.ProviderError(
            f"{base_url} would send the API key over an unencrypted connection. Use https.",
            kind=errors.ErrorKind.CONFIGURATION,
        )
    with _pools_lock:
        if base_url not in _pools:
            if _ssl_context is None:
                _ssl_context = httpx.create_ssl_context()
            _pools[base_url] = httpx.HTTPTransport(
                verify=_ssl_context,
                trust_env=False,
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=20.0),
            )
        return _pools[base_url]


def close_pools() -> None:
    """Close the kept connections of this process. Clients open others when they are used again."""
    with _pools_lock:
        for pool in _pools.values():
            pool.close()
        _pools.clear()


def _after_fork() -> None:
    global _pools, _pools_lock
    _inherited.append(_pools)
    _pools = {}
    _pools_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
